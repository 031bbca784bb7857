"""Junqueira, Reed, Serafini, "Zab: High-performance broadcast for primary-backup systems" (DSN 2011).

Section III states the properties, section IV the protocol, in steps that are named after who takes
them (f: follower, l: leader) and in which phase. The paper's names on the wire, and ours:

    CEPOCH FOLLOWERINFO · NEWEPOCH LEADERINFO · ACK-E ACKEPOCH · COMMIT-LD UPTODATE
    NEWLEADER's history DIFF, TRUNC or SNAP with what follows · ACK-LD the ACK of epoch:0

Where ZooKeeper differs from the paper the test says so. The properties are checked on random walks
of real cores; `tests/properties` has more of those.
"""

from __future__ import annotations

import pytest

from tests.support.zab_commands import Play
from tests.support.zab_recorder import Recorder
from tests.support.zab_walk import Walk
from zkserver.base.errors import FatalError
from zkserver.base.zxid import make_zxid
from zkserver.sim.zab_checkers import ZAB_CHECKERS
from zkserver.sim.zab_history import Delivered
from zkserver.zab.effects import EpochFile, Phase

THREE = (
    "server n1 log=1:1-3 current=1 accepted=1",
    "server n2 log=1:1-3 current=1 accepted=1",
    "server n3 log=1:1-3 current=1 accepted=1",
)
ALL_FOLLOW_3 = ("lead n3", "follow n2 n3", "follow n1 n3")


def serving() -> Play:
    """n3 leads epoch 2, n1 and n2 follow, and all serve."""
    play = Play(*THREE, *ALL_FOLLOW_3, "stabilize")
    assert all(play.world.is_serving(play.server(n)) for n in (1, 2, 3))
    return play


# --- section III.B: primary-order atomic broadcast


@pytest.fixture(scope="module")
def histories():
    """What happened in sixty walks with crashes, cuts and elections."""
    found = []
    for seed in range(60):
        walk = Walk(seed)
        recorder = Recorder(walk.world)
        walk.run(300)
        found.append(recorder.history)
    assert sum(isinstance(e, Delivered) for history in found for e in history.events) > 1000
    return found


@pytest.mark.parametrize(
    "name",
    [
        "Integrity",
        "TotalOrder",
        "Agreement",
        "LocalPrimaryOrder",
        "GlobalPrimaryOrder",
        "PrimaryIntegrity",
    ],
)
def test_section_3_properties(name, histories) -> None:
    """III.B: what is delivered was broadcast (integrity); two processes that deliver the same do it
    in the same order, without leaving out what came before (total order); of two processes one has
    all that the other has (agreement). A primary's changes come in its order (local primary order),
    those of earlier primaries before those of later ones (global primary order), and a primary has
    delivered all of earlier primaries before it broadcasts (primary integrity).
    """
    for history in histories:
        assert next(ZAB_CHECKERS[name](history), None) is None


# --- section IV, phase 1: discovery


def test_step_f_1_1_a_follower_sends_its_last_promise() -> None:
    """f.1.1: the follower tells the prospective leader the last epoch it promised: CEPOCH(f.p)."""
    play = Play("server n1 log=1:1-3 current=1 accepted=4", THREE[1], THREE[2], "lead n3")
    assert "n1 → n3 FOLLOWERINFO 4:0" in play.do("follow n1 n3")


def test_step_l_1_1_the_new_epoch_is_later_than_any_promised_in_a_quorum() -> None:
    """l.1.1: from a quorum of CEPOCHs the leader proposes an epoch later than any of them."""
    play = Play("server n1 log=1:1-3 current=1 accepted=4", THREE[1], THREE[2], "lead n3")
    play.do("follow n1 n3")
    assert play.server(3).core.epoch == 0
    play.do("deliver n1 n3")
    assert play.server(3).core.epoch == 5
    assert "n3 → n1 LEADERINFO 5:0" in play.do("sync-disk n3")


