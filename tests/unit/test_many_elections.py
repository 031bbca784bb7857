"""Three peers in one process, on real sockets: nothing piles up over many elections.

The old generation of the cyclic collector is never collected in production, so what a role leaves
behind has to go by itself: the collector is off here.
"""

from __future__ import annotations

import asyncio
import gc
import os
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support import wire
from tests.support.server_process import free_port
from zkserver.base.config import ConfigSource, load
from zkserver.jute.notifications import PeerState
from zkserver.runtime import clock
from zkserver.runtime.machine import Machine
from zkserver.runtime.peer import PeerProcess
from zkserver.zab.effects import EpochFile

COUNT = 3
ELECTIONS = 30
SETTLED_AFTER = 3


class QuietMachine(Machine):
    """Leaves the collector of the tests alone."""

    def hold_collector(self) -> None:
        """Nothing."""

    def settle_collector(self) -> None:
        """Nothing."""


class Peer(PeerProcess):
    """A peer in the process of the test, which must not end it."""

    def _exit_now(self, exit_code: int) -> None:
        raise RuntimeError(f"the peer ends itself with {exit_code}")

    def finish(self) -> None:
        """Ask it to stop."""
        self._finish(0)


@pytest.fixture(name="no_collector")
def _no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()
    gc.collect()


def configurations(folder: Path):
    ports = [(free_port(), free_port()) for _ in range(COUNT)]
    for number in range(1, COUNT + 1):
        lines = [
            "tickTime=100",
            "initLimit=20",
            "syncLimit=20",
            f"dataDir={folder / str(number)}",
            "clientPort=0",
            "clientPortAddress=127.0.0.1",
        ]
        for other, (quorum_port, election_port) in enumerate(ports, 1):
            lines.append(f"server.{other}=127.0.0.1:{quorum_port}:{election_port}")
        source = ConfigSource(
            file_name="zoo.cfg", text="\n".join(lines), read_text=lambda _, n=number: str(n)
        )
        yield load(source)[0]


class Peers:
    """The peers, and what they hold on to."""

    def __init__(self, folder: Path) -> None:
        self.loop = asyncio.get_running_loop()
        self.peers = [
            Peer(config, self.loop, clock.precise_ms(), QuietMachine())
            for config in configurations(folder)
        ]
        self.lives = [self.loop.create_task(peer.serve()) for peer in self.peers]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                for life in self.lives:
                    if life.done():
                        life.result()
                await asyncio.sleep(0.005)

    def all_serve(self) -> bool:
        states = sorted(peer.state.name for peer in self.peers)
        return states == ["FOLLOWING", "FOLLOWING", "LEADING"] and all(
            peer.server is not None for peer in self.peers
        )

    @property
    def leader(self) -> Peer:
        return next(peer for peer in self.peers if peer.state is PeerState.LEADING)

    async def visit(self, peer: Peer) -> None:
        """A client opens a session and closes it."""
        reader, writer = await asyncio.open_connection("127.0.0.1", peer.client_port())
        for payload in (wire.connect_request(), wire.request(1, wire.CLOSE_SESSION)):
            writer.write(wire.int32(len(payload)) + payload)
            size = int.from_bytes(await reader.readexactly(4), "big")
            await reader.readexactly(size)
        writer.close()
        await writer.wait_closed()

    async def elect(self) -> None:
        """The leader gives up, and there is another reign."""
        await self.until(self.all_serve)
        for peer in self.peers:
            await self.visit(peer)
        epoch = self.epoch
        self.leader.ended("the test wants another election")
        await self.until(lambda: self.epoch > epoch and self.all_serve())

    @property
    def epoch(self) -> int:
        """The epoch that everybody has come to."""
        return min(peer.epochs[EpochFile.CURRENT] for peer in self.peers)

    async def close(self) -> None:
        for peer in self.peers:
            peer.finish()
        await asyncio.gather(*self.lives)
        await asyncio.sleep(0.05)


def holdings() -> dict[str, int]:
    """Open descriptors, tasks, and objects of our own by class."""
    kinds = Counter(
        type(each).__name__
        for each in gc.get_objects()
        if str(type(each).__module__).startswith("zkserver.") and not isinstance(each, tuple)
    )
    # Each peer's story keeps the last ones, and no more: tests/unit/test_election_story.py.
    kinds.pop("Chapter", None)
    return {
        **kinds,
        "descriptors": len(os.listdir("/proc/self/fd")),
        "tasks": len(asyncio.all_tasks()),
    }


def grown(before: dict[str, int], after: dict[str, int]) -> dict[str, tuple[int, int]]:
    """What there is more of, by more than one for each peer."""
    return {
        name: (before.get(name, 0), count)
        for name, count in after.items()
        if count > before.get(name, 0) + COUNT
    }


@pytest.mark.usefixtures("no_collector")
def test_nothing_piles_up_over_elections(tmp_path: Path) -> None:
    async def story() -> None:
        peers = Peers(tmp_path)
        for _ in range(SETTLED_AFTER):
            await peers.elect()
        before = holdings()
        for _ in range(ELECTIONS - SETTLED_AFTER):
            await peers.elect()
        # What is on its way out has its time.
        with suppress(TimeoutError):
            await peers.until(lambda: not grown(before, holdings()))
        assert not grown(before, holdings())
        await peers.close()

    asyncio.run(story())


def test_a_client_that_was_accepted_as_the_role_ended_is_hung_up_on(tmp_path: Path) -> None:
    async def story() -> None:
        peers = Peers(tmp_path)
        await peers.until(peers.all_serve)
        leader = peers.leader
        # asyncio makes the protocol in one turn of the loop, and connects it in a later one.
        late = leader._make_protocol()
        leader.ended("the test wants it")
        await peers.until(lambda: leader.server is None)
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        await peers.loop.connect_accepted_socket(lambda: late, theirs)
        async with asyncio.timeout(10):
            assert await peers.loop.sock_recv(ours, 1) == b""
        ours.close()
        await peers.close()

    asyncio.run(story())
