"""The two servers as processes: start, first reply, stop, pause, CPU, memory, load.

Each runs in a process group of its own, so that a forked snapshot writer is paused, ended and
counted with its server. Linux only: figures come from /proc.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONFIG = """\
tickTime=2000
dataDir={data_dir}
clientPort={port}
clientPortAddress=127.0.0.1
maxClientCnxns=0
admin.enableServer=false
"""
START_DEADLINE_S = 300
STOP_DEADLINE_S = 60
POLL_S = 0.001
OPEN_SESSION = struct.pack(">iiqiqi16s?", 45, 0, 0, 4_000, 0, 16, b"", False)
CLOSE_SESSION = struct.pack(">iii", 8, 0, -11)
GET_DATA = 4
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
DATA_FILE = re.compile(r"(log|snapshot)\.([0-9a-f]+)(\.gz|\.snappy)?")


class Unmeasured(Exception):
    """A figure that could not be had, and why."""


@dataclass
class Contender:
    """One of the two: its name in the tables and the command, short of the zoo.cfg."""

    name: str
    command: tuple[str, ...]
    work_dir: Path

    def server(self, tag: str) -> Server:
        """A server with a new, empty data directory; not started."""
        home = self.work_dir / f"{self.name.lower()}-{tag}"
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        return Server(self, home, port)


@dataclass(eq=False)
class Server:
    """A server process over one data directory; may be started again and again."""

    contender: Contender
    home: Path
    port: int
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    paused: bool = False

    @property
    def name(self) -> str:
        return self.contender.name

    @property
    def data_files(self) -> Path:
        return self.home / "data" / "version-2"

    @property
    def pid(self) -> int:
        if self.process is None or self.process.poll() is not None:
            log = self.home / "server.log"
            last = log.read_text(errors="replace").strip().rpartition("\n")[2]
            raise Unmeasured(f"{self.name} does not run; {log} ends: {last}")
        return self.process.pid

    def start(self, settings: Mapping[str, object] | None = None) -> None:
        """Starts it with `settings` beside the common ones; does not wait."""
        config = CONFIG.format(data_dir=self.home / "data", port=self.port)
        config += "".join(f"{key}={value}\n" for key, value in (settings or {}).items())
        (self.home / "zoo.cfg").write_text(config)
        ours = ("JVMFLAGS", "SERVER_JVMFLAGS", "ZOOCFG", "ZOOCFGDIR", "ZOO_LOG_DIR")
        environment = {key: value for key, value in os.environ.items() if key not in ours}
        with open(self.home / "server.log", "ab") as log:
            self.started_at = time.monotonic()
            self.process = subprocess.Popen(
                [*self.contender.command, str(self.home / "zoo.cfg")],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=self.home, env=environment, start_new_session=True,
            )  # fmt: skip
        self.paused = False
        atexit.register(self.stop, signal.SIGKILL)

    def first_reply(self, path: str = "/zookeeper") -> float:
        """Seconds from start to the reply to a getData of `path` in a new session.

        A server that is still loading may close a connection, keep it waiting, or take it and
        never answer. So a session is tried again 20 ms after a refusal, and beside those that
        wait when the newest has waited for 5 % of the time so far: few enough to be no load.
        """
        waiting: list[Probe] = []
        tried_at = 0.0
        try:
            while (now := time.monotonic()) < self.started_at + START_DEADLINE_S:
                for probe in [one for one in waiting if one.closed]:
                    probe.close()
                    waiting.remove(probe)
                patience_s = max(0.02, 0.05 * (now - self.started_at)) if waiting else 0.02
                if now - tried_at >= patience_s:
                    _ = self.pid
                    tried_at = now
                    waiting.append(Probe(self.port, path))
                for probe in waiting:
                    probe.poll()
                    if probe.error is not None:
                        if probe.error:
                            raise Unmeasured(f"{self.name}: getData {path}: {probe.error}")
                        return time.monotonic() - self.started_at
                time.sleep(POLL_S)
        finally:
            for probe in waiting:
                probe.close()
        raise Unmeasured(f"{self.name} gave no reply within {START_DEADLINE_S} s")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Ends it and waits; what does not end by `how` is killed."""
        atexit.unregister(self.stop)
        if self.process is None:
            return
        self.resume()
        for number in (how, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, number)
                self.process.wait(STOP_DEADLINE_S)
                break
            except ProcessLookupError:
                self.process.wait()
                break
            except subprocess.TimeoutExpired:
                continue
        self.process = None

    def pause(self) -> None:
        if not self.paused and self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGSTOP)
            self.paused = True

    def resume(self) -> None:
        if self.paused and self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGCONT)
        self.paused = False

    def rss_mb(self) -> float:
        """Resident memory of the server and its descendants."""
        return sum(rss_mb(pid) for pid in process_tree(self.pid))

    def settle(self, longest_s: float = 120.0) -> None:
        """Waits until it is idle: no snapshot, no collection, no expiry left running."""
        deadline = time.monotonic() + longest_s
        before, quiet = cpu_s(self.pid), 0
        while quiet < 2 and time.monotonic() < deadline:
            time.sleep(0.5)
            after = cpu_s(self.pid)
            quiet = quiet + 1 if after - before < 0.05 else 0
            before = after

    def prune(self) -> None:
        """Deletes all but the newest snapshot and the two newest logs (of a server that will
        not be restarted): dozens of rounds leave gigabytes, and write-back would disturb."""
        found: dict[str, list[tuple[int, Path]]] = {"log": [], "snapshot": []}
        for path in self.data_files.iterdir():
            if match := DATA_FILE.fullmatch(path.name):
                found[match[1]].append((int(match[2], 16), path))
        for _, path in sorted(found["log"])[:-2] + sorted(found["snapshot"])[:-1]:
            path.unlink(missing_ok=True)

    def version(self) -> str:
        """What it says of itself to `srvr`."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as link:
            link.sendall(b"srvr")
            answer = b""
            while chunk := link.recv(65536):
                answer += chunk
        match = re.search(rb"version: ([^\s,-]+)", answer, re.IGNORECASE)
        return match[1].decode() if match else "of unknown version"


class Probe:
    """One session that asks for one znode, without blocking.

    `error` is the reply's code once it is there. A server that is still loading may close the
    connection, or take it and never answer: then `closed` is set, or nothing ever happens.
    """

    def __init__(self, port: int, path: str) -> None:
        name = path.encode()
        layout = f">iiii{len(name)}s?"
        size_bytes = struct.calcsize(layout) - 4
        self._request = struct.pack(layout, size_bytes, 1, GET_DATA, len(name), name, False)
        self._received = b""
        self._opened = False
        self._asked = False
        self.error: int | None = None
        self.closed = False
        self._link = socket.socket()
        self._link.setblocking(False)
        self._link.connect_ex(("127.0.0.1", port))

    def poll(self) -> None:
        try:
            if not self._asked:
                self._link.sendall(OPEN_SESSION)
                self._asked = True
            chunk = self._link.recv(65536)
            self.closed = not chunk
            self._received += chunk
            while self.error is None and (frame := self._next_frame()) is not None:
                if self._opened:
                    self.error = struct.unpack_from(">i", frame, 12)[0]
                    self._link.sendall(CLOSE_SESSION)
                else:
                    self._opened = True
                    self._link.sendall(self._request)
        except BlockingIOError:
            return
        except OSError:
            self.closed = True

    def _next_frame(self) -> bytes | None:
        if len(self._received) < 4:
            return None
        end = 4 + int.from_bytes(self._received[:4], "big")
        if len(self._received) < end:
            return None
        frame, self._received = self._received[4:end], self._received[end:]
        return frame

    def close(self) -> None:
        self._link.close()


# --- /proc ----------------------------------------------------------------------------------


def _stat_fields(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on; none if the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def process_tree(pid: int) -> list[int]:
    """`pid` and its living descendants."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (fields := _stat_fields(int(entry))):
            children.setdefault(int(fields[1]), []).append(int(entry))
    tree = [pid]
    for one in tree:
        tree.extend(children.get(one, []))
    return tree


