"""The event loop of one life of one server, in a thread of the test's process.

It is asyncio's own, with what a server in somebody else's process needs:

* its time is that of a `Clock`, so that timers follow when the test puts the clock on;
* signals are the test's affair, and what would go to a pool of threads is done here and now: no
  thread is begun that somebody would have to end;
* connections between servers of an ensemble know which two they join, so that a link can be cut;
* `LifeEnded` stops everything where it stands, as the end of a process does, and `bury` leaves
  nothing behind: connections are reset, listeners closed, and no code of the server runs any more.

A cut link loses nothing and tells nobody: both sides stop reading, so bytes and ends wait in the
system, and new connections are not even asked for. One thing is unlike a real cut: a side that
writes to an end that is gone learns that at once, for the two systems are one.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar
from weakref import WeakKeyDictionary, WeakSet

from zkserver.testing.clock import Clock
from zkserver.testing.links import Links

Result = TypeVar("Result")

# Close at once, and tell the other side by a reset.
_RESET = struct.pack("ii", 1, 0)
# Turns in which transports that were aborted let go of their sockets.
_LAST_TURNS = 3


class LifeEnded(SystemExit):
    """Unwinds the code that ended its own server; asyncio lets this kind pass."""


class _Nobody(asyncio.Protocol):
    """Whom the connections of a server belong to that is no more."""


class ServerLoop(asyncio.SelectorEventLoop):
    """`links` and `server_id` are of a server of an ensemble."""

    _ready: deque[asyncio.Handle]
    _scheduled: list[asyncio.TimerHandle]

    def __init__(self, clock: Clock, links: Links | None = None, server_id: int = 0) -> None:
        self._clock = clock
        self._links = links
        self._server_id = server_id
        # By transport: to which server it leads, None for clients.
        self._peers: WeakKeyDictionary[asyncio.BaseTransport, int | None] = WeakKeyDictionary()
        self._listeners: WeakSet[asyncio.Server] = WeakSet()
        self._waiting_dials: list[asyncio.Future[None]] = []
        super().__init__()

    def time(self) -> float:
        """The clock's seconds."""
        return self._clock.loop_s()

    def add_signal_handler(  # type: ignore[override]
        self, sig: int, callback: Callable[..., object], *args: Any
    ) -> None:
        """Signals go to the test's process, never to a server in it."""

    def run_in_executor(  # type: ignore[override]
        self, executor: object, func: Callable[..., Result], *args: Any  # noqa: ARG002
    ) -> asyncio.Future[Result]:
        """Done on the spot; the future has the result already."""
        future: asyncio.Future[Result] = self.create_future()
        try:
            future.set_result(func(*args))
        except OSError as error:
            future.set_exception(error)
        return future

    # Connections

    async def create_server(self, *args: Any, **named: Any) -> asyncio.Server:
        """As asyncio's; it is closed at the latest when the loop is buried."""
        listener = await super().create_server(*args, **named)
        self._listeners.add(listener)
        return listener

    async def create_connection(  # type: ignore[override]
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: str,
        port: int,
        **named: Any,
    ) -> tuple[Any, Any]:
        """As asyncio's; to a server beyond a cut it waits until the link is healed."""
        links = self._links
        other = None if links is None else links.owner(port)
        if links is None or other is None:
            return await super().create_connection(protocol_factory, host, port, **named)
        raw = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        is_done = False
        try:
            raw.setblocking(False)
            # Who accepts knows by this port who calls.
            raw.bind((host, 0))
            links.note_dial(raw.getsockname()[1], self._server_id)
            while links.is_cut(self._server_id, other):
                healed = self.create_future()
                self._waiting_dials.append(healed)
                await healed
            await self.sock_connect(raw, (host, port))
            made = await super().create_connection(protocol_factory, sock=raw, **named)
            is_done = True
        finally:
            if not is_done:
                raw.close()
        return made

    def _make_socket_transport(  # type: ignore[no-untyped-def]
        self, sock: socket.socket, protocol: asyncio.BaseProtocol, *args: Any, **named: Any
    ):
        """Where asyncio makes the transport of every connection, asked for or accepted."""
        transport = super()._make_socket_transport(  # type: ignore[misc]
            sock, protocol, *args, **named
        )
        links = self._links
        peer = None if links is None else links.peer_of(self._server_id, sock)
        self._peers[transport] = peer
        if links is not None and peer is not None and links.is_cut(self._server_id, peer):
            # Behind the turn in which the transport begins to read.
            self.call_soon(transport.pause_reading)
        return transport

    def settle_links(self) -> None:
        """Links have been cut or healed: read from those that are whole. On the loop's thread."""
        links = self._links
        if links is None:
            return
        for transport, peer in list(self._peers.items()):
            if peer is None or not isinstance(transport, asyncio.Transport):
                continue
            if links.is_cut(self._server_id, peer):
                transport.pause_reading()
            else:
                transport.resume_reading()
        waiting, self._waiting_dials = self._waiting_dials, []
        for healed in waiting:
            if not healed.done():
                healed.set_result(None)

    # The end

    def bury(self, *, resets: bool) -> None:
        """Close everything, on the thread that ran the loop, after it has stopped.

        With `resets` the other sides see a reset, as when a process is killed; else what was
        written before still reaches them.
        """
        self.set_exception_handler(lambda _loop, _context: None)
        self._drop_callbacks()
        for task in asyncio.all_tasks(self):
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            coroutine = task.get_coro()
            if coroutine is not None:
                coroutine.close()
        for listener in list(self._listeners):
            listener.close()
        for transport in list(self._peers):
            if isinstance(transport, asyncio.Transport):
                self._hang_up(transport, resets=resets)
        for _ in range(_LAST_TURNS):
            self.run_until_complete(asyncio.sleep(0))
        self.close()

    def _drop_callbacks(self) -> None:
        """What the server wanted to do next is never done; transports still close their sockets."""
        ready = self._ready
        kept = [handle for handle in ready if isinstance(_caller(handle), asyncio.BaseTransport)]
        ready.clear()
        ready.extend(kept)
        self._scheduled.clear()

    @staticmethod
    def _hang_up(transport: asyncio.Transport, *, resets: bool) -> None:
        transport.set_protocol(_Nobody())
        raw = transport.get_extra_info("socket")
        if resets and raw is not None:
            with suppress(OSError):
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        transport.abort()


def _caller(handle: asyncio.Handle) -> object:
    """Whose method a handle calls; None if it is no method."""
    return getattr(getattr(handle, "_callback", None), "__self__", None)