def test_step_l_1_1_no_epoch_without_a_quorum() -> None:
    """l.1.1 in an ensemble of five: the leader and one follower are no quorum."""
    play = Play("voters 1 2 3 4 5", *THREE, "server n4", "server n5", "lead n3", "follow n2 n3")
    assert play.do("stabilize") == []
    assert play.server(3).core.epoch == 0
    play.do("follow n1 n3", "stabilize")
    assert play.server(3).core.epoch == 2


def test_step_f_1_2_the_promise_is_made_and_stored_before_the_answer() -> None:
    """f.1.2: if the epoch is later than the promised one it becomes the promise, and ACK-E answers.

    The promise has to survive a crash (III.A, crash-recovery), so the disk comes first.
    """
    play = Play(*THREE, "lead n3", "follow n2 n3", "deliver n2 n3", "sync-disk n3")
    told = play.do("deliver n3 n2")
    assert told == ["n2 write acceptedEpoch 2"]
    assert play.server(2).disk.files[EpochFile.ACCEPTED] == 1
    told = play.do("sync-disk n2")
    assert told == ["n2 synced", "n2 → n3 ACKEPOCH 1:3 current=1"]
    assert play.server(2).disk.files[EpochFile.ACCEPTED] == 2


def test_step_f_1_2_no_promise_to_an_earlier_epoch() -> None:
    """f.1.2 the other way: who promised a later epoch does not acknowledge an earlier one."""
    play = Play("server n1 log=1:1-3 current=1 accepted=5", THREE[1], THREE[2])
    play.do("lead n3", "follow n2 n3", "stabilize")
    told = play.do("follow n1 n3", "deliver n1 n3", "deliver n3 n1")
    assert any(line.startswith("n1 ends its role: the leader's epoch 2") for line in told)
    assert play.server(1).disk.files[EpochFile.ACCEPTED] == 5


def test_step_f_1_2_ack_e_says_the_current_epoch_and_the_end_of_the_history() -> None:
    """f.1.2: ACK-E carries f.a and the history; ZooKeeper sends the history's last zxid only."""
    same = "log=1:1,2:1-2 current=3 accepted=3"
    play = Play(f"server n1 {same}", "server n2 log=1:1 current=1", f"server n3 {same}")
    told = play.do("lead n3", "follow n1 n3", "deliver", "sync-disk", "deliver", "sync-disk")
    assert "n1 → n3 ACKEPOCH 2:2 current=3" in told


@pytest.mark.parametrize(
    ("leader", "follower", "is_led"),
    [
        ("log=1:1-3 current=1 accepted=1", "log=1:1-2 current=1 accepted=1", True),
        ("log=1:1-3 current=1 accepted=1", "log=1:1-3 current=1 accepted=1", True),
        ("log=1:1-3 current=1 accepted=1", "log=1:1-4 current=1 accepted=1", False),
        ("log=1:1-3 current=2 accepted=2", "log=1:1-4 current=1 accepted=2", True),
        ("log=1:1-3 current=1 accepted=2", "log=1:1-2 current=2 accepted=2", False),
    ],
)
def test_step_l_1_2_the_initial_history_is_the_best_of_the_quorum(leader, follower, is_led) -> None:
    """l.1.2: the initial history is that of the follower with the latest epoch f.a, and of those of
    the highest zxid. In ZooKeeper the election sees to it that this is the leader's own, so here
    the leader refuses who has a better one.
    """
    play = Play(f"server n3 {leader}", f"server n2 {follower}", "lead n3", "follow n2 n3")
    before = play.applied(3)
    play.do("stabilize")
    assert (play.server(3).phase is Phase.BROADCAST) is is_led
    if is_led:
        assert play.applied(2) == before


# --- section IV, phase 2: synchronisation


def in_synchronisation() -> Play:
    """n3 leads epoch 2 with 1:1-3; n2 has 1:1 and NEWLEADER is on its way to it."""
    play = Play("server n1", "server n2 log=1:1 current=1 accepted=1", THREE[2])
    play.do("lead n3", "follow n2 n3", "deliver n2 n3", "sync-disk n3", "deliver n3 n2")
    told = play.do("sync-disk n2", "deliver n2 n3")
    assert told[-2:] == ["n3 → n2 NEWLEADER 2:0", "n3 write currentEpoch 2"]
    return play


