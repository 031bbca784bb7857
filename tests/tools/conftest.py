"""A tool run in this process, by the name of its script or as a command of `zkserver`."""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from zkserver.cli import java_names, main

ENTRIES: dict[str, Callable[[list[str]], None]] = {
    "zkserver": main.main,
    "zkTxnLogToolkit.sh": java_names.txn_log_toolkit,
    "zkSnapShotToolkit.sh": java_names.snapshot_toolkit,
    "zkSnapshotRecursiveSummaryToolkit.sh": java_names.snapshot_recursive_summary,
    "zkSnapshotComparer.sh": java_names.snapshot_comparer,
    "zkCleanup.sh": java_names.cleanup,
    "zkServer-initialize.sh": java_names.server_initialize,
}


class Done(NamedTuple):
    """What a tool left behind."""

    code: int
    out: str
    err: str


Tool = Callable[..., Done]


@pytest.fixture(name="tool")
def _tool(capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Tool:
    """`tool(name, *arguments, answers="")`."""

    def run(name: str, *arguments: object, answers: str = "") -> Done:
        monkeypatch.setattr(sys, "stdin", io.StringIO(answers))
        capfdbinary.readouterr()
        with pytest.raises(SystemExit) as ended:
            ENTRIES[name]([str(argument) for argument in arguments])
        out, err = capfdbinary.readouterr()
        code = ended.value.code
        return Done(int(code) if isinstance(code, int) else 0, out.decode(), err.decode())

    return run


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Both tools print local time; the expected lines are of UTC."""
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    for name in [name for name in os.environ if name.startswith("ZOO")]:
        monkeypatch.delenv(name)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()
