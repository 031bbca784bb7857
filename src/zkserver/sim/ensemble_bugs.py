"""Planted bugs of the ensemble: a simulator that finds nothing proves nothing.

Each bug is one name in `BUGS`, and one or a few classes that take the place of production ones
(`ensemble_bugs_zab`, `ensemble_bugs_server`); production code has no switch for any of them.
`simulate_ensemble(seed, plant=partial(plant, name))` is a run with one bug in all servers.

A bug is found by a property that is invalid. Where the server itself notices that its tree or its
history is another one than the leader's, it stops, and the property is Liveness ("ended by
itself"): a digest that differs, a COMMIT of something else than is next, a log that does not read.

`first_seed` is the first seed, from 0 on, whose run finds the bug, and `seeds_to_find` the bound
within which it must be found; None for one that is still sought: the simulator is too weak for
it. Whoever changes a fault or its odds changes what the seeds mean; `report_lines` tells the new
numbers. A method that production does not call any more plants nothing: where a bug is not found
in any seed, look there first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from zkserver.sim import ensemble_bugs_server as server
from zkserver.sim import ensemble_bugs_zab as zab
from zkserver.sim.bugs import HastyMachine, TailMachine
from zkserver.sim.checkers import INVALID
from zkserver.sim.ensemble import SimPeer
from zkserver.sim.ensemble_run import EnsembleOptions, EnsembleRun, simulate_ensemble
from zkserver.sim.machine import SimMachine
from zkserver.sim.run import Report

# How many seeds the report counts finds in, and how many it tries of a bug that is still sought.
SAMPLE = 20
LIMIT = 100


@dataclass(frozen=True)
class Bug:
    """A bug in one sentence, and how to plant it.

    `breaks` is a property that its first seed finds invalid, `jira` such a bug of Apache's server
    where there was one. `parts` are attributes of the peer's class, `peer` its class, `machine`
    that of the machine. `wish`: what of `EnsembleOptions` the seed does not choose, by field, for
    a bug whose moment is rare: it is sought where that can come.
    """

    sentence: str
    breaks: str
    first_seed: int | None
    seeds_to_find: int | None
    parts: dict[str, type] = field(default_factory=dict)
    peer: type[SimPeer] = SimPeer
    machine: type[SimMachine] = SimMachine
    jira: str = ""
    wish: dict[str, Any] = field(default_factory=dict)


# Many writes, so that something is under way whenever a fault comes.
_BUSY: dict[str, Any] = {"observers": 0, "clients": 5, "duration_s": 30.0, "think_s": 0.1}
# All lose what is not synced, now and then, and come back one by one.
_POWER = _BUSY | {
    "servers": 3,
    "sync_ms": 5.0,
    "fault_every_s": 2.0,
    "faults": ("power all", "slow disk"),
}
# Nothing but memory serves a learner that lags a little: the rest is sent the tree.
_DEAD_REIGN = _BUSY | {
    "servers": 5,
    "is_grouped": False,
    "sync_ms": 5.0,
    "snap_count": 1000,
    "memory": 3,
    "fault_every_s": 5.0,
    "faults": ("dead reign",),
    "snapshot_size_factor": -1.0,
}

BUGS: dict[str, Bug] = {
    "ack-before-fsync": Bug(
        "A server reports what it has written before it is synced.",
        "Liveness",
        first_seed=0,
        seeds_to_find=10,
        machine=HastyMachine,
        wish=_POWER,
    ),
    "torn-tail-kept": Bug(
        "A log goes on behind the torn tail of the last write before a crash.",
        "RestoreEqualsLive",
        first_seed=6,
        seeds_to_find=10,
        machine=TailMachine,
        wish=_POWER,
    ),
    "commit-without-quorum": Bug(
        "The leader commits what its own disk has.",
        "CommittedSurvive",
        first_seed=0,
        seeds_to_find=10,
        parts={"leader_class": zab.CommitsAlone},
    ),
    "half-is-a-quorum": Bug(
        "Half of the servers are a quorum.",
        "OneLeaderPerEpoch",
        first_seed=2,
        seeds_to_find=10,
        parts={"leader_class": zab.HalfIsEnough, "election_class": zab.HalfElects},
        wish=_BUSY
        | {
            "servers": 4,
            "fault_every_s": 2.0,
            "faults": ("partition halves", "kill leader"),
        },
    ),
    "observer-in-quorum": Bug(
        "An observer's acknowledgement counts for the quorum.",
        "CommittedSurvive",
        first_seed=4,
        seeds_to_find=30,
        parts={"leader_class": zab.CountsObservers, "learner_class": zab.AcknowledgingObserver},
    ),
    "leader-acks-unsynced": Bug(
        "The leader counts its own acknowledgement before its disk has the txn.",
        "CommittedSurvive",
        first_seed=2,
        seeds_to_find=10,
        parts={"leader_class": zab.CountsItselfEarly},
        wish=_POWER,
    ),
    "stale-leader-writes": Bug(
        "A leader that has lost its quorum goes on with the servers that are left.",
        "CommittedSurvive",
        first_seed=0,
        seeds_to_find=10,
        parts={"leader_class": zab.StaleLeader},
    ),
    "zxid-before-epoch": Bug(
        "Votes are compared by zxid before epoch.",
        "Liveness",
        first_seed=10,
        seeds_to_find=30,
        parts={"election_class": zab.ZxidFirst},
        wish={
            "servers": 3,
            "observers": 0,
            "clients": 3,
            "duration_s": 20.0,
            "think_s": 1.0,
            "fault_every_s": 4.0,
            "faults": ("strand",),
        },
    ),
    "ackepoch-unchecked": Bug(
        "Nobody's history is compared with the leader's at ACKEPOCH, and votes are compared by id.",
        "CommittedSurvive",
        first_seed=1,
        seeds_to_find=10,
        parts={"election_class": zab.IdFirst, "leader_class": zab.BelievesTheElection},
    ),
    "epoch-not-kept": Bug(
        "After a restart a server's epochs are that of its last zxid.",
        "OneLeaderPerEpoch",
        first_seed=18,
        seeds_to_find=30,
        peer=zab.ForgetfulOfEpochs,
    ),
    "epoch-before-history": Bug(
        "currentEpoch is written before the history is durable.",
        "CommittedSurvive",
        jira="ZOOKEEPER-4643, 4646",
        first_seed=0,
        seeds_to_find=10,
        parts={"learner_class": zab.EpochBeforeHistory},
        wish=_BUSY
        | {
            "servers": 3,
            "sync_ms": 50.0,
            "memory": 500,
            "fault_every_s": 6.0,
            "faults": ("half history",),
        },
    ),
    "newleader-acked-unsynced": Bug(
        "NEWLEADER is acknowledged with proposals still unsynced.",
        "CommittedSurvive",
        jira="ZOOKEEPER-3911",
        first_seed=16,
        seeds_to_find=30,
        parts={"learner_class": zab.AcknowledgesUnsynced},
    ),
    "early-commit-dropped": Bug(
        "A COMMIT before UPTODATE is dropped.",
        "Liveness",
        jira="ZOOKEEPER-3023",
        first_seed=0,
        seeds_to_find=10,
        parts={"learner_class": zab.DropsEarlyCommits},
        wish=_BUSY
        | {
            "duration_s": 10.0,
            "sync_ms": 50.0,
            "fault_every_s": 3.0,
            "faults": ("kill",),
        },
    ),
    "serves-before-uptodate": Bug(
        "A learner serves clients from NEWLEADER on.",
        "OneLeaderPerEpoch",
        first_seed=0,
        seeds_to_find=10,
        parts={"learner_class": zab.ServesEarly},
    ),
    "trunc-one-short": Bug(
        "TRUNC leaves one record too many.",
        "TotalOrder",
        first_seed=4,
        seeds_to_find=10,
        parts={"learner_class": zab.CutsOneShort},
    ),
    "tree-kept-at-trunc": Bug(
        "TRUNC cuts the log and not the tree in memory.",
        "Liveness",
        first_seed=4,
        seeds_to_find=10,
        peer=server.ForgetsCuts,
    ),
    "diff-skips-a-record": Bug(
        "A DIFF leaves its first txn out.",
        "Liveness",
        jira="ZOOKEEPER-4925",
        first_seed=0,
        seeds_to_find=10,
        parts={"leader_class": zab.SkipsARecord},
    ),
    "outstanding-not-sent": Bug(
        "A learner that joins is not sent what is proposed and not committed.",
        "Liveness",
        first_seed=1,
        seeds_to_find=10,
        parts={"leader_class": zab.ForgetsTheOutstanding},
    ),
    "half-tree-kept": Bug(
        "A tree that had not come whole when the link broke is kept as if it had.",
        "Liveness",
        jira="ZOOKEEPER-3642",
        first_seed=0,
        seeds_to_find=10,
        parts={"learner_role_class": server.HalfTreeRole},
        wish={
            "clients": 5,
            "duration_s": 30.0,
            "think_s": 0.1,
            "memory": 3,
            "fault_every_s": 3.0,
            "faults": ("leave joining",),
        },
    ),
    "old-logs-kept": Bug(
        "The logs from before a leader's tree stay.",
        "Liveness",
        first_seed=0,
        seeds_to_find=10,
        peer=server.KeepsOldLogs,
        wish={
            "servers": 5,
            "observers": 0,
            "clients": 5,
            "duration_s": 30.0,
            "think_s": 0.1,
            "snap_count": 20,
            "memory": 3,
            "fault_every_s": 4.0,
            "faults": ("overtake",),
            "snapshot_size_factor": 3.0,
        },
    ),
    "tail-forgotten": Bug(
        "What is logged and not committed at the end of a role is not in the tree.",
        "CommittedSurvive",
        jira="ZOOKEEPER-2845",
        first_seed=1,
        seeds_to_find=10,
        parts={
            "leader_role_class": server.ForgetfulLeaderRole,
            "learner_role_class": server.ForgetfulLearnerRole,
        },
    ),
    "empty-disk-votes": Bug(
        "A server whose disk was lost votes as if it had never had one.",
        "CommittedSurvive",
        first_seed=0,
        seeds_to_find=10,
        peer=server.TrustsItsEmptyDisk,
        wish={
            "servers": 3,
            "observers": 0,
            "duration_s": 20.0,
            "think_s": 0.1,
            "fault_every_s": 3.0,
            "faults": ("lose disk",),
        },
    ),
    "emptied-server-votes": Bug(
        "A server that has given up its history votes as if it had never had one.",
        "CommittedSurvive",
        first_seed=0,
        seeds_to_find=10,
        peer=server.EmptiedVotes,
        wish=_DEAD_REIGN,
    ),
    "mark-removed-early": Bug(
        "A server that has given up its history may vote before the leader's tree is on its disk.",
        "CommittedSurvive",
        first_seed=1,
        seeds_to_find=10,
        peer=server.UnmarksEarly,
        wish=_DEAD_REIGN,
    ),
    "applied-out-of-order": Bug(
        "Of two txns that are committed at once a learner applies the later one first.",
        "TotalOrder",
        first_seed=0,
        seeds_to_find=10,
        parts={"learner_class": zab.AppliesOutOfOrder},
    ),
    "applied-uncommitted": Bug(
        "A follower applies a proposal when it comes.",
        "CommittedSurvive",
        first_seed=1,
        seeds_to_find=10,
        parts={"learner_class": zab.AppliesUncommitted},
        wish=_POWER,
    ),
    "read-overtakes-write": Bug(
        "A read is served before its session's earlier write.",
        "SessionOrder",
        first_seed=0,
        seeds_to_find=10,
        peer=server.HastyReads,
    ),
    "older-state-after-move": Bug(
        "A client is served by a server that has not what it has seen.",
        "SessionOrder",
        first_seed=5,
        seeds_to_find=10,
        peer=server.ServesOlderState,
    ),
    "sync-without-leader": Bug(
        "A follower answers a sync by itself.",
        "SyncedReads",
        first_seed=1,
        seeds_to_find=10,
        parts={"learner_role_class": server.SyncsAlone},
    ),
    "moved-session-writes": Bug(
        "A request is taken from a server that its client has left.",
        "SessionOrder",
        first_seed=25,
        seeds_to_find=30,
        parts={"leader_role_class": server.IgnoresMoves},
    ),
    "follower-expires": Bug(
        "A follower has sessions closed that are alive elsewhere.",
        "Ephemerals",
        first_seed=0,
        seeds_to_find=10,
        parts={"learner_role_class": server.ExpiringRole},
    ),
    "touches-forgotten": Bug(
        "The leader is not told which sessions followers hear of.",
        "Ephemerals",
        first_seed=0,
        seeds_to_find=10,
        parts={"learner_class": zab.TouchesForgotten},
    ),
    "ephemeral-kept-at-failover": Bug(
        "Sessions of an earlier leader are not closed when they expire.",
        "Ephemerals",
        first_seed=6,
        seeds_to_find=10,
        peer=server.CarelessHeir,
    ),
    "watch-lost-at-move": Bug(
        "A client that brings its watches to a server is not told what it has missed.",
        "WatchBeforeRead",
        first_seed=0,
        seeds_to_find=10,
        parts={
            "leader_role_class": server.DeafLeaderRole,
            "learner_role_class": server.DeafLearnerRole,
        },
    ),
}


def plant(name: str, run: EnsembleRun) -> None:
    """Give all servers of a run one bug. Raises KeyError for one that is not known."""
    bug = BUGS[name]
    peer: Any = type("Planted" + bug.peer.__name__, (bug.peer,), dict(bug.parts))
    for host in run.hosts:
        host.process_class = peer
        host.machine_class = bug.machine


def options_of(name: str, seed: int) -> EnsembleOptions:
    """What is run to find a bug: what the seed chooses, but for the bug's wish."""
    return EnsembleOptions.of(seed).but(BUGS[name].wish)


