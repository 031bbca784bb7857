"""Servers with several addresses, some of them silent: which one a connection stands on."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from tests.support.election_hosts import PORT, Scene, vote_for
from zkserver.base.members import Address
from zkserver.runtime import quorum_port
from zkserver.runtime.address_race import STAGGER_S
from zkserver.runtime.quorum_port import QuorumLink

REACH_MS = 1000


def scene_of(size: int = 2, seed: int | str = 1, **options) -> Scene:
    """Server N is called nN and mN."""
    scene = Scene(
        0, seed, **{"multi_address_enabled": True, "reach_timeout_ms": REACH_MS, **options}
    )
    for number in range(1, size + 1):
        scene.addresses[number] = [(f"n{number}", PORT), (f"m{number}", PORT)]
        scene.network.name(f"m{number}", f"n{number}")
    for number in scene.addresses:
        # Both names are of one host, so it binds once.
        scene.boot(number, bind_host="")
    scene.wait(0.01)
    return scene


def names(scene: Scene) -> list[str]:
    """By which name each link was opened, of those that stand at both ends."""
    return sorted(
        end.server_name
        for end in scene.network.ends
        if end.port != PORT and not end.is_closing() and not end.peer.is_closing()
    )


@pytest.mark.parametrize("sender", [1, 2])
def test_the_first_address_is_taken_if_it_answers(sender: int) -> None:
    scene = scene_of()
    scene.hosts[sender].send(3 - sender, vote_for(5))
    scene.wait()
    assert scene.hosts[3 - sender].votes(sender) == [5]
    assert names(scene) == ["n1"]
    scene.close()


@pytest.mark.parametrize("sender", [1, 2])
def test_a_silent_address_costs_no_more_than_its_head_start(sender: int) -> None:
    scene = scene_of()
    for name in ("n1", "n2"):
        scene.network.silence(name)
    scene.hosts[sender].send(3 - sender, vote_for(5))
    # A call and a call back, each with a head start and some delays.
    scene.wait_for(lambda: scene.hosts[3 - sender].votes(sender) == [5], 2 * STAGGER_S + 0.3)
    assert names(scene) == ["m1"]
    scene.close()


def test_one_connection_is_left_of_a_race() -> None:
    for seed in range(30):
        scene = scene_of(seed=seed, reach_timeout_ms=30_000, connect_timeout_ms=30_000)
        # About as slow as the head start is long.
        scene.network.slow("n2", "n1", 60)
        scene.hosts[2].send(1, vote_for(5))
        scene.wait(20)
        assert scene.hosts[1].votes(2) == [5]
        assert len(names(scene)) == 1
        assert [end.life.host for end in scene.network.ends].count("n2") == 1
        scene.close()


def test_a_refusal_ends_the_head_start() -> None:
    scene = scene_of()
    scene.addresses[1] = [("n1", 1), ("m1", PORT)]
    scene.hosts[2].send(1, vote_for(5))
    scene.wait_for(lambda: scene.hosts[1].votes(2) == [5], limit_s=STAGGER_S)
    scene.close()


def test_a_race_that_nobody_wins_tells_what_was_wrong_with_each() -> None:
    scene = scene_of()
    scene.addresses[1] = [("n1", PORT), ("m1", 1)]
    scene.network.silence("n1")
    scene.hosts[2].send(1, vote_for(5))
    scene.wait(REACH_MS / 1000 + STAGGER_S + 0.1)
    assert scene.hosts[2].port.reach() == []
    assert scene.hosts[2].lines[-1][1]["problem"] in (
        "n1:3888: no answer within 1000 ms; m1:1: [Errno 111] m1:1 refused",
        "m1:1: [Errno 111] m1:1 refused; n1:3888: no answer within 1000 ms",
    )
    scene.close()


@pytest.mark.parametrize("sender", [1, 2])
def test_a_link_that_falls_silent_gives_way_to_one_at_another_address(sender: int) -> None:
    scene = scene_of()
    scene.hosts[1].send(2, vote_for(1))
    scene.hosts[2].send(1, vote_for(2))
    scene.wait()
    assert names(scene) == ["n1"]
    for name in ("n1", "n2"):
        scene.network.silence(name)
    # The first one is lost on the way; the next one finds that nothing has come back.
    scene.hosts[sender].send(3 - sender, vote_for(7))
    scene.wait(REACH_MS / 1000 + 0.1)
    scene.hosts[sender].send(3 - sender, vote_for(8))
    scene.wait_for(lambda: scene.hosts[3 - sender].votes(sender)[-1:] == [8], limit_s=1)
    scene.wait()
    assert names(scene) == ["m1"]
    # What the other one said last comes again with the new link.
    assert scene.hosts[sender].votes(3 - sender)[-1] == 3 - sender
    scene.close()


def test_a_link_that_is_answered_stays() -> None:
    scene = scene_of()
    for turn in range(20):
        scene.hosts[1].send(2, vote_for(1, turn))
        scene.hosts[2].send(1, vote_for(2, turn))
        scene.wait(0.7)
    for number in (1, 2):
        assert scene.hosts[number].events(3 - number) == ["election link is up"]
    scene.close()


@pytest.mark.parametrize("single", [False, True])
def test_a_silent_link_is_believed_without_the_check_or_without_another_address(single) -> None:
    scene = scene_of(reach_timeout_ms=REACH_MS if single else None)
    if single:
        for number in (1, 2):
            scene.addresses[number] = [(f"n{number}", PORT)]
    for turn in range(10):
        scene.hosts[1].send(2, vote_for(1, turn))
        scene.wait()
    assert scene.hosts[1].events(2) == ["election link is up"]
    scene.close()


def test_a_silent_link_that_cannot_be_replaced_is_dropped() -> None:
    scene = scene_of()
    scene.hosts[2].send(1, vote_for(2))
    scene.wait()
    for name in ("n1", "m1"):
        scene.network.silence(name)
    scene.hosts[2].send(1, vote_for(3))
    scene.wait(1.1)
    scene.hosts[2].send(1, vote_for(4))
    scene.wait(1.2)
    assert scene.hosts[2].port.reach() == []
    scene.network.heal()
    scene.hosts[2].send(1, vote_for(5))
    scene.wait_for(lambda: scene.hosts[1].votes(2)[-1] == 5, limit_s=2)
    scene.close()


def test_all_of_five_are_linked_though_each_has_lost_an_address() -> None:
    scene = scene_of(5)
    for number in range(1, 6):
        scene.network.silence(f"{'nm'[number % 2]}{number}")
    scene.all_tell_all()
    scene.wait(2)
    assert len(scene.links()) == 10
    assert all(len(host.heard) >= 4 for host in scene.hosts.values())
    scene.close()


# Learners.


class Learner:
    """Connects on host n2 to the addresses of n1; `opened` has the links of both sides."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.opened: list[str] = []
        self.outcome: str | None = "still trying"
        self.loop = scene.world.loop
        self.addresses = [Address("n1", 2888, 1), Address("m1", 2888, 1)]

    def link(self, side: str) -> QuorumLink:
        return QuorumLink(
            1, lambda _: self.opened.append(side), lambda *_: None, lambda *_: None
        )

    def start(self, limit_ms: int = 5000) -> None:
        self.scene.hosts[2].life.start(self._connect(limit_ms))

    def listen(self) -> None:
        self.scene.hosts[1].life.start(self._listen())

    async def _listen(self) -> None:
        await quorum_port.listen(
            self.loop, self.addresses[:1], partial(self.link, "leader"), on_all_ips=True
        )

    async def _connect(self, limit_ms: int) -> None:
        self.outcome = await quorum_port.connect(
            self.loop,
            self.addresses,
            partial(self.link, "learner"),
            limit_ms=limit_ms,
            retry_delay_ms=100,
        )


def test_a_learner_takes_the_address_that_answers_though_it_listens_late() -> None:
    scene = scene_of()
    scene.network.silence("n1")
    learner = Learner(scene)
    learner.start()
    scene.wait(0.2)
    assert learner.outcome == "still trying"
    learner.listen()
    scene.wait_for(lambda: learner.outcome is None, limit_s=0.3)
    scene.wait()
    assert sorted(learner.opened) == ["leader", "learner"]
    scene.close()


def test_a_learner_says_why_no_address_answers() -> None:
    scene = scene_of()
    scene.network.silence("n1")
    learner = Learner(scene)
    learner.start(limit_ms=2000)
    scene.wait(2.1)
    assert learner.outcome is not None
    assert "n1:2888 does not answer" in learner.outcome
    assert "m1:2888: " in learner.outcome
    assert learner.opened == []
    scene.close()


def test_a_learner_of_a_leader_without_addresses_gives_up_at_once() -> None:
    async def connect() -> str | None:
        loop = asyncio.get_running_loop()
        return await quorum_port.connect(
            loop, [], lambda: pytest.fail("no link"), limit_ms=1, retry_delay_ms=1
        )

    assert asyncio.run(connect()) == "it has no address"
