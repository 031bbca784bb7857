"""Purge and initialise: what happens to data directories."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.apache import run_java
from tests.tools import snapshots
from tests.tools.conftest import Tool
from zkserver.storage.layout import Layout
from zkserver.tree.tree import DataTree

PURGE_MAIN = "org.apache.zookeeper.server.PurgeTxnLog"
SNAPSHOTS = (0, 10, 20, 30, 40)
LOGS = (1, 11, 21, 31, 41)
WHEN = "Mar 5, 2024, 7:08:09 AM"
WHEN_S = 1_709_622_489
# A process whose command line tells of a server.
STAND_IN = "# zkserver stand-in\nimport sys; sys.stdin.read()"


@pytest.fixture(name="layout")
def _layout(tmp_path: Path) -> Layout:
    """A server's directories with five snapshots, five logs, and zoo.cfg beside them."""
    data, logs = tmp_path / "data", tmp_path / "logs"
    layout = Layout.of(str(data), str(logs))
    whole = snapshots.save(data, DataTree())
    Path(layout.log_folder).mkdir(parents=True)
    for zxid in SNAPSHOTS:
        Path(layout.snapshot_path(f"snapshot.{zxid:x}")).write_bytes(whole.read_bytes())
    for zxid in LOGS:
        Path(layout.log_path(f"log.{zxid:x}")).write_bytes(b"ZKLG")
    for path in (*data.rglob("*.*"), *logs.rglob("*.*")):
        os.utime(path, (WHEN_S, WHEN_S))
    (tmp_path / "zoo.cfg").write_text(f"dataDir={data}\ndataLogDir={logs}\nclientPort=2181\n")
    return layout


def names(layout: Layout) -> list[str]:
    return sorted([*os.listdir(layout.snapshot_folder), *os.listdir(layout.log_folder)])


OLD = ("snapshot.0", "snapshot.a", "log.1")


def removing(layout: Layout, word: str = "Removing") -> list[str]:
    old_snapshots = [layout.snapshot_path(name) for name in OLD[:2]]
    return [f"{word} file: {WHEN}\t{path}" for path in (*old_snapshots, layout.log_path(OLD[2]))]


def test_purge_by_the_configuration(tool: Tool, layout: Layout, tmp_path: Path) -> None:
    before = names(layout)
    done = tool("zkserver", "purge", "--dry-run", tmp_path / "zoo.cfg")
    assert done == (0, "".join(f"{line}\n" for line in removing(layout, "Would remove")), "")
    assert names(layout) == before
    done = tool("zkserver", "purge", tmp_path / "zoo.cfg")
    assert done == (0, "".join(f"{line}\n" for line in removing(layout)), "")
    assert names(layout) == sorted(set(before) - set(OLD))
    assert tool("zkserver", "--config", tmp_path, "purge") == (0, "", "")


def test_the_count_of_the_configuration_or_of_the_command(
    tool: Tool, layout: Layout, tmp_path: Path
) -> None:
    before = names(layout)
    with (tmp_path / "zoo.cfg").open("a") as cfg:
        cfg.write("autopurge.snapRetainCount=5\n")
    assert tool("zkserver", "purge", tmp_path / "zoo.cfg").out == ""
    assert names(layout) == before
    done = tool("zkserver", "purge", "--retain", 4, tmp_path / "zoo.cfg")
    assert [line.rpartition("/")[2] for line in done.out.splitlines()] == ["snapshot.0"]


