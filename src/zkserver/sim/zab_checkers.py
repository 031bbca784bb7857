"""What must hold of an ensemble's run, by the names of the ZAB papers and of the TLA+ spec.

The evidence is a `ZabHistory`; the verdicts are those of `checkers`: ok, invalid, or unknown, the
last for evidence that a checker stumbles over, such as a server that delivers before it begins.

Sources: "DSN" is Junqueira, Reed, Serafini, "Zab: High-performance broadcast for primary-backup
systems" (DSN 2011), section III; "TLA+" is zookeeper-specifications/protocol-spec/Zab.tla in
apache/zookeeper, whose invariants these are: Integrity, TotalOrder, Agreement, PrefixConsistency,
LocalPrimaryOrder, GlobalPrimaryOrder, PrimaryIntegrity, and Leadership1 and Leadership2 as
OneLeaderPerEpoch. CommittedSurvive and EqualDigestAtEqualZxid are what follows for a server.

The papers speak of processes that deliver one history each, from the first txn on. Servers restart
and go on from what their disk holds, so "delivers" here means: is in the memory, by delivery, or
because the memory began with a state that ends at or above it. PrefixConsistency holds if and only
if TotalOrder and Agreement do, of one process that never stops; it alone notices a txn that was
delivered, cut away, and replaced.

What a learner adopts before UPTODATE is delivered only if it serves with it: see `zab_history`.

What is no breach: to deliver again after a restart what the disk had lost; to skip, with a leader's
tree, what it holds; to lag behind; to be established in an old epoch after a newer one is (the old
leader's acknowledgements were late); to lose a kept txn that nobody delivered; epochs of a data
directory that the run began with, of which no proposal is known.

Left out: liveness, and all that clients see (`checkers`).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator

from zkserver.base.zxid import epoch_of, make_zxid
from zkserver.sim.checkers import FAILURES, INVALID, OK, UNKNOWN, Verdict
from zkserver.sim.zab_history import (
    Adopted,
    Begins,
    Delivered,
    Established,
    Kept,
    Memory,
    Places,
    Proposed,
    ReceivedTree,
    Serves,
    ZabHistory,
    replay,
    shown,
)

Checker = Callable[[ZabHistory], Iterator[str]]


def integrity(history: ZabHistory) -> Iterator[str]:
    """What is delivered was broadcast before, and is delivered once (DSN: Integrity).

    Evidence: every delivered or kept txn of an epoch that was established or proposed in during
    this run was proposed in it, with that zxid and content, and so was what is only adopted; no
    memory takes a txn it holds.
    """
    reigns = {e.epoch for e in history.events if isinstance(e, Established | Proposed)}
    proposed: dict[int, list[bytes]] = {}
    for event, memory in replay(history):
        if isinstance(event, Proposed):
            proposed.setdefault(event.zxid, []).append(event.entry)
        elif isinstance(event, Delivered | Adopted | Kept):
            zxid = event.zxid
            what = "keeps" if isinstance(event, Kept) else "applies"
            if epoch_of(zxid) in reigns and event.entry not in proposed.get(zxid, ()):
                yield f"n{event.server} {what} {shown(zxid)}, which was not proposed so"
            elif memory.holds(zxid):
                yield f"n{event.server} {what} {shown(zxid)} again"


def total_order(history: ZabHistory) -> Iterator[str]:
    """If one delivers a before b, all that deliver b deliver a before it (DSN: Total order).

    Evidence: whoever delivers a txn has, right before it, the same last txn in memory. That is
    the property for neighbours, and from neighbours it follows for all.
    """
    places = Places(history)
    before: dict[tuple[int, bytes], tuple[int, int]] = {}
    for event, memory in replay(history):
        if not isinstance(event, Delivered) or event.zxid in memory.got:
            continue
        last = places.of(memory.last)
        if last is None:
            continue
        wanted, by = before.setdefault((event.zxid, event.entry), (last, event.server))
        if last != wanted:
            yield (
                f"n{event.server} delivers {shown(event.zxid)} after {shown(last)}, "
                f"and n{by} after {shown(wanted)}"
            )


def prefix_consistency(history: ZabHistory) -> Iterator[str]:
    """Of any two committed histories one begins the other (TLA+: PrefixConsistency).

    Evidence: whatever is delivered on top of a state that ends at one txn is the same txn, with
    the same content, on every server and at any time.
    """
    places = Places(history)
    after: dict[int, tuple[int, bytes, int]] = {}
    for event, memory in replay(history):
        if not isinstance(event, Delivered) or event.zxid in memory.got:
            continue
        last = places.of(memory.last)
        if last is None:
            continue
        zxid, entry, by = after.setdefault(last, (event.zxid, event.entry, event.server))
        if (event.zxid, event.entry) != (zxid, entry):
            other = "another txn under that zxid" if event.zxid == zxid else shown(zxid)
            yield (
                f"behind {shown(last)} n{event.server} delivers {shown(event.zxid)}, "
                f"and n{by} delivered {other}"
            )


def agreement(history: ZabHistory) -> Iterator[str]:
    """If f delivers a and f' delivers b, then f' delivers a or f delivers b (DSN: Agreement).

    Evidence: at the end of the run, of any two servers one has had in its memory, at some time,
    all that the other delivered.
    """
    delivered: dict[int, dict[tuple[int, bytes], None]] = {}
    had: dict[int, dict[tuple[int, bytes], None]] = {}
    inherited: dict[int, list[Memory]] = {}
    for event, memory in replay(history):
        server = event.server
        if isinstance(event, Delivered):
            delivered.setdefault(server, {})[event.zxid, event.entry] = None
        if isinstance(event, Delivered | Adopted | Kept):
            had.setdefault(server, {})[event.zxid, event.entry] = None
        elif isinstance(event, Begins):
            now = Memory(memory.base, memory.last, {}, list(memory.gaps))
            now.reload(event.last_zxid)
            inherited.setdefault(server, []).append(now)
        elif isinstance(event, ReceivedTree):
            inherited.setdefault(server, []).append(Memory(event.zxid, event.zxid))

    def lacks(server: int, other: int) -> int | None:
        for txn in delivered[other]:
            if txn not in had[server] and not any(m.holds(txn[0]) for m in inherited[server]):
                return txn[0]
        return None

    servers = sorted(delivered)
    for server in servers:
        for other in servers[: servers.index(server)]:
            left, right = lacks(server, other), lacks(other, server)
            if left is not None and right is not None:
                yield (
                    f"n{server} delivers {shown(right)} and not {shown(left)}, "
                    f"n{other} {shown(left)} and not {shown(right)}"
                )


def local_primary_order(history: ZabHistory) -> Iterator[str]:
    """If a primary broadcasts a before b, who delivers b delivers a before (DSN: Local primary
    order).

    Evidence: who delivers a txn has in memory the one that the same leader, in the same epoch, was
    handed right before it.
    """
    before: dict[tuple[int, bytes], int] = {}
    newest: dict[tuple[int, int], int] = {}
    for event, memory in replay(history):
        if isinstance(event, Proposed):
            reign = event.server, event.epoch
            if reign in newest:
                before.setdefault((event.zxid, event.entry), newest[reign])
            newest[reign] = event.zxid
        elif isinstance(event, Delivered):
            earlier = before.get((event.zxid, event.entry))
            if earlier is not None and earlier != event.zxid and not memory.holds(earlier):
                yield (
                    f"n{event.server} delivers {shown(event.zxid)} without {shown(earlier)}, "
                    "which was proposed before it"
                )


def global_primary_order(history: ZabHistory) -> Iterator[str]:
    """Txns of an earlier epoch are delivered before those of a later one (DSN: Global primary
    order).

    Evidence: no txn is delivered on top of a state whose last zxid is of a later epoch.
    """
    for event, memory in replay(history):
        if isinstance(event, Delivered) and epoch_of(event.zxid) < epoch_of(memory.last):
            yield f"n{event.server} delivers {shown(event.zxid)} after {shown(memory.last)}"


def _lacks(memory: Memory, last_zxid: int, committed: list[int], epoch: int) -> int | None:
    """A committed txn of an epoch before `epoch` that a memory has not, if it ends at
    `last_zxid`."""
    older = bisect_left(committed, make_zxid(epoch, 0))
    reached = bisect_right(committed, last_zxid)
    if reached < older:
        return committed[reached]
    for left, right in memory.gaps:
        first = bisect_right(committed, left)
        for zxid in committed[first : min(bisect_left(committed, right), older)]:
            if not memory.holds(zxid):
                return zxid
    return None


def primary_integrity(history: ZabHistory) -> Iterator[str]:
    """A primary broadcasts only when it has delivered whatever anyone delivers of earlier epochs
    (DSN: Primary integrity).

    Evidence: a server proposes in an epoch only after it was established in it, and what it has in
    memory at its first proposal holds every txn of an earlier epoch that anybody delivers, before
    or after.
    """
    committed = sorted({e.zxid for e in history.settled() if isinstance(e, Delivered)})
    reigns: dict[tuple[int, int], bool] = {}
    for event, memory in replay(history):
        if isinstance(event, Established):
            reigns[event.server, event.epoch] = False
        elif isinstance(event, Proposed):
            reign = event.server, event.epoch
            who = f"n{event.server} proposes {shown(event.zxid)}"
            if reign not in reigns:
                yield f"{who} and is not established in epoch {event.epoch:x}"
            elif not reigns[reign]:
                missing = _lacks(memory, memory.last, committed, event.epoch)
                if missing is not None:
                    yield f"{who} and has not {shown(missing)}, which is delivered"
            reigns[reign] = True


def one_leader_per_epoch(history: ZabHistory) -> Iterator[str]:
    """An epoch has at most one established leader, and once (TLA+: Leadership1, Leadership2).

    Evidence: no two `established` of one epoch; no learner serves in an epoch before its leader
    is established.
    """
    leaders: dict[int, int] = {}
    for event in history.events:
        if isinstance(event, Established):
            if event.epoch in leaders:
                yield (
                    f"epoch {event.epoch:x} is established by n{leaders[event.epoch]} "
                    f"and by n{event.server}"
                )
            leaders.setdefault(event.epoch, event.server)
        elif isinstance(event, Serves) and event.epoch not in leaders:
            yield f"n{event.server} serves in epoch {event.epoch:x}, which nobody established"


def committed_survive(history: ZabHistory) -> Iterator[str]:
    """What was ever committed is in the history of every leader and server of a later epoch (DSN,
    section IV: the initial history; the docs' "Reliability").

    Evidence: committed is what anyone delivers, and the end of each established leader's history.
    Of earlier epochs all of it, whenever it is delivered, is in what an established leader or a
    learner that serves says it has; and a learner serves nothing older than its leader began
    with or than it delivered itself before. Order is that of epochs, not of time: a leader
    that has lost its quorum may be established late.
    """
    places = Places(history)
    ends = {
        e.epoch: places.of(e.last_zxid) for e in history.events if isinstance(e, Established)
    }
    known = [end for end in ends.values() if end]
    known += [e.zxid for e in history.settled() if isinstance(e, Delivered)]
    committed = sorted(set(known))
    newest: dict[int, int] = {}
    for event, memory in replay(history):
        if isinstance(event, Delivered):
            newest[event.server] = max(event.zxid, newest.get(event.server, 0))
        elif isinstance(event, Established | Serves):
            is_leader = isinstance(event, Established)
            # What a learner says, or what it has, if that is less.
            last = event.last_zxid if is_leader else min(event.last_zxid, memory.last)
            who = f"n{event.server} {'leads' if is_leader else 'serves in'} epoch {event.epoch:x}"
            missing = _lacks(memory, last, committed, event.epoch)
            if missing is None and not is_leader:
                begun, place = ends.get(event.epoch), places.of(last)
                if begun and place is not None and place < begun:
                    missing = begun
                if newest.get(event.server, 0) > last:
                    missing = newest[event.server]
            if missing is not None:
                yield f"{who} from {shown(last)}, and has not {shown(missing)}"


def equal_digest_at_equal_zxid(history: ZabHistory) -> Iterator[str]:
    """Two trees that are the result of the same txn are equal (replication's whole purpose).

    Evidence: the digests recorded after a delivery (or adoption) or with a received tree; one is
    told per zxid, and the start of an epoch is the end of the history before it.
    """
    places = Places(history)
    digests: dict[int, tuple[int, int]] = {}
    for event in history.events:
        if not isinstance(event, Delivered | Adopted | ReceivedTree) or event.digest is None:
            continue
        place = places.of(event.zxid)
        zxid = event.zxid if place is None else place
        wanted, by = digests.setdefault(zxid, (event.digest, event.server))
        if event.digest != wanted:
            yield (
                f"at {shown(zxid)} the tree of n{event.server} has digest {event.digest:x}, "
                f"that of n{by} {wanted:x}"
            )


ZAB_CHECKERS: dict[str, Checker] = {
    "Integrity": integrity,
    "TotalOrder": total_order,
    "Agreement": agreement,
    "PrefixConsistency": prefix_consistency,
    "LocalPrimaryOrder": local_primary_order,
    "GlobalPrimaryOrder": global_primary_order,
    "PrimaryIntegrity": primary_integrity,
    "OneLeaderPerEpoch": one_leader_per_epoch,
    "CommittedSurvive": committed_survive,
    "EqualDigestAtEqualZxid": equal_digest_at_equal_zxid,
}


def judge_zab(history: ZabHistory) -> list[Verdict]:
    """One verdict per property; `detail` names the first breach, or why it is unknown."""
    verdicts = []
    for name, checker in ZAB_CHECKERS.items():
        try:
            breach = next(checker(history), None)
        except FAILURES as error:
            verdicts.append(Verdict(name, UNKNOWN, f"the checker failed: {error!r}"))
            continue
        verdicts.append(Verdict(name, OK if breach is None else INVALID, breach or ""))
    return verdicts
