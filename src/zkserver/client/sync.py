"""The client for programs without an event loop: the same methods, blocking.

A `SyncClient` has a thread of its own with a loop, where the `Client` lives. A method hands
the call over and waits for the result. `submit` hands it over and does not wait: it returns
a `concurrent.futures.Future`, and many calls that are submitted in a row go out together.

Watchers are called on that thread; they must not block, so a blocking method called there
raises RuntimeError (`submit` is allowed). All methods may be called from any thread.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import ssl as tls
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import suppress
from functools import partial, wraps
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar

from zkserver.client import quotas, trees
from zkserver.client.client import MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES, Client
from zkserver.client.errors import SessionClosed, ZooKeeperError
from zkserver.client.records import SessionState, Stat, Watcher, WatchEvent

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")
Later = concurrent.futures.Future[T]
Call = tuple[Callable[[], asyncio.Future[Any]], concurrent.futures.Future[Any]]
LAST_S = 1.0
"""At the end of a client what others still wait for on its loop has so long to end by itself."""


def _blocking(
    operation: Callable[Concatenate[Client, P], asyncio.Future[T]],
) -> Callable[Concatenate[SyncClient, P], T]:
    """The blocking form of an operation."""

    @wraps(operation)
    def call(self: SyncClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        self.check_thread()
        return self.submit(operation, *args, **kwargs).result()

    return call


def _blocking_helper(
    helper: Callable[Concatenate[Client, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[SyncClient, P], T]:
    """The blocking form of a coroutine function over a client."""

    @wraps(helper)
    def call(self: SyncClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.run(helper(self.client, *args, **kwargs))

    return call


class SyncClient:
    """One session with an ensemble, on a thread of its own. Use it in a `with` block."""

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
        """What `Client` takes."""
        self.client = Client(
            hosts, session_timeout_ms=session_timeout_ms, read_only=read_only, auth=auth,
            ssl=ssl, session=session, connect_timeout_ms=connect_timeout_ms,
            max_request_bytes=max_request_bytes, max_response_bytes=max_response_bytes,
        )  # fmt: skip
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="zkserver.client", daemon=True)
        self._calls: deque[Call] = deque()
        self._is_woken = self._is_ending = False
        # Of `_calls` and the two flags; a signal handler may come in between.
        self._lock = threading.RLock()
        self._closing = threading.Lock()

    # The thread

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def check_thread(self) -> None:
        """Raises RuntimeError where waiting would never end.

        On the client's own thread, which must not wait for itself; and while there is no such
        thread: before `start`, and in a process that was forked off.
        """
        if threading.current_thread() is self._thread:
            raise RuntimeError("a watcher must not block: use submit")
        if not self._thread.is_alive() and not self._is_ending:
            raise RuntimeError("the client was not started in this process")

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Carry out a coroutine on the client's loop and wait for its result.

        Whoever is interrupted meanwhile (KeyboardInterrupt) cancels it.
        """
        try:
            self.check_thread()
            with self._lock:
                if self._is_ending:
                    raise SessionClosed()
                future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        except (RuntimeError, SessionClosed):
            coroutine.close()
            raise
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise SessionClosed() from None
        finally:
            future.cancel()

    def submit(
        self,
        operation: Callable[Concatenate[Client, P], asyncio.Future[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Later[T]:
        """`submit(Client.get, "/a")`: begin an operation; the future of its result."""
        later: Later[T] = concurrent.futures.Future()
        with self._lock:
            if self._is_ending:
                later.set_exception(SessionClosed())
                return later
            self._calls.append((partial(operation, self.client, *args, **kwargs), later))
            if not self._is_woken:
                self._is_woken = True
                self._loop.call_soon_threadsafe(self._begin)
        return later

    def _begin(self) -> None:
        """Make all calls that wait; those that come from here on wake the loop again."""
        self._is_woken = False
        while self._calls:
            call, later = self._calls.popleft()
            if not later.set_running_or_notify_cancel():
                continue
            with _ErrorsTo(later):
                call().add_done_callback(partial(_hand_over, later))

    # The session

    def start(self, timeout_ms: int | None = None) -> None:
        """Connect; see `Client.start`."""
        with self._lock:
            if self._is_ending:
                raise SessionClosed()
            if not self._thread.is_alive():
                self._thread.start()
        self.run(self.client.start(timeout_ms))

    def close(self) -> None:
        """End the session and the thread. What other threads wait for ends before."""
        if threading.current_thread() is self._thread:
            self.check_thread()
        with self._closing:
            if self._loop.is_closed():
                return
            with self._lock:
                self._is_ending = True
            if self._thread.is_alive():
                asyncio.run_coroutine_threadsafe(self._finish(), self._loop).result()
                self._loop.call_soon_threadsafe(self._loop.stop)
                self._thread.join()
            elif self._loop.is_running():
                # The loop of another process, which this one was forked off.
                return
            for _, later in self._calls:
                if later.set_running_or_notify_cancel():
                    later.set_exception(SessionClosed())
            self._calls.clear()
            self._loop.close()

    async def _finish(self) -> None:
        """Close the client, and let everybody who waits see it."""
        await self.client.close()
        if others := asyncio.all_tasks() - {asyncio.current_task()}:
            _, late = await asyncio.wait(others, timeout=LAST_S)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=LAST_S)

    def __enter__(self) -> Self:
        try:
            self.start(self.client.session_timeout_ms)
        except (ZooKeeperError, KeyboardInterrupt):
            self.close()
            raise
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def is_closed(self) -> bool:
        """Whether it was closed, or is about to be."""
        return self._is_ending

    @property
    def state(self) -> SessionState:
        """Where the session stands."""
        return self.client.state

    @property
    def session_id(self) -> int:
        """The id that the server gave; 0 before."""
        return self.client.session_id

    @property
    def session_password(self) -> bytes:
        """What proves the session to another server."""
        return self.client.session_password

    @property
    def session_timeout_ms(self) -> int:
        """The timeout that the server agreed to."""
        return self.client.session_timeout_ms

    @property
    def server(self) -> tuple[str, int] | None:
        """The host and port of the server it is connected to."""
        return self.client.server

    @property
    def last_zxid(self) -> int:
        """The newest transaction that a reply has shown."""
        return self.client.last_zxid

    def on_state(self, callback: Callable[[SessionState], object]) -> None:
        """Call it, on the client's thread, with each new state."""
        self.client.on_state(callback)

    def on_event(self, callback: Watcher) -> None:
        """Call it, on the client's thread, with each event."""
        self.client.on_event(callback)

    # Operations: those of `Client`, with their arguments

    exists = _blocking(Client.exists)
    get = _blocking(Client.get)
    get_or_null = _blocking(Client.get_or_null)
    get_children = _blocking(Client.get_children)
    get_children_with_stat = _blocking(Client.get_children_with_stat)
    get_acl = _blocking(Client.get_acl)
    get_all_children_number = _blocking(Client.get_all_children_number)
    get_ephemerals = _blocking(Client.get_ephemerals)
    sync = _blocking(Client.sync)
    who_am_i = _blocking(Client.who_am_i)
    create = _blocking(Client.create)
    create_with_stat = _blocking(Client.create_with_stat)
    delete = _blocking(Client.delete)
    set = _blocking(Client.set)
    set_acl = _blocking(Client.set_acl)
    multi = _blocking(Client.multi)
    multi_read = _blocking(Client.multi_read)
    get_config = _blocking(Client.get_config)
    reconfig = _blocking(Client.reconfig)
    add_auth = _blocking(Client.add_auth)
    add_watch = _blocking(Client.add_watch)
    remove_watches = _blocking(Client.remove_watches)
    get_quota = _blocking_helper(quotas.get_quota)
    set_quota = _blocking_helper(quotas.set_quota)
    delete_quota = _blocking_helper(quotas.delete_quota)
    delete_all = _blocking_helper(trees.delete_all)

    # Iterators

    def states(self) -> SyncIterator[SessionState]:
        """Each change of state from now on."""
        return SyncIterator(self, self.client.states())

    def walk(self, path: str = "/") -> SyncIterator[str]:
        """`path` and all paths below it."""
        return SyncIterator(self, trees.walk(self.client, path), ends_with_client=False)

    def watch(self, path: str, *, recursive: bool = False) -> SyncIterator[WatchEvent]:
        """The events of a path; `with` ends the watch at its end."""
        watch = self.client.watch(path, recursive=recursive)
        self.run(watch.start())
        return SyncIterator(self, watch, watch.close)

    def watch_data(self, path: str) -> SyncIterator[tuple[bytes, Stat] | None]:
        """Data and Stat now and after each change; None while there is no znode."""
        return SyncIterator(self, self.client.watch_data(path))

    def watch_children(self, path: str) -> SyncIterator[list[str] | None]:
        """The children's names now and after each change; None while there is no znode."""
        return SyncIterator(self, self.client.watch_children(path))


def _hand_over(later: Later[T], future: asyncio.Future[T]) -> None:
    """The result of the loop's future becomes that of the thread-safe one."""
    error = asyncio.CancelledError() if future.cancelled() else future.exception()
    if error is None:
        later.set_result(future.result())
    else:
        later.set_exception(error)


class _ErrorsTo:
    """What its block raises is what somebody waits for, whatever a caller's arguments did."""

    def __init__(self, later: concurrent.futures.Future[Any]) -> None:
        self._later = later

    def __enter__(self) -> None:
        return

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _trace: TracebackType | None,
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        self._later.set_exception(error)
        return True


class SyncIterator(Generic[T]):
    """An iterator over what an async one gives; `close` (or `with`) ends it.

    Several threads may take from it: each gets what no other gets.
    """

    def __init__(
        self,
        owner: SyncClient,
        source: AsyncIterator[T],
        close: Callable[[], Coroutine[Any, Any, None]] | None = None,
        *,
        ends_with_client: bool = True,
    ) -> None:
        self._owner = owner
        self._source = source
        self._close = close
        self._ends_with_client = ends_with_client
        self._coming: asyncio.Future[T] | None = None

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        try:
            return self._run(self._take())
        except StopAsyncIteration:
            raise StopIteration from None

    def next(self, timeout_ms: int) -> T | None:
        """The next one, or None if none comes in time. Raises StopAsyncIteration at the end."""
        return self._run(self._take_within(timeout_ms))

    def _run(self, step: Coroutine[Any, Any, R]) -> R:
        try:
            return self._owner.run(step)
        except SessionClosed:
            if not self._ends_with_client:
                raise
            raise StopAsyncIteration from None

    async def _take(self) -> T:
        """The next one; what an earlier call did not wait for comes first."""
        while True:
            if self._coming is None:
                self._coming = asyncio.ensure_future(anext(self._source))
                # Perhaps nobody comes back for it.
                self._coming.add_done_callback(lambda it: it.cancelled() or it.exception())
            coming = self._coming
            await asyncio.wait([coming])
            if self._coming is coming:
                self._coming = None
                return coming.result()

    async def _take_within(self, timeout_ms: int) -> T | None:
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                return await self._take()
        except TimeoutError:
            return None

    async def _end(self) -> None:
        if self._coming is not None:
            self._coming.cancel()
            await asyncio.wait([self._coming])
        close = self._close or getattr(self._source, "aclose", None)
        if close is not None:
            await close()

    def close(self) -> None:
        """End the iteration, and its watch on the server."""
        with suppress(SessionClosed):
            self._owner.run(self._end())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()
