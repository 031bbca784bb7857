"""An asyncio event loop on a virtual clock, shared by hosts that live and die on it.

The clock stands still while code runs and jumps to the next timer when none is
ready. Equal timers fire in the order they were made; asyncio's own heap does not
promise that. With nothing ready and no timer the world is stuck: `Deadlock`.

A `Life` is one run of a host, from its start to its end. Whatever code does, it does
in the life that is in its context; tasks, timers and callbacks inherit it. So an end
is an end as `kill -9` is one: nothing that belongs to the life ever runs again, no
clean-up either. A paused life's callbacks wait, in order.

No threads, no I/O: what would do either raises `RealIo`.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar
from typing import TYPE_CHECKING, Any, NoReturn

from zkserver.sim import observer

if TYPE_CHECKING:
    from zkserver.sim.network import Network

_life: ContextVar[Life | None] = ContextVar("life", default=None)
# How long a host asks for a connection that nobody answers.
CONNECT_GIVES_UP_S = 63.0
# What networks and disks do by themselves belongs to no life.
NOBODY = Context()


class Deadlock(RuntimeError):
    """Nothing is ready and no timer is set: whoever waits would wait for ever."""


class RealIo(RuntimeError):
    """Simulated code asked for a thread, a file descriptor or a name server."""


class LifeEnded(BaseException):
    """Unwinds the code that ended its own life; nobody is to catch it."""


class Life:
    """One run of a host's process. Times in seconds."""

    def __init__(self, loop: SimLoop, host: str) -> None:
        self.loop = loop
        self.host = host
        self.alive = True
        self.paused = False
        self.context = Context()
        self.context.run(_life.set, self)
        self.exception_handler: Callable[[Any, dict[str, Any]], object] | None = None
        self.signal_handlers: dict[int, tuple[Callable[..., object], tuple[Any, ...]]] = {}
        # Kept until the world ends: a task that is collected would run its clean-up.
        self.tasks: list[asyncio.Task[Any]] = []
        self._held: list[asyncio.Handle] = []

    def start(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run a coroutine in this life."""
        return self.loop.create_task(coroutine, context=self.context)

    def call(self, callback: Callable[..., object], *args: object) -> None:
        """Run a function in this life, soon."""
        self.loop.call_soon(callback, *args, context=self.context)

    def signal(self, number: int) -> None:
        """What the process does on a signal: its handler, or nothing."""
        if number in self.signal_handlers:
            callback, args = self.signal_handlers[number]
            self.call(callback, *args)

    def pause(self) -> None:
        """Stop as SIGSTOP does."""
        if self.alive and not self.paused:
            self._tell(observer.PAUSES)
        self.paused = True

    def resume(self) -> None:
        """Go on with what has gathered, in order."""
        if self.alive and self.paused:
            self._tell(observer.GOES_ON)
        self.paused = False
        held, self._held = self._held, []
        self.loop.put_back(held)

    def end(self) -> None:
        """Nothing of this life runs any more."""
        if self.alive:
            self._tell(observer.ENDS)
        self.alive = False
        self._held.clear()

    def _tell(self, what: str) -> None:
        network = self.loop.network
        if network is not None and network.observer is not None:
            network.observer.life(self.host, what)

    def admits(self, handle: asyncio.Handle) -> bool:
        """Whether a callback may run now; one that has to wait is kept."""
        if self.alive and self.paused:
            self._held.append(handle)
        return self.alive and not self.paused


def current_life() -> Life | None:
    """The life that the running code belongs to."""
    return _life.get()


class _Handle(asyncio.Handle):
    __slots__ = ("_life",)

    def __init__(
        self,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        loop: SimLoop,
        context: Context | None,
    ) -> None:
        super().__init__(callback, args, loop, context)
        self._life = _life.get() if context is None else context.get(_life)

    def _run(self) -> None:
        life = self._life
        if life is None or life.admits(self):
            self._loop.running = life  # type: ignore[attr-defined]
            super()._run()


class _Timer(asyncio.TimerHandle):
    __slots__ = ("_life", "_place")

    def __init__(
        self,
        when_s: float,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        loop: SimLoop,
        context: Context | None,
    ) -> None:
        super().__init__(when_s, callback, args, loop, context)
        self._life = _life.get() if context is None else context.get(_life)
        self._place = (when_s, loop.next_number())

    def __lt__(self, other: object) -> bool:
        return self._place < other._place  # type: ignore[attr-defined,no-any-return]

    def _run(self) -> None:
        life = self._life
        if life is None or life.admits(self):
            self._loop.running = life  # type: ignore[attr-defined]
            super()._run()


class _Clock:
    """Stands where BaseEventLoop has its selector: instead of waiting, time jumps."""

    def __init__(self, loop: SimLoop) -> None:
        self._loop = loop

    def select(self, timeout_s: float | None) -> list[Any]:
        if timeout_s is None:
            raise Deadlock("nothing is ready and no timer is set")
        if timeout_s > 0:
            self._loop.jump()
        return []


class SimLoop(asyncio.BaseEventLoop):
    """`network` makes the links; without one, no connection can be had."""

    _ready: deque[asyncio.Handle]
    _scheduled: list[asyncio.TimerHandle]

    def __init__(self) -> None:
        super().__init__()
        self._now_s = 0.0
        self._number = 0
        # asyncio takes it from the machine's clock.
        self._clock_resolution = 1e-9
        self._selector = _Clock(self)
        self.running: Life | None = None
        self.network: Network | None = None
        # What went wrong in code that belongs to nobody: a bug of the simulator.
        self.errors: list[str] = []

    # Time

    def time(self) -> float:
        """Virtual seconds since the world began."""
        return self._now_s

    def jump(self) -> None:
        """To the next timer."""
        self._now_s = max(self._now_s, self._scheduled[0].when())

    def next_number(self) -> int:
        """Counts timers, for those that fall on the same instant."""
        self._number += 1
        return self._number

    # Callbacks

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """In the life of the caller, or of `context`."""
        handle = _Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def create_task(  # type: ignore[override]
        self,
        coro: Coroutine[Any, Any, Any],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> asyncio.Task[Any]:
        """In the life of the caller, or of `context`, which keeps it."""
        task = super().create_task(coro, name=name, context=context)
        life = _life.get() if context is None else context.get(_life)
        if life is not None:
            life.tasks.append(task)
        return task

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """At a virtual time (s), in the life of the caller, or of `context`."""
        timer = _Timer(max(when, self._now_s), callback, args, self, context)
        heapq.heappush(self._scheduled, timer)
        timer._scheduled = True  # type: ignore[attr-defined]
        return timer

    def put_back(self, handles: list[asyncio.Handle]) -> None:
        """Callbacks of a life that goes on; those cancelled meanwhile do not run."""
        self._ready.extend(handles)

    def _process_events(self, event_list: list[Any]) -> None:
        """No files, no events of theirs."""

    # Errors and signals, by life

    def set_exception_handler(
        self, handler: Callable[[Any, dict[str, Any]], object] | None
    ) -> None:
        """Of the calling life."""
        life = _life.get()
        if life is not None:
            life.exception_handler = handler

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """An exception that nobody caught, in whichever life is running."""
        error = context.get("exception")
        if isinstance(error, LifeEnded):
            return
        life = self.running
        if life is None or life.exception_handler is None:
            self.errors.append(f"{context.get('message')}: {error!r}")
            return
        try:
            # A copy: the handler may be called from inside the life's own code.
            life.context.copy().run(life.exception_handler, self, context)
        except LifeEnded:
            return

    def add_signal_handler(  # type: ignore[override]
        self, sig: int, callback: Callable[..., object], *args: Any
    ) -> None:
        """Of the calling life; `Life.signal` is who sends them."""
        life = _life.get()
        if life is not None:
            life.signal_handlers[sig] = (callback, args)

    # Links

    async def create_server(  # type: ignore[override]
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: str | None = None,  # noqa: ARG002
        port: int | None = None,
        *,
        sock: Any = None,
        **_: Any,
    ) -> Any:
        """Accept on a listener of the network, or make one on the caller's host."""
        network, life = self._network()
        listener = network.listen(life, port or 0) if sock is None else sock
        listener.accept(protocol_factory)
        return listener

    async def create_connection(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: str | None = None,
        port: int | None = None,
        *,
        give_up_s: float = CONNECT_GIVES_UP_S,
        **_: Any,
    ) -> tuple[Any, Any]:
        """Connect from the caller's host. Raises OSError as a socket would.

        `give_up_s` is the caller's patience if it is less than that of the host.
        """
        network, life = self._network()
        end = await network.connect(life, host or "", port or 0, give_up_s)
        protocol = protocol_factory()
        end.open(protocol)
        return end, protocol

    def _network(self) -> tuple[Network, Life]:
        life = _life.get()
        if self.network is None or life is None:
            raise RealIo("a connection needs a network and a host it is made from")
        return self.network, life


def _refuse(*_: Any, **__: Any) -> NoReturn:
    raise RealIo("no threads, descriptors or name servers in the simulated world")


# Everything of an event loop that would leave the world.
LEAVING = (
    *("run_in_executor", "getaddrinfo", "getnameinfo", "create_datagram_endpoint"),
    *("connect_accepted_socket", "connect_read_pipe", "connect_write_pipe", "sendfile"),
    *("create_unix_connection", "create_unix_server", "subprocess_exec", "subprocess_shell"),
    *("start_tls", "add_reader", "add_writer", "remove_reader", "remove_writer"),
    *("sock_accept", "sock_connect", "sock_recv", "sock_recv_into", "sock_sendall"),
    *("sock_sendfile", "sock_recvfrom", "sock_sendto"),
)
for _name in LEAVING:
    setattr(SimLoop, _name, _refuse)


def discard(life: Life) -> None:
    """When the world ends: drop the tasks of a life without a word."""
    for task in life.tasks:
        task._log_destroy_pending = False  # type: ignore[attr-defined]
