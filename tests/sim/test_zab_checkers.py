"""Each property on a history that breaks it, and on one that keeps it though it looks alarming.

Random histories, honest and falsified, are in `tests/properties/test_zab_histories.py`.
"""

from __future__ import annotations

import pytest

from zkserver.base.zxid import make_zxid
from zkserver.sim.zab_checkers import ZAB_CHECKERS, judge_zab
from zkserver.sim.zab_history import ZabHistory


def z(text: str) -> int:
    epoch, counter = text.split(":")
    return make_zxid(int(epoch), int(counter))


class Story:
    """Builds a history. A txn is `2:1`, its content its zxid unless said as `2:1=x`.

    The digest of a tree is the hash of all contents that its server has applied here.
    """

    def __init__(self, *servers: int, at: str = "0:0") -> None:
        self.history = ZabHistory()
        self.number = 0
        for server in servers:
            self.begins(server, at)

    def tick(self) -> int:
        self.number += 1
        return self.number

    def begins(self, server: int, last: str) -> None:
        self.history.begins(self.tick(), server, z(last))

    def leads(self, server: int, epoch: int, last: str) -> None:
        self.history.established(self.tick(), server, epoch, z(last))

    def serves(self, server: int, epoch: int, last: str) -> None:
        self.history.serves(self.tick(), server, epoch, z(last))

    def proposes(self, server: int, *txns: str) -> None:
        for txn in txns:
            place, _, content = txn.partition("=")
            zxid = z(place)
            epoch = zxid >> 32
            self.history.proposed(self.tick(), server, epoch, zxid, (content or place).encode())

    def delivers(self, server: int, *txns: str, digest: int | None = None) -> None:
        for txn in txns:
            place, _, content = txn.partition("=")
            entry = (content or place).encode()
            self.history.delivered(self.tick(), server, z(place), entry, digest)

    def adopts(self, server: int, *txns: str) -> None:
        for txn in txns:
            self.history.adopted(self.tick(), server, z(txn), txn.encode(), None)

    def keeps(self, server: int, *txns: str) -> None:
        for txn in txns:
            self.history.kept(self.tick(), server, z(txn), txn.encode())

    def gets_tree(self, server: int, at: str, digest: int | None = None) -> None:
        self.history.received_tree(self.tick(), server, z(at), digest)

    def broken(self) -> list[str]:
        verdicts = judge_zab(self.history)
        assert all(verdict.outcome in ("ok", "invalid") for verdict in verdicts), verdicts
        return [verdict.name for verdict in verdicts if verdict.outcome == "invalid"]


@pytest.fixture
def story() -> Story:
    """Epoch 1 of three servers, in which n1 leads and commits two txns everywhere."""
    told = Story(1, 2, 3)
    told.leads(1, 1, "0:0")
    told.serves(2, 1, "0:0")
    told.serves(3, 1, "0:0")
    told.proposes(1, "1:1", "1:2")
    for server in (1, 2, 3):
        told.delivers(server, "1:1", "1:2")
    return told


# --- Integrity


def test_integrity_lets_deliver_again_what_the_disk_had_lost(story: Story) -> None:
    story.begins(2, "1:1")
    story.delivers(2, "1:2")
    story.begins(2, "0:0")
    story.serves(2, 1, "1:2")
    assert story.broken() == ["CommittedSurvive"]  # it serves without 1:1 and 1:2
    story.history.events.pop()
    story.delivers(2, "1:1", "1:2")
    story.serves(2, 1, "1:2")
    assert story.broken() == []


def test_integrity_knows_no_proposals_of_the_epochs_of_a_data_directory() -> None:
    story = Story(1, 2, at="1:7")
    story.begins(3, "1:5")
    story.leads(1, 2, "1:7")
    story.delivers(3, "1:6", "1:7")
    story.serves(3, 2, "1:7")
    assert story.broken() == []


def test_integrity_is_broken_by_what_nobody_proposed(story: Story) -> None:
    story.delivers(1, "1:3")
    assert story.broken() == ["Integrity"]


def test_integrity_is_broken_by_another_content_than_the_proposed(story: Story) -> None:
    story.proposes(1, "1:3")
    story.delivers(2, "1:3=x")
    assert story.broken() == ["Integrity"]


def test_integrity_is_broken_by_a_delivery_before_the_proposal(story: Story) -> None:
    story.delivers(2, "1:3")
    story.proposes(1, "1:3")
    assert story.broken() == ["Integrity"]