@pytest.mark.parametrize("arguments", [("logs", "data", "-n", "3"), ("-n", "3")])
def test_purge_under_apache_s_name(
    tool: Tool,
    layout: Layout,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ZOOCFGDIR", str(tmp_path))
    done = tool("zkCleanup.sh", *arguments)
    assert (done.code, done.err) == (0, "")
    assert len(done.out.splitlines()) == 3
    assert not set(OLD) & set(names(layout))
    assert tool("zkserver", "purge", "--data-dir", "data", "--data-log-dir", "logs").out == ""


@pytest.mark.usefixtures("apache_installed")
def test_apache_removes_the_same(tool: Tool, layout: Layout, tmp_path: Path) -> None:
    copies = Layout.of(str(tmp_path / "copy"), str(tmp_path / "copylogs"))
    for ours, theirs in (("data", "copy"), ("logs", "copylogs")):
        subprocess.run(["cp", "-a", tmp_path / ours, tmp_path / theirs], check=True)
    done = run_java(
        PURGE_MAIN, str(tmp_path / "copylogs"), str(tmp_path / "copy"), "-n", "3", timeout=60
    )
    ours = tool("zkCleanup.sh", tmp_path / "logs", tmp_path / "data", "-n", 3)
    assert names(layout) == names(copies)
    lines = done.stdout.replace("/copylogs/", "/logs/").replace("/copy/", "/data/").splitlines()
    assert sorted(ours.out.splitlines()) == sorted(lines)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Usage:\nPurgeTxnLog dataLogDir [snapDir] -n count"),
        (["d"], "Usage:"),
        (["d", "3"], "Usage:"),
        (["d", "-m", "3"], "Usage:"),
        (["a", "b", "c", "-n", "3"], "Usage:"),
        (["d", "-n", "x"], "count: 'x' is no number of snapshots\nUsage:"),
        (["d", "-n", "2"], "count: 2: at least 3 snapshots must be kept\nUsage:"),
        (["nowhere", "-n", "3"], "/nowhere' does not exist."),
    ],
)
def test_bad_use_of_a_purge(tool: Tool, arguments: list[str], message: str) -> None:
    done = tool("zkCleanup.sh", *arguments)
    assert (done.code, done.out) == (1, "")
    assert message in done.err


