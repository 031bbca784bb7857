"""How one learner is brought to the leader's history, as data.

| the learner's last zxid | what it gets |
| --- | --- |
| (a snapshot is forced) | SNAP |
| the leader's last processed | an empty DIFF |
| after the last committed, and no epoch's start | TRUNC to the last committed |
| within the committed log | DIFF from memory |
| older, and the log on disk reaches back and is small enough | DIFF from disk, then memory |
| anything else | SNAP |

An epoch's start (its low half is 0) is the place of a NEWLEADER and in no log: within the log the
learner is sent what is above it, and it is never told to cut there. A learner at a txn that the
leader has not, with later ones of another epoch in the leader's log, has a tail that was never
committed; cutting across an epoch is not allowed (its log may not reach back so far), so: SNAP.

The plan holds committed txns only. What is proposed and not committed goes behind them and then
NEWLEADER, whose acknowledgement vouches for all before it: that is `leader`'s.

A walk over a log that has a hole ends in SNAP: sending across it would lose txns (ZOOKEEPER-4925).
Apache's server knows a case more, TRUNC and DIFF at once for a learner whose last zxid lies in a
hole of one epoch; without holes there is none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Enum
from typing import NamedTuple, Protocol

from zkserver.base.zxid import counter_of, epoch_of, hex_zxid
from zkserver.jute.quorum_packets import PacketType
from zkserver.zab.committed_log import CommittedLog, follows
from zkserver.zab.effects import Entry

DEFAULT_SNAPSHOT_SIZE_FACTOR = 0.33


class SyncKind(Enum):
    """The packet that opens a synchronisation."""

    DIFF = PacketType.DIFF
    TRUNC = PacketType.TRUNC
    SNAP = PacketType.SNAP


class SyncPlan(NamedTuple):
    """Send `kind` with `zxid`, then each of `entries` as PROPOSAL and COMMIT.

    `reached` is where the learner then stands.
    """

    kind: SyncKind
    zxid: int
    entries: tuple[Entry, ...]
    reached: int

    @property
    def summary(self) -> str:
        """What it is, for a line of log."""
        return f"{self.kind.name} to 0x{hex_zxid(self.zxid)}, txns={len(self.entries)}"


class LogOnDisk(Protocol):
    """The leader's log, read back.

    `entries(zxid)` gives logged txns in order, the first of them at or before `zxid`; none if the
    log does not reach back that far, or a snapshot was received from a leader since (then there
    is a hole that zxids do not show). `bytes_from(zxid)` is how much there is to read.
    `snapshot_bytes` is the size of the newest snapshot.
    """

    def entries(self, zxid: int) -> Iterator[Entry]: ...

    def bytes_from(self, zxid: int) -> int: ...

    def snapshot_bytes(self) -> int: ...


class History(NamedTuple):
    """What the leader has: `last_processed` is its last committed zxid or its epoch's start."""

    committed: CommittedLog
    last_processed: int
    disk: LogOnDisk
    snapshot_size_factor: float = DEFAULT_SNAPSHOT_SIZE_FACTOR


def choose(peer_zxid: int, history: History, *, force_snapshot: bool = False) -> SyncPlan:
    """The plan for a learner whose last zxid is `peer_zxid` (-1 for one that has nothing)."""
    committed, last = history.committed, history.last_processed
    snapshot = SyncPlan(SyncKind.SNAP, last, (), last)
    if force_snapshot:
        return snapshot
    if peer_zxid == last:
        return SyncPlan(SyncKind.DIFF, peer_zxid, (), peer_zxid)
    oldest = last if committed.first is None else committed.first
    newest = last if committed.last is None else committed.last
    if peer_zxid > newest:
        if counter_of(peer_zxid) == 0:
            return snapshot
        return SyncPlan(SyncKind.TRUNC, newest, (), newest)
    if peer_zxid >= oldest:
        entries = _after(peer_zxid, committed)
    elif _disk_may_serve(peer_zxid, history):
        entries = _after(peer_zxid, _disk_then_memory(peer_zxid, history, oldest))
    else:
        entries = None
    if entries is None or (entries[-1][0] if entries else newest) != newest:
        return snapshot
    return SyncPlan(SyncKind.DIFF, newest, entries, newest)


def _disk_may_serve(peer_zxid: int, history: History) -> bool:
    """Reading much log costs more than sending a tree: the factor says how much is much."""
    factor = history.snapshot_size_factor
    if factor < 0 or peer_zxid < 0 or not len(history.committed):
        return False
    return history.disk.bytes_from(peer_zxid) <= factor * history.disk.snapshot_bytes()


def _disk_then_memory(peer_zxid: int, history: History, oldest: int) -> Iterator[Entry]:
    for entry in history.disk.entries(peer_zxid):
        if entry[0] >= oldest:
            break
        yield entry
    yield from history.committed


def _after(peer_zxid: int, entries: Iterable[Entry]) -> tuple[Entry, ...] | None:
    """What follows the learner's last txn, None if it does not stand in this history.

    The first entry has to be at or before `peer_zxid`, or the beginning is missing.
    """
    found: list[Entry] = []
    previous = None
    is_in_history = counter_of(peer_zxid) == 0
    for entry in entries:
        zxid = entry[0]
        if previous is None:
            if zxid > peer_zxid:
                return None
        elif zxid == previous:
            # A malformed request is logged under the zxid before it: no txn of its own.
            continue
        elif zxid > peer_zxid and not follows(zxid, previous):
            return None
        previous = zxid
        if zxid == peer_zxid:
            is_in_history = True
        elif zxid > peer_zxid:
            if not is_in_history:
                return None
            if not found and epoch_of(zxid) < epoch_of(peer_zxid):
                return None
            found.append(entry)
    return tuple(found)
