"""The links between the servers of an ensemble, in the hands of a test.

Every server reaches every other one through two ports of this proxy, one for its quorum port and
one for its election port, so the proxy knows both ends of each connection. It runs a loop of its
own on a thread; its methods may be called from any other thread, and what they say holds when they
return.

A cut link loses nothing and tells nobody: bytes, ends and new connections wait until it is healed,
as with TCP when packets are lost. One thing is unlike a real cut: a connection that is opened
across one is made at once and is silent, where a real one would time out.

The proxy listens where the server behind it listens, and nowhere else: who connects to a server
that is down is refused, as it would be without a proxy. Linux only, for it looks into /proc.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from pathlib import Path
from typing import cast

from tests.support.server_process import free_port

Direction = tuple[int, int]
WAIT_S = 10
LOOK_EVERY_S = 0.01
_LISTENING = "0A"


def listening_ports() -> set[int]:
    """All ports of this machine's IPv4 addresses on which somebody listens."""
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return {int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == _LISTENING}


class _Side(asyncio.Protocol):
    """One end of a connection that passes through: what comes here goes out at `other`.

    `direction` is (from, to) of the bytes that come in here; `port` is that of the proxy which
    was called, for the side that called.
    """

    def __init__(self, proxy: LinkProxy, direction: Direction, port: int = 0) -> None:
        self.proxy = proxy
        self.port = port
        self.direction = direction
        self.transport: asyncio.Transport | None = None
        self.other: _Side | None = None
        # Bytes on their way with the time they are due, None for the end.
        self.waiting: deque[tuple[float, bytes | None]] = deque()
        self.timer: asyncio.TimerHandle | None = None
        self.is_choked = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.proxy.sides[self] = None
        self.settle()

    def data_received(self, data: bytes) -> None:
        self._put(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self.transport = None
        self._put(None)

    def pause_writing(self) -> None:
        if self.other is not None:
            self.other.is_choked = True
            self.other.settle()

    def resume_writing(self) -> None:
        if self.other is not None:
            self.other.is_choked = False
            self.other.settle()

    def _put(self, data: bytes | None) -> None:
        delay_s = self.proxy.delays_s.get(self.direction, 0.0)
        self.waiting.append((self.proxy.loop.time() + delay_s, data))
        self.settle()

    def settle(self) -> None:
        """Read and pass on what may pass now."""
        is_open = self.direction not in self.proxy.cuts and self.other is not None
        if self.transport is not None and not self.transport.is_closing():
            if is_open and not self.is_choked:
                self.transport.resume_reading()
            else:
                self.transport.pause_reading()
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        now_s = self.proxy.loop.time()
        while is_open and self.waiting and self.waiting[0][0] <= now_s:
            self._pass_on(self.waiting.popleft()[1])
        if is_open and self.waiting:
            self.timer = self.proxy.loop.call_at(self.waiting[0][0], self.settle)
        if self.transport is None and not self.waiting:
            self.proxy.sides.pop(self, None)

    def _pass_on(self, data: bytes | None) -> None:
        transport = None if self.other is None else self.other.transport
        if transport is None:
            return
        if data is None:
            transport.close()
        else:
            transport.write(data)

    def abort(self) -> None:
        """Reset: what is on its way is lost."""
        self.waiting.clear()
        if self.other is not None:
            self.other.waiting.clear()
        if self.transport is not None:
            self.transport.abort()


class LinkProxy:
    """The links between servers 1 to n, whose own ports are given. A context manager.

    `address(one, other, ...)` is what goes into the configuration of `one` for `other`. The
    servers and the proxy listen at `host`.
    """

    def __init__(
        self, quorum_ports: list[int], election_ports: list[int], host: str = "127.0.0.1"
    ) -> None:
        self.host = host
        self._is_silent = False
        self.loop = asyncio.new_event_loop()
        self.cuts: dict[Direction, None] = {}
        self.delays_s: dict[Direction, float] = {}
        self.sides: dict[_Side, None] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._listeners: dict[int, asyncio.AbstractServer] = {}
        self._targets: dict[int, tuple[Direction, int]] = {}
        self._ports: dict[Direction, tuple[int, int]] = {}
        numbers = range(1, len(quorum_ports) + 1)
        self.pairs = [(one, other) for one in numbers for other in numbers if one != other]
        for one, other in self.pairs:
            ports = free_port(), free_port()
            self._ports[one, other] = ports
            self._targets[ports[0]] = (one, other), quorum_ports[other - 1]
            self._targets[ports[1]] = (one, other), election_ports[other - 1]
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)

    def ports(self, one: int, other: int) -> tuple[int, int]:
        """The quorum and election port by which server `one` reaches server `other`."""
        return self._ports[one, other]

    def learners(self) -> list[int]:
        """Whose connections to a quorum port pass through here."""
        quorum_ports = {quorum_port for quorum_port, _ in self._ports.values()}
        sides = [each for each in list(self.sides) if each.port in quorum_ports]
        return sorted(each.direction[0] for each in sides if each.transport is not None)

    def __enter__(self) -> LinkProxy:
        self._thread.start()
        self._start(self._watch())
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self.loop).result(WAIT_S)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(WAIT_S)
        self.loop.close()

    # Faults

    def cut(self, one: int, other: int, *, both: bool = True) -> None:
        """Hold back everything from `one` to `other`, and the other way if `both`."""
        self._change(lambda: self.cuts.update(dict.fromkeys(_directions(one, other, both))))

    def isolate(self, one: int) -> None:
        """Cut a server from all others."""
        directions = [pair for pair in self.pairs if one in pair]
        self._change(lambda: self.cuts.update(dict.fromkeys(directions)))

    def silence(self) -> None:
        """Cut everything, and refuse what is new, until `heal`."""

        def strike() -> None:
            self._is_silent = True
            self.cuts.update(dict.fromkeys(self.pairs))
            for listener in self._listeners.values():
                listener.close()
            self._listeners.clear()

        self._change(strike)

    def delay(self, one: int, other: int, delay_s: float) -> None:
        """Everything between the two takes so long, each way."""
        self._change(
            lambda: self.delays_s.update(dict.fromkeys(_directions(one, other, True), delay_s))
        )

    def reset(self, one: int, other: int) -> None:
        """Reset all connections between the two."""
        directions = _directions(one, other, True)

        def strike() -> None:
            for side in list(self.sides):
                if side.direction in directions:
                    side.abort()

        self._change(strike)

    def heal(self) -> None:
        """No link is cut or slow any more; what was held back goes its way."""

        def strike() -> None:
            self._is_silent = False
            self.cuts.clear()
            self.delays_s.clear()

        self._change(strike)

    def _change(self, strike: Callable[[], object]) -> None:
        done = threading.Event()

        def carry_out() -> None:
            strike()
            for side in list(self.sides):
                side.settle()
            done.set()

        self.loop.call_soon_threadsafe(carry_out)
        if not done.wait(WAIT_S):
            raise TimeoutError("the proxy's loop does not run")

    # Connections

    async def _watch(self) -> None:
        """Listen where the servers do."""
        while True:
            there = listening_ports()
            for port, (direction, target) in self._targets.items():
                if self._is_silent:
                    break
                is_cut = direction in self.cuts or direction[::-1] in self.cuts
                if port not in self._listeners and (target in there or is_cut):
                    await self._listen(port)
                elif port in self._listeners and target not in there and not is_cut:
                    self._listeners.pop(port).close()
            await asyncio.sleep(LOOK_EVERY_S)

    async def _listen(self, port: int) -> None:
        # Somebody else's test may have taken the port while nothing listened: try again then.
        with suppress(OSError):
            self._listeners[port] = await self.loop.create_server(
                lambda: self._accept(port), self.host, port
            )

    def _start(self, coroutine: Coroutine[None, None, None]) -> None:
        """Carry out on the loop, until it ends or the proxy does."""

        def begin() -> None:
            task = self.loop.create_task(coroutine)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        self.loop.call_soon_threadsafe(begin)

    def _accept(self, port: int) -> _Side:
        direction, target = self._targets[port]
        near = _Side(self, direction, port)
        self._start(self._connect(near, target))
        return near

    async def _connect(self, near: _Side, target: int) -> None:
        """Go on to the target, once the link is whole."""
        one, other = near.direction
        while (one, other) in self.cuts or (other, one) in self.cuts:
            await asyncio.sleep(0.01)
        far = _Side(self, (other, one))
        try:
            await self.loop.create_connection(lambda: far, self.host, target)
        except OSError:
            near.abort()
            return
        near.other, far.other = far, near
        far.settle()
        near.settle()

    async def _close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for listener in self._listeners.values():
            listener.close()
        for side in list(self.sides):
            side.abort()
        await asyncio.sleep(0)
        await asyncio.sleep(0)


def _directions(one: int, other: int, both: bool) -> Iterable[Direction]:
    return ((one, other), (other, one)) if both else ((one, other),)
