"""The client session that the console of the admin server works with.

`admin` and `client` know nothing of each other; this is the one in the other's form
(`admin.console_sessions.Session`). Every operation waits for its reply, and has its error as a
`SessionError`. The session lives as long as its connection: it is not meant to come back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from zkserver.admin.console_sessions import (
    ANSWER_LIMIT_S,
    SESSION_TIMEOUT_MS,
    SessionError,
    Slices,
    Stat,
)
from zkserver.base import paths as znode_paths
from zkserver.base.errors import ErrorCode
from zkserver.client import (
    CREATOR_ALL_ACL,
    OPEN_ACL_UNSAFE,
    READ_ACL_UNSAFE,
    Client,
    CreateMode,
    SessionState,
)
from zkserver.client.errors import ConnectionLoss, NoAuth, NoNode, ZooKeeperError
from zkserver.client.packed_names import get_children_packed
from zkserver.runtime.logs import get_log

log = get_log("console")

T = TypeVar("T")
CLOSE_LIMIT_S = 1.0
_ACLS = {
    "open": OPEN_ACL_UNSAFE,
    "mine": CREATOR_ALL_ACL,
    "mine and read": (*CREATOR_ALL_ACL, *READ_ACL_UNSAFE),
}


async def open_session(place: str, limit_bytes: int, token: str) -> ConsoleSession:
    """A session on the server at "host:port". Raises SessionError."""
    auth = [("digest", token.encode("utf-8", "surrogateescape"))] if token else []
    client = Client(
        place,
        session_timeout_ms=SESSION_TIMEOUT_MS,
        read_only=True,
        auth=auth,
        max_request_bytes=limit_bytes,
    )
    session = ConsoleSession(client)
    try:
        await session.start()
    except (SessionError, asyncio.CancelledError):
        await session.close()
        raise
    return session


class ConsoleSession:
    """See `admin.console_sessions.Session`."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._is_lost = False
        self._closing: asyncio.Task[None] | None = None

    @property
    def session_id(self) -> int:
        """The id of the session."""
        return self._client.session_id

    @property
    def is_usable(self) -> bool:
        """Whether the connection it began with is still there."""
        return not self._is_lost and self._client.state.is_connected

    async def start(self) -> None:
        """Connect once."""
        try:
            await self._client.start()
        except ZooKeeperError as error:
            raise SessionError(error.code, str(error)) from None
        self._client.on_state(self._state_changed)

    def _state_changed(self, state: SessionState) -> None:
        if not state.is_connected and not self._is_lost:
            self._is_lost = True
            self._begin_to_close()

    async def _ask(self, call: Callable[[Client], Awaitable[T]]) -> T:
        if not self.is_usable:
            raise SessionError(ErrorCode.CONNECTIONLOSS, str(ConnectionLoss()))
        try:
            async with asyncio.timeout(ANSWER_LIMIT_S):
                return await call(self._client)
        except ZooKeeperError as error:
            raise SessionError(error.code, str(error)) from None
        except TimeoutError:
            text = "No answer in time; nobody knows yet whether it was done"
            raise SessionError(ErrorCode.OPERATIONTIMEOUT, text) from None

    async def _ask_all(
        self, call: Callable[[Client, str], Awaitable[T]], paths: Sequence[str]
    ) -> list[T | None]:
        """The replies for all paths, None where there is no znode or none to be seen."""
        possible = [path for path in paths if _is_possible(path)]

        async def ask(client: Client) -> list[T | BaseException]:
            calls = [call(client, path) for path in possible]
            return await asyncio.gather(*calls, return_exceptions=True)

        replies: dict[str, T] = {}
        for path, reply in zip(possible, await self._ask(ask), strict=True):
            if isinstance(reply, (NoNode, NoAuth)):
                continue
            if isinstance(reply, ZooKeeperError):
                raise SessionError(reply.code, str(reply))
            if isinstance(reply, BaseException):
                raise reply
            replies[path] = reply
        return [replies.get(path) for path in paths]

    async def who_am_i(self) -> list[tuple[str, str]]:
        """The identities of the session."""
        return await self._ask(lambda client: client.who_am_i())

    async def get(self, path: str) -> tuple[bytes | None, Stat]:
        """Data and Stat."""
        data, stat = await self._ask(lambda client: client.get_or_null(path))
        return data, stat._asdict()

    async def acl(self, path: str) -> list[tuple[int, str, str]]:
        """The ACL: permission bits, scheme and id of each entry."""
        found, _ = await self._ask(lambda client: client.get_acl(path))
        return [(each.perms, each.scheme, each.id) for each in found]

    async def names(self, path: str) -> tuple[int, Slices, Stat]:
        """How many children there are, their names in slices, and the Stat of the parent."""
        packed, stat = await self._ask(lambda client: get_children_packed(client, path))
        return len(packed), packed.slices(), stat._asdict()

    async def names_of_all(self, paths: Sequence[str]) -> list[Slices | None]:
        """The names below each path; None where there is no znode, or none to be seen."""
        found = await self._ask_all(get_children_packed, paths)
        return [None if one is None else one[0].slices() for one in found]

    async def get_all(self, paths: Sequence[str]) -> list[tuple[bytes, Stat] | None]:
        """Data and Stat of each path; None where there is no znode, or none to be seen."""
        found = await self._ask_all(lambda client, path: client.get(path), paths)
        return [None if one is None else (one[0], one[1]._asdict()) for one in found]

    async def stat_all(self, paths: Sequence[str]) -> list[Stat | None]:
        """The Stat of each path; None where there is no znode."""
        found = await self._ask_all(lambda client, path: client.exists(path), paths)
        return [None if one is None else one._asdict() for one in found]

    async def set(self, path: str, data: bytes, version: int) -> Stat:
        """Change a znode's data; its new Stat."""
        stat = await self._ask(lambda client: client.set(path, data, version))
        return stat._asdict()

    async def delete(self, path: str, version: int) -> None:
        """Remove a znode."""
        await self._ask(lambda client: client.delete(path, version))

    async def create(
        self, path: str, data: bytes, mode: str, ttl_ms: int | None, acl: str
    ) -> str:
        """Make a znode; its path. `mode` is a name of `CreateMode`, `acl` one of `ACLS`."""
        return await self._ask(
            lambda client: client.create(
                path, data, acl=_ACLS[acl], mode=CreateMode[mode], ttl_ms=ttl_ms
            )
        )

    async def close(self) -> None:
        """End the session. A server that does not answer is not waited for: that goes on by itself,
        and ends with the session's timeout at the latest.
        """
        await asyncio.wait([self._begin_to_close()], timeout=CLOSE_LIMIT_S)

    def _begin_to_close(self) -> asyncio.Task[None]:
        if self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self._client.close())
            self._closing.add_done_callback(_closed)
        return self._closing


def _closed(task: asyncio.Task[None]) -> None:
    """Nobody else asks whether it went well, and the server is to live on if it did not."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.warn("a session of the console did not end well", reason=repr(error))


def _is_possible(path: str) -> bool:
    return znode_paths.validate(path.encode("utf-8", "surrogatepass")) is None
