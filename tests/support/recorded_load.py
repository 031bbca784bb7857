"""Clients that work on real servers and write down all they see, for the checkers of `sim`.

They are the clients of the simulated world, on a loop of asyncio that a thread of its own runs.
The numbers of events are given on that loop, so they order what clients asked and were told.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from itertools import pairwise
from typing import Any

from zkserver.sim import history as words
from zkserver.sim.client import Link, SimClient
from zkserver.sim.events import EventLog
from zkserver.sim.history import History

WAIT_S = 10


class RealWorld:
    """What a client needs of its world: a loop, events, and chance from a seed."""

    def __init__(self, seed: int | str) -> None:
        self.seed = seed
        self.loop = asyncio.new_event_loop()
        self.events = EventLog(self.loop.time)
        # The wall clock (s) when the loop's clock was at 0.
        self.wall_offset_s = time.time() - self.loop.time()

    def chance(self, purpose: str) -> random.Random:
        """A generator of its own for each purpose."""
        return random.Random(f"{self.seed} {purpose}")


class RecordedClient(SimClient):
    """A client of servers on this machine, of which `servers` names some. It is impatient."""

    def __init__(self, load: RecordedLoad, name: str, servers: list[str]) -> None:
        super().__init__(load.world, load.history, name, servers, 0, load.session_timeout_ms)
        self.load = load
        self.link: Link | None = None
        self.think_s = 0.02
        self.retry_s = 0.05
        self.reply_timeout_s = 1.0

    async def connect(self, server: str) -> Link:
        """A connection to a server. Raises OSError."""
        async with asyncio.timeout(self.reply_timeout_s):
            port = self.load.ports[server]
            _, self.link = await self.loop.create_connection(lambda: Link(self), "127.0.0.1", port)
        return self.link

    async def pause(self, most_s: float) -> None:
        """Wait for up to so long; it may be cancelled."""
        await asyncio.sleep(self.chance.random() * most_s)


class RecordedLoad:
    """`ports` are the client ports of servers by their names. A context manager."""

    def __init__(
        self, seed: int | str, ports: Mapping[str, int], session_timeout_ms: int = 4000
    ) -> None:
        self.world = RealWorld(seed)
        self.history = History()
        self.ports = dict(ports)
        self.session_timeout_ms = session_timeout_ms
        self.clients: list[RecordedClient] = []
        self.abandoned: list[RecordedClient] = []
        self._runs: list[Future[None]] = []
        self._thread = threading.Thread(target=self.world.loop.run_forever, daemon=True)

    def __enter__(self) -> RecordedLoad:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.call(self._end())
        self.world.loop.call_soon_threadsafe(self.world.loop.stop)
        self._thread.join(WAIT_S)
        self.world.loop.close()

    async def _end(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for client in self.clients:
            if client.link is not None:
                client.link.abort()
        # Connections that were aborted are lost in the next turn.
        await asyncio.sleep(0)

    def call(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run something on the loop, and wait for it."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.world.loop).result(WAIT_S)

    def do(self, action: Callable[[], Any]) -> Any:
        """Do something on the loop, and wait for it."""

        async def carry_out() -> Any:
            return action()

        return self.call(carry_out())

    def note(self, what: str) -> float:
        """An event of the test; when it was, on the loop's clock (s)."""
        self.do(lambda: self.world.events.note("test", what))
        return self.world.loop.time()

    def start(
        self,
        name: str,
        servers: list[str] | None = None,
        prepare: Callable[[RecordedClient], object] | None = None,
    ) -> RecordedClient:
        """A client sets to work, on all servers or on some."""

        def begin() -> RecordedClient:
            client = RecordedClient(self, name, servers or list(self.ports))
            if prepare is not None:
                prepare(client)
            return client

        client: RecordedClient = self.do(begin)
        self.clients.append(client)
        self._runs.append(asyncio.run_coroutine_threadsafe(client.run(), self.world.loop))
        return client

    @property
    def working(self) -> list[RecordedClient]:
        """Clients that neither are done nor were abandoned."""
        return [each for each in self.clients if not each.is_done and each not in self.abandoned]

    def abandon(self, client: RecordedClient) -> None:
        """The client is gone without a word, and its session is to expire."""

        async def end() -> None:
            self.abandoned.append(client)
            self._runs[self.clients.index(client)].cancel()
            if client.link is not None:
                client.link.abort()

        self.call(end())

    def failures(self) -> list[str]:
        """Clients that ended by an error of their own."""
        return [
            f"{client.name}: {run.exception()!r}"
            for client, run in zip(self.clients, self._runs, strict=True)
            if run.done() and not run.cancelled() and run.exception() is not None
        ]

    def writes_done(self) -> list[words.Request]:
        """The writes that were answered so far, in the order of their answers."""
        return sorted(
            (
                request
                for request in list(self.history.requests)
                if request.kind in words.WRITES and request.outcome == words.DONE
            ),
            key=lambda request: request.completed or 0,
        )

    def longest_gap_s(self, from_s: float, client: str | None = None) -> float:
        """The longest time in which no write was answered, of one client or of all."""
        begin_s, end_s = self.longest_gap(from_s, client)
        return end_s - begin_s

    def longest_gap(self, from_s: float, client: str | None = None) -> tuple[float, float]:
        """When that time began and ended, on the loop's clock (s)."""
        times = [
            write.completed_s
            for write in self.writes_done()
            if write.completed_s >= from_s and client in (None, write.client)
        ]
        ends = [from_s, *times, self.world.loop.time()]
        return max(pairwise(ends), key=lambda gap: gap[1] - gap[0])

    def told(self, from_s: float, until_s: float) -> list[str]:
        """What the test has noted in a time."""
        return [
            line
            for line in list(self.world.events.lines)
            if " test " in line and from_s <= int(line[:12]) / 1e6 <= until_s
        ]
