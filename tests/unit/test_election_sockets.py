"""Election ports on real sockets, with asyncio's loop and with uvloop."""

from __future__ import annotations

import asyncio
import gc
import socket
import weakref
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

from tests.support.server_process import free_port
from zkserver.base.errors import FatalError
from zkserver.jute.notifications import Notification, PeerState
from zkserver.runtime.election_port import ElectionPort

LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]
CONFIG = b"x" * 500_000


def vote_for(leader: int, config: bytes = b"") -> Notification:
    return Notification(PeerState.LOOKING, leader, 5, 1, 1, config=config)


class Pair:
    """Servers 1 and 2 and what they hear."""

    def __init__(self) -> None:
        self.addresses = {n: [("127.0.0.1", free_port())] for n in (1, 2)}
        self.heard: dict[int, list[Notification]] = {1: [], 2: []}
        self.lines: list[str] = []
        self.ports: dict[int, ElectionPort] = {}

    async def open(self, server_id: int, **options: Any) -> ElectionPort:
        port = ElectionPort(
            server_id,
            self.addresses,
            asyncio.get_running_loop(),
            lambda _, told: self.heard[server_id].append(told),
            lambda: None,
            lambda event, **_: self.lines.append(event),
            tcp_keep_alive=True,
            **options,
        )
        await port.open()
        self.ports[server_id] = port
        return port

    async def close(self) -> None:
        for port in self.ports.values():
            port.close()
        await asyncio.sleep(0.05)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


def run(
    new_loop: Callable[[], asyncio.AbstractEventLoop], story: Coroutine[Any, Any, None]
) -> None:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(story)


@pytest.mark.parametrize("new_loop", LOOPS)
@pytest.mark.parametrize("sender", [1, 2])
def test_two_ports_meet_talk_and_meet_again(new_loop, sender: int) -> None:
    async def story() -> None:
        pair = Pair()
        receiver = 3 - sender
        ours, theirs = await pair.open(sender), await pair.open(receiver)
        ours.send(receiver, vote_for(1, CONFIG))
        await until(lambda: pair.heard[receiver] == [vote_for(1, CONFIG)])
        await until(lambda: ours.reach() == [receiver] and theirs.reach() == [sender])
        assert ours.is_delivered
        theirs.send(sender, vote_for(2))
        await until(lambda: pair.heard[sender] == [vote_for(2)])
        theirs.close()
        await until(lambda: ours.reach() == [])
        theirs = await pair.open(receiver)
        theirs.send(sender, vote_for(3))
        await until(lambda: pair.heard[sender][-1] == vote_for(3))
        await until(lambda: len(pair.heard[receiver]) == 2)
        await pair.close()

    run(new_loop, story())


@pytest.mark.parametrize("new_loop", LOOPS)
def test_a_caller_has_a_time_of_its_own_to_say_who_it_is(new_loop) -> None:
    async def story() -> None:
        pair = Pair()
        await pair.open(1, introduction_timeout_ms=50)
        reader, writer = await asyncio.open_connection(*pair.addresses[1][0])
        # Less than the time to connect, which is 5 s.
        async with asyncio.timeout(4):
            while await reader.read(100):
                pass
        writer.close()
        await pair.close()

    run(new_loop, story())


@pytest.mark.parametrize("new_loop", LOOPS)
def test_a_taken_port_is_fatal_and_a_freed_one_is_not(new_loop) -> None:
    async def story() -> None:
        pair = Pair()
        with socket.create_server(pair.addresses[1][0]):
            with pytest.raises(FatalError, match="cannot listen for elections on"):
                await pair.open(1, bind_retries=1)
            opening = asyncio.ensure_future(pair.open(1, bind_retries=0))
            await until(lambda: "the election port cannot be bound yet" in pair.lines)
        await opening
        await pair.close()

    run(new_loop, story())


@pytest.mark.parametrize("new_loop", LOOPS)
@pytest.mark.parametrize("sender", [1, 2])
def test_lost_links_and_dials_go_without_the_collector(new_loop, sender: int) -> None:
    async def story() -> None:
        pair = Pair()
        await pair.open(1)
        await pair.open(2)
        pair.ports[sender].send(3 - sender, vote_for(1))
        await until(lambda: bool(pair.heard[3 - sender]))
        links = [weakref.ref(link) for port in pair.ports.values() for link in port._links.values()]
        assert len(links) == 2
        dials = [weakref.ref(d) for port in pair.ports.values() for d in port._dials.values()]
        pair.ports[1].close()
        await until(lambda: pair.ports[2].reach() == [])
        pair.ports[2].send(1, vote_for(2))
        dials += [weakref.ref(dial) for dial in pair.ports[2]._dials.values()]
        await until(lambda: "no election link to a server" in pair.lines)
        await asyncio.sleep(0.01)
        assert len(dials) == 1
        assert [each() for each in links + dials] == [None] * 3
        await pair.close()

    gc.collect()
    gc.disable()
    try:
        run(new_loop, story())
    finally:
        gc.enable()
