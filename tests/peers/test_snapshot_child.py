"""The child that writes a snapshot, when its server ends before it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kazoo.client import KazooClient

from tests.support.server_process import ServerProcess, four_letter_word
from tests.support.zkserver_process import subject_server

ZNODES = 4000
WAIT_S = 30
# Incompressible, so that gzip takes a moment over them.
PIECE_BYTES = 4000


@pytest.fixture(name="slow")
def _slow(tmp_path: Path) -> Iterator[ServerProcess]:
    """A stopped server whose next start writes a snapshot that takes a while."""
    server = subject_server(
        tmp_path,
        {"zookeeper.forceSync": "no"},
        {"snapshot.compression.method": "gz"},
    )
    server.start()
    client = KazooClient(f"127.0.0.1:{server.port}", timeout=30)
    client.start(timeout=WAIT_S)
    replies = [
        client.create_async(f"/{number}", os.urandom(PIECE_BYTES)) for number in range(ZNODES)
    ]
    for reply in replies:
        reply.get(timeout=WAIT_S)
    client.stop()
    client.close()
    server.stop()
    yield server
    server.stop()


def wait_until(server: ServerProcess, condition: Callable[[], object]) -> None:
    """Poll while the server runs."""
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert server.process is not None
        assert server.process.poll() is None, server.log_tail()
        assert time.monotonic() < deadline, server.log_tail()
        time.sleep(0.002)  # polling with a deadline


def unfinished(server: ServerProcess) -> list[Path]:
    return list((server.data_dir / "version-2").glob(".snapshot.*.tmp"))


def test_it_does_not_disturb_the_server_that_comes_next(slow: ServerProcess) -> None:
    slow.launch()
    wait_until(slow, lambda: unfinished(slow))
    slow.kill()
    slow.start()
    wait_until(slow, lambda: "snapshot written" in slow.log_tail())
    assert slow.stop() == 0


def test_a_stop_ends_it_and_leaves_nothing_behind(slow: ServerProcess) -> None:
    slow.launch()
    wait_until(slow, lambda: unfinished(slow))
    slow.wait_ready()
    assert slow.stop() == 0
    assert "socket trouble" not in slow.log_tail()
    assert not unfinished(slow)


def test_the_server_goes_on_without_it(slow: ServerProcess) -> None:
    slow.launch()
    wait_until(slow, lambda: unfinished(slow))
    # .snapshot.<zxid>.gz.<process id>.tmp
    os.kill(int(unfinished(slow)[0].name.split(".")[-2]), signal.SIGKILL)
    wait_until(slow, lambda: "its process was killed signal=9" in slow.log_tail())
    assert four_letter_word(slow.port, "ruok") == "imok"
    assert slow.stop() == 0
