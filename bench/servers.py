"""The two servers as processes: start, first reply, stop, pause, CPU, memory, load.

Each runs in a process group of its own, so that a forked snapshot writer is paused, ended and
counted with its server. Linux only: figures come from /proc.
"""

from __future__ import annotations

import atexit
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from probes import first_answer, get_data

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
LOAD_DEADLINE_S = 1800
PORTS_GIVEN: set[int] = set()
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
        return Server(self, home, free_port())


def free_port() -> int:
    """A free port, each one once. If possible it lies below those that the kernel gives to
    clients: while a server is down, no connection of the load can take its port."""
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    below = range(min(10_000, lowest), lowest)
    for port in [*random.sample(below, k=min(100, len(below))), *[0] * 10]:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            chosen: int = probe.getsockname()[1]
        if chosen not in PORTS_GIVEN:
            PORTS_GIVEN.add(chosen)
            return chosen
    raise Unmeasured("no free port")


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
    def hosts(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def pids(self) -> list[int]:
        return [self.pid]

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
        """Seconds from start to the reply to a getData of `path` in a new session."""
        found = first_answer(
            [self.port], get_data(path), self.started_at, START_DEADLINE_S, lambda: self.pid
        )
        if found is None:
            raise Unmeasured(f"{self.name} gave no reply within {START_DEADLINE_S} s")
        seconds, error = found
        if error:
            raise Unmeasured(f"{self.name}: getData {path}: {error}")
        return seconds

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

    def settle(self) -> None:
        settle(self.pids)

    def prune(self) -> None:
        """Deletes all but the newest snapshot and the logs from there on: dozens of rounds leave
        gigabytes, and write-back would disturb."""
        found: dict[str, list[tuple[int, Path]]] = {"log": [], "snapshot": []}
        for path in self.data_files.iterdir():
            if match := DATA_FILE.fullmatch(path.name):
                found[match[1]].append((int(match[2], 16), path))
        snapshots = sorted(found["snapshot"])
        if not snapshots:
            return
        # The log that begins at the snapshot or before holds what comes right after it.
        before = [log for log in sorted(found["log"]) if log[0] <= snapshots[-1][0]]
        for _, path in snapshots[:-1] + before[:-1]:
            path.unlink(missing_ok=True)

    def remove_data(self) -> None:
        """Deletes what it stored; its log and its settings stay."""
        shutil.rmtree(self.home / "data", ignore_errors=True)

    def said(self, pattern: str) -> str:
        """What the first group of `pattern` finds in the answer to `srvr`; "" without one."""
        answer = b""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as link:
                link.sendall(b"srvr")
                while chunk := link.recv(65536):
                    answer += chunk
        except OSError:
            return ""
        match = re.search(pattern, answer.decode(errors="replace"), re.I | re.M)
        return match[1] if match else ""

    def version(self) -> str:
        """What it says of itself to `srvr`."""
        return self.said(r"version: ([^\s,-]+)") or "of unknown version"


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


def settle(pids: list[int], longest_s: float = 120.0) -> None:
    """Waits until they are idle: no snapshot, no collection, no expiry left running."""
    deadline = time.monotonic() + longest_s
    before, quiet = sum(map(cpu_s, pids)), 0
    while quiet < 2 and time.monotonic() < deadline:
        time.sleep(0.5)
        after = sum(map(cpu_s, pids))
        quiet = quiet + 1 if after - before < 0.05 else 0
        before = after


def rss_mb(pid: int) -> float:
    try:
        match = re.search(r"VmRSS:\s*(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0.0
    return int(match[1]) / 1024 if match else 0.0


# --- load -----------------------------------------------------------------------------------


class Target(Protocol):
    """Who takes the load: a server or an ensemble."""

    @property
    def name(self) -> str: ...

    @property
    def hosts(self) -> str: ...

    @property
    def pids(self) -> list[int]: ...


@dataclass
class Run:
    """A zkload at work."""

    name: str
    options: str
    process: subprocess.Popen[str]

    def end(self) -> None:
        """Ends the measured interval now."""
        self.process.terminate()

    def result(self) -> dict[str, Any]:
        """Its JSON, when it has ended. A lost connection or an error reply is no measurement."""
        output, complaint = self.process.communicate(timeout=LOAD_DEADLINE_S)
        if self.process.returncode != 0:
            raise Unmeasured(f"{self.name}: {complaint.strip() or 'zkload failed'}")
        result: dict[str, Any] = json.loads(output)
        wrong = {key: result[key] for key in ("errors", "first_error", "dead", "unanswered")}
        if any(wrong.values()):
            raise Unmeasured(f"{self.name}: zkload {self.options}: {wrong}")
        return result


@dataclass(frozen=True)
class Load:
    """The compiled load generator."""

    program: Path

    @contextmanager
    def running(self, target: Target, *options: object) -> Iterator[Run]:
        """zkload beside what else is done; killed at the end if it still runs."""
        words = [str(option) for option in options]
        accounted = ",".join(map(str, target.pids))
        with subprocess.Popen(
            [str(self.program), "-H", target.hosts, "-p", accounted, *words],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            try:
                yield Run(target.name, " ".join(words), process)
            finally:
                process.kill()

    def run(self, target: Target, *options: object) -> dict[str, Any]:
        """One run of zkload to its end; its JSON."""
        with self.running(target, *options) as run:
            return run.result()


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
