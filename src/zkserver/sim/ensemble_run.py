"""A run of an ensemble: what a seed decides, two acts, and the verdicts.

Act one: clients work on all servers while faults happen, a mix that the seed has chosen. Act
two: all faults end and every server is up; within a bound all must serve, and all clients must
be served. Then everybody closes, an auditor looks at what is left, and the trees are compared.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from zkserver.base.errors import ExitCode
from zkserver.base.quorum import verifier_of
from zkserver.jute import txns
from zkserver.sim import ensemble_faults, ensemble_moments, zab_checkers
from zkserver.sim import history as words
from zkserver.sim.checkers import Evidence, judge
from zkserver.sim.client import SimClient
from zkserver.sim.disk import SimDisk
from zkserver.sim.ensemble import (
    OBSERVER_MASTER_PORT,
    Observations,
    PeerHost,
    configuration,
)
from zkserver.sim.history import History
from zkserver.sim.host import CLIENT_PORT
from zkserver.sim.loop import Deadlock
from zkserver.sim.restoring import restore_copy
from zkserver.sim.run import Report
from zkserver.sim.world import World
from zkserver.storage.layout import StorageError
from zkserver.zab.synchronisation import DEFAULT_SNAPSHOT_SIZE_FACTOR

# How long, in virtual seconds, everybody may take to be served once the faults are over:
# initLimit for those that must give up first, an election, a synchronisation.
LIVENESS_BOUND_S = 90.0
RESTART_S = 2.0
EXPIRY_S = 20.0
# A learner hears of sessions that the leader does not hear of, for up to syncLimit and a tick. An
# observer behind a follower is two such links away.
EXPIRY_SLACK_MS = 5000
TICK_MS = 1000
# Groups with weights are made for this many servers.
GROUPED_SERVERS = 5


@dataclass(frozen=True)
class EnsembleOptions:
    """What a seed chooses. Times in seconds unless their names say otherwise.

    `memory` is how many committed txns servers keep for others. The last `observers` servers
    have no vote. `is_grouped`: three groups with weights, of five servers. More of a log than
    `snapshot_size_factor` snapshots is not sent to a learner, but a tree. `has_masters`: followers
    serve the observers; no seed chooses that.
    """

    servers: int
    observers: int
    is_grouped: bool
    clients: int
    duration_s: float
    think_s: float
    session_timeout_ms: int
    snap_count: int
    memory: int
    sync_ms: float
    fault_every_s: float
    faults: tuple[str, ...]
    snapshot_size_factor: float = DEFAULT_SNAPSHOT_SIZE_FACTOR
    has_masters: bool = False

    @classmethod
    def of(cls, seed: int | str) -> EnsembleOptions:
        """The swarm's choice: some kinds of faults, not all, so that rare mixes come up."""
        chance = random.Random(f"{seed} ensemble options")
        servers = chance.choice((3, 3, 3, 4, 5, 5))
        return cls(
            servers=servers,
            observers=chance.choice((0, 0, 1)),
            is_grouped=servers == GROUPED_SERVERS and chance.random() < 0.2,
            clients=chance.choice((2, 3, 5)),
            duration_s=chance.choice((30.0, 60.0)),
            think_s=chance.choice((0.1, 0.5, 1.5)),
            session_timeout_ms=chance.choice((4000, 8000)),
            snap_count=chance.choice((20, 100, 1000)),
            memory=chance.choice((3, 20, 500)),
            sync_ms=chance.choice((0.5, 5.0, 50.0)),
            fault_every_s=chance.choice((1.0, 2.0, 5.0)),
            faults=tuple(kind for kind in ensemble_faults.KINDS if chance.random() < 0.4),
        )

    def but(self, changes: Mapping[str, Any]) -> EnsembleOptions:
        """With other values, by field; groups are left only where there are five servers."""
        changed = replace(self, **changes)
        is_grouped = changed.is_grouped and changed.servers == GROUPED_SERVERS
        return replace(changed, is_grouped=is_grouped)