def test_integrity_is_broken_by_delivering_twice_in_one_life(story: Story) -> None:
    story.delivers(2, "1:2")
    assert story.broken() == ["Integrity"]


def test_integrity_is_broken_by_keeping_what_nobody_proposed(story: Story) -> None:
    story.keeps(2, "1:3")
    assert story.broken() == ["Integrity"]


# --- TotalOrder, Agreement and PrefixConsistency


def test_total_order_and_prefix_consistency_let_a_tree_skip(story: Story) -> None:
    story.begins(4, "0:0")
    story.gets_tree(4, "1:2")
    story.proposes(1, "1:3")
    story.delivers(4, "1:3")
    story.delivers(1, "1:3")
    assert story.broken() == []


def test_the_start_of_an_epoch_is_the_end_of_the_history_before_it(story: Story) -> None:
    """n3 keeps 1:3, which nobody had delivered, leads with it, and so it is committed."""
    story.proposes(1, "1:3")
    story.keeps(3, "1:3")
    story.leads(3, 2, "1:3")
    story.delivers(2, "1:3")
    story.serves(2, 2, "1:3")
    story.begins(1, "1:1")
    story.gets_tree(1, "2:0")
    story.proposes(3, "2:1")
    for server in (1, 2, 3):
        story.delivers(server, "2:1")
    assert story.broken() == []


def test_total_order_is_broken_by_delivering_the_other_way_round() -> None:
    """Of a data directory, so that no primary's order is known."""
    story = Story(1, 2)
    story.delivers(1, "1:1", "1:2")
    story.delivers(2, "1:2", "1:1")
    assert story.broken() == ["TotalOrder", "PrefixConsistency"]


def test_total_order_is_broken_by_delivering_without_the_one_before() -> None:
    story = Story(1, 2)
    story.delivers(1, "1:1", "1:2", "2:1")
    story.delivers(2, "1:1", "2:1")
    assert story.broken() == ["TotalOrder", "PrefixConsistency"]


def test_total_order_is_broken_by_what_a_server_kept_and_never_cut(story: Story) -> None:
    story.proposes(1, "1:3")
    story.keeps(1, "1:3")
    story.leads(3, 2, "1:2")
    story.proposes(3, "2:1")
    story.delivers(3, "2:1")
    story.delivers(1, "2:1")
    assert story.broken() == ["TotalOrder"]


def test_a_kept_txn_may_be_cut_away(story: Story) -> None:
    story.proposes(1, "1:3")
    story.keeps(1, "1:3")
    story.leads(3, 2, "1:2")
    story.begins(1, "1:2")
    story.serves(1, 2, "1:2")
    story.proposes(3, "2:1")
    story.delivers(3, "2:1")
    story.delivers(1, "2:1")
    assert story.broken() == []


def test_agreement_lets_a_server_lag_behind_and_get_a_tree_later(story: Story) -> None:
    story.proposes(1, "1:3", "1:4")
    story.delivers(1, "1:3", "1:4")
    story.begins(3, "1:1")
    story.leads(2, 2, "1:4")
    story.gets_tree(3, "1:4")
    story.proposes(2, "2:1")
    story.delivers(3, "2:1")
    assert [name for name in story.broken() if name != "PrimaryIntegrity"] == []


def test_agreement_is_broken_by_two_branches() -> None:
    story = Story(1, 2, at="1:1")
    story.delivers(1, "1:2")
    story.delivers(2, "2:1")
    assert story.broken() == ["Agreement", "PrefixConsistency"]


def test_agreement_is_broken_by_two_contents_of_one_zxid() -> None:
    story = Story(1, 2, at="1:1")
    story.delivers(1, "1:2=x")
    story.delivers(2, "1:2=y")
    assert story.broken() == ["Agreement", "PrefixConsistency"]


def test_prefix_consistency_alone_sees_a_delivered_txn_replaced() -> None:
    story = Story(1, 2, at="1:1")
    story.delivers(2, "1:2=x")
    story.begins(2, "1:1")
    story.delivers(1, "1:2=y")
    story.delivers(2, "1:2=y")
    assert story.broken() == ["PrefixConsistency"]


# --- LocalPrimaryOrder and GlobalPrimaryOrder


def test_local_primary_order_counts_what_a_memory_began_with(story: Story) -> None:
    story.proposes(1, "1:3", "1:4")
    story.begins(3, "1:3")
    story.delivers(3, "1:4")
    story.delivers(1, "1:3", "1:4")
    assert story.broken() == []


