"""`zkserver ensemble`: started without a terminal and stopped, and played with on one."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from kazoo.client import KazooClient

from tests.support.server_process import free_port
from tests.support.zkserver_process import ZkserverProcess

TIMEOUT_S = 30.0


class Command:
    """`zkserver ensemble 3` with its output as it comes; `end` is this side of its terminal."""

    def __init__(self, folder: Path, end: int, theirs: int, stdin: int) -> None:
        self.end = end
        self.output = ""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "zkserver.cli.main", "ensemble", "3",
             "--data-dir", "here", "--port", str(free_port())],
            stdin=stdin, stdout=theirs, stderr=theirs, cwd=folder,
            env=ZkserverProcess(folder).environment(),
        )
        os.close(theirs)

    def read_until(self, condition: Callable[[str], object]) -> None:
        """Until the output is like that."""
        deadline = time.monotonic() + TIMEOUT_S
        while not condition(self.output):
            left_s = deadline - time.monotonic()
            assert left_s > 0, self.output
            if select.select([self.end], [], [], left_s)[0]:
                self.output += self._read()

    def read_rest(self) -> None:
        """Until the command ends."""
        while piece := self._read():
            self.output += piece

    def _read(self) -> str:
        try:
            return os.read(self.end, 65536).decode()
        except OSError:
            return ""  # A terminal says so when nobody is left behind it.

    def states(self) -> dict[int, str]:
        """The last that was said of each server."""
        text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", self.output)
        return {int(n): state for n, state in re.findall(r"server (\d) +(\w+)", text)}


@contextmanager
def command(folder: Path, *, on_terminal: bool) -> Iterator[Command]:
    end, theirs = pty.openpty() if on_terminal else os.pipe()
    running = Command(folder, end, theirs, theirs if on_terminal else subprocess.DEVNULL)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.send_signal(signal.SIGTERM)
            running.process.wait(TIMEOUT_S)
        os.close(end)


def _all_serve(running: Command) -> Callable[[str], object]:
    return lambda _: sorted(running.states().values()) == ["follower", "follower", "leader"]


def test_without_a_terminal_lines_tell_of_changes(tmp_path: Path) -> None:
    with command(tmp_path, on_terminal=False) as running:
        running.read_until(_all_serve(running))
        assert "\x1b" not in running.output
        hosts = re.search(r"^Connection string: (\S+)$", running.output, re.MULTILINE)
        assert hosts is not None
        client = KazooClient(hosts[1], timeout=10)
        client.start(timeout=30)
        client.create("/node")
        client.stop()
        client.close()
        consoles = re.findall(r"http://localhost:(\d+)/", running.output)
        assert len(consoles) == 3
        for port in consoles:
            url = f"http://127.0.0.1:{port}/commands/zabstate"
            with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
                assert json.load(answer)["zabstate"] == "broadcast"
        running.process.send_signal(signal.SIGTERM)
        running.read_rest()
        assert running.process.wait(TIMEOUT_S) == 0
    assert running.output.endswith("All servers have ended.\n")
    assert (tmp_path / "here" / "1" / "zoo.cfg").exists()
    # Nobody is left behind: what the next one starts goes on with the data.
    with command(tmp_path, on_terminal=False) as running:
        running.read_until(_all_serve(running))
        assert " epoch 2 " in running.output


def test_keys_kill_and_start_servers(tmp_path: Path) -> None:
    with command(tmp_path, on_terminal=True) as running:
        running.read_until(_all_serve(running))
        first = next(n for n, state in running.states().items() if state == "leader")
        os.write(running.end, str(first).encode())
        running.read_until(lambda _: running.states()[first] == "down")
        running.read_until(
            lambda _: sorted(running.states().values()) == ["down", "follower", "leader"]
        )
        os.write(running.end, str(first).encode())
        running.read_until(_all_serve(running))
        os.write(running.end, b"q")
        running.read_until(lambda output: "All servers have ended." in output)
        assert running.process.wait(TIMEOUT_S) == 0
