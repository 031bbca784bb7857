"""The virtual loop: time jumps, equal timers keep their order, lives end and pause whole."""

from __future__ import annotations

import asyncio
import signal

import pytest

from zkserver.sim.loop import LEAVING, Deadlock, Life, RealIo, SimLoop
from zkserver.sim.world import World


@pytest.fixture
def world():
    with World(1) as made:
        yield made


def test_an_hour_passes_at_once(world: World) -> None:
    world.run("a", asyncio.sleep(3600))
    assert world.loop.time() == 3600


def test_equal_timers_fire_in_the_order_they_were_made(world: World) -> None:
    fired: list[int] = []

    async def set_timers() -> None:
        for number in range(50):
            world.loop.call_at(5.0, fired.append, number)
        await asyncio.sleep(6)

    world.run("a", set_timers())
    assert fired == list(range(50))


def test_waiting_for_what_never_comes_is_a_deadlock(world: World) -> None:
    async def wait() -> None:
        await world.loop.create_future()

    with pytest.raises(Deadlock):
        world.run("a", wait())


@pytest.mark.parametrize("name", LEAVING)
def test_what_would_leave_the_world_raises(world: World, name: str) -> None:
    with pytest.raises(RealIo):
        getattr(world.loop, name)()


def test_a_connection_needs_a_network() -> None:
    loop = SimLoop()
    with pytest.raises(RealIo):
        loop.run_until_complete(loop.create_connection(asyncio.Protocol, "b", 1))
    loop.close()


def test_nothing_of_an_ended_life_runs_not_even_its_clean_up(world: World) -> None:
    seen: list[str] = []

    async def live() -> None:
        try:
            seen.append("begins")
            await asyncio.sleep(10)
            seen.append("goes on")
        finally:
            seen.append("cleans up")

    life = world.network.boot("b")
    life.start(live())
    world.loop.call_later(5, life.end)
    world.run("a", asyncio.sleep(20))
    assert seen == ["begins"]


def test_a_paused_life_catches_up_in_order(world: World) -> None:
    seen: list[tuple[float, int]] = []
    life: Life = world.network.boot("b")

    async def live() -> None:
        for number in range(3):
            world.loop.call_later(1 + number, lambda n=number: seen.append((world.loop.time(), n)))
        world.loop.call_later(2.5, seen.append, (0.0, 9)).cancel()
        await asyncio.sleep(100)

    life.start(live())
    world.loop.call_later(0.5, life.pause)
    world.loop.call_later(50, life.resume)
    world.run("a", asyncio.sleep(60))
    assert seen == [(50.0, 0), (50.0, 1), (50.0, 2)]


def test_signals_and_errors_go_to_the_life_they_belong_to(world: World) -> None:
    seen: list[object] = []

    async def live(name: str) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: seen.append((name, str(context["exception"]))))
        loop.add_signal_handler(signal.SIGTERM, seen.append, name)
        await asyncio.sleep(100)

    lives = {name: world.network.boot(name) for name in ("b", "c")}
    for name, life in lives.items():
        life.start(live(name))

    def fail() -> None:
        raise ValueError("no")

    async def act() -> None:
        await asyncio.sleep(1)
        lives["b"].signal(signal.SIGTERM)
        lives["c"].call(fail)
        await asyncio.sleep(1)

    world.run("a", act())
    assert seen == ["b", ("c", "no")]
    assert not world.loop.errors
