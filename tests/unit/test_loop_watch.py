"""The event loop's lag, on a loop and a clock that the test moves."""

from zkserver.base.config import defaults
from zkserver.runtime import loop_watch
from zkserver.runtime.loop_watch import LOOK_MS, LoopWatch
from zkserver.server.stats import ServerStats


class HandLoop:
    """One timer, run when the test says so."""

    def __init__(self):
        self.delay_s = 0.0
        self.look = None

    def call_later(self, delay_s, look):
        self.delay_s, self.look = delay_s, look
        return self

    def cancel(self):
        self.look = None


def watch(lags_ms, **settings):
    loop, stats, clock_ms = HandLoop(), ServerStats(), [5.0]
    config = defaults(data_dir="/none", client_port=0, **settings)
    found = LoopWatch(config, loop, stats, lambda: clock_ms[0])
    found.start()
    for lag_ms in lags_ms:
        clock_ms[0] += loop.delay_s * 1000 + lag_ms
        loop.look()
    found.stop()
    assert loop.look is None
    return loop, stats


def test_lag_is_measured_and_nothing_is_said(monkeypatch):
    said = []
    monkeypatch.setattr(loop_watch, "log", said)
    loop, stats = watch([0, 3, 20_000])
    assert loop.delay_s == LOOK_MS / 1000
    assert (stats.loop_lag.count, stats.loop_lag.total, stats.loop_lag.largest) == (3, 20_003, 20_000)
    assert stats.pauses.count == 0


def test_the_monitor_says_what_is_above_its_thresholds(monkeypatch):
    said = []

    class Log:
        def info(self, message, **fields):
            said.append(("info", message, fields))

        def warn(self, message, **fields):
            said.append(("warn", message, fields))

    monkeypatch.setattr(loop_watch, "log", Log())
    loop, stats = watch(
        [900, 1001, 10_001],
        jvm_pause_monitor=True,
        jvm_pause_sleep_time_ms=500,
    )
    assert loop.delay_s == 0.5
    assert said == [
        ("info", "the event loop paused", {"pause_ms": 1001}),
        ("warn", "the event loop paused", {"pause_ms": 10_001}),
    ]
    assert stats.pauses.count == stats.loop_lag.count == 3
