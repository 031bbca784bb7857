"""When a snapshot is due and no process can be had for it."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any, cast

import pytest

from zkserver.base.config import defaults
from zkserver.runtime.snapshots import Snapshots
from zkserver.server.server import Server
from zkserver.storage.layout import Layout


def test_without_a_process_the_server_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_fork() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", no_fork)
    server: Any = SimpleNamespace(stats=SimpleNamespace(snapshot_errors=0))
    rolled: list[bool] = []
    failed: list[object] = []
    snapshots = Snapshots(
        defaults(snap_count=2),
        Layout.of("/data"),
        cast(Server, server),
        lambda: rolled.append(True),
        failed.append,
    )
    for _ in range(2):
        snapshots.committed(5, 0)
    assert server.stats.snapshot_errors == len(rolled) == 2
    assert not failed
