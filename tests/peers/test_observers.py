"""Observers that wait before they connect."""

from __future__ import annotations

import time
from pathlib import Path

from tests.support.ensemble_processes import EnsembleProcesses, mode_of
from tests.support.mixed import eventually, line_count, log_of


def test_an_observer_that_waits_serves_later_and_ends_at_once(tmp_path: Path) -> None:
    ensemble = EnsembleProcesses(
        tmp_path, "zzz", observers=1, cfg={"observer.reconnectDelayMs": "2000"}
    )
    with ensemble:
        assert ensemble.modes()[3] == "observer"
        observer = ensemble.server(3)
        assert line_count(observer, "waits before it connects") >= 1
        observer.stop()
        observer.cfg["observer.reconnectDelayMs"] = str(10**9)
        before = line_count(observer, "waits before it connects")
        observer.launch()
        eventually(lambda: line_count(observer, "waits before it connects") > before)
        assert mode_of(observer.port) == ""
        began_s = time.monotonic()
        assert observer.stop() == 0
        assert time.monotonic() - began_s < 5
        assert "Traceback" not in log_of(observer)
