"""`zkserver.election` in an election with Apache ZooKeeper's servers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.apache import ApacheServer
from tests.support.election_peer import ElectionPeer
from tests.support.server_process import free_port
from zkserver.base.quorum import Majority
from zkserver.base.zxid import make_zxid
from zkserver.election.election import Election
from zkserver.jute.notifications import PeerState

pytestmark = pytest.mark.usefixtures("apache_installed")

LOOKING, FOLLOWING, LEADING, OBSERVING = PeerState
TIMEOUT_S = 30.0


class Ensemble:
    """Apache's servers 1 and 2, and two more seats: voter 3 and observer 4."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.stack = stack
        self.ports = {server: free_port() for server in (1, 2, 3, 4)}
        self.cfg = {
            f"server.{server}": f"127.0.0.1:{free_port()}:{port}"
            f":{'observer' if server == 4 else 'participant'}"
            for server, port in self.ports.items()
        } | {"initLimit": "10", "syncLimit": "5"}

    def launch(self, server_id: int) -> ApacheServer:
        server = ApacheServer(self.folder / str(server_id), cfg=self.cfg)
        server.data_dir.mkdir(parents=True)
        (server.data_dir / "myid").write_text(str(server_id))
        server.launch()
        self.stack.callback(server.kill)
        return server

    def peer(self, server_id: int) -> ElectionPeer:
        election = Election(server_id, Majority([1, 2, 3], [4]), b"version=0")
        addresses = {server: [("127.0.0.1", port)] for server, port in self.ports.items()}
        return ElectionPeer(election, addresses, asyncio.get_running_loop())


@pytest.fixture(name="ensemble")
def _ensemble(tmp_path: Path) -> Iterator[Ensemble]:
    with ExitStack() as stack:
        yield Ensemble(tmp_path, stack)


def test_the_best_vote_wins_apaches_server_over(ensemble: Ensemble) -> None:
    async def story() -> None:
        ensemble.launch(1)
        peer = ensemble.peer(3)
        await peer.open()
        try:
            assert await peer.look(make_zxid(0, 0), 0, TIMEOUT_S) is LEADING
            votes = [told for sender, told in peer.heard if sender == 1]
            assert (votes[-1].state, votes[-1].leader) == (LOOKING, 3)
            assert votes[-1].version == 2
            assert b"server.3=127.0.0.1" in votes[-1].config
        finally:
            await peer.close()

    asyncio.run(story())


@pytest.mark.parametrize(("server_id", "role"), [(3, FOLLOWING), (4, OBSERVING)])
def test_a_late_joiner_finds_apaches_leader(ensemble, server_id, role) -> None:
    async def story() -> None:
        servers = [ensemble.launch(1), ensemble.launch(2)]
        for server in servers:
            server.wait_ready()
        peer = ensemble.peer(server_id)
        await peer.open()
        try:
            # However good its history is.
            assert await peer.look(make_zxid(9, 9), 9, TIMEOUT_S) is role
            assert peer.election.vote is not None
            assert peer.election.vote.leader == 2
            # Both have synchronised, and say the epoch of their leader.
            assert peer.election.vote.peer_epoch == 1
        finally:
            await peer.close()

    asyncio.run(story())


def test_when_apaches_leader_fails_the_others_elect(ensemble: Ensemble) -> None:
    async def story() -> None:
        servers = [ensemble.launch(1), ensemble.launch(2)]
        for server in servers:
            server.wait_ready()
        peer = ensemble.peer(3)
        await peer.open()
        try:
            assert await peer.look(0, 0, TIMEOUT_S) is FOLLOWING
            servers[1].kill()
            # Its history is that of a server that has followed: the epoch is 1.
            assert await peer.look(make_zxid(1, 0), 1, TIMEOUT_S) is LEADING
        finally:
            await peer.close()

    asyncio.run(story())


def test_apaches_servers_call_a_smaller_id_back(ensemble: Ensemble) -> None:
    async def story() -> None:
        servers = [ensemble.launch(2), ensemble.launch(3)]
        for server in servers:
            server.wait_ready()
        peer = ensemble.peer(1)
        await peer.open()
        try:
            assert await peer.look(0, 0, TIMEOUT_S) is FOLLOWING
            assert peer.election.vote is not None
            assert peer.election.vote.leader == 3
            async with asyncio.timeout(TIMEOUT_S):
                while peer.port.reach() != [2, 3]:
                    await asyncio.sleep(0.01)  # polling with a deadline
                servers[1].kill()
                # What server 3 said last may still arrive; whoever followed it would look again.
                while peer.election.vote.leader != 2:
                    assert await peer.look(0, 0, TIMEOUT_S) is FOLLOWING
            # Server 2 has followed it, so its history is the better one.
            assert peer.election.vote.leader == 2
        finally:
            await peer.close()

    asyncio.run(story())