def test_local_primary_order_is_broken_where_all_skip_the_same() -> None:
    story = Story(1, 2)
    story.leads(1, 1, "0:0")
    story.proposes(1, "1:1", "1:2")
    for server in (1, 2):
        story.delivers(server, "1:2")
    assert story.broken() == ["LocalPrimaryOrder"]


def test_local_primary_order_goes_by_what_was_proposed_first(story: Story) -> None:
    story.proposes(1, "1:4", "1:3")
    for server in (1, 2, 3):
        story.delivers(server, "1:3", "1:4")
    assert story.broken() == ["LocalPrimaryOrder"]


def test_global_primary_order_lets_a_restarted_server_go_back(story: Story) -> None:
    story.leads(3, 2, "1:2")
    story.proposes(3, "2:1")
    story.delivers(3, "2:1")
    story.delivers(2, "2:1")
    story.begins(2, "1:1")
    story.delivers(2, "1:2", "2:1")
    story.serves(2, 2, "2:1")
    assert story.broken() == []


def test_global_primary_order_is_broken_by_an_old_txn_after_a_new_one(story: Story) -> None:
    story.proposes(1, "1:3")
    story.begins(3, "1:3")
    story.leads(3, 2, "1:3")
    story.proposes(3, "2:1")
    for server in (1, 2):
        story.delivers(server, "2:1", "1:3")
    assert story.broken() == ["GlobalPrimaryOrder"]


# --- PrimaryIntegrity and OneLeaderPerEpoch


def test_primary_integrity_counts_what_a_leader_has_from_its_disk(story: Story) -> None:
    """The leader of epoch 2 has 1:3 from its log and never delivers it; others do so late."""
    story.proposes(1, "1:3")
    story.begins(3, "1:3")
    story.leads(3, 2, "1:3")
    story.proposes(3, "2:1")
    story.delivers(2, "1:3", "2:1")
    story.delivers(1, "1:3")
    assert story.broken() == []


def test_primary_integrity_is_broken_by_a_leader_that_says_more_than_it_has(story: Story) -> None:
    story.proposes(1, "1:3")
    story.delivers(1, "1:3")
    story.leads(3, 2, "1:3")
    story.proposes(3, "2:1")
    assert story.broken() == ["PrimaryIntegrity"]


def test_primary_integrity_is_broken_by_proposing_before_a_quorum_has_the_history(
    story: Story,
) -> None:
    story.proposes(3, "2:1")
    assert story.broken() == ["PrimaryIntegrity"]
    story.leads(3, 2, "1:2")
    assert story.broken() == ["PrimaryIntegrity"]


def test_one_leader_per_epoch_lets_an_old_one_stay_and_one_come_late(story: Story) -> None:
    """n1 leads epoch 1 without knowing better; n2's epoch is established late, by late ACKs."""
    story.leads(3, 3, "1:2")
    story.proposes(1, "1:3")
    story.leads(2, 2, "1:2")
    story.proposes(2, "2:1")
    story.proposes(3, "3:1")
    story.delivers(3, "3:1")
    assert story.broken() == []


@pytest.mark.parametrize("again", [1, 2])
def test_one_leader_per_epoch_is_broken_by_a_second_reign(story: Story, again: int) -> None:
    story.leads(again, 1, "0:0")
    assert story.broken() == ["OneLeaderPerEpoch"]


def test_one_leader_per_epoch_is_broken_by_serving_nobody(story: Story) -> None:
    story.serves(2, 2, "1:2")
    assert story.broken() == ["OneLeaderPerEpoch"]


# --- CommittedSurvive


def test_committed_survive_asks_nothing_of_what_is_only_logged(story: Story) -> None:
    story.proposes(1, "1:3")
    story.keeps(1, "1:3")
    story.leads(3, 2, "1:2")
    assert story.broken() == []


def test_committed_survive_lets_a_learner_lag_within_its_epoch(story: Story) -> None:
    story.proposes(1, "1:3", "1:4")
    story.delivers(1, "1:3", "1:4")
    story.begins(4, "0:0")
    story.gets_tree(4, "1:3")
    story.serves(4, 1, "1:3")
    assert story.broken() == []


def test_committed_survive_is_broken_by_a_later_leader_without_it(story: Story) -> None:
    story.leads(2, 2, "1:1")
    assert story.broken() == ["CommittedSurvive"]


