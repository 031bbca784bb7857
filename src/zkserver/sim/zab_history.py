"""What the servers of an ensemble did, seen from outside: the evidence of `zab_checkers`.

A run records eight kinds of events, each when it happens and from where it can be seen without
asking a core for its opinion: what a core was handed (`proposed`), what it had applied
(`delivered`, `adopted`), what the memory was read from (`begins`, `received_tree`), what the peer
applied itself at the end of a role (`kept`), and the two moments from which a server may be
believed (`established`, `serves`). Nothing of the leader's or the learner's bookkeeping is in it.

What a learner applies before UPTODATE is *adopted* and not yet delivered. The leader sends COMMIT
behind every txn of its history, but that history is committed only when a quorum has it, and a
leader may fail before that: then what its learner adopted was never committed, and may be cut away.
The paper's follower delivers the history when the leader is established (step f.2.2); here adopted
txns count as delivered if their server serves with them (`settled`).

`number` is the number of the run's event (`EventLog.note`). Numbers never fall; events of one
number happened in the order of the calls. Entries are kept as hashes of eight bytes.

A server's *memory* follows from its events, and only from its own: `replay` tells them again,
each with the memory before it. What a memory inherits from a disk or a tree is known by the zxid
it ends at, not by content; the content is what `EqualDigestAtEqualZxid` is for.

A zxid with counter 0 is the start of an epoch and names no txn: a state that ends there is the
state at the end of the history that the epoch's leader was established with. `place` says which
that is, so that a learner that was sent the tree at 2:0 and one that stood at 1:4 compare equal.

Left out: what is logged and not applied, acknowledgements, and everything about clients (that is
`history`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import NamedTuple

from zkserver.base.zxid import counter_of, epoch_of, hex_zxid

HASH_BYTES = 8


def hash_of(entry: bytes) -> bytes:
    """What is kept of an entry."""
    return blake2b(entry, digest_size=HASH_BYTES).digest()


def shown(zxid: int) -> str:
    """epoch:counter in hex, as the papers write it."""
    return f"{epoch_of(zxid):x}:{counter_of(zxid):x}" if zxid >= 0 else hex_zxid(zxid)


class Established(NamedTuple):
    """A leader has entered broadcast. Its history ended at `last_zxid` then: not epoch:0."""

    number: int
    server: int
    epoch: int
    last_zxid: int


class Proposed(NamedTuple):
    """A leader was handed a txn of its epoch."""

    number: int
    server: int
    epoch: int
    zxid: int
    entry: bytes


class Delivered(NamedTuple):
    """A txn was committed and applied. `digest` is the tree's after it, if it is known."""

    number: int
    server: int
    zxid: int
    entry: bytes
    digest: int | None


class Adopted(NamedTuple):
    """A learner applied a txn of a leader's history, or one behind it, before UPTODATE."""

    number: int
    server: int
    zxid: int
    entry: bytes
    digest: int | None


class Begins(NamedTuple):
    """The memory is what the disk holds, up to `last_zxid`."""

    number: int
    server: int
    last_zxid: int


class ReceivedTree(NamedTuple):
    """The memory is a leader's tree at `zxid`, with its digest if that is known."""

    number: int
    server: int
    zxid: int
    digest: int | None


class Serves(NamedTuple):
    """A learner serves its clients, from a state that ends at `last_zxid`."""

    number: int
    server: int
    epoch: int
    last_zxid: int


class Kept(NamedTuple):
    """The peer applied a logged, uncommitted txn at the end of a role."""

    number: int
    server: int
    zxid: int
    entry: bytes


Event = Established | Proposed | Delivered | Adopted | Begins | ReceivedTree | Serves | Kept


@dataclass(slots=True)
class Memory:
    """What a server has applied, as far as its own events tell.

    It inherited everything up to `base`, and got `got` since, in that order. `last` is the zxid
    it ends at. `gaps` are pairs of zxids that follow one another in it, without being neighbours:
    what lies between them it has not, unless it is in `got`.
    """

    base: int
    last: int
    got: dict[int, bytes] = field(default_factory=dict)
    gaps: list[tuple[int, int]] = field(default_factory=list)

    def holds(self, zxid: int) -> bool:
        """Whether a txn is in the memory."""
        if zxid in self.got:
            return True
        return zxid <= self.base and not any(left < zxid < right for left, right in self.gaps)

    def take(self, zxid: int, entry: bytes) -> None:
        """A txn is applied."""
        if zxid > self.last + 1:
            self.gaps.append((self.last, zxid))
        self.got[zxid] = entry
        self.last = zxid

    def reload(self, last_zxid: int) -> None:
        """The memory is read again from the disk, which ends at `last_zxid`."""
        self.gaps = [gap for gap in self.gaps if gap[1] <= last_zxid]
        self.base = self.last = max(last_zxid, 0)
        self.got = {}


