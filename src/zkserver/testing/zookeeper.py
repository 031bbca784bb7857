"""`ZooKeeper`: one standalone server for a test.

    with ZooKeeper() as zk:
        client = KazooClient(zk.hosts)

It runs the production server in a thread, in memory unless it is given a folder, on a free port of
the loopback address. Its clock may be put on (`advance`), its sessions may be ended (`expire`).
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from zkserver.base.config import Config
from zkserver.testing import sessions
from zkserver.testing.advancing import advance
from zkserver.testing.aio import AsyncZooKeeper
from zkserver.testing.clock import Clock
from zkserver.testing.errors import TestingError
from zkserver.testing.life import LIMIT_S, Hosted, Life
from zkserver.testing.loop import ServerLoop
from zkserver.testing.machine import TestingMachine
from zkserver.testing.processes import HostedStandalone
from zkserver.testing.scope import Scope
from zkserver.testing.server import DEFAULT_TICK_TIME_MS, Session, TestServer, session_id_of
from zkserver.testing.watch import Watch


class ZooKeeper(TestServer, Scope[AsyncZooKeeper]):
    """One server. A context manager, with `with` and with `async with`.

    `data_dir`: a folder for its files, which stay; None: in memory. `tick_time_ms`: the shortest
    session timeout is twice that. `properties`: keys of zoo.cfg, or Java properties by their full
    names, with values as text.
    """

    def __init__(
        self,
        *,
        data_dir: str | Path | None = None,
        tick_time_ms: int = DEFAULT_TICK_TIME_MS,
        properties: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(
            "zookeeper", data_dir, tick_time_ms, properties or {}, Clock(), Watch()
        )

    def _make_process(
        self, config: Config, loop: ServerLoop, machine: TestingMachine, *, held: bool
    ) -> Hosted:
        return HostedStandalone(config, loop, machine, self._watch, held=held)

    def start(self) -> None:
        """Begin to serve. Raises ServerFailedError if the server cannot."""
        if self.is_running:
            raise TestingError(f"{self.name} runs already")
        self.forget_failures()
        with ExitStack() as undoing:
            undoing.callback(self.release)
            self.begin()
            undoing.pop_all()

    def close(self) -> None:
        """End the server and give its port back. Raises what made it give up, if it has."""
        try:
            self.end(Life.stop)
        finally:
            self.release()
        if self.failures:
            raise self.failures[0]

    @property
    def aio(self) -> AsyncZooKeeper:
        """The same with coroutines, for a test that is one and has this from a fixture."""
        return AsyncZooKeeper(self)

    # Sessions and time

    def expire(self, session: Session) -> None:
        """End a session as if its client had been silent for too long.

        Its ephemeral znodes are gone when this returns. Raises ValueError if there is no such
        session.
        """
        sessions.expire(self, [self], self._watch, session_id_of(session))

    def advance(
        self, ms: int = 0, *, ticks: int = 0, heartbeats: bool = True
    ) -> None:
        """Put the server's clocks on, and do all that falls due meanwhile.

        Sessions without a connection expire when their timeout is over; connected clients are
        taken to have sent heartbeats meanwhile, unless `heartbeats` is false. TTL znodes and
        containers go when their time has come.
        """
        by_ms = ms + ticks * self._tick_time_ms
        advance(self._clock, [self], by_ms, self._tick_time_ms, heartbeats=heartbeats)
        sessions.wait_until_applied(self, [self], self._watch, LIMIT_S)
