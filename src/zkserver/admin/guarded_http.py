"""The listener of the admin server and of the metrics: no connection idles there for ever.

Plain HTTP and TLS may share a port.

It accepts by itself, to look at the first byte of a connection without taking it: a TLS handshake
begins with 0x16, which no HTTP request does. Then a `Guard` stands between the transport and
aiohttp's protocol. It closes a connection

* that has no request under way and has not sent a whole one within the idle time, be it that
  nothing comes or that the head of a request drips in;
* whose client has not read for the idle time what it is sent.

At most `MAX_CONNECTIONS` are served at a time; others wait in the listen queue.

What aiohttp raises while it reads from a client concerns that client alone: `_OneClient` hangs up
on it. Through TLS the loop would not say whose the exception is, and elsewhere in the process one
is a broken invariant that ends the server. (`concerns_one_client` says the same of a `Guard` to
`Process.unexpected`.)
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from zkserver.admin.lazy_http import LazyHttp
from zkserver.runtime.logs import get_log

if TYPE_CHECKING:
    from aiohttp import web

log = get_log("http")

MAX_CONNECTIONS = 200
HANDSHAKE_LIMIT_S = 10.0
_TLS_HANDSHAKE = b"\x16"
# After a failed accept, as for want of descriptors.
_PAUSE_S = 0.5
_REASON_LIMIT = 200

Handler = Callable[["web.Request"], Awaitable["web.StreamResponse"]]


class _OneClient:
    """A block whose exceptions cost this client its connection and nobody anything else."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        if not isinstance(error, Exception):
            return False
        self._guard.give_up(error)
        return True


class Guard(asyncio.Protocol):
    """See the module's docstring. `idle_s` is None for no limit."""

    concerns_one_client = True

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        handler: Any,
        idle_s: float | None,
        closed: Callable[[Guard], None],
    ) -> None:
        self.handler = handler
        self._loop = loop
        self._idle_s = idle_s
        self._closed = closed
        self._safely = _OneClient(self)
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._requests = 0
        # Since when there is no request, and since when the client does not read.
        self._idle_since = loop.time()
        self._blocked_since: float | None = None

    def begin(self) -> None:
        """A request is under way."""
        self._requests += 1

    def end(self) -> None:
        """It has been answered."""
        self._requests -= 1
        self._idle_since = self._loop.time()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Watch it, and let aiohttp have it."""
        self._transport = cast(asyncio.Transport, transport)
        self._watch()
        with self._safely:
            self.handler.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Bytes of the client."""
        with self._safely:
            self.handler.data_received(data)

    def eof_received(self) -> bool | None:
        """The client says no more."""
        with self._safely:
            return cast("bool | None", self.handler.eof_received())
        return None

    def pause_writing(self) -> None:
        """The client does not read as fast as it is sent to."""
        self._blocked_since = self._loop.time()
        with self._safely:
            self.handler.pause_writing()

    def resume_writing(self) -> None:
        """It has read."""
        self._blocked_since = None
        with self._safely:
            self.handler.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
        self._closed(self)
        with self._safely:
            self.handler.connection_lost(exc)

    def give_up(self, error: Exception) -> None:
        """The library has stumbled over what this client sent."""
        log.warn("closing a connection", reason=repr(error)[:_REASON_LIMIT])
        if self._transport is not None:
            self._transport.abort()

    def _watch(self) -> None:
        if self._idle_s is None or self._transport is None:
            return
        since = self._blocked_since
        if since is None:
            since = self._loop.time() if self._requests else self._idle_since
        left_s = since + self._idle_s - self._loop.time()
        if left_s <= 0:
            self._transport.abort()
            return
        self._timer = self._loop.call_later(left_s, self._watch)


class GuardedHttp(LazyHttp):
    """`tls` makes it speak TLS: to all if `only_tls`, else to those who begin with it."""

    def __init__(
        self,
        *arguments: Any,
        tls: ssl.SSLContext | None = None,
        only_tls: bool = False,
        idle_s: float | None = None,
        **options: Any,
    ) -> None:
        super().__init__(*arguments, **options)
        self._tls = tls
        self._only_tls = only_tls
        self._idle_s = idle_s
        self._handshake_limit_s = min(HANDSHAKE_LIMIT_S, idle_s or HANDSHAKE_LIMIT_S)
        self._room = asyncio.Semaphore(MAX_CONNECTIONS)
        self._guards: dict[Any, Guard] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def around(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Count a request as under way while `handler` has it."""
        guard = self._guards.get(request.protocol)
        if guard is None:
            return await handler(request)
        guard.begin()
        try:
            return await handler(request)
        finally:
            guard.end()

    async def stop(self) -> None:
        """See `LazyHttp`."""
        for each in self._tasks:
            each.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await super().stop()

    async def _accept(self, runner: web.AppRunner) -> None:
        for each in self._sockets:
            self._begin(self._accept_from(each, runner))

    def _begin(self, work: Any) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept_from(self, listener: socket.socket, runner: web.AppRunner) -> None:
        while True:
            await self._room.acquire()
            try:
                connection, _ = await self._loop.sock_accept(listener)
            except OSError:
                self._room.release()
                if listener.fileno() < 0:
                    return
                await asyncio.sleep(_PAUSE_S)
                continue
            connection.setblocking(False)
            self._begin(self._welcome(connection, runner))

    async def _welcome(self, connection: socket.socket, runner: web.AppRunner) -> None:
        """Find out what the client speaks, and give it a protocol; or hang up."""
        server = runner.server
        handler = None if server is None else server()
        guard = Guard(self._loop, handler, self._idle_s, self._closed)
        self._guards[handler] = guard
        is_up = False
        try:
            async with asyncio.timeout(self._idle_s):
                is_tls = self._only_tls or await self._begins_with_tls(connection)
            await self._loop.connect_accepted_socket(
                lambda: guard,
                connection,
                ssl=self._tls if is_tls else None,
                ssl_handshake_timeout=self._handshake_limit_s if is_tls else None,
            )
            is_up = True
        except (OSError, TimeoutError) as error:
            log.debug("no connection came about", reason=str(error))
        finally:
            if not is_up:
                connection.close()
                self._closed(guard)

    async def _begins_with_tls(self, connection: socket.socket) -> bool:
        if self._tls is None:
            return False
        readable = self._loop.create_future()

        def can_be_read() -> None:
            if not readable.done():
                readable.set_result(None)

        self._loop.add_reader(connection.fileno(), can_be_read)
        try:
            await readable
        finally:
            self._loop.remove_reader(connection.fileno())
        with suppress(BlockingIOError):
            return connection.recv(1, socket.MSG_PEEK) == _TLS_HANDSHAKE
        return False

    def _closed(self, guard: Guard) -> None:
        if self._guards.pop(guard.handler, None) is not None:
            self._room.release()
