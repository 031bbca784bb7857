"""How late the event loop is: what the JVM pause monitor is to Java's server.

Whatever holds the loop up (a long step of the server's own, a stopped process, a machine without
time to spare) delays every client, and shows in a timer that comes late. Ten times a second that
is measured, for the metric event_loop_lag_ms.

With jvm.pause.monitor=true it is measured every jvm.pause.sleep.time.ms, counts as
jvm_pause_time_ms too, and a pause above jvm.pause.info-threshold.ms or
jvm.pause.warn-threshold.ms is one line of the log.

Real processes alone are watched: `runtime.main` starts it, the simulated world does not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from zkserver.base.config import Config
from zkserver.runtime import clock
from zkserver.runtime.logs import get_log
from zkserver.server.stats import ServerStats

log = get_log("server")

LOOK_MS = 100


class LoopWatch:
    """`stats` get what is seen; `precise_ms` is the monotonic clock."""

    def __init__(
        self,
        config: Config,
        loop: asyncio.AbstractEventLoop,
        stats: ServerStats,
        precise_ms: Callable[[], float] = clock.precise_ms,
    ) -> None:
        self._config = config
        self._loop = loop
        self._stats = stats
        self._precise_ms = precise_ms
        self._is_monitor = config.jvm_pause_monitor
        sleep_ms = config.jvm_pause_sleep_time_ms
        self._look_ms = sleep_ms if self._is_monitor and sleep_ms > 0 else LOOK_MS
        self._due_ms = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Look from now on."""
        self._due_ms = self._precise_ms() + self._look_ms
        self._timer = self._loop.call_later(self._look_ms / 1000, self._look)

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        late_ms = max(round(self._precise_ms() - self._due_ms), 0)
        self._stats.loop_lag.record(1, late_ms)
        if self._is_monitor:
            self._stats.pauses.record(1, late_ms)
            if late_ms > self._config.jvm_pause_warn_threshold_ms:
                log.warn("the event loop paused", pause_ms=late_ms)
            elif late_ms > self._config.jvm_pause_info_threshold_ms:
                log.info("the event loop paused", pause_ms=late_ms)
        self.start()
