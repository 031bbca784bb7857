"""Random elections: delays, lost links, late joiners, restarts; then quiet, and agreement.

Messages take a random time and keep their order on a link; what a link held is lost with it. A
peer that leads without a quorum of followers, or follows somebody who does not lead, looks again
after a second: the part of initLimit. All of it is drawn from the seed that a failure shows.
"""

from __future__ import annotations

import random
from heapq import heappop, heappush

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.election_world import World
from zkserver.base.quorum import Hierarchical, Majority, QuorumVerifier, TwoConfigs
from zkserver.base.zxid import make_zxid
from zkserver.election.election import Effects, Timing
from zkserver.election.votes import Vote, rank
from zkserver.jute.notifications import PeerState, decode_notification

LOOKING, LEADING = PeerState.LOOKING, PeerState.LEADING
PATIENCE_MS = 1000

seeds = st.integers(0, 2**32)


class RandomWorld(World):
    """A world whose links take time, drawn from a seed, and that checks each decision."""

    def __init__(self, draw: random.Random, verifier: QuorumVerifier, delay_ms: int) -> None:
        servers = [*verifier.voters, *verifier.observers]
        histories = {
            server: (make_zxid(draw.randint(1, 3), draw.randint(0, 2)), draw.randint(3, 4))
            for server in servers
        }
        timing = Timing(decides_early=draw.random() < 0.5)
        super().__init__(verifier, histories, timing)
        self.draw = draw
        self.delay_ms = delay_ms
        self.arrivals: list[tuple[int, int, tuple[int, int]]] = []
        self.due_ms: dict[tuple[int, int], list[int]] = {}
        self.sequence = 0
        self.decided_ms: dict[int, int] = {}
        # Who ever said what, as evidence for decisions: votes cast in a round, and roles taken.
        self.cast: dict[tuple[int, Vote], set[int]] = {}
        self.stood: dict[int, set[int]] = {}
        self.led: set[int] = set()
        self.decisions: dict[int, set[int]] = {}

    def _enqueue(self, link: tuple[int, int], payload: bytes) -> None:
        super()._enqueue(link, payload)
        due = self.due_ms.setdefault(link, [])
        if len(self.queues[link]) == 1:
            due.clear()
        due.append(max([self.now_ms + self.draw.randint(1, self.delay_ms), *due[-1:]]))
        self.sequence += 1
        heappush(self.arrivals, (due[-1], self.sequence, link))

    def _carry_out(self, server: int, effects: Effects, before) -> None:
        for told in [told for _, told in effects.send][:1]:
            vote = Vote(told.leader, told.zxid, told.peer_epoch)
            if told.state is LOOKING:
                self.cast.setdefault((told.round, vote), set()).add(server)
        super()._carry_out(server, effects, before)
        if effects.decided is not None:
            self._check_decision(server, effects.decided)

    def _check_decision(self, server: int, vote: Vote) -> None:
        """A quorum voted so in that round, or stood under that leader, who leads or led."""
        election = self.elections[server]
        self.decided_ms[server] = self.now_ms
        self.decisions.setdefault(election.round, set()).add(vote.leader)
        voted = self.cast.get((election.round, vote), set())
        stood = self.stood.get(vote.leader, set())
        assert self.verifier.weight(vote.leader) > 0
        assert self.verifier.is_quorum(voted | stood | {server})
        if not self.verifier.is_quorum(voted | {server}):
            assert vote.leader in (self.led | {server})
        if server in self.verifier.voters:
            self.stood.setdefault(vote.leader, set()).add(server)
        if election.state is LEADING:
            self.led.add(server)

    def go(self, until_ms: int) -> None:
        """Arrivals and wakes, in order, up to a time."""
        while True:
            due = self.next_due()
            arrival = self.arrivals[0] if self.arrivals else None
            if arrival and arrival[0] <= until_ms and (due is None or arrival[0] <= due[0]):
                heappop(self.arrivals)
                self.now_ms = max(self.now_ms, arrival[0])
                self._arrive(arrival[0], arrival[2])
            elif due is not None and due[0] <= until_ms:
                self.now_ms = max(self.now_ms, due[0])
                self.wake(due[1])
            else:
                break
        self.now_ms = until_ms

    def _arrive(self, at_ms: int, link: tuple[int, int]) -> None:
        # What a link lost is still among the arrivals; the link knows what it holds.
        if self.ready(*link) and self.due_ms[link][0] <= at_ms:
            self.due_ms[link].pop(0)
            self.deliver_one(*link)

    def lose_patience(self) -> None:
        """Roles that do not work end, as initLimit has it."""
        for server, election in sorted(self.elections.items()):
            if election.state is LOOKING or self.now_ms - self.decided_ms[server] < PATIENCE_MS:
                continue
            leader = election.vote.leader
            if server == leader:
                works = self.verifier.is_quorum({server, *self.followers_of(server)})
            else:
                works = self.is_linked(server, leader) and self.elections[leader].state is LEADING
            if not works:
                self.look(server)

    def followers_of(self, leader: int) -> list[int]:
        return [
            server
            for server, election in self.elections.items()
            if election.state is not LOOKING
            and election.vote.leader == leader
            and self.is_linked(server, leader)
        ]

    def leaders(self) -> list[int]:
        """Whom everybody follows; several, or -1 for one that looks, while there is no agreement."""
        found = {
            -1 if e.state is LOOKING or e.vote is None else e.vote.leader
            for e in self.elections.values()
        }
        return sorted(found)


