"""Watches as async iterators, and how watches are removed.

`Watch` gives the events of a persistent watch. `data` and `children` give a value now and
each new one: a reader that is slow gets the newest, never one twice. All outlive lost
connections; they end when the client is closed and raise what else ends the session.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from zkserver.base import opcodes as op
from zkserver.client import replies, requests
from zkserver.client.errors import ConnectionLoss, NoNode, NoWatcher, SessionClosed, ZooKeeperError
from zkserver.client.records import (
    AddWatchMode,
    EventType,
    SessionState,
    Stat,
    Watcher,
    WatcherType,
    WatchEvent,
)
from zkserver.client.session import Session

if TYPE_CHECKING:
    from zkserver.client.client import Client

T = TypeVar("T")
R = TypeVar("R")


class Mailbox(Generic[T]):
    """What callbacks put in and one reader takes out."""

    def __init__(self) -> None:
        self.items: deque[T] = deque()
        self._wake: asyncio.Future[None] | None = None

    def put(self, item: T) -> None:
        """Add one; wakes the reader."""
        self.items.append(item)
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def take(self) -> T:
        """The oldest, as soon as there is one. RuntimeError if somebody else waits for it."""
        if self._wake is not None and not self._wake.done():
            raise RuntimeError("an iterator has one reader at a time")
        while not self.items:
            self._wake = asyncio.get_running_loop().create_future()
            await self._wake
        return self.items.popleft()


def states(session: Session) -> AsyncIterator[SessionState]:
    """Each change of state from this call on; ends with the session."""
    box: Mailbox[SessionState] = Mailbox()
    session.state_callbacks[box.put] = None
    return _states(session, box)


async def _states(session: Session, box: Mailbox[SessionState]) -> AsyncIterator[SessionState]:
    try:
        while not session.state.is_over or box.items:
            state = await box.take()
            yield state
            if state.is_over:
                return
    finally:
        session.state_callbacks.pop(box.put, None)


def remove(
    session: Session,
    raw: bytes,
    path: str,
    kind: WatcherType,
    watcher: Watcher | None,
    local: bool,
) -> asyncio.Future[None]:
    """`Client.remove_watches`. The server keeps what other watchers of ours still need."""
    watches, key = session.watches, raw.decode()
    there = watches.of_type(kind, key)
    done: asyncio.Future[None] = session.loop.create_future()
    if not any(watcher is None or watcher in found for found in there.values()):
        done.set_exception(NoWatcher(path))
        return done
    others = watches.is_coming(kind, key) or (
        watcher is not None
        and any(one != watcher for found in there.values() for one in found)
    )

    def forget() -> None:
        for event, gone in watches.remove(kind, key, watcher):
            session.loop.call_soon(gone, WatchEvent(event, session.state, path))

    def land(code: int) -> None:
        if code == 0 or local:
            forget()

    def settle(reply: asyncio.Future[None]) -> None:
        error = reply.exception()
        if done.done():
            return
        if error is None or local:
            done.set_result(None)
        else:
            done.set_exception(error)

    if local and session.connection is None:
        forget()
        done.set_result(None)
        return done
    kind_of_request = op.CHECK_WATCHES if others else op.REMOVE_WATCHES
    body = requests.path_int(raw, kind)
    reply = session.request(kind_of_request, body, replies.nothing, path, land)
    reply.add_done_callback(settle)
    return done


class Watch:
    """The events of a persistent watch on one path, or on all below it too.

    An event of type NONE and state CONNECTED among them says that the connection was lost
    and found: what happened meanwhile was not seen, so look again.
    """

    def __init__(self, client: Client, path: str, recursive: bool) -> None:
        self._client = client
        self._path = path
        self._mode = AddWatchMode.PERSISTENT_RECURSIVE if recursive else AddWatchMode.PERSISTENT
        self._box: Mailbox[WatchEvent] = Mailbox()
        self._kind = (
            WatcherType.PERSISTENT_RECURSIVE if recursive else WatcherType.PERSISTENT
        )
        self._is_set = self._is_closed = False
        self._setting: asyncio.Future[None] | None = None

    async def start(self) -> None:
        """Set the watch; events from now on are seen. Again and again until it is set."""
        while not self._is_set and not self._is_closed:
            if self._setting is None:
                self._setting = self._client.add_watch(self._path, self._mode, self._watcher)
            setting = self._setting
            try:
                # Who is cancelled here may come again, or close.
                await asyncio.shield(setting)
            except ConnectionLoss:
                continue
            finally:
                if setting.done():
                    self._setting = None
            self._is_set = True

    def _watcher(self, event: WatchEvent) -> None:
        self._box.put(event)

    async def close(self) -> None:
        """Remove the watch; the iteration ends behind the events that have come."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._setting is not None:
            self._setting.add_done_callback(self._unset)
        elif self._is_set and not self._client.state.is_over:
            try:
                await self._remove()
            except ZooKeeperError:
                # The session has just ended, and the watch with it.
                return

    def _remove(self) -> asyncio.Future[None]:
        return self._client.remove_watches(
            self._path, self._kind, watcher=self._watcher, local=True
        )

    def _unset(self, setting: asyncio.Future[None]) -> None:
        """The watch was set for somebody who did not wait for it."""
        if setting.exception() is None and not self._client.state.is_over:
            self._remove().add_done_callback(asyncio.Future.exception)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> WatchEvent:
        await self.start()
        if self._is_closed and not self._box.items:
            raise StopAsyncIteration
        event = await self._box.take()
        if event.type is EventType.PERSISTENT_WATCH_REMOVED:
            self._is_closed = True
            raise StopAsyncIteration
        if event.type is EventType.NONE and event.state.is_over:
            self._is_closed = True
            if event.state is SessionState.CLOSED:
                raise StopAsyncIteration
            raise self._client.ending(self._path)
        return event

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except asyncio.CancelledError:
            # The block will not be there to close it.
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


