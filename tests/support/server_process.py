"""A ZooKeeper server as a child process: zkserver's or Apache's, driven alike.

A server gets a folder of its own with `zoo.cfg`, `data` and `server.log`. Its port
stays the same over restarts, so that clients find it again. Ports are taken below
the range from which the system gives ports to outgoing connections.
"""

from __future__ import annotations

import os
import random
import re
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

READY_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 15.0
_given_ports: set[int] = set()
LOG_TAIL_BYTES = 4000


class NotStarted(Exception):
    """The server did not answer in time, or ended."""


def free_port() -> int:
    """A TCP port on which nobody listens now, and that was not given before."""
    for _ in range(200):
        port = random.randint(20000, 31000)
        if port in _given_ports:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            _given_ports.add(port)
            return port
    raise NotStarted("no free port between 20000 and 31000")


def four_letter_word(port: int, word: str, timeout_s: float = 5.0) -> str:
    """What the server answers to a four-letter word."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as link:
        link.sendall(word.encode())
        chunks = []
        while chunk := link.recv(65536):
            chunks.append(chunk)
    return b"".join(chunks).decode()


class ServerProcess:
    """Base of `ZkserverProcess` and `ApacheServer`: they say how the command reads."""

    name = "server"

    def __init__(
        self,
        folder: Path,
        properties: Mapping[str, str] | None = None,
        cfg: Mapping[str, str] | None = None,
        data_dir: Path | None = None,
    ) -> None:
        """`properties` are Java system properties, `cfg` extra or changed zoo.cfg lines."""
        self.folder = folder
        self.properties = dict(properties or {})
        self.cfg = dict(cfg or {})
        self.data_dir = data_dir or folder / "data"
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        """The command line that runs the server in the foreground."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """The environment of the process."""
        return dict(os.environ)

    def __enter__(self) -> ServerProcess:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def cfg_file(self) -> Path:
        """The configuration file."""
        return self.folder / "zoo.cfg"

    @property
    def log_file(self) -> Path:
        """All that the server printed."""
        return self.folder / "server.log"

    def write_cfg(self) -> None:
        """Write zoo.cfg."""
        lines = {
            "tickTime": "2000",
            "dataDir": str(self.data_dir),
            "clientPort": str(self.port),
            "clientPortAddress": "127.0.0.1",
            "admin.enableServer": "false",
            "4lw.commands.whitelist": "*",
            "maxClientCnxns": "0",
        }
        lines.update(self.cfg)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self.cfg_file.write_text("".join(f"{key}={value}\n" for key, value in lines.items()))

    def start(self) -> None:
        """Start and wait until the server serves."""
        self.launch()
        self.wait_ready()

    def launch(self) -> None:
        """Start without waiting."""
        self.write_cfg()
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment(),
                cwd=self.folder,
            )

    def wait_ready(self, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Wait until `srvr` names a mode."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self.process is None or self.process.poll() is not None:
                raise NotStarted(f"{self.name} ended while starting\n{self.log_tail()}")
            try:
                if "Mode:" in four_letter_word(self.port, "srvr"):
                    return
            except OSError:
                pass
            time.sleep(0.02)  # polling with a deadline
        raise NotStarted(f"{self.name} is not ready after {timeout_s} s\n{self.log_tail()}")

    def stop(self) -> int | None:
        """Ask the server to end, wait, and give its exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> int | None:
        """kill -9."""
        return self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> int | None:
        process = self.process
        if process is None:
            return None
        self.process = None
        process.send_signal(number)
        try:
            return process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def restart(self) -> None:
        """Stop, then start on the same port and data."""
        self.stop()
        self.start()

    def version(self) -> tuple[int, int, int]:
        """The ZooKeeper version that `srvr` gives."""
        found = re.search(
            r"Zookeeper version: (\d+)\.(\d+)\.(\d+)", four_letter_word(self.port, "srvr")
        )
        if found is None:
            raise NotStarted(f"{self.name} says no version")
        major, minor, patch = found.groups()
        return int(major), int(minor), int(patch)

    def log_tail(self) -> str:
        """The end of what the server printed."""
        if not self.log_file.exists():
            return ""
        return self.log_file.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")
