"""An ensemble of zkserver processes under load and faults, and the verdicts on what it did.

The servers' links go through a `LinkProxy`. When a story is told, `finish` ends all faults, sees
that everybody is served, ends the clients, kills the servers, reads what is on their disks, and
judges it with the checkers of `sim`, and with some of its own for which there is no evidence there:
logs and trees of all servers agree, and no server ended by itself.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.ensemble_processes import EnsembleProcesses, mode_of
from tests.support.link_proxy import LinkProxy
from tests.support.log_archive import LogArchive, committed
from tests.support.recorded_load import RecordedClient, RecordedLoad
from tests.support.server_process import NotStarted, ServerProcess, four_letter_word
from zkserver.base import opcodes as op
from zkserver.jute import txns
from zkserver.jute.txns import Txn
from zkserver.runtime.disk import RealDisk
from zkserver.sim import history as words
from zkserver.sim.checkers import OK, Evidence, judge
from zkserver.storage import recovery
from zkserver.storage.layout import Layout, StorageError, sorted_logs
from zkserver.storage.logreader import LogReader
from zkserver.storage.recovery import RestoreSettings
from zkserver.tree.tree import DataTree

TICK_MS = 200
INIT_LIMIT = 10
SYNC_LIMIT = 5
CFG = {
    "tickTime": str(TICK_MS),
    "initLimit": str(INIT_LIMIT),
    "syncLimit": str(SYNC_LIMIT),
    # Hundreds of logs are read to their ends here.
    "preAllocSize": "256",
}
# A learner hears of sessions that the leader does not hear of, for up to syncLimit and a tick.
EXPIRY_SLACK_MS = TICK_MS * (SYNC_LIMIT + 1)
# Ours to wait: an election and a start, on a machine that is busy with other things.
LIVENESS_S = 30.0
DESCRIPTORS = 20
PATHS = [b"/%s%d" % (kind, number) for kind in (b"r", b"e") for number in range(4)]


class ProxiedEnsemble(EnsembleProcesses):
    """Servers that reach each other by a `LinkProxy`."""

    proxy: LinkProxy | None = None

    def _make(self, number: int, kind: str, before: ServerProcess | None = None) -> ServerProcess:
        if self.proxy is None:
            self.proxy = LinkProxy(self.quorum_ports, self.election_ports)
        server = super()._make(number, kind, before)
        for one, other in self.proxy.pairs:
            if one == number:
                quorum_port, election_port = self.proxy.ports(one, other)
                role = self.cfg[f"server.{other}"].rsplit(":", 1)[1]
                server.cfg[f"server.{other}"] = f"127.0.0.1:{quorum_port}:{election_port}:{role}"
        return server


@dataclass
class Directory:
    """What is on the disk of one server: log entries by zxid, and the restored tree."""

    entries: dict[int, bytes] = field(default_factory=dict)
    zxid: int = 0
    digest: int = 0
    first: int = 0
    complaint: str = ""


def read_directory(data_dir: Path, scratch: Path) -> Directory:
    """Read a copy, for recovery tidies up."""
    found = Directory()
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.copytree(data_dir / "version-2", scratch / "version-2")
    disk, layout, tree = RealDisk(), Layout.of(str(scratch)), DataTree()
    try:
        restored = recovery.restore(disk, layout, tree, RestoreSettings(), lambda _: None)
        for first, name in sorted_logs(disk.names(layout.log_folder)):
            for zxid, entry, _, _ in LogReader(disk, layout.log_folder, [(first, name)], first - 1):
                if found.entries.setdefault(zxid, entry) != entry:
                    found.complaint = f"{data_dir}: has two entries of zxid 0x{zxid:x}"
    except StorageError as error:
        found.complaint = f"{data_dir}: does not restore: {error}"
        return found
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    found.zxid, found.digest = restored.last_zxid, tree.compute_digest()
    found.first = min(found.entries, default=restored.last_zxid + 1)
    if restored.digest_mismatches:
        found.complaint = f"{data_dir}: {restored.digest_mismatches} digests differ"
    return found


def disagreements(directories: dict[int, Directory]) -> list[str]:
    """Where logs or trees of two servers differ, in what both must have."""
    found = [each.complaint for each in directories.values() if each.complaint]
    numbers = sorted(directories)
    for one, other in ((one, other) for one in numbers for other in numbers if one < other):
        here, there = directories[one], directories[other]
        first = max(here.first, there.first)
        last = min(here.zxid, there.zxid)
        for zxid in sorted({*here.entries, *there.entries}):
            if first <= zxid <= last and here.entries.get(zxid) != there.entries.get(zxid):
                found.append(f"servers {one} and {other} differ in zxid 0x{zxid:x}")
                break
        if here.zxid == there.zxid and here.digest != there.digest:
            found.append(f"servers {one} and {other} differ in their trees of 0x{here.zxid:x}")
    return found


class EnsembleUnderFaults:
    """`count` servers and `clients` clients. A context manager; it is serving when it begins."""

    def __init__(
        self,
        folder: Path,
        seed: int | str,
        count: int = 3,
        clients: int = 3,
        cfg: dict[str, str] | None = None,
        session_timeout_ms: int = 4000,
    ) -> None:
        self.folder = folder
        self.servers = ProxiedEnsemble(folder, "z" * count, cfg=CFG | dict(cfg or {}))
        assert self.servers.proxy is not None
        self.proxy = self.servers.proxy
        ports = {f"n{number}": server.port for number, server in self._numbered}
        self.load = RecordedLoad(seed, ports, session_timeout_ms)
        self.archive = LogArchive(
            {number: server.data_dir / "version-2" for number, server in self._numbered}
        )
        self._client_count = clients
        self._stopped: dict[int, None] = {}
        # Those that a fault is expected to end, by their number.
        self.excused: dict[int, None] = {}
        self.stuck: list[str] = []

    @property
    def _numbered(self) -> list[tuple[int, ServerProcess]]:
        return list(enumerate(self.servers.servers, 1))

    @property
    def numbers(self) -> list[int]:
        """The ids of all servers."""
        return [number for number, _ in self._numbered]

    def __enter__(self) -> EnsembleUnderFaults:
        self.proxy.__enter__()
        self.archive.__enter__()
        try:
            self.servers.__enter__()
        except BaseException:
            self.servers.__exit__()
            self.archive.__exit__()
            self.proxy.__exit__()
            raise
        self.load.__enter__()
        for number in range(self._client_count):
            self.load.start(f"c{number}")
        self.goes_on()
        return self

    def __exit__(self, *_: object) -> None:
        self.load.__exit__()
        for number in list(self._stopped):
            self.go_on(number)
        self.servers.__exit__()
        self.archive.__exit__()
        self.proxy.__exit__()

    # What is there

    def leader(self) -> int:
        """The id of the leader, as soon as one leads."""
        found: list[int] = []

        def look() -> bool:
            found[:] = [number for number, mode in self.modes().items() if mode == "leader"]
            return bool(found)

        self.wait(look, "nobody leads")
        return found[0]

    def followers(self) -> list[int]:
        """The others."""
        leader = self.leader()
        return [number for number in self.numbers if number != leader]

    def modes(self) -> dict[int, str]:
        """The mode of each server that runs and is not stopped."""
        return {
            number: mode_of(server.port)
            for number, server in self._numbered
            if server.process is not None and number not in self._stopped
        }

    def mode(self, number: int) -> str:
        """The mode of one server, "" if it does not serve."""
        return mode_of(self.servers.server(number).port)

    def roles_ended(self, number: int) -> int:
        """How many of its roles a server has said to be over."""
        return self.servers.server(number).log_file.read_text().count("the role has ended")

    def wait_for_end_of_role(self, *numbers: int) -> None:
        """Until each of these servers has noticed what happened to it, since this call."""
        before = {number: self.roles_ended(number) for number in numbers}
        self.wait(
            lambda: all(self.roles_ended(number) > before[number] for number in numbers),
            f"{numbers} do not notice",
        )

    def wait(self, condition: Callable[[], bool], complaint: str, limit_s: float = LIVENESS_S) -> None:
        """Until something holds. Raises NotStarted with the servers' logs."""
        deadline = time.monotonic() + limit_s
        while not condition():
            if time.monotonic() > deadline:
                raise NotStarted(f"{complaint} after {limit_s} s\n{self.logs()}")
            time.sleep(0.02)  # polling with a deadline

    def logs(self) -> str:
        """The ends of the servers' logs."""
        return "\n".join(f"--- {number}\n{each.log_tail()}" for number, each in self._numbered)

    def goes_on(self, writes: int = 20) -> None:
        """Wait until so many more writes are answered."""
        before = len(self.load.writes_done())
        self.wait(lambda: len(self.load.writes_done()) >= before + writes, "no write is answered")

    # Faults

    def note(self, what: str) -> float:
        """The story's next sentence; the time (s) on the clock of the history."""
        return self.load.note(what)

    def kill(self, number: int) -> None:
        """kill -9."""
        self._stopped.pop(number, None)
        self.servers.server(number).kill()

    def terminate(self, number: int) -> None:
        """SIGTERM, and wait until it has ended."""
        if number in self._stopped:
            self.go_on(number)
        exit_code = self.servers.server(number).stop()
        # Who has not begun yet has no handler of signals either.
        if exit_code not in (0, None, -signal.SIGTERM):
            self.stuck.append(f"server {number} was asked to end, and ended with {exit_code}")

    def launch(self, number: int) -> None:
        """Start it again, and do not wait."""
        self.servers.server(number).launch()

    def stop(self, number: int) -> None:
        """SIGSTOP."""
        self._stopped[number] = None
        self._signal(number, signal.SIGSTOP)

    def go_on(self, number: int) -> None:
        """SIGCONT."""
        self._stopped.pop(number, None)
        self._signal(number, signal.SIGCONT)

    def _signal(self, number: int, which: signal.Signals) -> None:
        process = self.servers.server(number).process
        if process is not None:
            os.kill(process.pid, which)

    def is_up(self, number: int) -> bool:
        """Whether the process runs."""
        process = self.servers.server(number).process
        return process is not None and process.poll() is None

    # The end

    def end_faults(self) -> None:
        """Everything is whole again; who ended is started."""
        self.proxy.heal()
        for number in list(self._stopped):
            self.go_on(number)
        for number in self.numbers:
            self.look_after(number)
            if not self.is_up(number):
                self.launch(number)

    def look_after(self, number: int) -> None:
        """Complain of a server that ended by itself."""
        process = self.servers.server(number).process
        if process is not None and process.poll() is not None:
            if number not in self.excused:
                self.stuck.append(f"server {number} ended by itself: {process.returncode}")
            self.excused.pop(number, None)
            self.servers.server(number).process = None

    def finish(self) -> None:
        """End everything, and judge: AssertionError names every breach, with the logs."""
        self.note("the faults are over")
        self.end_faults()
        self.servers.wait_serving(LIVENESS_S)
        working = self.load.working
        before = {client.name: client.rounds for client in working}
        self.wait(
            lambda: all(client.rounds > before[client.name] for client in working),
            "not all clients are served",
        )
        for client in working:
            self.load.do(client.stop)
        self._wait_done(working)
        self._await_expiries()
        auditors = [self._audit(number) for number in self.numbers]
        self._wait_done(auditors)
        self.wait(self._are_equal, "not all servers have the same zxid")
        self.wait(self._are_tidy, "a server holds too many descriptors")
        for number in self.numbers:
            self.look_after(number)
        for number in self.numbers:
            self._signal(number, signal.SIGKILL)
        for _, server in self._numbered:
            server.kill()
        breaches = self._judge()
        story = "\n".join(line for line in self.load.world.events.lines if " test " in line)
        assert not breaches, "\n".join([*breaches, story, self.logs()])

    def _wait_done(self, clients: list[RecordedClient]) -> None:
        self.wait(lambda: all(client.is_done for client in clients), "not all clients could close")

    def _await_expiries(self) -> None:
        """Until the sessions of abandoned clients must be over."""
        load = self.load
        for session in load.history.sessions.values():
            if session.ended is None:
                shown = f"0x{session.session_id & (1 << 64) - 1:x}"
                self.wait(lambda shown=shown: not self._is_open(shown), f"{shown} does not expire")
                session.ended = load.do(
                    lambda shown=shown: load.world.events.note("test", f"{shown} has expired")
                )

    def _is_open(self, shown: str) -> bool:
        leader = self.servers.server(self.leader())
        try:
            return shown in four_letter_word(leader.port, "dump")
        except OSError:
            return True

    def _audit(self, number: int) -> RecordedClient:
        """A client that reads everything from one server."""

        def prepare(client: RecordedClient) -> None:
            client.script = [client.request(words.GET, path) for path in PATHS]
            client.stop()

        return self.load.start(f"auditor-{number}", [f"n{number}"], prepare)

    def _are_equal(self) -> bool:
        return len({_zxid(server) for _, server in self._numbered}) == 1

    def _are_tidy(self) -> bool:
        """Without clients, a server has its ports, its links, its log and a few more."""
        limit = DESCRIPTORS + 2 * len(self.numbers)
        processes = [server.process for _, server in self._numbered]
        return all(
            process is not None and len(os.listdir(f"/proc/{process.pid}/fd")) <= limit
            for process in processes
        )

    def _judge(self) -> list[str]:
        directories = {
            number: read_directory(server.data_dir, self.folder / f"copy-{number}")
            for number, server in self._numbered
        }
        self.archive.__exit__()
        entries = committed(
            self.archive.chains(), [each.entries for each in directories.values()]
        )
        log = [txns.decode(entry)[0] for entry in entries.values()]
        history = self.load.history
        history.expiries = [
            (txn[0], txn[3] / 1000 - self.load.world.wall_offset_s) for txn in log if _is_expiry(txn)
        ]
        evidence = Evidence(
            history,
            log,
            audits=disagreements(directories),
            stuck=self.stuck + self.load.failures() + self._alarms(),
            expiry_slack_ms=EXPIRY_SLACK_MS,
        )
        return [
            f"{each.name}: {each.outcome}: {each.detail}"
            for each in judge(evidence)
            if each.outcome != OK
        ]

    def _alarms(self) -> list[str]:
        """What no server may ever say."""
        words_of_alarm = ("Traceback", "an invariant is broken")
        return [
            f"server {number}: {line}"
            for number, server in self._numbered
            for line in server.log_file.read_text(errors="replace").splitlines()
            if any(word in line for word in words_of_alarm)
        ]


def _is_expiry(txn: Txn) -> bool:
    return txn[4] == op.CLOSE_SESSION and txn[1] == 0


def _zxid(server: ServerProcess) -> str:
    try:
        answer = four_letter_word(server.port, "srvr")
    except OSError:
        return ""
    return next((line for line in answer.splitlines() if line.startswith("Zxid")), "")
