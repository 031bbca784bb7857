"""When a snapshot is due and no process can be had for it."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.support.quiet_server import QuietServer
from zkserver.base.config import defaults
from zkserver.base.errors import ExitCode, FatalError
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
        lambda: rolled.append(True),
        failed.append,
    )
    snapshots.use(cast(Server, server))
    for _ in range(2):
        snapshots.committed(5, 0)
    assert server.stats.snapshot_errors == len(rolled) == 2
    assert not failed


def test_a_tree_that_is_not_what_its_digest_says_gets_no_snapshot(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In this process, as where there is no fork."""
    monkeypatch.delattr(os, "fork")
    layout = Layout.of(str(tmp_path))
    (tmp_path / "version-2").mkdir()
    quiet = QuietServer()
    failed: list[FatalError] = []
    snapshots = Snapshots(
        defaults(data_dir=str(tmp_path)), layout, lambda: None, failed.append
    )
    snapshots.use(quiet.server)
    snapshots.take()
    assert not failed
    assert len(list((tmp_path / "version-2").iterdir())) == 1
    quiet.tree.digest ^= 1
    # Within a minute the sum is not made again.
    snapshots.take()
    assert not failed
    fresh = Snapshots(
        defaults(data_dir=str(tmp_path)), layout, lambda: None, failed.append
    )
    fresh.use(quiet.server)
    fresh.take()
    assert [error.exit_code for error in failed] == [ExitCode.TXNLOG_ERROR_TAKING_SNAPSHOT]
    assert len(list((tmp_path / "version-2").iterdir())) == 1