class EnsembleRun:
    """One history of an ensemble."""

    def __init__(self, world: World, options: EnsembleOptions) -> None:
        self.world = world
        self.options = options
        self.history = History()
        self.seen = Observations()
        self.audits: list[str] = []
        self.stuck: list[str] = []
        self.fault_count = 0
        self.hosts = [self._host(number) for number in range(1, self._count + 1)]
        self.clients = [self._client(f"c{number}") for number in range(options.clients)]
        # Hosts whose disk was made to fail: their process may end by itself.
        self.excused: dict[str, None] = {}
        # The voter whose disk was lost for good; one at most.
        self.wiped: str | None = None
        world.ended = self._server_ended
        world.expired = lambda session_id, at_s: self.history.expiries.append((session_id, at_s))

    @property
    def _count(self) -> int:
        return self.options.servers + self.options.observers

    def _host(self, number: int) -> PeerHost:
        options = self.options
        observers = range(options.servers + 1, self._count + 1)
        more = {}
        if options.is_grouped:
            more = {"group.1": "1:2", "group.2": "3:4", "group.3": "5"}
        if options.has_masters:
            more["observerMasterPort"] = str(OBSERVER_MASTER_PORT)
        settings = configuration(
            number,
            self._count,
            observers,
            snapCount=options.snap_count,
            snapshotSizeFactor=options.snapshot_size_factor,
            **more,
        )
        host = PeerHost(self.world, settings, f"n{number}", self.seen, options.memory)
        host.faults.sync_ms = options.sync_ms
        return host

    def _client(self, name: str) -> SimClient:
        options = self.options
        servers = [host.host for host in self.hosts]
        client = SimClient(
            self.world, self.history, name, servers, CLIENT_PORT, options.session_timeout_ms
        )
        client.think_s = options.think_s
        client.syncs = True
        return client

    @property
    def voters(self) -> list[PeerHost]:
        """The hosts that vote."""
        return self.hosts[: self.options.servers]

    async def play(self) -> None:
        """Both acts."""
        network = self.world.network
        for host in self.hosts:
            host.start()
        for client in self.clients:
            network.boot(client.name).start(client.run())
        await ensemble_moments.Choreographer(self).torment()
        await self._second_act()

    async def _second_act(self) -> None:
        world = self.world
        world.events.note("nemesis", "act two: the faults are over")
        await self._wait_for(
            lambda: all(host.is_serving for host in self.hosts), "not all servers serve"
        )
        silent, working = self.clients[:1], self.clients[1:]
        for client in silent:
            world.network.power_off(client.name)
        before = {client.name: client.rounds for client in working}
        for client in working:
            await self._wait_for(
                partial(_has_gone_on, client, before[client.name]), f"{client.name} is not served"
            )
        self.excused.clear()
        await asyncio.sleep(EXPIRY_S)
        for client in working:
            client.stop()
        await asyncio.sleep(EXPIRY_S)
        await self._look_at_the_rest()
        # What the last auditor's closing was to commit may be on its way to a slow server.
        await asyncio.sleep(RESTART_S)
        await self._wait_for(self._are_at_one, "the servers do not come to one zxid")
        self._compare()

    def _are_at_one(self) -> bool:
        processes = [host.process for host in self.hosts if host.is_serving]
        zxids = [process.database.last_zxid for process in processes if process is not None]
        return len(zxids) == len(self.hosts) and len(set(zxids)) == 1

    async def _wait_for(self, condition: Callable[[], bool], complaint: str) -> None:
        end_s = self.world.loop.time() + LIVENESS_BOUND_S
        while not condition():
            if self.world.loop.time() > end_s:
                self.stuck.append(f"{complaint} {LIVENESS_BOUND_S:.0f} s after the faults")
                return
            await asyncio.sleep(0.1)

    async def _look_at_the_rest(self) -> None:
        """Sessions are all over: no ephemeral may be left, on any server."""
        for session in self.history.sessions.values():
            if session.ended is None:
                session.ended = self.world.events.note(session.client, "must be expired by now")
        for host in self.hosts:
            auditor = self._client(f"auditor-{host.host}")
            auditor.servers = [host.host]
            auditor.script = [
                auditor.request(words.GET, path)
                for path in [b"/r%d" % number for number in range(4)]
                + [b"/e%d" % number for number in range(4)]
            ]
            auditor.stop()
            life = self.world.network.boot(auditor.name)
            life.start(auditor.run())
            await self._wait_for(partial(_is_done, auditor), f"{auditor.name} is not served")

    def _compare(self) -> None:
        """All servers at one zxid with one tree, in memory and on disk."""
        states = {}
        for host in self.hosts:
            if not host.is_serving or host.process is None:
                self.stuck.append(f"{host.host} is down at the end")
                continue
            tree = host.process.database.tree
            states[host.host] = (tree.last_zxid, tree.compute_digest())
            if tree.compute_digest() != tree.digest:
                self.audits.append(f"{host.host}: its digest is not that of its znodes")
            self._audit(host)
        if len(set(states.values())) > 1:
            self.audits.append(f"servers differ at the end: {states}")

    def _audit(self, host: PeerHost) -> None:
        process = host.process
        if process is None or process.role is None or not process.role.is_stored:
            return
        try:
            tree, restored = restore_copy(host.disk)
        except StorageError as error:
            self.audits.append(f"{host.host}: its disk does not restore: {error}")
            return
        live = process.database
        facts = (
            ("last zxid", live.last_zxid, tree.last_zxid),
            ("digest", live.tree.digest, tree.compute_digest()),
            ("sessions", live.timeouts_ms(), restored.sessions),
            ("digests that differ", 0, restored.digest_mismatches),
        )
        for name, here, there in facts:
            if here != there:
                self.audits.append(f"{host.host}: {name}: live {here}, restored {there}")

    # The servers' ends and restarts

    def _server_ended(self, name: str, exit_code: int) -> None:
        host = next((each for each in self.hosts if each.host == name), None)
        if host is None:
            return
        host.exit_codes.append(exit_code)
        asked = exit_code == ExitCode.EXECUTION_FINISHED
        if not asked and name not in self.excused:
            self.stuck.append(f"{name} ended by itself with exit code {exit_code}")
        # What a failed sync has left in memory is not to be trusted.
        host.disk = host.disk.kill() if asked else host.disk.crash(host.chance)
        host.disk.free_bytes = None
        host.faults = replace(host.faults, fail_chance=0.0)
        self.excused.pop(name, None)
        self.restart_later(host)

    def may_lose_disk(self, host: PeerHost) -> bool:
        """Whether the other voters are a quorum, and have not lost their disk or given it up."""
        others = [each for each in self.voters if each is not host and not each.is_emptied]
        verifier = verifier_of(host.config.membership)
        is_enough = verifier.is_quorum([int(each.host[1:]) for each in others])
        return is_enough and self.wiped is None

    def empty_disk(self, host: PeerHost) -> None:
        """What an operator does with a disk that is bad.

        The server says that it has no database, and gets one before it votes again.
        """
        self.wiped = host.host
        self.world.events.note("nemesis", f"the disk of {host.host} is emptied")
        host.disk = SimDisk()
        host.config = replace(host.config, db_autocreate=False)

    def restart_later(self, host: PeerHost, delay_s: float = RESTART_S) -> None:
        """Bring a server back, unless it comes back by itself."""
        self.world.network.at(self.world.loop.time() + delay_s, self._restart, host)

    def _restart(self, host: PeerHost) -> None:
        if not host.is_up and len(host.exit_codes) < 100:
            host.start()