@dataclass(slots=True)
class ZabHistory:
    """Events in the order they happened; `number` is the EventLog's number.

    Of what happens at once: a proposal is recorded before the core gets it; that the memory was
    replaced before what is applied on top of it, and that before `serves`; a leader's
    establishment before that of anybody who serves under it. Every server begins first.

    Raises ValueError for a number below the one before it.
    """

    events: list[Event] = field(default_factory=list)

    def _add(self, event: Event) -> None:
        if self.events and event.number < self.events[-1].number:
            raise ValueError(f"event {event.number} after {self.events[-1].number}")
        self.events.append(event)

    def established(self, number: int, server: int, epoch: int, last_zxid: int) -> None:
        """A leader enters broadcast. `last_zxid`: the end of its history then, not epoch:0."""
        self._add(Established(number, server, epoch, last_zxid))

    def proposed(self, number: int, server: int, epoch: int, zxid: int, entry: bytes) -> None:
        """A leader handed a txn to its core."""
        self._add(Proposed(number, server, epoch, zxid, hash_of(entry)))

    def delivered(
        self, number: int, server: int, zxid: int, entry: bytes, digest: int | None
    ) -> None:
        """A txn is committed and applied, by a leader, or a learner that serves."""
        self._add(Delivered(number, server, zxid, hash_of(entry), digest))

    def adopted(
        self, number: int, server: int, zxid: int, entry: bytes, digest: int | None
    ) -> None:
        """A txn is applied by a learner that has not got UPTODATE."""
        self._add(Adopted(number, server, zxid, hash_of(entry), digest))

    def begins(self, number: int, server: int, last_zxid: int) -> None:
        """The memory now is the disk's state: at a start, or after the log was cut."""
        self._add(Begins(number, server, last_zxid))

    def received_tree(self, number: int, server: int, zxid: int, digest: int | None) -> None:
        """The memory now is a leader's tree at `zxid`; no digest if the tree may hold more."""
        self._add(ReceivedTree(number, server, zxid, digest))

    def serves(self, number: int, server: int, epoch: int, last_zxid: int) -> None:
        """A learner got UPTODATE; its clients see a state that ends at `last_zxid`."""
        self._add(Serves(number, server, epoch, last_zxid))

    def kept(self, number: int, server: int, zxid: int, entry: bytes) -> None:
        """A txn is applied of which no commit is known: see `Kept`."""
        self._add(Kept(number, server, zxid, hash_of(entry)))

    def settled(self) -> list[Event]:
        """The events, with adopted txns as `Delivered` where their server believed in them.

        It did if it serves, is established or delivers with that memory, before that is replaced.
        """
        events = list(self.events)
        believes: dict[int, bool] = {}
        for at in range(len(events) - 1, -1, -1):
            event = events[at]
            if isinstance(event, Serves | Established | Delivered):
                believes[event.server] = True
            elif isinstance(event, Begins | ReceivedTree):
                believes[event.server] = False
            elif isinstance(event, Adopted) and believes.get(event.server):
                events[at] = Delivered(*event)
        return events


class Places:
    """Which txn a state that ends at a zxid has applied last."""

    def __init__(self, history: ZabHistory) -> None:
        self._before: dict[int, int] = {}
        for event in history.events:
            if isinstance(event, Established) and epoch_of(event.last_zxid) < event.epoch:
                self._before.setdefault(event.epoch, event.last_zxid)

    def of(self, zxid: int) -> int | None:
        """The txn's zxid, 0 for an empty state; None for the start of an epoch nobody knows."""
        while zxid > 0 and counter_of(zxid) == 0:
            if epoch_of(zxid) not in self._before:
                return None
            zxid = self._before[epoch_of(zxid)]
        return max(zxid, 0)


def replay(history: ZabHistory) -> Iterator[tuple[Event, Memory]]:
    """All events again, settled, each with the memory of its server before it.

    A `Begins` or `ReceivedTree` of a server that was not heard of comes with an empty memory.
    Raises LookupError where a server does anything else before its memory is known.
    """
    memories: dict[int, Memory] = {}
    for event in history.settled():
        memory = memories.get(event.server)
        if memory is None:
            if not isinstance(event, Begins | ReceivedTree):
                raise LookupError(f"n{event.server} does something before it begins: {event}")
            memory = memories[event.server] = Memory(0, 0)
        yield event, memory
        if isinstance(event, Delivered | Adopted | Kept):
            memory.take(event.zxid, event.entry)
        elif isinstance(event, Begins):
            memory.reload(event.last_zxid)
        elif isinstance(event, ReceivedTree):
            memory.gaps = []
            memory.reload(event.zxid)