def test_committed_survive_is_broken_by_what_is_delivered_late(story: Story) -> None:
    """The property is of epochs: it does not matter that 1:3 is delivered afterwards."""
    story.proposes(1, "1:3")
    story.leads(2, 2, "1:2")
    story.delivers(1, "1:3")
    assert story.broken() == ["CommittedSurvive"]


def test_committed_survive_is_broken_by_a_learner_that_serves_without_it(story: Story) -> None:
    story.leads(1, 2, "1:2")
    story.begins(3, "1:1")
    story.serves(3, 2, "1:1")
    assert story.broken() == ["CommittedSurvive"]


def test_committed_survive_is_broken_by_serving_less_than_was_delivered_here(story: Story) -> None:
    story.begins(3, "1:1")
    story.serves(3, 1, "1:1")
    assert story.broken() == ["CommittedSurvive"]


def test_committed_survive_is_broken_by_less_than_the_leader_began_with(story: Story) -> None:
    story.proposes(1, "1:3")
    story.keeps(1, "1:3")
    story.leads(1, 2, "1:3")
    story.serves(3, 2, "1:2")
    assert story.broken() == ["CommittedSurvive"]


def test_committed_survive_is_broken_by_a_hole() -> None:
    story = Story(1, 2, at="1:1")
    story.delivers(1, "1:2", "2:1")
    story.delivers(2, "2:1")
    story.leads(2, 3, "2:1")
    assert "CommittedSurvive" in story.broken()


# --- adopted txns


def test_what_is_adopted_from_a_leader_that_comes_to_nothing_is_not_delivered(story: Story) -> None:
    """n1 has 1:3, leads nobody but n3, and fails before a quorum has its history. n2 leads next,
    without 1:3, and n3 has it cut away.
    """
    story.proposes(1, "1:3")
    story.adopts(3, "1:3")
    story.leads(2, 3, "1:2")
    story.begins(3, "1:2")
    story.serves(3, 3, "1:2")
    story.proposes(2, "3:1")
    story.delivers(2, "3:1")
    story.delivers(3, "3:1")
    assert story.broken() == []


def test_what_is_adopted_is_delivered_if_its_server_serves_with_it(story: Story) -> None:
    story.proposes(1, "1:3")
    story.leads(1, 2, "1:3")
    story.adopts(3, "1:3")
    story.serves(3, 2, "1:3")
    assert story.broken() == []
    story.leads(2, 3, "1:2")
    assert story.broken() == ["CommittedSurvive"]


def test_what_is_adopted_was_proposed_too(story: Story) -> None:
    story.adopts(3, "1:3")
    assert story.broken() == ["Integrity"]


# --- EqualDigestAtEqualZxid


def test_equal_digest_asks_for_one_per_state_and_not_per_server(story: Story) -> None:
    story.proposes(1, "1:3", "1:4")
    story.delivers(1, "1:3", digest=7)
    story.delivers(1, "1:4", digest=8)
    story.delivers(2, "1:3", digest=7)
    story.delivers(2, "1:4", digest=8)
    story.leads(1, 2, "1:4")
    story.gets_tree(3, "2:0", digest=8)
    assert story.broken() == []


def test_equal_digest_is_broken_by_another_tree_after_the_same_txn(story: Story) -> None:
    story.proposes(1, "1:3")
    story.delivers(1, "1:3", digest=7)
    story.delivers(2, "1:3", digest=8)
    assert story.broken() == ["EqualDigestAtEqualZxid"]


def test_equal_digest_is_broken_by_another_tree_on_the_link(story: Story) -> None:
    story.proposes(1, "1:3")
    story.delivers(1, "1:3", digest=7)
    story.leads(1, 2, "1:3")
    story.gets_tree(3, "2:0", digest=8)
    assert story.broken() == ["EqualDigestAtEqualZxid"]


# --- verdicts


def test_evidence_that_has_a_hole_is_unknown_and_not_ok() -> None:
    history = ZabHistory()
    history.delivered(1, 1, z("1:1"), b"a", None)
    outcomes = {verdict.name: verdict.outcome for verdict in judge_zab(history)}
    assert outcomes["Integrity"] == outcomes["TotalOrder"] == "unknown"
    assert list(outcomes) == list(ZAB_CHECKERS)


def test_events_come_in_order() -> None:
    history = ZabHistory()
    history.begins(2, 1, 0)
    with pytest.raises(ValueError, match="event 1 after 2"):
        history.begins(1, 2, 0)
