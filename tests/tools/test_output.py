"""How tools treat their terminals and pipes."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.histories import entries
from tests.support.zkserver_process import ROOT
from tests.tools import logs
from tests.tools.conftest import Tool
from zkserver.cli import log_tool

COMMAND = [sys.executable, "-m", "zkserver.cli.main", "log"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "TERM": "xterm", "COLUMNS": "100"}


@pytest.fixture(name="large", scope="module")
def _large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("large") / "log.1"
    path.write_bytes(logs.log_of(entries(1, 20)))
    os.truncate(path, 20_000_000)
    return path


def seen_on_terminal(*arguments: str, stdout: int | None) -> tuple[bytes, bytes]:
    """Standard output (b"" on a terminal) and all that a terminal got."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=slave if stdout is None else stdout,
        stderr=slave,
        env=ENVIRONMENT,
    )
    os.close(slave)
    shown = b""
    with process, os.fdopen(master, "rb", buffering=0) as terminal:
        try:
            while piece := terminal.read(65536):
                shown += piece
        except OSError:
            pass  # The other end is closed.
        out = process.stdout.read() if process.stdout else b""
    assert process.returncode == 0
    return out, shown


def test_a_bar_on_a_terminal_and_only_there(large: Path, tool: Tool) -> None:
    out, shown = seen_on_terminal("verify", str(large), stdout=subprocess.PIPE)
    assert b"Verifying" in shown
    assert out.startswith(f"{large}: good, 20 transactions".encode())
    done = tool("zkserver", "log", "verify", large)
    assert (done.out.encode(), done.err) == (out, "")


def test_no_bar_where_results_would_run_over_it(large: Path) -> None:
    _, shown = seen_on_terminal("view", str(large), stdout=None)
    assert b"Reading" not in shown
    assert shown.endswith(b"EOF reached after 20 txns.\r\n")


def test_a_reader_that_has_enough(tmp_path: Path) -> None:
    path = tmp_path / "log.1"
    path.write_bytes(logs.log_of(entries(1, 5000)))
    process = subprocess.Popen(
        [*COMMAND, "view", str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
    )
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith(b"ZooKeeper Transactional Log File")
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


def test_a_full_disk_is_one_line_and_leaves_no_file(
    tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log.1"
    path.write_bytes(logs.log_of(entries(1, 5)))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "log.1.fixed")

    monkeypatch.setattr(log_tool, "_put", full)
    done = tool("zkserver", "log", "repair", path)
    assert done.code == 1
    assert done.err == "log.1.fixed: No space left on device\n"
    assert list(tmp_path.iterdir()) == [path]


def test_ctrl_c_ends_quietly(tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log.1"
    path.write_bytes(logs.log_of(entries(1, 5)))

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(log_tool, "_put", interrupted)
    done = tool("zkTxnLogToolkit.sh", "-r", path)
    assert (done.code, done.err) == (130, "")
    assert list(tmp_path.iterdir()) == [path]