def some_verifier(draw: random.Random, size: int) -> QuorumVerifier:
    voters = range(1, size + 1)
    kind = draw.randrange(4)
    if kind == 0 and size >= 3:
        groups: dict[int, list[int]] = {}
        for voter in voters:
            groups.setdefault(draw.randint(1, 3), []).append(voter)
        weights = {voter: draw.randint(0, 2) for voter in voters}
        weights[draw.randint(1, size)] = 3
        return Hierarchical(groups, weights, [8])
    if kind == 1 and size >= 4:
        return TwoConfigs(Majority(voters[:-1]), Majority(voters[1:]))
    return Majority(voters, [8, 9][: draw.randint(0, 2)])


def best_of(world: World, servers: list[int]) -> int:
    votes = [Vote(s, *world.histories[s]) for s in servers if s in world.verifier.voters]
    return max(votes, key=lambda vote: rank(vote, world.verifier)).leader


def start_within(world: RandomWorld, servers: list[int], spread_ms: int, begin) -> None:
    begin_ms = world.now_ms
    for at_ms, server in sorted((world.draw.randint(0, spread_ms), s) for s in servers):
        world.go(begin_ms + at_ms)
        begin(server)


@settings(max_examples=150, deadline=None)
@given(seeds)
def test_in_a_connected_quiet_network_all_decide_for_the_best(seed: int) -> None:
    draw = random.Random(seed)
    world = RandomWorld(draw, some_verifier(draw, draw.randint(3, 7)), delay_ms=20)
    # All are within reach from the start, as after the failure of a leader.
    world.tells_reach = False
    servers = list(world.histories)
    start_within(world, servers, 50, world.start)
    world.go(world.now_ms + 1500)
    assert world.leaders() == [best_of(world, servers)]
    assert all(len(leaders) == 1 for leaders in world.decisions.values())


@settings(max_examples=150, deadline=None)
@given(seeds)
def test_after_a_leader_fails_the_survivors_decide_for_the_best_of_them(seed: int) -> None:
    draw = random.Random(seed)
    size = draw.choice([3, 4, 5, 6, 7])
    world = RandomWorld(draw, Majority(range(1, size + 1), [9]), delay_ms=20)
    world.tells_reach = False
    start_within(world, list(world.histories), 50, world.start)
    world.go(world.now_ms + 1500)
    (leader,) = world.leaders()
    for election in world.elections.values():
        election.update_election_vote(5)
    world.tells_reach = True
    world.decisions.clear()
    world.crash(leader)
    survivors = sorted(world.elections)
    start_within(world, survivors, 150, world.look)
    world.go(world.now_ms + 1500)
    assert world.leaders() == [best_of(world, survivors)]
    assert all(len(leaders) == 1 for leaders in world.decisions.values())


def stir(world: RandomWorld) -> None:
    """One fault or its end."""
    draw = world.draw
    left, right = draw.sample(sorted(world.histories), 2)
    kind = draw.choice(["cut", "heal", "heal", "reset", "reset", "crash", "start", "start", "look"])
    if kind == "cut":
        world.cut(left, right)
    elif kind == "heal":
        world.heal(left, right)
    elif kind == "reset" and world.is_linked(left, right):
        world.cut(left, right)
        world.heal(left, right)
    elif kind == "crash" and left in world.elections:
        world.crash(left)
    elif kind == "start" and left not in world.elections:
        world.start(left)
    elif kind == "look" and left in world.elections:
        world.look(left)


def calm(world: RandomWorld) -> None:
    """Everybody runs and is connected."""
    for server in sorted(world.histories):
        if server not in world.elections:
            world.start(server)
    for left, right in list(world.cuts):
        world.heal(left, right)


def converge(world: RandomWorld, bound_ms: int) -> None:
    end_ms = world.now_ms + bound_ms
    while world.now_ms < end_ms:
        world.go(world.now_ms + 100)
        world.lose_patience()
        leaders = world.leaders()
        if len(leaders) == 1 and leaders[0] != -1:
            return
    pytest.fail(f"no agreement after {bound_ms} ms: {world.leaders()}")


@settings(max_examples=150, deadline=None)
@given(seeds)
def test_whatever_happened_when_it_is_quiet_all_follow_one_leader(seed: int) -> None:
    draw = random.Random(seed)
    verifier = some_verifier(draw, draw.randint(3, 7))
    world = RandomWorld(draw, verifier, draw.choice([5, 50, 400]))
    for _ in range(draw.randint(5, 60)):
        stir(world)
        world.go(world.now_ms + draw.choice([1, 10, 100, 1000]))
        world.lose_patience()
    calm(world)
    # Nobody needs the longest pause between notifications: connections tell the last one again.
    converge(world, 10_000)
    leader = world.leaders()[0]
    assert world.elections[leader].state is LEADING


def test_the_same_seed_tells_the_same_story() -> None:
    stories = []
    for _ in range(2):
        draw = random.Random(7)
        world = RandomWorld(draw, some_verifier(draw, 5), 50)
        calm(world)
        for _ in range(40):
            stir(world)
            world.go(world.now_ms + 50)
        stories.append(world.lines)
    assert len(stories[0]) > 100
    assert stories[0] == stories[1]


def test_what_is_on_a_link_arrives_in_order() -> None:
    draw = random.Random(3)
    world = RandomWorld(draw, Majority([1, 2, 3]), 100)
    world.start(2)
    world.start(1)
    for election_round in range(2, 6):
        world.look(1)
        assert world.elections[1].round == election_round
    rounds = [decode_notification(payload).round for payload in world.queues[1, 2]]
    assert rounds == [1, 2, 3, 4, 5]
    assert world.due_ms[1, 2] == sorted(world.due_ms[1, 2])
