"""A run: what a seed decides, two acts, and the verdicts.

Act one: clients work while faults happen, a mix that the seed has chosen. Act two:
all faults end, some clients die in silence, and the rest must be served within a
bound; then everybody closes, and an auditor looks at what is left.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from zkserver.base.config import Config, defaults
from zkserver.base.errors import ExitCode
from zkserver.jute import txns
from zkserver.jute.txns import Txn
from zkserver.sim import bugs, faults
from zkserver.sim import history as words
from zkserver.sim.checkers import INVALID, Evidence, Verdict, judge
from zkserver.sim.client import SimClient
from zkserver.sim.history import History
from zkserver.sim.host import CLIENT_PORT
from zkserver.sim.loop import Deadlock
from zkserver.sim.restoring import DATA_DIR, restore_copy
from zkserver.sim.standalone import Standalone
from zkserver.sim.world import World
from zkserver.sim.zab_history import ZabHistory
from zkserver.storage.disk import Disk
from zkserver.storage.layout import Layout, StorageError, sorted_logs
from zkserver.storage.logreader import LogReader

SERVER = "server"
# How long, in virtual seconds, everybody may take to be served once the faults are over.
LIVENESS_BOUND_S = 60.0
RESTART_S = 2.0
# Two ticks of 2 s and the longest session timeout, with room.
EXPIRY_S = 30.0
# Exit codes of a server that stopped because it was asked to.
ASKED = (int(ExitCode.EXECUTION_FINISHED),)


@dataclass(frozen=True)
class Options:
    """What a seed chooses. Times in seconds unless their names say otherwise."""

    clients: int
    duration_s: float
    think_s: float
    session_timeout_ms: int
    snap_count: int
    sync_ms: float
    fault_every_s: float
    faults: tuple[str, ...]

    @classmethod
    def of(cls, seed: int | str) -> Options:
        """The swarm's choice: some kinds of faults, not all, so that rare mixes come up."""
        chance = random.Random(f"{seed} options")
        return cls(
            clients=chance.choice((2, 3, 5)),
            duration_s=chance.choice((40.0, 80.0)),
            think_s=chance.choice((0.1, 0.5, 1.5)),
            session_timeout_ms=chance.choice((4000, 8000)),
            snap_count=chance.choice((20, 100, 1000)),
            sync_ms=chance.choice((0.5, 2.0, 20.0)),
            fault_every_s=chance.choice((2.0, 5.0)),
            faults=tuple(kind for kind in faults.KINDS if chance.random() < 0.5),
        )


@dataclass
class Report:
    """What came of a run. `events` are its lines, `digest` their digest.

    `evidence` and `zab` are what the verdicts are of.
    """

    seed: int | str
    options: object
    verdicts: list[Verdict]
    digest: str
    events: list[str] = field(repr=False)
    virtual_s: float = 0.0
    requests: int = 0
    answered: int = 0
    fault_count: int = 0
    evidence: Evidence | None = field(default=None, repr=False)
    zab: ZabHistory | None = field(default=None, repr=False)

    @property
    def broken(self) -> list[Verdict]:
        """Verdicts that are not ok."""
        return [verdict for verdict in self.verdicts if verdict.outcome != "ok"]

    @property
    def found(self) -> bool:
        """Whether a property is broken."""
        return any(verdict.outcome == INVALID for verdict in self.verdicts)


