"""Whom an observer connects to, and after how long."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from zkserver.base.config import defaults
from zkserver.base.members import Address, Member
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
