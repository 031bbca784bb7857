"""The client sessions of the console: what it knows and changes of znodes goes through them.

A session belongs to the credentials that came with a request and to the address it came from, so
the server's ACLs, quotas, log and audit see it as they see any other client's. It is opened on
this server's own client port, kept for the next request and closed after a minute without one.

* How a session is opened comes in as `Opener`: rooms of one row do not import each other.
* The session is made from this machine, and an ACL that trusts `ip:127.0.0.1` would trust
  everybody who reaches the console. So its ip identity is replaced by the caller's address, if
  that is another machine's.
* A session that has lost its connection is not used again: the next one would have the ip
  identity of this machine.
* Credentials live in the keys of this pool and nowhere else; no text of an error has them.

Left out: x509. The browser's certificate proves its owner to the admin port, not to the client
port.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from zkserver.admin.view import View
from zkserver.base.acl import Id
from zkserver.base.auth import java_address
from zkserver.base.errors import ErrorCode
from zkserver.server.server import Server

IDLE_S = 60.0
SWEEP_S = 10.0
MAX_SESSIONS = 30
OPEN_LIMIT_S = 5.0
ANSWER_LIMIT_S = 15.0
SESSION_TIMEOUT_MS = 30_000
PROOFS = ("digest", "super", "x509")
"""The schemes of identities that may change something; ip is where one sits, not who one is."""

Stat = Mapping[str, int]
"""A Stat by ZooKeeper's names in snake case."""
Slices = Iterator[list[str]]


class SessionError(Exception):
    """What the server, or the way to it, says no with. `code` is ZooKeeper's."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Session(Protocol):
    """A client session as the console needs it. Everything raises SessionError."""

    @property
    def session_id(self) -> int: ...
    @property
    def is_usable(self) -> bool: ...
    async def who_am_i(self) -> list[tuple[str, str]]: ...
    async def get(self, path: str) -> tuple[bytes | None, Stat]: ...
    async def acl(self, path: str) -> list[tuple[int, str, str]]: ...
    async def names(self, path: str) -> tuple[int, Slices, Stat]: ...
    async def names_of_all(self, paths: Sequence[str]) -> list[Slices | None]: ...
    async def get_all(self, paths: Sequence[str]) -> list[tuple[bytes, Stat] | None]: ...
    async def stat_all(self, paths: Sequence[str]) -> list[Stat | None]: ...
    async def set(self, path: str, data: bytes, version: int) -> Stat: ...
    async def delete(self, path: str, version: int) -> None: ...
    async def create(
        self, path: str, data: bytes, mode: str, ttl_ms: int | None, acl: str
    ) -> str: ...
    async def close(self) -> None: ...


Opener = Callable[[str, int, str], Awaitable[Session]]
"""Opens a session on "host:port" with so many bytes a request and a digest token, "" for none."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """The digest token `user:password`, "" for none, and the caller's address."""

    token: str = field(repr=False)
    address: str


@dataclass(slots=True, eq=False)
class Pooled:
    """A session in the pool, with what belongs to it."""

    session: Session
    ids: list[tuple[str, str]]
    used_s: float = 0.0
    users: int = 0
    searches: dict[str, object] = field(default_factory=dict)

    @property
    def may_change(self) -> bool:
        """Whether somebody has said who they are."""
        return any(scheme in PROOFS for scheme, _ in self.ids)


class Pool:
    """Sessions by credentials. `host_and_port` of the client port is asked at each opening."""

    def __init__(self, view: View, opener: Opener) -> None:
        self._view = view
        self._opener = opener
        self._loop = view.process.loop
        self._pooled: dict[Credentials, Pooled] = {}
        self._opening: dict[Credentials, asyncio.Task[Pooled]] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._pooled)

    async def session(self, credentials: Credentials) -> Pooled:
        """The session of these credentials; raises SessionError if there can be none."""
        if self._view.server is None:
            raise SessionError(ErrorCode.CONNECTIONLOSS, "This server serves nobody just now")
        found = self._pooled.get(credentials)
        if found is not None and not found.session.is_usable:
            self._drop(credentials)
            found = None
        if found is None:
            task = self._opening.get(credentials)
            if task is None:
                task = self._loop.create_task(self._open(credentials))
                self._opening[credentials] = task
                task.add_done_callback(lambda done: self._opened(credentials, done))
            found = await asyncio.shield(task)
        found.used_s = self._loop.time()
        return found

    def _opened(self, credentials: Credentials, task: asyncio.Task[Pooled]) -> None:
        del self._opening[credentials]
        if task.cancelled() or task.exception() is not None:
            return
        self._pooled[credentials] = task.result()
        if self._timer is None:
            self._timer = self._loop.call_later(SWEEP_S, self._sweep)

    async def _open(self, credentials: Credentials) -> Pooled:
        self._make_room()
        limit_bytes = self._view.process.config.jute_maxbuffer
        place = self._view.own_client_place
        try:
            async with asyncio.timeout(OPEN_LIMIT_S):
                session = await self._opener(place, limit_bytes, credentials.token)
        except TimeoutError:
            reason = "The client port of this server gave no session in time"
            raise SessionError(ErrorCode.OPERATIONTIMEOUT, reason) from None
        try:
            self._name_the_caller(session.session_id, credentials.address)
            async with asyncio.timeout(OPEN_LIMIT_S):
                ids = await session.who_am_i()
        except (SessionError, TimeoutError) as error:
            self._close(session)
            if isinstance(error, SessionError):
                raise
            reason = "This server did not answer in time"
            raise SessionError(ErrorCode.OPERATIONTIMEOUT, reason) from None
        return Pooled(session, ids, self._loop.time())

    def _name_the_caller(self, session_id: int, address: str) -> None:
        """Let the session's ip identity be the caller's; see the module's docstring."""
        if address in ("127.0.0.1", "::1"):
            return
        server: Server | None = self._view.server
        mine = () if server is None else server.connections
        for connection in mine:
            if connection.session_id == session_id:
                where = Id("ip", java_address(address))
                connection.ids = [where if each.scheme == "ip" else each for each in connection.ids]
                return
        raise SessionError(ErrorCode.CONNECTIONLOSS, "The session is gone")

    def _make_room(self) -> None:
        if len(self._pooled) + len(self._opening) <= MAX_SESSIONS:
            return
        idle = [(one.used_s, key) for key, one in self._pooled.items() if not one.users]
        if not idle:
            raise SessionError(ErrorCode.THROTTLEDOP, "Too many people use the console just now")
        self._drop(min(idle, key=lambda pair: pair[0])[1])

    def _sweep(self) -> None:
        """Close what nobody has used for a minute."""
        self._timer = None
        due_s = self._loop.time() - IDLE_S
        for key, one in list(self._pooled.items()):
            if not one.session.is_usable or (not one.users and one.used_s < due_s):
                self._drop(key)
        if self._pooled:
            self._timer = self._loop.call_later(SWEEP_S, self._sweep)

    def _drop(self, credentials: Credentials) -> None:
        self._close(self._pooled.pop(credentials).session)

    def _close(self, session: Session) -> None:
        task = self._loop.create_task(session.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """End all sessions."""
        if self._timer is not None:
            self._timer.cancel()
        for task in list(self._opening.values()):
            task.cancel()
            await asyncio.wait([task])
        for key in list(self._pooled):
            self._drop(key)
        if self._closing:
            await asyncio.wait(list(self._closing))
