"""The log tool beside Apache's TxnLogToolkit: the same lines, the same files."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

from tests.support.apache import java_command
from tests.support.histories import History
from tests.tools import logs
from tests.tools.conftest import Tool
from zkserver.tree.tree import DataTree

pytestmark = pytest.mark.usefixtures("apache_installed")

MAIN = "org.apache.zookeeper.server.persistence.TxnLogToolkit"
GOLDEN = Path(__file__).parents[1] / "golden" / "storage" / "log.1"
SCRIPT = "zkTxnLogToolkit.sh"


def apache(*arguments: object, answers: str = "") -> tuple[int, str]:
    """Exit code and standard output of Apache's program."""
    done = subprocess.run(
        java_command(MAIN, *map(str, arguments)),
        input=answers.encode(),
        capture_output=True,
        timeout=60,
    )
    # 3.8 has another name for this one.
    return done.returncode, done.stdout.decode().replace("createTtl", "createTTL")


def history_log(path: Path) -> Path:
    history = History(random.Random(11), DataTree())
    for _ in range(150):
        history.step()
    path.write_bytes(logs.log_of(history.log))
    return path


def every_type_log(path: Path) -> Path:
    path.write_bytes(logs.log_of(logs.every_type()))
    return path


def damaged_log(path: Path) -> Path:
    entries = logs.every_type()
    places = logs.offsets(entries)
    data = logs.log_of(entries)
    for index, within in ((0, 49), (4, 49), (8, 20)):
        data = logs.flipped(data, places[index] + within)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("make", [history_log, every_type_log, damaged_log, None])
def test_the_dump_is_the_same(tool: Tool, tmp_path: Path, make) -> None:  # type: ignore[no-untyped-def]
    path = GOLDEN if make is None else make(tmp_path / "log.1")
    code, out = apache("-d", path)
    done = tool(SCRIPT, "-d", path)
    assert done.out == out
    assert code == 0
    assert done.code == (make is damaged_log)


@pytest.mark.parametrize("options", [("-r", "-y"), ("-rv",)])
def test_the_recovered_file_is_the_same(
    tool: Tool, tmp_path: Path, options: tuple[str, ...]
) -> None:
    path = damaged_log(tmp_path / "log.1")
    fixed = Path(f"{path}.fixed")
    answers = "n huh\nY\nYes\n"
    expected = apache(*options, path, answers=answers)
    theirs = fixed.read_bytes()
    fixed.unlink()
    done = tool(SCRIPT, *options, path, answers=answers)
    assert (done.code, done.out) == expected
    ours = fixed.read_bytes()
    assert theirs.startswith(ours)
    assert not theirs[len(ours) :].strip(b"\0")


def test_the_chopped_file_is_the_same(tool: Tool, tmp_path: Path) -> None:
    path = history_log(tmp_path / "log.1")
    chopped = Path(f"{path}.chopped70")
    expected = apache("-c", "-z", "70", path)
    theirs = chopped.read_bytes()
    chopped.unlink()
    done = tool(SCRIPT, "-c", "-z", "70", path)
    assert (done.code, done.out) == expected
    assert chopped.read_bytes() == theirs


def test_apache_reads_what_was_repaired(tool: Tool, tmp_path: Path) -> None:
    path = damaged_log(tmp_path / "log.1")
    place = logs.offsets(logs.every_type())[2]
    path.write_bytes(logs.flipped(path.read_bytes(), place + 10))
    assert tool(SCRIPT, "-r", "-y", path).code == 1
    code, out = apache(f"{path}.fixed")
    assert code == 0
    assert "CRC ERROR" not in out
    assert out.endswith(f"EOF reached after {len(logs.BODIES) - 1} txns.\n")