def test_step_l_2_1_the_leader_proposes_its_history_with_newleader() -> None:
    """l.2.1: NEWLEADER(e', I) goes to the quorum. ZooKeeper sends what the follower lacks of I,
    and NEWLEADER behind it: the link is FIFO.
    """
    play = Play("server n1", "server n2 log=1:1 current=1 accepted=1", THREE[2])
    told = play.do("lead n3", "follow n2 n3", *["deliver", "sync-disk"] * 2, "deliver")
    sent = [line for line in told if line.startswith("n3 → n2")]
    assert sent[1:] == [
        "n3 → n2 DIFF 1:3",
        "n3 → n2 PROPOSAL 1:2 1:2",
        "n3 → n2 COMMIT 1:2",
        "n3 → n2 PROPOSAL 1:3 1:3",
        "n3 → n2 COMMIT 1:3",
        "n3 → n2 NEWLEADER 2:0",
    ]


def test_step_f_2_1_epoch_and_history_are_accepted_as_one_before_the_acknowledgement() -> None:
    """f.2.1: if f.p is the epoch, f.a and the history are set atomically, then NEWLEADER is
    acknowledged. A disk has no such atom: the history is first, the epoch second, the ACK last.
    """
    play = in_synchronisation()
    told = play.do("deliver n3 n2")
    assert [line for line in told if "→" in line] == []
    assert play.logged(2) == "1:1"
    told = play.do("sync-disk n2")
    assert told == ["n2 synced", "n2 synced", "n2 write currentEpoch 2"]
    assert play.logged(2) == "1:1,1:2,1:3"
    assert play.server(2).disk.files[EpochFile.CURRENT] == 1
    told = play.do("sync-disk n2")
    assert told == ["n2 synced", "n2 → n3 ACK 2:0"]
    assert play.server(2).disk.files[EpochFile.CURRENT] == 2


@pytest.mark.parametrize("syncs", range(4))
def test_step_f_2_1_a_crash_leaves_no_epoch_without_its_history(syncs) -> None:
    """f.2.1's atom, seen after a crash at each point of it: f.a = e' only with all of I."""
    play = in_synchronisation()
    play.do("deliver n3 n2", *["sync-disk n2 1"] * syncs, "crash n2", "restart n2")
    assert play.logged(2) == ("1:1", "1:1,1:2", "1:1,1:2,1:3", "1:1,1:2,1:3")[syncs]
    assert play.server(2).current == (1, 1, 1, 2)[syncs]


def test_step_f_2_1_newleader_of_another_epoch_starts_over() -> None:
    """f.2.1: if f.p is not the epoch of NEWLEADER the follower begins a new iteration."""
    play = Play(*THREE, "lead n3", "follow n2 n3", "deliver", "sync-disk", "deliver", "sync-disk n2")
    told = play.do("forge n3 n2 DIFF 1:3", "forge n3 n2 NEWLEADER 7:0", "deliver n3 n2")
    assert any(line.startswith("n2 ends its role: NEWLEADER") for line in told)
    assert play.server(2).current == 1


def test_step_l_2_2_a_quorum_of_acknowledgements_commits_the_history() -> None:
    """l.2.2: with a quorum of ACK-LDs the leader sends COMMIT-LD to all and phase 2 is over. Its own
    acknowledgement is one of them, and waits for its own disk.
    """
    play = in_synchronisation()
    play.do("deliver n3 n2", "sync-disk n2", "sync-disk n2", "deliver n2 n3")
    assert play.server(3).phase is Phase.SYNCHRONISATION
    assert "n3 → n2 UPTODATE" in play.do("sync-disk n3")
    assert play.server(3).phase is Phase.BROADCAST


