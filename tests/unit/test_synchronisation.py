"""The choice of a synchronisation, case by case; the epoch files; the committed log."""

from __future__ import annotations

import pytest

from zkserver.base.errors import FatalError
from zkserver.zab.committed_log import CommittedLog, follows
from zkserver.zab.effects import EpochFile, StoreEpoch
from zkserver.zab.epochs import Epochs, recover
from zkserver.zab.synchronisation import History, SyncKind, choose


def z(text: str) -> int:
    epoch, counter = text.split(":")
    return int(epoch) << 32 | int(counter)


def entries(*zxids: str):
    return [(z(zxid), zxid.encode()) for zxid in zxids]


def log_of(*zxids: str, limit: int = 500) -> CommittedLog:
    log = CommittedLog(limit)
    for entry in entries(*zxids):
        log.append(entry)
    return log


class Disk:
    def __init__(self, *zxids: str, snapshot_bytes: int = 1000) -> None:
        self.log = entries(*zxids)
        self._snapshot_bytes = snapshot_bytes

    def entries(self, zxid):
        if self.log and self.log[0][0] <= zxid:
            yield from self.log

    def bytes_from(self, zxid):
        return 10 * sum(entry[0] >= zxid for entry in self.log)

    def snapshot_bytes(self):
        return self._snapshot_bytes


MEMORY = ("1:4", "1:5", "3:1", "3:2")
DISK = ("1:1", "1:2", "1:3", *MEMORY)

CASES = (
    # learner, last processed, kind, zxid, what it is sent
    ("3:2", "3:2", SyncKind.DIFF, "3:2", ()),
    ("4:0", "4:0", SyncKind.DIFF, "4:0", ()),
    ("3:2", "4:0", SyncKind.DIFF, "3:2", ()),
    ("3:1", "3:2", SyncKind.DIFF, "3:2", ("3:2",)),
    ("1:4", "3:2", SyncKind.DIFF, "3:2", ("1:5", "3:1", "3:2")),
    ("1:2", "3:2", SyncKind.DIFF, "3:2", ("1:3", *MEMORY)),
    ("3:9", "3:2", SyncKind.TRUNC, "3:2", ()),
    ("4:1", "3:2", SyncKind.TRUNC, "3:2", ()),
    # An epoch's start is in no log.
    ("2:0", "3:2", SyncKind.DIFF, "3:2", ("3:1", "3:2")),
    ("3:0", "3:2", SyncKind.DIFF, "3:2", ("3:1", "3:2")),
    ("4:0", "3:2", SyncKind.SNAP, "3:2", ()),
    # A tail that was never committed, with another epoch behind it.
    ("1:6", "3:2", SyncKind.SNAP, "3:2", ()),
    ("2:1", "3:2", SyncKind.SNAP, "3:2", ()),
    ("0:0", "3:2", SyncKind.SNAP, "3:2", ()),
    ("0:0", "4:0", SyncKind.SNAP, "4:0", ()),
)


@pytest.mark.parametrize(("peer", "last", "kind", "zxid", "sent"), CASES)
def test_the_choice(peer, last, kind, zxid, sent) -> None:
    plan = choose(z(peer), History(log_of(*MEMORY), z(last), Disk(*DISK)))
    assert (plan.kind, plan.zxid, plan.entries) == (kind, z(zxid), tuple(entries(*sent)))


def test_a_learner_without_anything_gets_the_tree() -> None:
    assert choose(-1, History(log_of(*MEMORY), z("3:2"), Disk(*DISK))).kind is SyncKind.SNAP
    assert choose(-1, History(CommittedLog(), 0, Disk())).kind is SyncKind.SNAP


def test_an_empty_ensemble_begins_with_an_empty_diff() -> None:
    plan = choose(0, History(CommittedLog(), 0, Disk()))
    assert (plan.kind, plan.zxid, plan.entries) == (SyncKind.DIFF, 0, ())