class Run:
    """One history of a standalone server."""

    def __init__(self, world: World, options: Options, bug: str | None) -> None:
        self.world = world
        self.options = options
        self.history = History()
        self.audits: list[str] = []
        self.stuck: list[str] = []
        self.fault_count = 0
        self.server = Standalone(world, _config(options), SERVER)
        self.server.faults.sync_ms = options.sync_ms
        if bug is not None:
            bugs.plant(bug, self.server)
        self.clients = [self._client(f"c{number}") for number in range(options.clients)]
        self._faulty_disk = False
        world.ended = self._server_ended
        world.expired = lambda session_id, at_s: self.history.expiries.append((session_id, at_s))

    def _client(self, name: str) -> SimClient:
        options = self.options
        client = SimClient(
            self.world, self.history, name, [SERVER], CLIENT_PORT, options.session_timeout_ms
        )
        client.think_s = options.think_s
        return client

    async def play(self) -> None:
        """Both acts."""
        network = self.world.network
        self.server.start()
        for client in self.clients:
            network.boot(client.name).start(client.run())
        await faults.Nemesis(self).torment()
        await self._second_act()

    async def _second_act(self) -> None:
        world = self.world
        world.events.note("nemesis", "act two: the faults are over")
        await self._wait_for(lambda: self.server.is_serving, "the server does not serve")
        silent, working = self.clients[:1], self.clients[1:]
        for client in silent:
            world.network.power_off(client.name)
        before = {client.name: client.rounds for client in working}
        for client in working:
            await self._wait_for(
                lambda client=client: client.rounds > before[client.name],
                f"{client.name} is not served",
            )
        # By now a disk that failed before act two has been noticed.
        self._faulty_disk = False
        await asyncio.sleep(EXPIRY_S)
        for client in working:
            client.stop()
        await asyncio.sleep(EXPIRY_S)
        await self._look_at_the_rest()
        self.audit()

    async def _wait_for(self, condition: object, complaint: str) -> None:
        end_s = self.world.loop.time() + LIVENESS_BOUND_S
        while not condition():  # type: ignore[operator]
            if self.world.loop.time() > end_s:
                self.stuck.append(f"{complaint} {LIVENESS_BOUND_S:.0f} s after the faults")
                return
            await asyncio.sleep(0.1)

    async def _look_at_the_rest(self) -> None:
        """Sessions are all over: no ephemeral may be left."""
        for session in self.history.sessions.values():
            if session.ended is None:
                session.ended = self.world.events.note(session.client, "must be expired by now")
        if not self.server.is_serving:
            self.stuck.append("the server is down at the end")
            return
        auditor = self._client("auditor")
        auditor.script = [
            auditor.request(words.GET, path)
            for path in [b"/r%d" % number for number in range(4)]
            + [b"/e%d" % number for number in range(4)]
        ]
        auditor.stop()
        life = self.world.network.boot(auditor.name)
        life.start(auditor.run())
        await self._wait_for(lambda: auditor.is_done, "the auditor is not served")

    def audit(self) -> None:
        """Whether the disk gives what the server has; only if nothing is on its way."""
        if not self.server.is_serving or self.server.process is None:
            return
        server = self.server.process.server
        if server.in_flight or self._faulty_disk:
            return
        try:
            restored_tree, restored = restore_copy(self.server.disk)
        except StorageError as error:
            self.audits.append(f"the disk of a live server does not restore: {error}")
            return
        live = server.tree
        facts = (
            ("last zxid", live.last_zxid, restored_tree.last_zxid),
            ("digest", live.compute_digest(), restored_tree.compute_digest()),
            ("kept digest", live.digest, live.compute_digest()),
            ("sessions", server.sessions.timeouts(), restored.sessions),
            ("digests that differ", 0, restored.digest_mismatches),
            ("digests that differed at start", 0, server.stats.digest_mismatches),
        )
        for name, here, there in facts:
            if here != there:
                self.audits.append(f"{name}: live {here}, restored {there}")

    # The server's ends and restarts

    def _server_ended(self, host: str, exit_code: int) -> None:
        if host != SERVER:
            return
        server = self.server
        server.exit_codes.append(exit_code)
        excused = self._faulty_disk or exit_code in ASKED
        if not excused:
            self.stuck.append(f"the server ended by itself with exit code {exit_code}")
        # What a failed sync has left in memory is not to be trusted.
        server.disk = server.disk.crash(server.chance) if exit_code else server.disk.kill()
        server.disk.free_bytes = None
        server.faults = replace(server.faults, fail_chance=0.0)
        self._faulty_disk = False
        self.restart_later()

    def restart_later(self) -> None:
        """Bring the server back, unless it comes back by itself."""
        self.world.network.at(self.world.loop.time() + RESTART_S, self._restart)

    def _restart(self) -> None:
        if not self.server.is_up and len(self.server.exit_codes) < 100:
            self.server.start()

    def spoil_disk(self) -> None:
        """From now on a failure of the server is the disk's."""
        self._faulty_disk = True


def _config(options: Options) -> Config:
    return defaults(
        data_dir=DATA_DIR,
        client_port=CLIENT_PORT,
        pre_alloc_size_kb=16,
        snap_count=options.snap_count,
        tick_time_ms=2000,
        min_session_timeout_ms=4000,
        max_client_cnxns=0,
    )


def logged(disk: Disk) -> list[Txn]:
    """Every transaction in the logs of a disk, from the first one on."""
    folder = Layout.of(DATA_DIR).log_folder
    found = [
        txns.decode(entry)[0]
        for _, entry, _, _ in LogReader(disk, folder, sorted_logs(disk.names(folder)))
    ]
    return sorted(found, key=lambda txn: txn[2])


def simulate(
    seed: int | str,
    bug: str | None = None,
    options: Options | None = None,
    watch: Callable[[Run], None] | None = None,
) -> Report:
    """One run. The same seed, bug and options give the same report.

    `watch` is given the run before it begins, to look on.
    """
    chosen = Options.of(seed) if options is None else options
    with World(seed) as world:
        run = Run(world, chosen, bug)
        if watch is not None:
            watch(run)
        try:
            world.run("nemesis", run.play())
        except Deadlock as error:
            run.stuck.append(str(error))
        run.stuck += [f"an error in nobody's life: {error}" for error in world.loop.errors]
        try:
            log, log_reads = logged(run.server.disk.kill()), True
        except StorageError as error:
            log, log_reads = [], False
            run.audits.append(f"the log does not read: {error}")
        evidence = Evidence(run.history, log, log_reads, run.audits, run.stuck)
        for prop, what in run.history.complaints:
            world.events.note("nemesis", f"{prop}: {what}")
        return Report(
            seed,
            chosen,
            judge(evidence),
            world.events.digest(),
            world.events.lines,
            world.loop.time(),
            len(run.history.requests),
            sum(request.outcome == words.DONE for request in run.history.requests),
            run.fault_count,
            evidence,
        )
