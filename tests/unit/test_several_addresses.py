"""Several addresses of one server on real sockets, with asyncio's loop and with uvloop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import Any

import pytest
import uvloop

from tests.support.server_process import free_port
from tests.support.silent_address import SilentAddress
from zkserver.base.errors import ExitCode, FatalError
from zkserver.base.members import Address
from zkserver.jute.notifications import Notification, PeerState
from zkserver.runtime import address_race, quorum_port
from zkserver.runtime.election_port import ElectionPort
from zkserver.runtime.quorum_port import QuorumLink

LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]
# Reserved for documentation: no machine has it.
NOT_HERE = "203.0.113.1"
VOTE = Notification(PeerState.LOOKING, 2, 5, 1, 1)


@pytest.fixture(params=LOOPS)
def run(request) -> Iterator[Callable[[Coroutine[Any, Any, None]], None]]:
    with asyncio.Runner(loop_factory=request.param) as runner:
        yield runner.run


@pytest.fixture
def silent() -> Iterator[int]:
    with SilentAddress() as address:
        yield address.port


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


class Side(asyncio.Protocol):
    """Writes down what becomes of a connection."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.told.append("made")
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.told.append(data.decode())

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self.told.append("lost")


def test_of_two_that_accept_at_once_one_is_taken(run, monkeypatch) -> None:
    monkeypatch.setattr(address_race, "STAGGER_S", 0)

    async def story() -> None:
        loop = asyncio.get_running_loop()
        accepted: list[Side] = []
        made: list[Side] = []

        def accept() -> Side:
            accepted.append(Side())
            return accepted[-1]

        def make() -> Side:
            made.append(Side())
            return made[-1]

        places = [("127.0.0.1", free_port()), ("127.0.0.2", free_port())]
        listeners = [await loop.create_server(accept, *place) for place in places]
        for _ in range(50):
            one = address_race.FirstMade(loop)
            attempts = [partial(one.connect, make, *place) for place in places]
            assert await address_race.first(loop, attempts) == []
            ours = made.pop()
            assert not made
            ours.transport.write(b"hello")
            await until(lambda: any("hello" in side.told for side in accepted))
            theirs = next(side for side in accepted if "hello" in side.told)
            theirs.transport.write(b"you")
            await until(lambda ours=ours: "you" in ours.told)
            ours.transport.close()
            await until(lambda: all("lost" in side.told for side in accepted))
            await until(lambda ours=ours: ours.told == ["made", "you", "lost"])
            accepted.clear()
        for listener in listeners:
            listener.close()
        await asyncio.sleep(0.05)

    run(story())


def test_a_race_that_is_called_off_leaves_nothing(run, silent: int) -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        one = address_race.FirstMade(loop)
        attempt = partial(one.connect, lambda: pytest.fail("made"), "127.0.0.1", silent)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await address_race.first(loop, [attempt, attempt])
        await until(lambda: len(asyncio.all_tasks()) == 1)

    run(story())


def test_a_learner_takes_the_address_that_answers(run, silent: int) -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        opened: list[QuorumLink] = []
        make = partial(QuorumLink, 1, opened.append, lambda *_: None, lambda *_: None)
        there = Address("127.0.0.2", free_port(), 1)
        here = [Address(NOT_HERE, there.quorum_port, 1), there]
        listeners = await quorum_port.listen(loop, here, make)
        assert [each.sockets[0].getsockname()[0] for each in listeners] == ["127.0.0.2"]
        addresses = [Address("127.0.0.1", silent, 1), there]
        outcome = await quorum_port.connect(
            loop, addresses, make, limit_ms=5000, retry_delay_ms=100
        )
        assert outcome is None
        await until(lambda: len(opened) == 2)
        for link in opened:
            link.hang_up()
        for listener in listeners:
            listener.close()
        await asyncio.sleep(0.05)

    run(story())


def test_who_is_cancelled_while_it_opens_its_listeners_leaves_none(run) -> None:
    """As a role that ends at once: nobody would close what it has bound."""

    class Halfway:
        """A loop on which the second address takes for ever."""

        def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
            self.loop = loop
            self.waits = asyncio.Event()

        async def create_server(self, make: Any, host: str, port: int) -> Any:
            if host == "127.0.0.2":
                self.waits.set()
                await asyncio.Event().wait()
            return await self.loop.create_server(make, host, port)

    async def story() -> None:
        port = free_port()
        addresses = [Address("127.0.0.1", port, 1), Address("127.0.0.2", port, 2)]
        loop: Any = Halfway(asyncio.get_running_loop())
        opening = asyncio.ensure_future(
            quorum_port.listen(loop, addresses, partial(QuorumLink, 1, *[lambda *_: None] * 3))
        )
        await loop.waits.wait()
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        await asyncio.sleep(0.05)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)

    run(story())


def test_a_leader_listens_everywhere_if_it_is_told_to(run) -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        port = free_port()
        addresses = [Address(NOT_HERE, port, 1), Address("127.0.0.1", port, 2)]
        listeners = await quorum_port.listen(
            loop, addresses, lambda: pytest.fail("a link"), on_all_ips=True
        )
        assert len(listeners) == 1
        hosts = {each.getsockname()[0] for each in listeners[0].sockets}
        assert hosts <= {"0.0.0.0", "::"}
        listeners[0].close()
        with pytest.raises(OSError, match=r"."):
            await quorum_port.listen(loop, addresses[:1], lambda: pytest.fail("a link"))
        await asyncio.sleep(0.05)

    run(story())


class Elections:
    """Election ports of servers 1 and 2, what they hear and what they say."""

    def __init__(self, addresses: dict[int, list[tuple[str, int]]]) -> None:
        self.addresses = addresses
        self.heard: list[int] = []
        self.lines: list[tuple[str, dict[str, object]]] = []

    def port(self, server_id: int, **options: Any) -> ElectionPort:
        return ElectionPort(
            server_id,
            self.addresses,
            asyncio.get_running_loop(),
            lambda sender, _: self.heard.append(sender),
            lambda: None,
            lambda event, **facts: self.lines.append((event, facts)),
            multi_address_enabled=True,
            reach_timeout_ms=1000,
            **options,
        )

    def said(self, event: str) -> list[dict[str, object]]:
        return [facts for each, facts in self.lines if each == event]


@pytest.mark.parametrize("sender", [1, 2])
def test_an_election_link_stands_where_it_can(run, silent: int, sender: int) -> None:
    async def story() -> None:
        elections = Elections(
            {n: [(NOT_HERE, free_port()), ("127.0.0.2", free_port())] for n in (1, 2)}
        )
        # Who knows them by another address than they do.
        ports = {n: elections.port(n, bind_retries=1) for n in (1, 2)}
        for each in ports.values():
            await each.open()
        await until(lambda: len(elections.said("an address of the election port is given up")) == 2)
        assert len(elections.said("election port is open")) == 2
        for n in (1, 2):
            elections.addresses[n][0] = ("127.0.0.1", silent)
        ports[sender].send(3 - sender, VOTE)
        await until(lambda: elections.heard == [sender])
        for each in ports.values():
            each.close()
        await asyncio.sleep(0.05)

    run(story())


def test_no_address_at_all_is_fatal(run) -> None:
    async def story() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            place = taken.getsockname()
            elections = Elections({1: [(NOT_HERE, 1), place]})
            port = elections.port(1, bind_retries=1)
            with pytest.raises(FatalError, match=r"Give server\.1 another") as caught:
                await port.open()
            assert caught.value.exit_code == ExitCode.UNABLE_TO_BIND_QUORUM_PORT
            port.close()

    run(story())