def run(name: str, seed: int) -> Report:
    """The run of a seed with a bug planted, where it is sought."""
    return simulate_ensemble(seed, options_of(name, seed), partial(plant, name))


def found_by(report: Report) -> list[str]:
    """The properties that are invalid."""
    return [verdict.name for verdict in report.verdicts if verdict.outcome == INVALID]


def hunt(name: str, limit: int) -> int | None:
    """The first seed, of `limit` from 0 on, that finds a bug; None if none does."""
    return next((seed for seed in range(limit) if found_by(run(name, seed))), None)


def row(name: str) -> str:
    """A bug's line of the table. It takes about a second for each seed of the sample."""
    bug = BUGS[name]
    found = [seed for seed in range(SAMPLE) if found_by(run(name, seed))]
    first = found[0] if found else hunt(name, bug.seeds_to_find or LIMIT)
    by = "" if first is None else ", ".join(found_by(run(name, first)))
    cells = (
        name + ("*" if bug.wish else ""),
        bug.sentence,
        bug.jira,
        by,
        "sought" if first is None else first,
        bug.seeds_to_find or "",
        len(found),
    )
    return f"| {' | '.join(map(str, cells))} |"


def report_lines(each: Callable[..., Iterable[str]] = map) -> Iterator[str]:
    """The table of bugs, as Markdown; `each` runs `row` for them, in order, as `map` does."""
    yield f"| bug | what is wrong | as in | found by | first seed | bound | of {SAMPLE} |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    yield from each(row, BUGS)
