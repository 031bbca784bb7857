"""The C client library (Debian's libzookeeper-mt-dev), unchanged, against both servers."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.apache import ApacheServer, apache_available
from tests.support.zkserver_process import subject_server

SOURCE = Path(__file__).resolve().parents[1] / "support" / "c_client.c"
HEADER = Path("/usr/include/zookeeper/zookeeper.h")
WAIT_S = 60


@pytest.fixture(name="program", scope="module")
def _program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not HEADER.exists():
        pytest.skip("the C client library is not installed: make peers")
    program = tmp_path_factory.mktemp("c") / "c_client"
    command = [compiler, "-Wall", "-o", str(program), str(SOURCE), "-lzookeeper_mt", "-lpthread"]
    subprocess.run(command, check=True)
    return program


def told(program: Path, port: int) -> list[str]:
    """What the program prints when it is pointed at a server."""
    done = subprocess.run(
        [str(program), f"127.0.0.1:{port}"], capture_output=True, text=True, timeout=WAIT_S
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def test_the_story_is_the_same_on_both_servers(program: Path, tmp_path: Path) -> None:
    with subject_server(tmp_path / "zkserver") as server:
        ours = told(program, server.port)
    assert "data two!" in ours
    assert "named /c/s-0000000001" in ours
    assert ours[-2:] == ["gone: -101", "close: 0"]
    if not apache_available():
        pytest.skip("zkserver alone passed; Apache ZooKeeper is not installed: make peers")
    with ApacheServer(tmp_path / "apache") as server:
        assert told(program, server.port) == ours
