"""A session over many connections: connect, lose, connect again, until it is over.

Requests gather in a turn of the loop (`_frames` and `_entries`, one each) and go out
together, once a server has given the session; while there is none they stay and wait. What
was sent and not answered when a connection breaks fails with `ConnectionLoss`, and so does what
stands behind it by then: a later change never happens where an earlier one may not have.

On each new connection credentials go first, then the watches with the last zxid seen, so that
the server tells what changed meanwhile, then the requests that wait. Whether the session is
still alive only a server can say.

Source: the behaviour of Apache's ClientCnxn. Left out: SASL.
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
from collections.abc import Callable, Sequence
from struct import Struct
from typing import Any

from zkserver.base import opcodes as op
from zkserver.base.errors import ErrorCode
from zkserver.client import hosts, read_only, replies, requests
from zkserver.client.connection import Connection, Landing, Pending
from zkserver.client.errors import (
    AuthFailed,
    ConnectionLoss,
    RequestTooLarge,
    SessionClosed,
    SessionExpired,
    ZooKeeperError,
)
from zkserver.client.hosts import Host, Rounds
from zkserver.client.records import EventType, SessionState, Watcher, WatchEvent
from zkserver.client.watches import Watches

log = logging.getLogger("zkserver.client")

_pack_head = Struct(">iii").pack
_XID_LIMIT = 0x7FFFFFFF
SHORT_LIFE_S = 1.0
"""A connection that ends sooner counts as a failed attempt: the next one waits a little."""
_ENDINGS: dict[SessionState, type[ZooKeeperError]] = {
    SessionState.EXPIRED: SessionExpired,
    SessionState.AUTH_FAILED: AuthFailed,
    SessionState.CLOSED: SessionClosed,
}


class Settings:
    """What a client was told at its making; see `Client`."""

    def __init__(
        self,
        hosts: list[Host],
        session_timeout_ms: int,
        connect_timeout_ms: int | None,
        read_only: bool,
        tls: ssl.SSLContext | None,
        max_request_bytes: int,
        max_response_bytes: int,
    ) -> None:
        self.hosts = hosts
        self.session_timeout_ms = session_timeout_ms
        self.connect_timeout_ms = connect_timeout_ms or max(session_timeout_ms // len(hosts), 1)
        self.read_only = read_only
        self.tls = tls
        self.max_request_bytes = max_request_bytes
        self.max_response_bytes = max_response_bytes


class Session:
    """One session. All its methods belong to one loop's thread."""

    def __init__(self, settings: Settings, chroot: str, auth: Sequence[tuple[str, bytes]]) -> None:
        self.settings = settings
        self.max_response_bytes = settings.max_response_bytes
        self.state = SessionState.CONNECTING
        self.session_id = 0
        self.password = bytes(16)
        self.timeout_ms = settings.session_timeout_ms
        self.last_zxid = 0
        self.watches = Watches()
        self.seen_writable = False
        self.state_callbacks: dict[Callable[[SessionState], object], None] = {}
        self.event_callbacks: dict[Watcher, None] = {}
        self.rounds = Rounds(settings.hosts, random.Random())
        self.last_failure = ""
        self.chroot = chroot
        self.connection: Connection | None = None
        self._auth = dict.fromkeys(auth)
        self._xid = 0
        self._frames: list[bytes] = []
        self._entries: list[Pending] = []
        self._auths_waiting: list[tuple[tuple[str, bytes], asyncio.Future[None]]] = []
        self._flush_is_due = False
        self._is_closing = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._driver: asyncio.Task[None] | None = None
        self._search: asyncio.Task[None] | None = None
        self._close_reply: asyncio.Future[None] | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop it runs on: the one that runs when it is first used."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        return self._loop

    # Requests

    def request(
        self,
        kind: int,
        body: bytes,
        decode: replies.Decode,
        path: str | None = None,
        landing: Landing | None = None,
    ) -> asyncio.Future[Any]:
        """Send a request at the end of the loop's turn; the future of its reply."""
        future = (self._loop or self.loop).create_future()
        size = len(body) + 8
        if self._is_closing or self.state.is_over or size > self.settings.max_request_bytes:
            if landing is not None:
                landing(ErrorCode.CONNECTIONLOSS)
            future.set_exception(self._refusal(path, size))
            return future
        self._xid = xid = self._xid + 1 if self._xid < _XID_LIMIT else 1
        self._frames.append(_pack_head(size, xid, kind) + body)
        self._entries.append((xid, future, decode, path, landing))
        if not self._flush_is_due:
            self._flush_is_due = True
            self.loop.call_soon(self._flush)
        return future

    def _refusal(self, path: str | None, size: int) -> ZooKeeperError:
        if self.state.is_over:
            return self.ending(path)
        if self._is_closing:
            return SessionClosed(path)
        limit = self.settings.max_request_bytes
        return RequestTooLarge(path, f"{size} bytes, at most {limit} are taken")

    def _flush(self) -> None:
        """Write what has gathered, if there is somebody to write to."""
        self._flush_is_due = False
        connection = self.connection
        if connection is None or connection.is_choked or not self._frames:
            return
        connection.send(self._frames, self._entries)
        self._frames.clear()
        self._entries.clear()

    def writable(self) -> None:
        """The socket takes data again."""
        self._flush()

    def add_auth(self, scheme: str, credential: bytes) -> asyncio.Future[None]:
        """Authenticate, on this connection and all that follow."""
        future: asyncio.Future[None] = self.loop.create_future()
        if self._is_closing or self.state.is_over:
            future.set_exception(self._refusal(None, 0))
            return future
        if self.connection is None:
            self._auths_waiting.append(((scheme, credential), future))
            return future
        self._auth[scheme, credential] = None
        self._flush()
        self.connection.send_auth(requests.auth(scheme, credential), future)
        return future

    # Connections

    def start(self) -> None:
        """Begin to connect."""
        if self._driver is None:
            self._driver = self.loop.create_task(self._drive())
            self._driver.add_done_callback(self._driver_ended)

    def _driver_ended(self, driver: asyncio.Task[None]) -> None:
        """The driver ends with the session; otherwise nobody must wait for it in vain."""
        if driver.cancelled():
            if self._driver is driver:
                # Not by `stop`: the loop ends, and nobody has closed the client.
                self.finish(SessionState.CLOSED)
        elif (error := driver.exception()) is not None:
            log.error("the client ends: %r", error)
            self.finish(SessionState.CLOSED)

    async def _drive(self) -> None:
        """Connect, wait until the connection is gone, and again."""
        while not self.state.is_over:
            host, pause_s = self.rounds.next()
            if pause_s:
                await asyncio.sleep(pause_s)
            connection = await self._connect(host)
            if connection is None:
                self.rounds.failed()
                continue
            began_s = self.loop.time()
            await asyncio.shield(connection.ended)
            if self.loop.time() - began_s < SHORT_LIFE_S:
                self.rounds.failed()
            else:
                self.rounds.succeeded()

    async def _connect(self, host: Host) -> Connection | None:
        settings = self.settings
        # A session that no writable server has seen is a read-only server's own.
        session_id = self.session_id if self.seen_writable else 0
        greeting = requests.connect(
            self.last_zxid, settings.session_timeout_ms, session_id,
            self.password if session_id else bytes(16), settings.read_only,
        )  # fmt: skip
        connection = Connection(self, host, greeting, self.loop)
        reason: str | None = None
        try:
            async with asyncio.timeout(settings.connect_timeout_ms / 1000):
                await self.loop.create_connection(
                    lambda: connection, host.name, host.port, ssl=settings.tls
                )
                await connection.settled
        except TimeoutError:
            reason = f"no session within {settings.connect_timeout_ms} ms"
        except (OSError, ConnectionLoss, ValueError) as found:
            reason = str(found)
        finally:
            if self.connection is not connection:
                connection.close("given up")
        if reason is None or self.connection is connection:
            # The session may come in the turn in which the time is over.
            return connection
        self.last_failure = f"{host}: {reason}"
        log.info("no session on %s: %s", host, reason)
        return None

    def greeted(self, connection: Connection, response: replies.ConnectResponse) -> None:
        """A server gave the session, or said that it is over."""
        if response.timeout_ms <= 0 or self.state.is_over:
            connection.close("the session is over")
            self.finish(SessionState.EXPIRED)
            return
        if response.is_read_only and not self.settings.read_only:
            connection.end("a read-only server")
            return
        self.session_id, self.password = response.session_id, response.password
        self.timeout_ms = response.timeout_ms
        self.seen_writable = self.seen_writable or not response.is_read_only
        self.connection = connection
        for scheme, credential in self._auth:
            connection.send_auth(requests.auth(scheme, credential), None)
        waiting, self._auths_waiting = self._auths_waiting, []
        for (scheme, credential), future in waiting:
            self._auth[scheme, credential] = None
            connection.send_auth(requests.auth(scheme, credential), future)
        self._bring_watches(connection)
        self._become(
            SessionState.CONNECTED_READ_ONLY if response.is_read_only else SessionState.CONNECTED
        )
        self._flush()
        if response.is_read_only:
            self._search = self.loop.create_task(self._look_for_writable(connection))

    async def _look_for_writable(self, connection: Connection) -> None:
        """While a read-only server serves this session, look whether another can do more."""
        others = self.rounds.others(connection.host)
        found = await read_only.first_writable(others, self.settings.tls)
        self.rounds.prefer(found)
        connection.close(f"{found} takes changes")

    def _bring_watches(self, connection: Connection) -> None:
        """Tell the server all watches; it answers with what they missed."""
        if not self.watches:
            return
        tables = [[path.encode() for path in table] for table in self.watches.tables()]
        for frame in requests.set_watches(self.last_zxid, tables):
            connection.write(frame)
        for path, watcher in self.watches.persistent():
            # No server says what such a watch has missed: its owner should look again.
            event = WatchEvent(EventType.NONE, SessionState.CONNECTED, self.strip(path))
            self.loop.call_soon(watcher, event)

    def lost(self, connection: Connection, reason: str) -> None:
        """The connection is gone. What it had sent has an unknown outcome."""
        was_current = connection is self.connection
        if was_current:
            self.connection = None
            if self._search is not None:
                self._search.cancel()
        self.last_failure = f"{connection.host}: {reason}"
        auths, unanswered = connection.take_unanswered()
        if was_current and unanswered:
            # What waits would overtake what is lost.
            unanswered += self._entries
            self._entries.clear()
            self._frames.clear()
        ending = _ENDINGS.get(self.state)
        for auth in auths:
            if not auth.done():
                auth.set_exception(ending() if ending else ConnectionLoss(None, reason))
        for _, future, _, path, landing in unanswered:
            if landing is not None:
                landing(ErrorCode.CONNECTIONLOSS)
            if not future.done():
                future.set_exception(ending(path) if ending else ConnectionLoss(path, reason))
        if was_current and not self.state.is_over:
            log.info("connection to %s is lost: %s", connection.host, reason)
            self._become(SessionState.CONNECTING)

    def ending(self, path: str | None = None) -> ZooKeeperError:
        """The error of a request that comes too late."""
        return _ENDINGS.get(self.state, SessionClosed)(path)

    # Events

    def event(self, event: replies.Event, zxid: int) -> None:
        """A watch fired."""
        kind = EventType(event.type)
        watchers = self.watches.take(kind, event.path)
        self.tell(watchers, WatchEvent(kind, self.state, self.strip(event.path), zxid))

    def tell(self, watchers: Sequence[Watcher], event: WatchEvent) -> None:
        """Call the watchers and all who want every event, behind the replies before it."""
        for watcher in (*watchers, *self.event_callbacks):
            self.loop.call_soon(watcher, event)

    def strip(self, path: str) -> str:
        """A path of the server as the user knows it."""
        return hosts.strip(self.chroot, path)

    def _become(self, state: SessionState) -> None:
        if state is self.state:
            return
        self.state = state
        for callback in self.state_callbacks:
            self.loop.call_soon(callback, state)
        event = WatchEvent(EventType.NONE, state, "")
        for watcher in self.event_callbacks:
            self.loop.call_soon(watcher, event)

    # The end

    def auth_refused(self, error: ZooKeeperError) -> None:
        """The server does not know these credentials; with them no connection will live."""
        log.warning("authentication failed: %s", error)
        self.finish(SessionState.AUTH_FAILED)

    def finish(self, state: SessionState) -> None:
        """The session is over for good."""
        if self.state.is_over:
            return
        self._become(state)
        for path, watcher in self.watches.clear():
            event = WatchEvent(EventType.NONE, state, self.strip(path))
            self.loop.call_soon(watcher, event)
        ending = _ENDINGS[state]
        if self.connection is not None:
            self.connection.close("the session is over")
        entries, self._entries = self._entries, []
        self._frames.clear()
        for _, future, _, asked, _ in entries:
            if not future.done():
                future.set_exception(ending(asked))
        for _, waiting in self._auths_waiting:
            if not waiting.done():
                waiting.set_exception(ending())
        self._auths_waiting.clear()

    async def close(self) -> None:
        """End the session on the server, after all that was asked before, and here."""
        try:
            if self.state.is_connected or self._close_reply is not None:
                if self._close_reply is None:
                    self._close_reply = self.request(op.CLOSE_SESSION, b"", replies.nothing)
                    # Whether or not the server answers: here it is over.
                    self._close_reply.add_done_callback(asyncio.Future.exception)
                    self._is_closing = True
                await asyncio.wait([self._close_reply], timeout=self.timeout_ms / 1000)
        finally:
            # Whoever is cancelled has no time to wait, and leaves nothing behind either.
            self.finish(SessionState.CLOSED)
            await self.stop()

    async def stop(self) -> None:
        """End the driver."""
        driver, self._driver = self._driver, None
        if driver is not None:
            driver.cancel()
            await asyncio.wait([driver])
