"""Whole elections of five peers with production ports on simulated links, whatever happens first."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.election_hosts import PORT, standing_links
from tests.support.election_peer import ElectionPeer
from zkserver.base.quorum import Majority
from zkserver.base.zxid import make_zxid
from zkserver.election.election import Election
from zkserver.jute.notifications import PeerState
from zkserver.sim import grudges
from zkserver.sim.world import World

VOTERS = range(1, 6)
HOSTS = [f"n{server}" for server in VOTERS]
LOOKING, FOLLOWING, LEADING, _ = PeerState


class Ensemble:
    """Five peers. Who has a role looks again when the leader that it follows does not lead."""

    def __init__(self, seed: int) -> None:
        self.world = World(seed)
        self.chance = self.world.chance("faults")
        self.addresses = {n: [(f"n{n}", PORT)] for n in VOTERS}
        self.zxids = {n: make_zxid(1, self.chance.randrange(4)) for n in VOTERS}
        self.peers: dict[int, ElectionPeer] = {}
        for server_id in VOTERS:
            self.boot(server_id)

    def boot(self, server_id: int) -> None:
        life = self.world.network.boot(f"n{server_id}")
        election = Election(server_id, Majority(list(VOTERS)), b"version=0")
        self.peers[server_id] = ElectionPeer(election, self.addresses, self.world.loop)
        life.start(self._live(server_id, self.peers[server_id]))

    async def _live(self, server_id: int, peer: ElectionPeer) -> None:
        await peer.open()
        while True:
            await peer.look(self.zxids[server_id], 1, 1e6)
            # This stands for discovery: a leader needs a quorum, a follower its leader.
            await asyncio.sleep(2)
            while self._is_supported(peer.election):
                await asyncio.sleep(0.5)

    def _is_supported(self, election: Election) -> bool:
        leader = election.vote.leader
        standing = self.peers.get(leader)
        if standing is None or standing.election.state is not LEADING:
            return False
        followers = [
            n
            for n, peer in self.peers.items()
            if peer.election.state is not LOOKING and peer.election.vote.leader == leader
        ]
        return len(followers) > 2

    def kill(self, server_id: int) -> None:
        if self.peers.pop(server_id, None) is not None:
            getattr(self.world.network, self.chance.choice(["kill", "power_off"]))(f"n{server_id}")

    def disturb(self) -> None:
        """One random fault, or its end."""
        chance, network = self.chance, self.world.network
        kind = chance.choice(["kill", "kill", "boot", "boot", "cut", "halves", "heal", "reset"])
        server_id = chance.choice(VOTERS)
        if kind == "kill":
            self.kill(server_id)
        elif kind == "boot" and server_id not in self.peers:
            self.boot(server_id)
        elif kind == "cut":
            network.cut(f"n{server_id}", chance.choice(HOSTS))
        elif kind == "halves":
            network.apply(grudges.halves(chance.sample(HOSTS, 5)))
        elif kind == "heal":
            network.heal()
        elif kind == "reset":
            network.reset(f"n{server_id}")

    def wait(self, seconds: float) -> None:
        self.world.run("test", asyncio.sleep(seconds))

    def leaders(self) -> list[int | None]:
        """Whom each peer follows or leads; None while it looks."""
        elections = [peer.election for peer in self.peers.values()]
        return [None if e.state is LOOKING else e.vote.leader for e in elections]

    def is_settled(self) -> bool:
        followed = self.leaders()
        leading = [n for n, peer in self.peers.items() if peer.election.state is LEADING]
        return len(leading) == 1 and followed == leading * len(self.peers)

    def settle(self, limit_s: float) -> None:
        end_s = self.world.loop.time() + limit_s
        while not self.is_settled():
            assert self.world.loop.time() < end_s, self.leaders()
            self.wait(0.1)

    def close(self) -> None:
        assert not self.world.loop.errors
        self.world.__exit__()


def test_the_best_history_leads_and_it_does_not_take_a_second() -> None:
    for seed in range(10):
        ensemble = Ensemble(seed)
        ensemble.settle(1)
        best = max(VOTERS, key=lambda n: (ensemble.zxids[n], n))
        assert ensemble.leaders() == [best] * 5
        ensemble.close()


def test_when_the_leader_is_killed_the_others_elect_and_it_follows_when_it_is_back() -> None:
    ensemble = Ensemble(1)
    ensemble.settle(1)
    first = ensemble.leaders()[0]
    ensemble.kill(first)
    ensemble.settle(6)
    second = ensemble.leaders()[0]
    assert second != first
    ensemble.boot(first)
    ensemble.settle(2)
    assert ensemble.leaders() == [second] * 5
    ensemble.close()


@pytest.mark.parametrize("seed", range(30))
def test_after_kills_and_cuts_there_is_one_leader(seed: int) -> None:
    ensemble = Ensemble(seed)
    for _ in range(40):
        ensemble.wait(ensemble.chance.expovariate(1.0))
        ensemble.disturb()
    ensemble.world.network.heal()
    for server_id in VOTERS:
        if server_id not in ensemble.peers:
            ensemble.boot(server_id)
    ensemble.settle(70)
    ensemble.wait(10)
    assert ensemble.is_settled()
    links = standing_links(ensemble.world.network)
    assert len(set(links)) == len(links)
    assert all(opener > other for opener, other in links)
    ensemble.close()