def test_step_l_2_2_nobody_serves_before_a_quorum_has_the_history() -> None:
    """l.2.2 in an ensemble of five: the leader and one follower have the history, and wait."""
    play = Play("voters 1 2 3 4 5", *THREE, "server n4 log=1:1-3 current=1", "server n5", "lead n3")
    play.do("follow n2 n3", "follow n1 n3", "deliver", "sync-disk n3", "deliver", "sync-disk")
    play.do("deliver n1 n3", "deliver n2 n3", "sync-disk n3")
    play.do("deliver n3 n2", "sync-disk n2", "deliver n2 n3")
    assert play.server(3).phase is Phase.SYNCHRONISATION
    play.do("stabilize")
    assert play.server(3).phase is Phase.BROADCAST


def test_step_f_2_2_the_initial_history_is_delivered_everywhere() -> None:
    """f.2.2: with COMMIT-LD the follower has delivered all of I, in order. ZooKeeper commits each txn
    of I on its own before NEWLEADER: a new leader commits whatever it has.
    """
    play = in_synchronisation()
    play.do("stabilize")
    assert play.world.is_serving(play.server(2))
    assert play.applied(2) == play.applied(3) == "1:1,1:2,1:3"


# --- section IV, phase 3: broadcast


def test_step_l_3_1_proposals_carry_the_epoch_and_rise_by_one() -> None:
    """l.3.1: proposals go to all in the order of their zxids, with epoch(z) = e', each after all
    that were broadcast in e'."""
    play = serving()
    told = play.do("propose n3 a b", "propose n3 c")
    for n in (1, 2):
        sent = [line for line in told if line.startswith(f"n3 → n{n}")]
        assert sent == [
            f"n3 → n{n} PROPOSAL 2:1 a",
            f"n3 → n{n} PROPOSAL 2:2 b",
            f"n3 → n{n} PROPOSAL 2:3 c",
        ]
    with pytest.raises(FatalError):
        play.server(3).core.propose([(make_zxid(2, 9), b"x")])


def test_step_l_3_2_a_quorum_of_acknowledgements_commits() -> None:
    """l.3.2: acknowledged by a quorum, COMMIT goes to all followers, also to who is behind."""
    play = serving()
    play.do("propose n3 a", "sync-disk n3", "deliver n3 n2")
    assert play.do("sync-disk n2") == ["n2 synced", "n2 → n3 ACK 2:1"]
    told = play.do("deliver n2 n3")
    assert told == ["n3 → n2 COMMIT 2:1", "n3 → n1 COMMIT 2:1", "n3 apply 2:1 a"]


def test_step_l_3_2_no_commit_before() -> None:
    """l.3.2: the leader's own disk is one acknowledgement of three, and not enough."""
    play = serving()
    play.do("propose n3 a", "sync-disk n3")
    assert play.applied(3) == "1:1,1:2,1:3"
    play.do("deliver n3 n2", "deliver n3 n1")
    assert play.applied(3) == "1:1,1:2,1:3"


def test_step_f_3_2_proposals_are_accepted_in_the_order_they_come() -> None:
    """f.3.2: the follower appends proposals in order of reception, and acknowledges each."""
    play = serving()
    play.do("propose n3 a b c")
    told = play.do("deliver n3 n2", "sync-disk n2")
    assert [line for line in told if "append" in line] == [
        "n2 append 2:1 a",
        "n2 append 2:2 b",
        "n2 append 2:3 c",
    ]
    assert [line for line in told if "→" in line] == [
        "n2 → n3 ACK 2:1",
        "n2 → n3 ACK 2:2",
        "n2 → n3 ACK 2:3",
    ]


def test_step_f_3_3_a_commit_is_delivered_when_all_before_it_are() -> None:
    """f.3.3: COMMIT delivers only if every txn before it in the history is delivered; a link is FIFO,
    so a COMMIT out of order can only be a fault, and the server stops.
    """
    play = serving()
    play.do("propose n3 a b", "deliver n3 n2", "forge n3 n2 COMMIT 2:2")
    told = play.do("deliver n3 n2")
    assert any("panic: exit 12" in line for line in told)
    assert play.applied(2) == "1:1,1:2,1:3"


