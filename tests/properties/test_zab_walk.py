"""Random interleavings of deliveries, disk syncs, crashes, cuts and elections lose nothing.

PrefixConsistency, Agreement, Integrity and TotalOrder (Junqueira et al. 2011), one established
leader per epoch, and liveness once all is healed; see `tests.support.zab_walk`. The walk is worth
something because it finds what is broken on purpose: each planted bug within the stated seeds.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.zab_walk import Broken, Walk
from zkserver.base.errors import FatalError
from zkserver.zab import leader, learner, synchronisation
from zkserver.zab.effects import EpochFile, StoreEpoch
from zkserver.zab.leader import Leader
from zkserver.zab.learner import Learner
from zkserver.zab.learner_handler import LearnerHandler

STEPS = 300


@pytest.mark.parametrize("first_seed", range(0, 400, 100))
def test_known_seeds(first_seed) -> None:
    for seed in range(first_seed, first_seed + 100):
        Walk(seed).run(STEPS)


@settings(max_examples=100, deadline=None)
@given(st.integers(1000, 2**32), st.sampled_from([3, 4, 5]))
def test_fresh_seeds(seed, servers) -> None:
    Walk(seed, servers).run(STEPS)


def test_the_same_seed_tells_the_same_story() -> None:
    first, second = Walk(7), Walk(7)
    first.run(STEPS)
    second.run(STEPS)
    assert first.world.story == second.world.story


def acknowledge_before_the_disk(patch):
    patch.setattr(Learner, "_send_synced", Learner._send)


def commit_without_a_quorum(patch):
    patch.setattr(Leader, "_is_enough", lambda _self, _ids: True)


def count_the_leader_before_its_disk(patch):
    propose = Leader.propose

    def proposed(self, entries):
        out = propose(self, entries)
        self._own_acked = self.last_proposed
        return out

    patch.setattr(Leader, "propose", proposed)


def skip_the_history_check(patch):
    start = Leader.start

    def started(self):
        self._best = (2**40, 0)
        return start(self)

    patch.setattr(Leader, "start", started)


def write_the_epoch_before_the_history(patch):
    def announced(self):
        if not self._is_announced:
            self._is_announced = True
            self._out.writes.append(StoreEpoch(EpochFile.CURRENT, self.leader_epoch))

    patch.setattr(Learner, "_announce", announced)


def skip_a_record_of_a_diff(patch):
    choose = synchronisation.choose

    def chosen(*args, **kwargs):
        plan = choose(*args, **kwargs)
        return plan._replace(entries=plan.entries[1:])

    patch.setattr(leader.synchronisation, "choose", chosen)


def cut_one_record_short(patch):
    cut = learner.CutLog
    patch.setattr(learner, "CutLog", lambda zxid: cut(zxid + 1))


def forget_proposals_before_newleader(patch):
    acknowledge = Learner._acknowledge_new_leader

    def acknowledged(self):
        self._pending.clear()
        acknowledge(self)

    patch.setattr(Learner, "_acknowledge_new_leader", acknowledged)


def count_acks_of_a_former_link(patch):
    former = {}
    take_ack, take_info = LearnerHandler.take_ack, LearnerHandler.take_info

    def acked(self, zxid):
        take_ack(self, zxid)
        former[self.server_id] = zxid

    def informed(self, *args):
        take_info(self, *args)
        self.acked = former.get(self.server_id, -1)

    patch.setattr(LearnerHandler, "take_ack", acked)
    patch.setattr(LearnerHandler, "take_info", informed)


def count_an_epoch_promised_before(patch):
    take_epoch = LearnerHandler.take_epoch

    def taken(self, packet):
        take_epoch(self, packet)
        self.current_epoch = max(self.current_epoch, 0)

    patch.setattr(LearnerHandler, "take_epoch", taken)


def acknowledge_newleader_with_the_history_unsynced(patch):
    acknowledge = Learner._acknowledge_new_leader

    def acknowledged(self):
        acknowledge(self)
        self._out.send.update(self._out.send_synced)
        self._out.send_synced = {}

    patch.setattr(Learner, "_unsynced_batches", property(lambda _: 0, lambda *_: None), raising=False)
    patch.setattr(Learner, "_acknowledge_new_leader", acknowledged)


def answer_before_the_accepted_epoch_is_stored(patch):
    on_leader_info = Learner._on_leader_info

    def answered(self, packet):
        on_leader_info(self, packet)
        self._out.send.update(self._out.send_synced)
        self._out.send_synced = {}

    patch.setattr(Learner, "_on_leader_info", answered)


# With the seeds within which each is found; most need a few hundred.
PLANTED = (
    (acknowledge_before_the_disk, 1000),
    (commit_without_a_quorum, 100),
    (count_the_leader_before_its_disk, 2000),
    (skip_the_history_check, 4000),
    (write_the_epoch_before_the_history, 6000),
    (skip_a_record_of_a_diff, 100),
    (cut_one_record_short, 100),
    (forget_proposals_before_newleader, 100),
    (count_acks_of_a_former_link, 300),
    (count_an_epoch_promised_before, 500),
    (acknowledge_newleader_with_the_history_unsynced, 1000),
    (answer_before_the_accepted_epoch_is_stored, 5000),
)


def seeds_to_find(limit):
    for seed in range(limit):
        try:
            Walk(seed).run(STEPS)
        except (Broken, FatalError):
            return seed
    return None


@pytest.mark.parametrize(("plant", "limit"), PLANTED, ids=lambda value: getattr(value, "__name__", ""))
def test_a_planted_bug_is_found(plant, limit, monkeypatch) -> None:
    plant(monkeypatch)
    assert seeds_to_find(limit) is not None
