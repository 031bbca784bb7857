"""The snapshot tools beside Apache's: the same bytes on standard output."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.apache import java_command
from tests.tools import snapshots
from tests.tools.conftest import Tool

pytestmark = pytest.mark.usefixtures("apache_installed")

MAINS = {
    "zkSnapShotToolkit.sh": "SnapshotFormatter",
    "zkSnapshotRecursiveSummaryToolkit.sh": "SnapshotRecursiveSummary",
    "zkSnapshotComparer.sh": "SnapshotComparer",
}
GOLDEN = Path(__file__).parents[1] / "golden" / "storage"
LOOKS = "\n\n-2\nx\n/\n/a\n/sec\n/zookeeper\n99\n \n2\n0\n+1\n/nothing\n2\n\n"


@pytest.fixture(name="plain", scope="module")
def _plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = snapshots.random_tree(1, 400, snapshots.plain_name)
    return snapshots.save(tmp_path_factory.mktemp("plain"), tree, serialize_last_zxid=False)


@pytest.fixture(name="odd", scope="module")
def _odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = snapshots.random_tree(2, 300, snapshots.odd_name)
    return snapshots.save(tmp_path_factory.mktemp("odd"), tree)


def check_same(tool: Tool, name: str, *arguments: object, answers: str = "") -> None:
    command = java_command(f"org.apache.zookeeper.server.{MAINS[name]}", *map(str, arguments))
    theirs = subprocess.run(command, input=answers.encode(), capture_output=True, timeout=60)
    if b"Could not find or load main class" in theirs.stderr:
        pytest.skip(f"this version of Apache ZooKeeper has no {MAINS[name]}")
    ours = tool(name, *arguments, answers=answers)
    assert unclocked(ours.out) == unclocked(theirs.stdout.decode())
    assert (ours.code, ours.err) == (0, "")
    assert theirs.returncode == 0


def unclocked(text: str) -> str:
    """The output without how long it took and when it was."""
    return re.sub(r' in \d+\.\d{6} seconds|(?<="timestamp":)\d+', "", text)


@pytest.mark.parametrize("options", [(), ("-d",), ("-json",)])
def test_a_snapshot_of_apache_s(tool: Tool, options: tuple[str, ...]) -> None:
    check_same(tool, "zkSnapShotToolkit.sh", *options, GOLDEN / "snapshot.14.snappy")


def test_wide_and_deep_trees(tool: Tool, plain: Path, odd: Path) -> None:
    check_same(tool, "zkSnapShotToolkit.sh", plain)
    check_same(tool, "zkSnapShotToolkit.sh", "-json", odd)


def test_a_name_that_tells_no_zxid(tool: Tool, plain: Path, tmp_path: Path) -> None:
    unnamed = tmp_path / "unnamed"
    unnamed.write_bytes(plain.read_bytes())
    check_same(tool, "zkSnapShotToolkit.sh", "-d", unnamed)


@pytest.mark.parametrize(("start", "depth"), [("/", 0), ("", 2)])
def test_the_recursive_summary(tool: Tool, odd: Path, start: str, depth: int) -> None:
    check_same(tool, "zkSnapshotRecursiveSummaryToolkit.sh", odd, start, depth)


def test_the_comparison(tool: Tool, plain: Path, odd: Path) -> None:
    name = "zkSnapshotComparer.sh"
    check_same(tool, name, "-l", odd, "-r", plain, "-b", 100, "-n", 2, "-d")
    check_same(tool, name, "--left", plain, f"--right={plain}", "-b", -1, "-n", -1)


@pytest.mark.parametrize("options", [("-i",), ("-id",)])
def test_looking_around(tool: Tool, options: tuple[str, ...]) -> None:
    files = "-l", GOLDEN / "snapshot.0", "-r", GOLDEN / "snapshot.14.gz"
    check_same(
        tool, "zkSnapshotComparer.sh", *files, "-b", 1, "-n", 1, *options, answers=LOOKS
    )
