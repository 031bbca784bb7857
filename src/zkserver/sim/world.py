"""A world: one loop, one network, one event log, and all chance from one seed."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Coroutine
from typing import Any

from zkserver.sim.events import EventLog
from zkserver.sim.loop import SimLoop, discard
from zkserver.sim.network import Network


class _LogHandler(logging.Handler):
    """What the server logs, as events; fields that are times of the machine are none of it."""

    def __init__(self, world: World) -> None:
        super().__init__(logging.INFO)
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        life = self._world.loop.running
        fields: dict[str, object] = getattr(record, "fields", {})
        shown = "".join(f" {name}={value}" for name, value in fields.items() if name != "pid")
        self._world.events.note(
            "world" if life is None else life.host, f"log: {record.getMessage()}{shown}"
        )


class World:
    """`clock_offsets_ms` is how far each host's calendar is ahead of the world's, and
    `uptimes_ms` its monotonic clock.

    `ended` is told of every process that ended by itself: host and exit code; `expired`
    of every session that a server let expire: its id and the virtual time (s). Use it
    as a context manager: outside, the server's log lines go where they went before.
    """

    def __init__(self, seed: int | str) -> None:
        self.seed = seed
        self.loop = SimLoop()
        self.events = EventLog(self.loop.time)
        self.network = Network(self.loop, self.chance("network"), self.events)
        self.clock_offsets_ms: dict[str, int] = {}
        self.uptimes_ms: dict[str, int] = {}
        self.ended: Callable[[str, int], object] | None = None
        self.expired: Callable[[int, float], object] | None = None
        self._machines = 0
        self._log_before: tuple[list[logging.Handler], int] | None = None

    def chance(self, purpose: str) -> random.Random:
        """A generator of its own for each purpose, so that they do not disturb each other."""
        return random.Random(f"{self.seed} {purpose}")

    def next_machine(self) -> int:
        """Counts the lives of all hosts, so that each has chances of its own."""
        self._machines += 1
        return self._machines

    def __enter__(self) -> World:
        root = logging.getLogger()
        self._log_before = (root.handlers, root.level)
        root.handlers = [_LogHandler(self)]
        root.setLevel(logging.INFO)
        return self

    def __exit__(self, *_: object) -> None:
        self.network.observer = self.events.listener = None
        root = logging.getLogger()
        if self._log_before is not None:
            root.handlers, level = self._log_before
            root.setLevel(level)
        for life in self.network.all_lives:
            life.end()
            discard(life)
        self.loop.close()

    def run(self, host: str, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run until a coroutine on a host has ended, and return its result."""
        life = self.network.lives.get(host) or self.network.boot(host)
        return self.loop.run_until_complete(life.start(coroutine))

    def process_ended(self, host: str, exit_code: int) -> None:
        """A host's process ended by itself; its sockets are closed for it."""
        self.events.note(host, f"ends with exit code {exit_code}")
        self.network.kill(host)
        if self.ended is not None:
            self.ended(host, exit_code)