def _has_gone_on(client: SimClient, rounds: int) -> bool:
    return client.rounds > rounds


def _is_done(client: SimClient) -> bool:
    return client.is_done


def simulate_ensemble(
    seed: int | str,
    options: EnsembleOptions | None = None,
    plant: Callable[[EnsembleRun], None] | None = None,
) -> Report:
    """One run. The same seed, options and planted bug give the same report."""
    chosen = EnsembleOptions.of(seed) if options is None else options
    with World(seed) as world:
        run = EnsembleRun(world, chosen)
        if plant is not None:
            plant(run)
        try:
            world.run("nemesis", run.play())
        except Deadlock as error:
            run.stuck.append(str(error))
        run.stuck += [f"an error in nobody's life: {error}" for error in world.loop.errors]
        entries = sorted(run.seen.entries.items())
        log = [txns.decode(entry)[0] for _, entry in entries]
        slack_ms = EXPIRY_SLACK_MS * (2 if chosen.has_masters else 1)
        evidence = Evidence(
            run.history, log, True, run.audits, run.stuck, expiry_slack_ms=slack_ms
        )
        verdicts = judge(evidence) + zab_checkers.judge_zab(run.seen.zab)
        for prop, what in run.history.complaints:
            world.events.note("nemesis", f"{prop}: {what}")
        return Report(
            seed,
            chosen,
            verdicts,
            world.events.digest(),
            world.events.lines,
            world.loop.time(),
            len(run.history.requests),
            sum(request.outcome == words.DONE for request in run.history.requests),
            run.fault_count,
            evidence,
            run.seen.zab,
        )
