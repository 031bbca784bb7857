"""The connections of an election port, as asyncio protocols: one class for each kind.

* `Caller`: somebody called, and has not said who it is. It has a limited time to do so. One with
  a greater id turns into a `Link`, all others are hung up on.
* `Call`: this side called a server with a greater id. It says its id, and waits to be hung up on;
  that server calls back then.
* `Link`: the connection that notifications go over, in both directions.

Each tells its `Owner`, which decides; none of them knows of another connection. A connection lets
go of its transport and timer when it is lost, so no cycle is left for the collector.

`connection_lost` may come twice (the simulated network does it to who closes a connection the
moment it is made), and may come without a word of why.

Source: docs/replication.md, and what Apache ZooKeeper's servers do on the wire. Left out: TLS and
SASL.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Protocol, cast

from zkserver.base.errors import LinkError
from zkserver.jute.notifications import (
    Frames,
    InitialMessage,
    Notification,
    decode_initial_message,
    decode_notification,
)


class Owner(Protocol):
    """Whom connections tell what happens to them."""

    def called(self, caller: Caller) -> None:
        """A connection was accepted."""

    def introduced(self, caller: Caller, message: InitialMessage, rest: bytes) -> None:
        """A caller has said who it is; `rest` is what came after that."""

    def refuse(self, caller: Caller, reason: str) -> None:
        """A caller broke the protocol, or said nothing in time."""

    def hung_up(self, caller: Caller) -> None:
        """A caller is gone."""

    def heard_on(self, link: Link, notification: Notification) -> None:
        """A notification came."""

    def link_writable(self, link: Link) -> None:
        """All that was written to a link is with the machine: there is room for more."""

    def link_broken(self, link: Link, reason: str) -> None:
        """What came on a link does not read; it is to be dropped."""

    def link_lost(self, link: Link, reason: str) -> None:
        """A link is gone."""


class _Connection(asyncio.Protocol):
    """What all three share: a transport, until it is lost."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """The connection is gone."""
        self._transport = None

    @property
    def is_open(self) -> bool:
        """Whether it is neither lost nor dropped."""
        return self._transport is not None

    @property
    def peer(self) -> str:
        """The other side's host and port, for the log."""
        if self._transport is None:
            return "unknown"
        name = self._transport.get_extra_info("peername") or ("unknown", 0)
        return f"{name[0]}:{name[1]}"

    def drop(self) -> None:
        """Close at once. The owner is told nothing more."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()


class Caller(_Connection):
    """An accepted connection before its initial message; `patience_s` is its time for that."""

    def __init__(self, owner: Owner, loop: asyncio.AbstractEventLoop, patience_s: float) -> None:
        super().__init__()
        self._owner = owner
        self._loop = loop
        self._patience_s = patience_s
        self._timer: asyncio.TimerHandle | None = None
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody called: the time runs."""
        super().connection_made(transport)
        self._timer = self._loop.call_later(self._patience_s, self._run_out)
        self._owner.called(self)

    def data_received(self, data: bytes) -> None:
        """Bytes of the initial message, or more."""
        if not self.is_open:
            return
        self._data += data
        try:
            found = decode_initial_message(self._data)
        except LinkError as error:
            self._owner.refuse(self, str(error))
            return
        if found is not None:
            self._stop_timer()
            message, size = found
            self._owner.introduced(self, message, self._data[size:])

    def connection_lost(self, exc: Exception | None) -> None:
        """The caller is gone without a word, or was hung up on."""
        was_open = self.is_open
        self._stop_timer()
        super().connection_lost(exc)
        if was_open:
            self._owner.hung_up(self)

    def drop(self) -> None:
        """Hang up."""
        self._stop_timer()
        super().drop()

    def become(self, link: Link, rest: bytes) -> None:
        """Hand the transport over to a link, and what came after the initial message."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.set_protocol(link)
            link.connection_made(transport)
            link.data_received(rest)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _run_out(self) -> None:
        self._timer = None
        self._owner.refuse(self, "no initial message in time")


class Call(_Connection):
    """A connection to a server with a greater id, which is to hang up and to call back."""

    def __init__(self, greeting: bytes, made: Callable[[Call], None], ended: Callable[[], None]):
        super().__init__()
        self._greeting = greeting
        self._made: Callable[[Call], None] | None = made
        self._ended: Callable[[], None] | None = ended

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say who calls."""
        super().connection_made(transport)
        cast(asyncio.Transport, transport).write(self._greeting)
        made, self._made = self._made, None
        if made is not None:
            made(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The other side has hung up."""
        super().connection_lost(exc)
        ended, self._ended = self._ended, None
        if ended is not None:
            ended()

    def drop(self) -> None:
        """Wait no longer."""
        self._made = self._ended = None
        super().drop()


class Link(_Connection):
    """Notifications to and from one server. `greeting`: the initial message, if this side opens.

    `made` is called when it stands, after the greeting. `is_writable`: nothing of what was
    written is left here; the machine has it all. `since_s`: when it was made, on the loop's clock;
    `unanswered_since_s`: when the owner wrote what nothing has come after yet, None if nothing.
    """

    def __init__(
        self,
        owner: Owner,
        server_id: int,
        made: Callable[[Link], None],
        since_s: float,
        *,
        greeting: bytes = b"",
        keep_alive: bool = False,
    ) -> None:
        super().__init__()
        self.server_id = server_id
        self.since_s = since_s
        self.unanswered_since_s: float | None = None
        self.is_writable = True
        self._owner = owner
        self._made: Callable[[Link], None] | None = made
        self._greeting = greeting
        self._keep_alive = keep_alive
        self._frames = Frames()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The link stands, from here or from there."""
        super().connection_made(transport)
        self._settle(cast(asyncio.Transport, transport))
        self.write(self._greeting)
        made, self._made = self._made, None
        if made is not None:
            made(self)

    def _settle(self, transport: asyncio.Transport) -> None:
        # A notification that waits here could not be replaced by a newer one.
        transport.set_write_buffer_limits(high=0)
        raw = transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._keep_alive:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def write(self, data: bytes) -> None:
        """Send bytes; nothing happens once the link is lost."""
        if self._transport is not None and data:
            self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        """Bytes of notifications."""
        if not self.is_open:
            return
        try:
            for payload in self._frames.feed(data):
                notification = decode_notification(payload)
                if not self.is_open:
                    return
                self._owner.heard_on(self, notification)
        except LinkError as error:
            if self.is_open:
                self._owner.link_broken(self, str(error))

    def pause_writing(self) -> None:
        """The other side reads more slowly than this one writes."""
        self.is_writable = False

    def resume_writing(self) -> None:
        """It has caught up."""
        self.is_writable = True
        if self.is_open:
            self._owner.link_writable(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The link is gone."""
        was_open = self.is_open
        super().connection_lost(exc)
        if was_open:
            self._owner.link_lost(self, "the other side hung up" if exc is None else str(exc))