def children_of(pid: int) -> list[int]:
    """The living children of any thread of `pid`, where the kernel lists them."""
    found: list[int] = []
    for listing in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found.extend(int(child) for child in listing.read_text().split())
        except OSError:
            continue
    return found


def cpu_s(pid: int) -> float:
    """CPU seconds of `pid` and its descendants, with those of children it waited for."""
    ticks = 0
    for one in process_tree(pid):
        if fields := _stat_fields(one):
            ticks += sum(int(part) for part in fields[11:15])
    return ticks / TICKS_PER_S


def rss_mb(pid: int) -> float:
    try:
        match = re.search(r"VmRSS:\s*(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0.0
    return int(match[1]) / 1024 if match else 0.0


# --- load -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Load:
    """The compiled load generator."""

    program: Path

    def run(self, server: Server, *options: object) -> dict[str, Any]:
        """One run of zkload; its JSON. A lost connection or an error reply is no measurement."""
        command = [str(self.program), "-H", f"127.0.0.1:{server.port}", "-p", str(server.pid)]
        command += [str(option) for option in options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False)
        if done.returncode != 0:
            raise Unmeasured(f"{server.name}: {done.stderr.strip() or 'zkload failed'}")
        result: dict[str, Any] = json.loads(done.stdout)
        wrong = {key: result[key] for key in ("errors", "first_error", "dead", "unanswered")}
        if any(wrong.values()):
            raise Unmeasured(f"{server.name}: zkload {' '.join(map(str, options))}: {wrong}")
        return result


def build_load(source: Path, program: Path) -> Load:
    """Compiles zkload, if its sources are newer than the program."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise Unmeasured("no C compiler: `cc` is needed to build bench/zkload.c")
    newest = max(path.stat().st_mtime for path in (source, source.with_name("accounting.h")))
    if not program.exists() or program.stat().st_mtime < newest:
        program.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([compiler, "-O2", "-o", str(program), str(source)], check=True)
    return Load(program)


def file_system_of(path: Path) -> str:
    """Type and device of the file system that holds `path`, as /proc/mounts names them."""
    best, answer = "", "unknown"
    for line in Path("/proc/mounts").read_text().splitlines():
        device, mount, kind = line.split()[:3]
        inside = path == Path(mount) or Path(mount) in path.parents
        if inside and len(mount) >= len(best):
            best, answer = mount, f"{kind} on {device}"
    return answer