def test_a_purge_refuses_directories_that_are_no_server_s(
    tool: Tool, layout: Layout, tmp_path: Path
) -> None:
    before = names(layout)
    swapped = tool("zkCleanup.sh", tmp_path / "data", tmp_path / "logs", "-n", 3)
    assert swapped.code == 3
    assert "which belong in the other folder" in swapped.err
    empty = tmp_path / "empty"
    empty.mkdir()
    done = tool("zkserver", "purge", "--data-dir", empty)
    assert done.code == 3
    assert "version-2 is missing" in done.err
    assert list(empty.iterdir()) == []
    assert names(layout) == before


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nowhere.cfg"], 2, "nowhere.cfg: No such file"),
        (["-n", "2", "zoo.cfg"], 1, "--retain: 2: at least 3"),
        (["-n", "two", "zoo.cfg"], 2, "not a valid integer"),
        (["--data-dir", "data", "zoo.cfg"], 2, "--data-dir is for a purge without CFG"),
        (["--data-log-dir", "logs"], 2, "--data-log-dir needs --data-dir"),
    ],
)
def test_bad_options_of_a_purge(
    tool: Tool,
    layout: Layout,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    before = names(layout)
    done = tool("zkserver", "purge", *arguments)
    assert done.code == code
    assert message in done.err
    assert names(layout) == before


@pytest.fixture(name="cfg")
def _cfg(tmp_path: Path) -> Path:
    cfg = tmp_path / "zoo.cfg"
    cfg.write_text(f"dataDir = {tmp_path}/new/data\ndataLogDir={tmp_path}/new/logs\n")
    return cfg


def files(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text() if path.is_file() else "folder"
        for path in sorted(folder.rglob("*"))
    }


MADE = {
    "data": "folder",
    "data/initialize": "",
    "data/myid": "7\n",
    "data/version-2": "folder",
    "logs": "folder",
    "logs/initialize": "",
    "logs/version-2": "folder",
}


def test_initialize_makes_what_a_server_needs(tool: Tool, cfg: Path, tmp_path: Path) -> None:
    done = tool("zkserver", "initialize", "--myid", 7, cfg)
    assert done == (0, "Using myid of 7\n", "")
    assert files(tmp_path / "new") == MADE


def test_initialize_keeps_data_unless_forced(tool: Tool, cfg: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    for folder in ("data", "logs"):
        (new / folder / "version-2").mkdir(parents=True)
        (new / folder / "version-2" / "precious").write_text("x")
        (new / folder / "myid").write_text("3\n")
        (new / folder / "mine").write_text("mine")
    before = files(new)
    done = tool("zkServer-initialize.sh", f"--configfile={cfg}", "--myid=7")
    assert (done.code, done.out) == (1, "")
    assert done.err == (
        f"ZooKeeper data directory already exists at {new}/data "
        "(or use --force to force re-initialization)\n"
    )
    assert files(new) == before
    (new / "data" / "version-2").rename(new / "data" / "moved")
    done = tool("zkServer-initialize.sh", "--configfile", cfg, "--myid", "7")
    assert "ZooKeeper txnlog directory already exists" in done.err
    (new / "data" / "moved").rename(new / "data" / "version-2")
    done = tool("zkServer-initialize.sh", "--configfile", cfg, "--myid", "7", "--force")
    assert done == (
        0,
        "Force enabled, data/txnlog directories will be re-initialized\nUsing myid of 7\n",
        "",
    )
    assert files(new) == {**MADE, "data/mine": "mine", "logs/mine": "mine"}


def test_a_data_directory_that_is_a_link_is_let_go_and_not_followed(
    tool: Tool, cfg: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").write_text("x")
    (tmp_path / "new" / "data").mkdir(parents=True)
    (tmp_path / "new" / "data" / "version-2").symlink_to(elsewhere)
    assert tool("zkserver", "initialize", "--force", cfg).code == 0
    assert (elsewhere / "precious").read_text() == "x"
    assert (tmp_path / "new" / "data" / "version-2").is_dir()


def test_without_a_number_and_from_the_configuration_directory(
    tool: Tool, cfg: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOOCFGDIR", str(tmp_path))
    cfg.write_text(f"dataDir={tmp_path}/new/data\n")
    done = tool("zkServer-initialize.sh")
    assert done.code == 0
    assert f"No myid provided, be sure to specify it in {tmp_path}/new/data/myid" in done.out
    assert "data/myid" not in files(tmp_path / "new")


@pytest.fixture(name="running")
def _running() -> Iterator[int]:
    """The id of a process that looks like a server."""
    with subprocess.Popen(
        [sys.executable, "-c", STAND_IN], stdin=subprocess.PIPE
    ) as process:
        deadline = time.monotonic() + 10
        while b"zkserver" not in Path(f"/proc/{process.pid}/cmdline").read_bytes():
            assert time.monotonic() < deadline
        yield process.pid
        process.kill()


def test_a_running_server_keeps_its_data(
    tool: Tool, cfg: Path, tmp_path: Path, running: int
) -> None:
    data = tmp_path / "new" / "data"
    (data / "version-2").mkdir(parents=True)
    (data / "zookeeper_server.pid").write_text(str(running))
    done = tool("zkserver", "initialize", "--force", cfg)
    assert (done.code, done.out) == (1, "")
    assert f"process {running} of {data}/zookeeper_server.pid is running: stop it" in done.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--nothing"], "Unknown option: --nothing\nusage: zkServer-initialize.sh"),
        (["--force=1"], "Unknown option: --force=1"),
        (["--myid"], "--myid needs a value"),
        (["--myid=one", "--configfile=zoo.cfg"], "myid 'one' is no number"),
        (["--configfile=nowhere.cfg"], "Unable to find config file at nowhere.cfg"),
        (["--configfile=empty.cfg"], "Unable to determine dataDir from empty.cfg"),
    ],
)
def test_bad_use_of_initialize(
    tool: Tool,
    cfg: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.cfg").write_text("clientPort=2181\n")
    done = tool("zkServer-initialize.sh", *arguments)
    assert (done.code, done.out) == (1, "")
    assert message in done.err
    assert cfg.exists()
    assert not (tmp_path / "new").exists()


def test_the_usage_of_initialize(tool: Tool) -> None:
    done = tool("zkServer-initialize.sh", "--help")
    assert done.code == 1
    assert done.out.startswith("usage: zkServer-initialize.sh <parameters>\n")
