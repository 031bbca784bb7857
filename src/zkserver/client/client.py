"""The client: every operation of ZooKeeper 3.9 as a plain function that returns a future.

    async with Client("127.0.0.1:2181") as client:
        await client.create("/a", b"one")
        data, stat = await client.get("/a")

A request is written at the end of the loop's turn, in the order of the calls, whether its
future is awaited at once, later or never: pipelining is calling twice before awaiting. A
future that is cancelled gives up the reply, not the request.

Left out: SASL.
"""

from __future__ import annotations

import asyncio
import ssl as tls
from collections.abc import AsyncIterator, Callable, Sequence
from types import TracebackType
from typing import Self

from zkserver.base import opcodes as op
from zkserver.client import hosts as addresses
from zkserver.client import replies, requests, watching
from zkserver.client.errors import OperationTimeout, ZooKeeperError
from zkserver.client.operations import Operations
from zkserver.client.records import (
    AddWatchMode,
    SessionState,
    Stat,
    Watcher,
    WatcherType,
)
from zkserver.client.session import Session, Settings
from zkserver.client.watches import OF_MODE

MAX_REQUEST_BYTES = 0xFFFFF
MAX_RESPONSE_BYTES = 64 << 20


class Client(Operations):
    """One session with an ensemble. Everything of it belongs to one event loop."""

    def __init__(
        self,
        hosts: str,
        *,
        session_timeout_ms: int = 30_000,
        read_only: bool = False,
        auth: Sequence[tuple[str, bytes]] = (),
        ssl: tls.SSLContext | None = None,
        session: tuple[int, bytes] | None = None,
        connect_timeout_ms: int | None = None,
        max_request_bytes: int = MAX_REQUEST_BYTES,
        max_response_bytes: int = MAX_RESPONSE_BYTES,
    ) -> None:
        """`hosts` as "h1:p1,h2:p2/chroot". Raises ValueError for what is no address.

        `session` (id, password) goes on with a session that another client began. A server
        gets `connect_timeout_ms` to give the session, by default the session timeout
        divided by the number of servers. `max_request_bytes` is the servers' jute.maxbuffer;
        of a reply longer than `max_response_bytes` no more than a first chunk is taken in.
        """
        found, chroot = addresses.parse(hosts)
        settings = Settings(
            found, session_timeout_ms, connect_timeout_ms, read_only, ssl,
            max_request_bytes, max_response_bytes,
        )  # fmt: skip
        one = Session(settings, chroot, auth)
        if session is not None:
            one.session_id, one.password = session
            one.seen_writable = True
        super().__init__(one, chroot)

    # The session

    @property
    def state(self) -> SessionState:
        """Where the session stands."""
        return self._session.state

    @property
    def session_id(self) -> int:
        """The id that the server gave; 0 before."""
        return self._session.session_id

    @property
    def session_password(self) -> bytes:
        """What proves the session to another server."""
        return self._session.password

    @property
    def session_timeout_ms(self) -> int:
        """The timeout that the server agreed to; before, the one to be asked for."""
        return self._session.timeout_ms

    @property
    def server(self) -> tuple[str, int] | None:
        """The host and port of the server it is connected to."""
        connection = self._session.connection
        return None if connection is None else (connection.host.name, connection.host.port)

    @property
    def last_zxid(self) -> int:
        """The newest transaction that a reply has shown."""
        return self._session.last_zxid

    @property
    def last_failure(self) -> str:
        """Which server gave no session last, and why; "" if that has not happened."""
        return self._session.last_failure

    @property
    def failed_rounds(self) -> int:
        """How often all servers were tried in vain since the last one that gave a session."""
        return self._session.rounds.failed_rounds

    async def start(self, timeout_ms: int | None = None) -> None:
        """Connect; None waits as long as it takes.

        Raises OperationTimeout when the time is over, else what ended the session.
        """
        session = self._session
        session.start()
        if session.state.is_over:
            raise session.ending()
        if session.state.is_connected:
            return
        settled: asyncio.Future[None] = session.loop.create_future()

        def look(state: SessionState) -> None:
            if state is not SessionState.CONNECTING and not settled.done():
                settled.set_result(None)

        self.on_state(look)
        try:
            async with asyncio.timeout(None if timeout_ms is None else timeout_ms / 1000):
                await settled
        except TimeoutError:
            detail = f"no session within {timeout_ms} ms; {session.last_failure}"
            raise OperationTimeout(None, detail) from None
        finally:
            session.state_callbacks.pop(look, None)
        if session.state.is_over:
            raise session.ending()

    def ending(self, path: str | None = None) -> ZooKeeperError:
        """The error that requests get when the session is over."""
        return self._session.ending(path)

    async def close(self) -> None:
        """End the session: what was asked is answered first, ephemeral znodes go.

        Without a connection the session ends here only; the servers let it expire.
        """
        await self._session.close()

    async def __aenter__(self) -> Self:
        """Connect, within the session timeout."""
        try:
            await self.start(self._session.settings.session_timeout_ms)
        except (ZooKeeperError, asyncio.CancelledError):
            await self.close()
            raise
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        await self.close()

    def on_state(self, callback: Callable[[SessionState], object]) -> None:
        """Call it on the loop with each new state."""
        self._session.state_callbacks[callback] = None

    def on_event(self, callback: Watcher) -> None:
        """Call it on the loop with each event of any watch, and of the session (type NONE)."""
        self._session.event_callbacks[callback] = None

    def states(self) -> AsyncIterator[SessionState]:
        """Each change of state from now on; ends with the session."""
        return watching.states(self._session)

    # Watches

    def add_watch(self, path: str, mode: AddWatchMode, watcher: Watcher) -> asyncio.Future[None]:
        """Watch a path, or all below it too, until the watch is removed."""
        raw = self._path(path)
        landing = self._watch(raw, watcher, OF_MODE[mode])
        body = requests.path_int(raw, mode)
        return self._request(op.ADD_WATCH, body, replies.nothing, path, landing)

    def remove_watches(
        self,
        path: str,
        kind: WatcherType,
        *,
        watcher: Watcher | None = None,
        local: bool = False,
    ) -> asyncio.Future[None]:
        """Take watches away: those of one watcher, or all of that kind on the path.

        `local` forgets them here even if there is no server to tell. NoWatcher if there is
        no such watch. Each watcher is told by an event.
        """
        return watching.remove(self._session, self._path(path), path, kind, watcher, local)

    def forget(self, path: str, watcher: Watcher) -> None:
        """Stop calling a one-shot watcher of a path; the server is not told."""
        key = self._path(path).decode()
        for kind in (WatcherType.DATA, WatcherType.CHILDREN):
            self._session.watches.remove(kind, key, watcher)

    def watch(self, path: str, *, recursive: bool = False) -> watching.Watch:
        """The events of a path, as an async iterator; `async with` ends the watch at its end."""
        return watching.Watch(self, path, recursive)

    def watch_data(self, path: str) -> AsyncIterator[tuple[bytes, Stat] | None]:
        """Data and Stat now and after each change; None while there is no znode."""
        return watching.data(self, path)

    def watch_children(self, path: str) -> AsyncIterator[list[str] | None]:
        """The children's names now and after each change; None while there is no znode."""
        return watching.children(self, path)
