"""Whatever the histories: a learner that follows its plan ends with exactly the leader's history."""

from __future__ import annotations

from hypothesis import event, given
from hypothesis import strategies as st

from zkserver.base.zxid import make_zxid
from zkserver.zab.committed_log import CommittedLog
from zkserver.zab.synchronisation import History, SyncKind, choose


class Disk:
    """A log on disk that begins after `dropped` entries; size is counted in entries."""

    def __init__(self, history, dropped, snapshot_bytes):
        self.kept = history[dropped:]
        self._snapshot_bytes = snapshot_bytes

    def entries(self, zxid):
        if not self.kept or self.kept[0][0] > zxid:
            return
        at_or_before = [i for i, entry in enumerate(self.kept) if entry[0] <= zxid]
        yield from self.kept[at_or_before[-1] :]

    def bytes_from(self, zxid):
        return sum(1 for entry in self.kept if entry[0] >= zxid)

    def snapshot_bytes(self):
        return self._snapshot_bytes


@st.composite
def pasts(draw):
    """A leader's history, and one of a learner that may have a tail nobody committed."""
    reigns = draw(st.lists(st.integers(0, 4), min_size=1, max_size=5))
    history = [
        (make_zxid(epoch, counter), b"%d:%d" % (epoch, counter))
        for epoch, length in enumerate(reigns, 1)
        for counter in range(1, length + 1)
    ]
    shared = draw(st.integers(0, len(history)))
    learner = history[:shared]
    next_epoch = history[shared][0] >> 32 if shared < len(history) else len(reigns) + 1
    last_epoch = learner[-1][0] >> 32 if learner else 0
    place = learner[-1][0] if learner else draw(st.sampled_from([-1, 0]))
    tail = draw(st.integers(0, 2))
    if tail and last_epoch < next_epoch:
        # Txns of a reign the leader saw the end of otherwise: the same one, or one in between.
        epoch = draw(st.integers(max(last_epoch, 1), next_epoch - 1)) if next_epoch > 1 else 0
        counter = learner[-1][0] & 0xFFFFFFFF if learner and epoch == last_epoch else 0
        if epoch:
            learner = learner + [
                (make_zxid(epoch, counter + i), b"lost") for i in range(1, tail + 1)
            ]
            place = learner[-1][0]
    elif draw(st.booleans()) and last_epoch + 1 < next_epoch + 1:
        # It got the tree at an epoch's start, which is in no log.
        place = make_zxid(draw(st.integers(last_epoch + 1, next_epoch)), 0)
    return history, learner, place, len(reigns) + 1


@given(
    pasts(),
    st.integers(1, 6),
    st.integers(0, 12),
    st.integers(0, 30),
    st.booleans(),
    st.booleans(),
)
def test_a_learner_that_follows_its_plan_has_the_leaders_history(
    past, memory, dropped, snapshot_bytes, serving, forced
) -> None:
    history, learner, place, epoch = past
    committed = CommittedLog(memory)
    for entry in history:
        committed.append(entry)
    last = history[-1][0] if history else 0
    if serving:
        last = make_zxid(epoch, 0)
    disk = Disk(history, dropped, snapshot_bytes)
    plan = choose(place, History(committed, last, disk), force_snapshot=forced)
    event(plan.kind.name + (" with entries" if plan.entries else ""))

    if plan.kind is SyncKind.SNAP:
        learner = [entry for entry in history if entry[0] <= plan.zxid]
    elif plan.kind is SyncKind.TRUNC:
        assert plan.zxid == 0 or plan.zxid in [zxid for zxid, _ in learner]
        learner = [entry for entry in learner if entry[0] <= plan.zxid]
    learner = learner + list(plan.entries)
    assert learner == history
    assert plan.reached in (last, history[-1][0] if history else 0)