def test_a_forced_snapshot_comes_first() -> None:
    history = History(log_of(*MEMORY), z("3:2"), Disk(*DISK))
    assert choose(z("3:2"), history, force_snapshot=True).kind is SyncKind.SNAP


@pytest.mark.parametrize(
    ("disk", "factor"),
    [
        (Disk(*DISK), -1),
        (Disk(*DISK, snapshot_bytes=100), 0.33),
        # It begins too late, ends before memory begins, or has a hole.
        (Disk("1:3", *MEMORY), 0.33),
        (Disk("1:1", "1:2"), 0.33),
        (Disk("1:1", "1:2", *MEMORY), 0.33),
        (Disk(), 0.33),
    ],
)
def test_a_log_on_disk_that_may_not_serve_makes_a_snap(disk, factor) -> None:
    history = History(log_of(*MEMORY), z("3:2"), disk, factor)
    assert choose(z("1:2"), history).kind is SyncKind.SNAP


def test_a_zxid_that_is_logged_twice_is_no_hole() -> None:
    history = History(log_of(*MEMORY), z("3:2"), Disk("1:1", "1:2", "1:3", "1:3", *MEMORY))
    assert choose(z("1:1"), history).entries == tuple(entries("1:2", "1:3", *MEMORY))


def test_the_committed_log_keeps_the_last_and_refuses_a_gap() -> None:
    log = log_of("1:1", "1:2", "2:1", "2:2", limit=3)
    assert (log.first, log.last, len(log)) == (z("1:2"), z("2:2"), 3)
    log.append((z("2:1"), b"again"))
    assert list(log) == entries("1:2", "2:1", "2:2")
    for gap in ("2:4", "3:2"):
        with pytest.raises(FatalError, match="missing"):
            log.append((z(gap), b""))
    log.clear()
    log.append((z("5:7"), b""))
    assert (log.first, log.last) == (z("5:7"), z("5:7"))


def test_what_follows_what() -> None:
    assert follows(z("1:2"), z("1:1"))
    assert follows(z("3:1"), z("1:9"))
    assert follows(z("2:1"), z("2:0"))
    for zxid, previous in (("1:3", "1:1"), ("2:2", "1:1"), ("1:1", "1:1"), ("1:1", "2:1")):
        assert not follows(z(zxid), z(previous))


CURRENT = EpochFile.CURRENT
ACCEPTED = EpochFile.ACCEPTED


@pytest.mark.parametrize(
    ("last_zxid", "accepted", "current", "announced", "epochs"),
    [
        (z("2:5"), 3, 2, None, Epochs(3, 2)),
        (z("2:5"), 2, 2, 3, Epochs(2, 2)),
        (-1, None, None, None, Epochs(0, 0, (StoreEpoch(CURRENT, 0), StoreEpoch(ACCEPTED, 0)))),
        (z("2:5"), None, None, None, Epochs(2, 2, (StoreEpoch(CURRENT, 2), StoreEpoch(ACCEPTED, 2)))),
        (z("2:5"), None, 2, None, Epochs(2, 2, (StoreEpoch(ACCEPTED, 2),))),
        # The crash between the history of a new epoch and its file.
        (z("3:1"), 3, 2, 3, Epochs(3, 3, (StoreEpoch(CURRENT, 3),))),
        # The same within a history that had not reached the leader's own epoch.
        (z("3:1"), 4, 2, 4, Epochs(4, 3, (StoreEpoch(CURRENT, 3),))),
    ],
)
def test_epochs_after_a_crash(last_zxid, accepted, current, announced, epochs) -> None:
    assert recover(last_zxid, accepted, current, announced) == epochs


@pytest.mark.parametrize(
    ("last_zxid", "accepted", "current", "announced"),
    [(z("3:1"), 3, 2, None), (z("3:1"), 3, 2, 2), (z("1:1"), 1, 2, None), (z("3:1"), 2, 2, 3)],
)
def test_epochs_that_cannot_be_end_the_start(last_zxid, accepted, current, announced) -> None:
    with pytest.raises(FatalError):
        recover(last_zxid, accepted, current, announced)
