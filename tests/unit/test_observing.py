"""Whom an observer connects to, and after how long."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from zkserver.base.config import defaults
from zkserver.base.members import Address, Member, Membership, Role
from zkserver.runtime.observing import LearnerMasters
from zkserver.server.peer_words import PeerFacts
from zkserver.sim.world import World

LEADER = Member(3, (Address("n3", 2888, 3888),))


@pytest.fixture
def world() -> Iterator[World]:
    with World(1) as made:
        yield made


@pytest.mark.parametrize(
    ("delay_ms", "chance", "waited_s"), [(0, 0.9, 0), (8000, 0.5, 4), (8000, 0.0, 0)]
)
def test_it_waits_for_a_share_of_the_delay(
    world: World, delay_ms: int, chance: float, waited_s: float
) -> None:
    config = defaults(observer_reconnect_delay_ms=delay_ms)
    masters = LearnerMasters(config, PeerFacts(4, config.membership, b""), lambda: chance)
    assert world.run("o", masters.next(LEADER)) == LEADER
    assert world.loop.time() == pytest.approx(waited_s)


def masters_of(chances: list[float], **changes: object) -> tuple[LearnerMasters, PeerFacts]:
    """The masters of an observer of voters 1 to 3, who draws these numbers."""
    members = tuple(Member(n, (Address(f"n{n}", 2888, 3888),)) for n in (1, 2, 3))
    observer = Member(4, (Address("n4", 2888, 3888),), Role.OBSERVER)
    config = defaults(membership=Membership((*members, observer)), **changes)
    facts = PeerFacts(4, config.membership, b"")
    return LearnerMasters(config, facts, iter(chances).__next__), facts


def test_one_voter_after_another_but_the_leader_in_the_order_that_was_drawn(world: World) -> None:
    masters, facts = masters_of([0.5, 0.9, 0.1], observer_master_port=2889)
    # Drawn: 3, 1, 2. Server 3 leads.
    found = [world.run("o", masters.next(LEADER)) for _ in range(3)]
    assert [each.server_id for each in found] == [1, 2, 1]
    assert found[0].addresses == (Address("n1", 2889, 3888),)
    assert facts.master_id == 1
    other = Member(1, (Address("n1", 2888, 3888),))
    found = [world.run("o", masters.next(other)) for _ in range(3)]
    assert [each.server_id for each in found] == [2, 3, 2]


def test_it_waits_when_it_begins_anew(world: World) -> None:
    chances = [0.1, 0.2, 0.3, 0.5]
    masters, _ = masters_of(chances, observer_master_port=2889, observer_reconnect_delay_ms=8000)
    for _ in range(2):
        world.run("o", masters.next(LEADER))
    assert world.loop.time() == pytest.approx(0)
    assert world.run("o", masters.next(LEADER)).server_id == 1
    assert world.loop.time() == pytest.approx(4)


def test_without_another_voter_it_is_the_leader(world: World) -> None:
    alone = Membership((LEADER, Member(4, LEADER.addresses, Role.OBSERVER)))
    config = defaults(membership=alone, observer_master_port=2889)
    facts = PeerFacts(4, alone, b"")
    masters = LearnerMasters(config, facts, lambda: 0.5)
    assert world.run("o", masters.next(LEADER)) == LEADER
    assert facts.master_id == 3
