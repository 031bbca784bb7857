"""The quorum port: the leader's listener, and a learner's way to it.

A link is a number and a transport; what its bytes mean is the role's affair (`server.role`).

A leader listens at all of its addresses. A learner that knows several races them
(`address_race`), whatever multiAddress.reachabilityCheckEnabled says, as Apache's learner does. A
link on an address that goes out of reach falls silent; syncLimit ends it, and the next race finds
the other way.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Protocol, cast

from zkserver.base.members import Address
from zkserver.runtime import address_race, logs

log = logs.get_log("quorum port")

# Tries soon after the first: a leader is known some milliseconds before it listens. Then come
# as many as Apache's server makes, at the configured distance.
EARLY_DELAYS_MS = (10, 20, 50)
CONNECT_TRIES = 5

Received = Callable[[int, bytes], None]
Lost = Callable[[int, str], None]


class Stream(Protocol):
    """What sends something large on a link, at the pace of the link."""

    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def stop(self) -> None: ...


class QuorumLink(asyncio.Protocol):
    """One connection between a leader and a learner, under its `number`.

    While a `Stream` is on it, what is written waits behind the stream. Without `no_delay` the
    system may gather what is small for a moment before it sends it.
    """

    def __init__(
        self,
        number: int,
        opened: Callable[[QuorumLink], None],
        received: Received,
        lost: Lost,
        *,
        no_delay: bool = True,
    ) -> None:
        self.number = number
        self.transport: asyncio.Transport | None = None
        self._opened = opened
        self._received = received
        self._lost = lost
        self._no_delay = no_delay
        self._stream: Stream | None = None
        self._held: list[bytes] = []
        self._held_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The link stands."""
        self.transport = cast(asyncio.Transport, transport)
        if not self._no_delay:
            # The loop has set it on its own account.
            raw = transport.get_extra_info("socket")
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
        self._opened(self)

    def data_received(self, data: bytes) -> None:
        """Bytes of the other side."""
        self._received(self.number, data)

    def eof_received(self) -> bool:
        """The other side has closed: so does this one."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The link is gone."""
        self.transport = None
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.stop()
        self._lost(self.number, f"the link broke: {exc}" if exc else "the other side hung up")

    def write(self, data: bytes) -> None:
        """Send, unless the link is gone."""
        if self._stream is not None:
            self._held.append(data)
            self._held_bytes += len(data)
        elif self.transport is not None:
            self.transport.write(data)

    @property
    def waiting_bytes(self) -> int:
        """What was given to it and is not with the machine yet, but for what is streamed."""
        if self.transport is None:
            return 0
        return self.transport.get_write_buffer_size() + self._held_bytes

    def begin_stream(self, stream: Stream) -> None:
        """Something large comes; it is told when the link is full and when it has room."""
        self._stream = stream

    def stream(self, data: bytes) -> None:
        """A piece of it."""
        if self.transport is not None:
            self.transport.write(data)

    def end_stream(self) -> None:
        """It was all: what waited behind it leaves."""
        self._stream = None
        held, self._held, self._held_bytes = self._held, [], 0
        self.write(b"".join(held))

    def pause_writing(self) -> None:
        """The transport has more than it can send now."""
        if self._stream is not None:
            self._stream.pause()

    def resume_writing(self) -> None:
        """The transport has room again."""
        if self._stream is not None:
            self._stream.resume()

    def hang_up(self) -> None:
        """Close at once; what was not sent yet is of no use to anybody."""
        if self.transport is not None:
            self.transport.abort()


async def connect(
    loop: asyncio.AbstractEventLoop,
    addresses: Sequence[Address],
    make_link: Callable[[], QuorumLink],
    *,
    limit_ms: int,
    retry_delay_ms: int,
) -> str | None:
    """Connect to a leader, by whichever of its addresses is first to answer; None, or why not.

    It may have been elected a moment ago and not listen yet, so a few tries are made at each
    address, within `limit_ms` altogether.
    """
    end_s = loop.time() + limit_ms / 1000
    if len(addresses) == 1:
        plain = partial(loop.create_connection, make_link)
        return await _connect(loop, addresses[0], plain, end_s, retry_delay_ms)
    raced = partial(address_race.FirstMade(loop).connect, make_link)
    attempts = [partial(_connect, loop, each, raced, end_s, retry_delay_ms) for each in addresses]
    problems = await address_race.first(loop, attempts)
    if addresses and not problems:
        return None
    return "; ".join(problems) or "it has no address"


async def _connect(
    loop: asyncio.AbstractEventLoop,
    address: Address,
    create_connection: Callable[[str, int], Coroutine[Any, Any, object]],
    end_s: float,
    retry_delay_ms: int,
) -> str | None:
    """The same for one of its addresses."""
    place = f"{address.host}:{address.quorum_port}"
    reason = "no time was left"
    for delay_ms in (0, *EARLY_DELAYS_MS, *[retry_delay_ms] * (CONNECT_TRIES - 1)):
        if delay_ms:
            await asyncio.sleep(delay_ms / 1000)
        left_s = end_s - loop.time()
        if left_s <= 0:
            return reason
        try:
            async with asyncio.timeout(left_s):
                outcome = await create_connection(address.host, address.quorum_port)
        except TimeoutError:
            reason = f"{place} does not answer"
        except (OSError, UnicodeError) as error:
            reason = f"{place}: {getattr(error, 'strerror', None) or error}"
        else:
            return outcome if isinstance(outcome, str) else None
    return reason


async def listen(
    loop: asyncio.AbstractEventLoop,
    addresses: Sequence[Address],
    factory: Callable[[], QuorumLink],
    *,
    on_all_ips: bool = False,
) -> list[asyncio.AbstractServer]:
    """The leader's listeners, at those of its addresses that can be had, or at all interfaces.

    One that cannot makes a line. Raises OSError if none of them can. Whoever cancels this gets
    nothing, and nothing stays open.
    """
    listeners: list[asyncio.AbstractServer] = []
    problem: OSError | None = None
    places = [(None if on_all_ips else each.host, each.quorum_port) for each in addresses]
    try:
        for host, port in dict.fromkeys(places):
            try:
                listeners.append(await loop.create_server(factory, host, port))
            except OSError as error:
                problem = error
                log.warn("cannot listen for learners at an address", problem=str(error))
    except asyncio.CancelledError:
        for listener in listeners:
            listener.close()
        raise
    if problem is not None and not listeners:
        raise problem
    return listeners