def test_step_l_3_3_a_late_follower_is_given_the_history_and_what_was_broadcast() -> None:
    """l.3.3: CEPOCH in phase 3 is answered with NEWEPOCH of the standing epoch and NEWLEADER with
    the initial history and all broadcast since, committed or not.
    """
    play = Play(*THREE, "lead n3", "follow n2 n3", "stabilize", "propose n3 a", "stabilize")
    play.do("propose n3 b", "follow n1 n3")
    told = play.do("deliver n1 n3", "deliver n3 n1", "sync-disk n1", "deliver n1 n3")
    assert [line for line in told if line.startswith("n3 → n1")] == [
        "n3 → n1 LEADERINFO 2:0",
        "n3 → n1 DIFF 2:1",
        "n3 → n1 PROPOSAL 2:1 a",
        "n3 → n1 COMMIT 2:1",
        "n3 → n1 PROPOSAL 2:2 b",
        "n3 → n1 NEWLEADER 2:0",
    ]


def test_step_l_3_4_a_late_follower_joins_the_quorum_when_it_acknowledged() -> None:
    """l.3.4: its ACK-LD is answered with a commit, and it is in Q from then on: its acknowledgement
    and the leader's commit what the other follower does not have.
    """
    play = Play(*THREE, "lead n3", "follow n2 n3", "stabilize", "follow n1 n3")
    assert "n3 → n1 UPTODATE" in play.do("stabilize")
    play.do("cut n2 n3", "propose n3 a", "stabilize")
    assert play.applied(3) == play.applied(1) == "1:1,1:2,1:3,a"
    assert play.applied(2) == "1:1,1:2,1:3"


def test_phase_3_ends_without_a_quorum_of_followers() -> None:
    """IV, Phase 3: a leader that hears from no quorum within its timeout gives up, and a follower
    that does not hear from its leader goes back to phase 0.
    """
    play = serving()
    play.do("cut n1 n3", "cut n2 n3")
    assert any(line.startswith("n3 ends its role") for line in play.do("tick 6000"))
    play = serving()
    told = play.do("tick 6000")
    assert {line[:2] for line in told if "ends its role" in line} == {"n1", "n2", "n3"}


# --- what the correctness argument of section V rests on


def test_invariant_a_follower_accepts_proposals_of_its_own_epoch_only() -> None:
    """V: <e, <v,z>> is accepted only if f.a = e. An old leader's link is gone before its follower
    promises a new epoch, and what was on it is lost.
    """
    play = serving()
    play.do("propose n3 a")
    play.world.end_role(play.server(2))
    play.world.end_role(play.server(1))
    told = play.do("lead n2", "follow n1 n2", "stabilize")
    assert not any("2:1" in line for line in told)
    assert play.server(2).core.epoch == 3
    assert play.do("deliver n3 n1", "deliver n3 n2") == []


def test_invariant_after_ack_e_nothing_of_an_earlier_epoch_can_be_committed() -> None:
    """V: once a quorum answered NEWEPOCH(e'), no leader of an earlier epoch can commit. n3 leads on
    without knowing, and cannot.
    """
    play = serving()
    play.world.end_role(play.server(2))
    play.do("propose n3 a", "sync-disk n3")
    play.world.end_role(play.server(1))
    play.do("lead n2", "follow n1 n2", "stabilize", "propose n2 b", "stabilize")
    assert play.server(3).phase is Phase.BROADCAST
    assert play.applied(1) == play.applied(2) == "1:1,1:2,1:3,b"
    assert play.applied(3) == "1:1,1:2,1:3"


def test_invariant_the_history_told_in_ack_e_survives_a_crash() -> None:
    """V: ACK-E does not lose, reorder or change what is in h_f: what it names is on disk."""
    play = Play(*THREE, "lead n3", "follow n2 n3", "stabilize", "propose n3 a", "deliver n3 n2")
    play.do("crash n2", "restart n2")
    assert play.logged(2) == "1:1,1:2,1:3"
    told = play.do("follow n2 n3", "deliver n2 n3", "deliver n3 n2", "sync-disk n2")
    assert any(line.startswith("n2 → n3 ACKEPOCH 1:3") for line in told)
