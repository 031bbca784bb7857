"""A real disk that fills up: the server ends loudly, and goes on where there is room again."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from kazoo.client import KazooClient
from kazoo.exceptions import KazooException

from tests.support.server_process import STOP_TIMEOUT_S, ServerProcess
from tests.support.zkserver_process import subject_server

PARENT = "/filling"
BATCH = 25
WAIT_S = 30
REPLY_WAIT_S = 3


@pytest.fixture(name="small_disk")
def _small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB; only root may make one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs root, to mount a small file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill(server: ServerProcess) -> set[str]:
    """Create znodes until the server is gone; the names of those that it acknowledged."""
    client = KazooClient(f"127.0.0.1:{server.port}", timeout=10)
    client.start(timeout=WAIT_S)
    client.create(PARENT)
    acknowledged = set()
    # What is asked while nobody is there waits for good.
    with suppress(KazooException, client.handler.timeout_exception):
        for start in range(0, 10_000, BATCH):
            names = [f"{number:05}" for number in range(start, start + BATCH)]
            replies = [client.create_async(f"{PARENT}/{name}", bytes(2000)) for name in names]
            for name, reply in zip(names, replies, strict=True):
                reply.get(timeout=REPLY_WAIT_S)
                acknowledged.add(name)
    client.stop()
    client.close()
    return acknowledged


def ends_with(server: ServerProcess) -> int:
    """The exit code with which the server ends by itself."""
    assert server.process is not None
    return server.process.wait(STOP_TIMEOUT_S)


def goes_on_with_room(server: ServerProcess, disk: Path, acknowledged: set[str]) -> None:
    """Give the disk room and see that the server has everything and takes more."""
    subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
    server.start()
    client = KazooClient(f"127.0.0.1:{server.port}", timeout=10)
    client.start(timeout=WAIT_S)
    assert acknowledged <= set(client.get_children(PARENT))
    client.create("/after")
    client.stop()
    client.close()


def test_a_log_that_finds_no_room(tmp_path: Path, small_disk: Path) -> None:
    with subject_server(tmp_path / "server", data_dir=small_disk) as server:
        acknowledged = fill(server)
        assert acknowledged
        assert ends_with(server) == 10
        assert "cannot write the transaction log" in server.log_tail()
        assert "No space left on device" in server.log_tail()
        # Still no room: it says so again rather than serve.
        server.launch()
        assert ends_with(server) == 10
        goes_on_with_room(server, small_disk, acknowledged)


def test_a_snapshot_that_finds_no_room(tmp_path: Path, small_disk: Path) -> None:
    cfg = {"snapCount": "200"}
    with subject_server(tmp_path / "server", cfg=cfg, data_dir=small_disk) as server:
        acknowledged = fill(server)
        assert acknowledged
        assert ends_with(server) == 10
        # The log may be the first to run into the wall, beside the snapshot.
        assert "No space left on device" in server.log_tail()
        goes_on_with_room(server, small_disk, acknowledged)