Fetch = Callable[[Watcher], "asyncio.Future[T]"]


async def data(client: Client, path: str) -> AsyncIterator[tuple[bytes, Stat] | None]:
    """`Client.watch_data`."""

    def fetch(watcher: Watcher) -> asyncio.Future[tuple[bytes, Stat]]:
        return client.get(path, watcher)

    async for value in _values(client, path, fetch, lambda found: found[1].mzxid):
        yield value


async def children(client: Client, path: str) -> AsyncIterator[list[str] | None]:
    """`Client.watch_children`."""

    def fetch(watcher: Watcher) -> asyncio.Future[tuple[list[str], Stat]]:
        return client.get_children_with_stat(path, watcher)

    async for value in _values(client, path, fetch, lambda found: found[1].pzxid):
        yield None if value is None else value[0]


_UNSEEN = object()


async def _values(
    client: Client, path: str, fetch: Fetch[T], mark: Callable[[T], int]
) -> AsyncIterator[T | None]:
    """The value, then each one whose mark is another; None where there is no znode."""
    box: Mailbox[WatchEvent] = Mailbox()
    watcher = box.put
    last: object = _UNSEEN
    try:
        while True:
            box.items.clear()
            try:
                value = await _value(client, path, fetch, watcher)
            except ConnectionLoss:
                continue
            seen = None if value is None else mark(value)
            if seen != last:
                last = seen
                yield value
            await box.take()
    except SessionClosed:
        return
    finally:
        client.forget(path, watcher)


async def _value(client: Client, path: str, fetch: Fetch[T], watcher: Watcher) -> T | None:
    """The value with a watch on the next one, or None with a watch on the znode to come."""

    def forget(_reply: asyncio.Future[Any]) -> None:
        client.forget(path, watcher)

    while True:
        try:
            return await _asked(fetch(watcher), forget)
        except NoNode:
            if await _asked(client.exists(path, watcher), forget) is None:
                return None


async def _asked(reply: asyncio.Future[R], forget: Callable[[asyncio.Future[R]], None]) -> R:
    """The reply; if nobody waits for it any more, the watch that it sets is forgotten."""
    try:
        return await asyncio.shield(reply)
    finally:
        if not reply.done():
            reply.add_done_callback(forget)
