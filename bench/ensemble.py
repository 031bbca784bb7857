"""The figures of ensembles: three servers of zkserver's beside three of Apache's.

Whole ensembles take turns (`ensemble_servers` says how they pause). Four pairs, one after another:

1. `load`: warmed like single servers, for twice the time, as three JVMs share the machine. Works
   with all connections spread over the three servers; one client, through a follower and through
   the leader; then the leader is killed, again and again.
2. `idle`: empty, for memory.
3. `diff`: a follower is ended, 100,000 setData come, it is started again. `commitLogCount` lets
   both leaders keep that many transactions in memory, so that both send a DIFF; with the default
   they would send a snapshot of this small tree.
4. `snap`: a million znodes; a follower is ended, its version-2 emptied, and it is started again.
   Meanwhile setData come to the leader at a fixed rate, from before the start until it serves.
   Latency counts from the moment a request was due.

A learner is back in service when `srvr` calls it a follower (and its zxid is the leader's, in 3).
The write after a kill is a setData in a new session, tried at both survivors every 10 ms, while
another client writes through both at a light, fixed rate.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ensemble_servers import Ensemble, zxid_of
from probes import first_answer, set_data
from servers import Contender, Load, Server, Unmeasured
from tables import ENSEMBLE_WORKS, Row, Single, Work, closed_loop, ensemble_singles
from turns import alternate, ended, say

# Shares of the warm-up for the paths that the works take.
WARM_UP = (("mixed:50", 0.5), ("create", 0.3), ("get", 0.2))
WARM_UP_FACTOR = 2
IDLE_SETTLE_S = 5.0
LIGHT_LOAD = ("-S", "-o", "set", "-c", 4, "-w", 100, "-r", 200)
BEFORE_KILL_S = 1.0
FAILOVER_DEADLINE_S = 60.0
FAILOVER_PAUSE_S = 0.01
SNAP_RATE = 1_000
# A snapshot of a million znodes must arrive within initLimit on a slow disk, too.
SNAP_SETTINGS = {"initLimit": 30}
DIFF_SETTINGS = {"commitLogCount": 150_000}

Attempt = Callable[[str, Callable[[], None]], None]
Pair = Sequence[Ensemble]


@dataclass(frozen=True)
class Sizes:
    """How much of it: the full figures, or a trial of the tool."""

    rounds: int
    seconds: float
    warm_up_s: float
    kills: int
    behind: int
    znodes: int


@dataclass
class EnsembleFigures:
    """The figures of this page, as far as they were measured."""

    load: Load
    sizes: Sizes
    contenders: tuple[Contender, Contender]
    attempt: Attempt
    rows: list[Row] = field(default_factory=list)
    singles: list[Single] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    _known: dict[str, Single] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._known = ensemble_singles(self.sizes.znodes, self.sizes.behind, SNAP_RATE)

    def measure(self, wanted: Sequence[str]) -> None:
        """Takes the figures with these keys; `attempt` keeps what fails from ending the rest."""
        works = [work for work in ENSEMBLE_WORKS if work.key in wanted]
        for key in ("e-set-1x1", "e-failover", "e-idle", "e-diff", "e-snap"):
            if key in wanted:
                self.singles += [
                    single for name, single in self._known.items()
                    if name == key or name.startswith(f"{key}-")
                ]  # fmt: skip
        if works or "e-set-1x1" in wanted or "e-failover" in wanted:
            self.attempt("ensembles", lambda: self._under_load(works, wanted))
        if "e-idle" in wanted:
            self.attempt("ensembles: idle", self._idle)
        if "e-diff" in wanted:
            self.attempt("ensembles: DIFF", self._diff)
        if "e-snap" in wanted:
            self.attempt("ensembles: SNAP", self._snap)

    # --- turns ----------------------------------------------------------------------------

    def _pair(self, tag: str, settings: dict[str, object] | None = None) -> list[Ensemble]:
        return [Ensemble.new(one, f"ensemble-{tag}", settings) for one in self.contenders]

    def _rounds(
        self, pair: Pair, title: str, action: Callable[[Ensemble], None], count: int = 0
    ) -> None:
        count = count or self.sizes.rounds
        for number in range(count):
            say(f"ensembles: {title}: round {number + 1} of {count}")
            alternate(pair, action)

    def _note(self, key: str, ensemble: Ensemble, value: float) -> None:
        single = self._known[key]
        ours = ensemble.contender is self.contenders[0]
        (single.zkserver if ours else single.apache).append(value)

    def _start(self, ensemble: Ensemble) -> None:
        say(f"starting three of {ensemble.name}")
        ensemble.start()
        self.versions[ensemble.name] = ensemble.version()

    def _start_warm(self, ensemble: Ensemble) -> None:
        self._start(ensemble)
        for op, share in WARM_UP:
            seconds = share * WARM_UP_FACTOR * self.sizes.warm_up_s
            self.load.run(ensemble, "-o", op, "-W", 0.1, "-d", seconds)
        self._quiet(ensemble)

    def _quiet(self, ensemble: Ensemble) -> None:
        ensemble.settle()
        ensemble.prune()

    # --- under load -----------------------------------------------------------------------

    def _under_load(self, works: Sequence[Work], wanted: Sequence[str]) -> None:
        with ended(self._pair("load")) as pair:
            alternate(pair, self._start_warm)
            for work in works:
                self.attempt(f"ensembles: {work.title}", partial(self._row, pair, work))
            if "e-set-1x1" in wanted:
                self.attempt("ensembles: 1 × 1", lambda: self._one_by_one(pair))
            if "e-failover" in wanted:
                self.attempt("ensembles: failover", lambda: self._failover(pair))

    def _row(self, pair: Pair, work: Work) -> None:
        row = Row(work)
        self.rows.append(row)

        def once(ensemble: Ensemble) -> None:
            result = self._run(ensemble, ensemble, work.load)
            ours = ensemble.contender is self.contenders[0]
            (row.zkserver if ours else row.apache).append(result)

        self._rounds(pair, work.title, once)
        say(f"    {work.title}: × {row.ratio('ops_per_s') or 0:.2f}, "
            f"per CPU-second × {row.ratio('ops_per_cpu_s') or 0:.2f} {row.verdict()}")  # fmt: skip

    def _one_by_one(self, pair: Pair) -> None:
        def once(ensemble: Ensemble) -> None:
            follower, leader = ensemble.followers()[0], ensemble.leader()
            for key, server in (("e-set-1x1", follower), ("e-set-1x1-leader", leader)):
                result = self._run(ensemble, server, closed_loop("set", 1, 1))
                self._note(key, ensemble, result["p50_us"])
                self._note(f"{key}-p99", ensemble, result["p99_us"])

        self._rounds(pair, "1 × 1", once)

    def _run(
        self, ensemble: Ensemble, target: Ensemble | Server, load: Sequence[str]
    ) -> dict[str, Any]:
        seconds = self.sizes.seconds
        result = self.load.run(target, *load, "-W", min(2.0, seconds), "-d", seconds)
        self._quiet(ensemble)
        return result

    def _failover(self, pair: Pair) -> None:
        def fill(ensemble: Ensemble) -> None:
            self.load.run(ensemble, "-o", "fill")

        alternate(pair, fill)
        self._rounds(pair, "the leader is killed", self._kill_leader, self.sizes.kills)

    def _kill_leader(self, ensemble: Ensemble) -> None:
        leader, survivors = ensemble.leader(), ensemble.followers()
        light = Survivors(ensemble.name, survivors)
        with self.load.running(light, *LIGHT_LOAD, "-d", FAILOVER_DEADLINE_S):
            time.sleep(BEFORE_KILL_S)
            killed_at = time.monotonic()
            os.killpg(leader.pid, signal.SIGKILL)
            found = first_answer(
                [server.port for server in survivors], set_data("/zkload/k0/0", b"x" * 100),
                killed_at, FAILOVER_DEADLINE_S, lambda: light.pids, FAILOVER_PAUSE_S,
            )  # fmt: skip
        leader.stop(signal.SIGKILL)
        ensemble.start_member(leader)
        ensemble.wait_serving()
        ensemble.settle()
        if found is None or found[1]:
            raise Unmeasured(f"{ensemble.name}: no write after the leader's end: {found}")
        self._note("e-failover", ensemble, found[0] * 1000)

    # --- idle -----------------------------------------------------------------------------

    def _idle(self) -> None:
        def once(ensemble: Ensemble) -> None:
            self._note("e-idle-start", ensemble, ensemble.start())
            self.versions[ensemble.name] = ensemble.version()
            time.sleep(IDLE_SETTLE_S)
            self._note("e-idle", ensemble, ensemble.rss_mb())
            ensemble.stop()

        for number in range(self.sizes.rounds):
            say(f"ensembles: idle: round {number + 1} of {self.sizes.rounds}")
            with ended(self._pair("idle")) as pair:
                alternate(pair, once)

    # --- learners that are behind -----------------------------------------------------------

    def _diff(self) -> None:
        with ended(self._pair("diff", {**DIFF_SETTINGS})) as pair:
            alternate(pair, self._start_warm)
            self._rounds(pair, f"{self.sizes.behind:,} transactions behind", self._catch_up)

    def _catch_up(self, ensemble: Ensemble) -> None:
        learner, leader = ensemble.followers()[0], ensemble.leader()
        learner.stop()
        self.load.run(leader, "-o", "set", "-W", 0, "-n", self.sizes.behind, "-d", 600)
        zxid = zxid_of(leader)
        for server in ensemble.members:
            if server is not learner:
                server.settle()
        ensemble.start_member(learner)
        self._note("e-diff", ensemble, ensemble.back_in_service(learner, zxid))
        ensemble.wait_serving()
        self._quiet(ensemble)

    def _snap(self) -> None:
        with ended(self._pair("snap", {**SNAP_SETTINGS})) as pair:
            say(f"ensembles: {self.sizes.znodes:,} znodes: filling")
            alternate(pair, self._fill)
            self._rounds(pair, f"a learner of {self.sizes.znodes:,} znodes", self._send_tree)
            for ensemble in pair:
                self._note("e-snap-memory", ensemble, ensemble.rss_mb())

    def _fill(self, ensemble: Ensemble) -> None:
        self._start(ensemble)
        leader = ensemble.leader()
        filled = self.load.run(leader, "-o", "fill", "-k", self.sizes.znodes, "-s", 100)
        self._note("e-snap-fill", ensemble, filled["ops_per_s"])
        self.load.run(leader, "-S", *closed_loop("set", 50, 20), "-d", 0.1,
                      "-W", WARM_UP_FACTOR * self.sizes.warm_up_s / 2)  # fmt: skip
        self._quiet(ensemble)

    def _send_tree(self, ensemble: Ensemble) -> None:
        learner, leader = ensemble.followers()[0], ensemble.leader()
        learner.stop(signal.SIGKILL)
        shutil.rmtree(learner.data_files)
        with self.load.running(
            leader, "-S", "-o", "set", "-c", 10, "-w", 1000, "-r", SNAP_RATE, "-W", 1, "-d", 600
        ) as writes:
            time.sleep(1.1)  # warm, and measured since
            ensemble.start_member(learner)
            seconds = ensemble.back_in_service(learner)
            writes.end()
            result = writes.result()
        self._note("e-snap", ensemble, seconds)
        self._note("e-snap-p99", ensemble, result["p99_us"] / 1000)
        self._note("e-snap-max", ensemble, result["max_us"] / 1000)
        ensemble.wait_serving()
        self._quiet(ensemble)


@dataclass
class Survivors:
    """What is left of an ensemble: takes the light load."""

    name: str
    servers: list[Server]

    @property
    def hosts(self) -> str:
        return ",".join(server.hosts for server in self.servers)

    @property
    def pids(self) -> list[int]:
        return [server.pid for server in self.servers]
