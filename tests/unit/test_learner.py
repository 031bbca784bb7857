"""One learner: what breaks its role, what stops the server, what it keeps for later."""

from __future__ import annotations

import pytest

from zkserver.base.errors import ExitCode, FatalError
from zkserver.base.zxid import make_zxid
from zkserver.jute import quorum_packets as q
from zkserver.jute.quorum_packets import LearnerInfo, Packet, PacketType, Request
from zkserver.zab.committed_log import CommittedLog
from zkserver.zab.effects import (
    LEADER_LINK,
    Append,
    CutLog,
    EpochFile,
    Phase,
    StoreEpoch,
    StoreSnapshot,
)
from zkserver.zab.learner import Learner, LearnerSettings

LEADERINFO = Packet(PacketType.LEADERINFO, make_zxid(2, 0), q.build_int(0x10000))
NEWLEADER = Packet(PacketType.NEWLEADER, make_zxid(2, 0), b"version=0")
UPTODATE = Packet(PacketType.UPTODATE, -1)
LAST = make_zxid(1, 3)
DIFF = Packet(PacketType.DIFF, LAST)


def proposal(counter: int, epoch: int = 2) -> Packet:
    return Packet(PacketType.PROPOSAL, make_zxid(epoch, counter), b"%d" % counter)


def commit(counter: int, epoch: int = 2) -> Packet:
    return Packet(PacketType.COMMIT, make_zxid(epoch, counter))


def make(accepted=1, *, last=LAST, **settings) -> Learner:
    learner = Learner(
        LearnerSettings(1, tick_ms=1000, **settings), accepted, 1, last, CommittedLog(), 0
    )
    learner.link_up()
    return learner


def serving(**settings) -> Learner:
    learner = make(**settings)
    learner.received([LEADERINFO, DIFF])
    learner.synced()
    learner.received([NEWLEADER])
    learner.synced()
    assert learner.received([UPTODATE]).phase is Phase.BROADCAST
    return learner


def test_the_first_packet_names_the_learner() -> None:
    for is_observer, kind in ((False, PacketType.FOLLOWERINFO), (True, PacketType.OBSERVERINFO)):
        settings = LearnerSettings(3, is_observer, config_version=9)
        learner = Learner(settings, 4, 2, LAST, CommittedLog(), 0)
        (packet,) = learner.link_up().send[LEADER_LINK]
        assert (packet.type, packet.zxid) == (kind, make_zxid(4, 0))
        assert q.parse_learner_info(packet.data) == LearnerInfo(3, config_version=9)


@pytest.mark.parametrize(
    "arrived",
    [
        [DIFF],
        [Packet(PacketType.LEADERINFO, make_zxid(0, 0))],
        [LEADERINFO, proposal(1)],
        [LEADERINFO, DIFF, commit(1)],
        [LEADERINFO, DIFF, proposal(1), commit(2)],
        [LEADERINFO, DIFF, UPTODATE],
        [LEADERINFO, DIFF, Packet(PacketType.NEWLEADER, make_zxid(3, 0))],
        [LEADERINFO, DIFF, Packet(PacketType.INFORM, make_zxid(2, 1), b"")],
        [LEADERINFO, DIFF, Packet(PacketType.COMMITANDACTIVATE, make_zxid(2, 1))],
    ],
)
def test_a_broken_protocol_ends_the_role(arrived) -> None:
    learner = make()
    out = learner.received(arrived)
    assert out.ended
    # Nothing more comes of it.
    assert learner.received([LEADERINFO, DIFF, NEWLEADER]).send == {}


def test_a_second_uptodate_ends_the_role() -> None:
    assert serving().received([UPTODATE]).ended


def test_pings_before_serving_are_not_answered() -> None:
    learner = make()
    ping = Packet(PacketType.PING, make_zxid(2, 1))
    out = learner.received([LEADERINFO, ping, DIFF, ping])
    assert (out.ended, out.send) == (None, {})
    learner.synced()
    assert learner.received([NEWLEADER, ping]).send == {}


def test_a_commit_that_is_not_due_stops_the_server() -> None:
    learner = serving()
    with pytest.raises(FatalError) as stopped:
        learner.received([proposal(1), proposal(2), commit(2)])
    assert stopped.value.exit_code is ExitCode.UNMATCHED_TXN_COMMIT


def test_a_commit_without_a_proposal_stops_the_server_unless_it_is_old() -> None:
    learner = serving()
    learner.received([proposal(1), commit(1)])
    assert "already" in learner.received([commit(1)]).notes[0]
    with pytest.raises(FatalError):
        learner.received([commit(2)])


def test_a_gap_between_proposals_is_noted() -> None:
    learner = serving()
    assert learner.received([proposal(1)]).notes == []
    assert "200000003 after 200000001" in learner.received([proposal(3)]).notes[0]


def test_what_is_logged_and_not_committed_is_kept_for_the_end_of_the_role() -> None:
    learner = serving()
    learner.received([proposal(1), proposal(2), proposal(3), commit(1)])
    assert learner.link_down("gone").ended == "gone"
    assert learner.unapplied == ((make_zxid(2, 2), b"2"), (make_zxid(2, 3), b"3"))
    waiting = make()
    waiting.received([LEADERINFO, DIFF, proposal(1)])
    # Before NEWLEADER a proposal is in no log.
    assert waiting.unapplied == ()


def test_the_order_of_a_diff() -> None:
    learner = make()
    out = learner.received([LEADERINFO])
    assert out.writes == [StoreEpoch(EpochFile.ACCEPTED, 2)]
    assert [packet.type for packet in out.send_synced[LEADER_LINK]] == [PacketType.ACKEPOCH]
    learner.synced()
    out = learner.received([DIFF, proposal(4, 1), commit(4, 1), proposal(1), NEWLEADER])
    assert out.writes == [
        StoreEpoch(EpochFile.CURRENT_TO_COME, 2),
        Append(make_zxid(1, 4), b"4"),
    ]
    assert out.apply == [(make_zxid(1, 4), b"4")]
    assert (out.send, out.send_synced, out.config) == ({}, {}, b"version=0")
    out = learner.synced()
    assert out.writes == [StoreEpoch(EpochFile.CURRENT, 2), Append(make_zxid(2, 1), b"1")]
    acks = [Packet(PacketType.ACK, make_zxid(2, 0)), Packet(PacketType.ACK, make_zxid(2, 1))]
    assert out.send_synced == {LEADER_LINK: acks}


def test_trunc_and_snap_replace_what_is_there() -> None:
    learner = make()
    cut = make_zxid(1, 1)
    out = learner.received([LEADERINFO, Packet(PacketType.TRUNC, cut), NEWLEADER])
    assert out.writes[-1] == CutLog(cut)
    assert learner.last_logged == cut
    learner = make()
    learner.received([LEADERINFO, Packet(PacketType.SNAP, make_zxid(1, 9)), NEWLEADER])
    learner.synced()
    out = learner.snapshot_received()
    assert out.writes[-1] == StoreSnapshot(make_zxid(1, 9))
    assert learner.synced().writes == [StoreEpoch(EpochFile.CURRENT, 2)]


def test_an_observer_logs_as_told_and_never_acknowledges_a_proposal() -> None:
    inform = Packet(PacketType.INFORM, make_zxid(2, 1), b"a")
    for sync_enabled, writes in ((True, [Append(inform.zxid, b"a")]), (False, [])):
        out = serving(is_observer=True, sync_enabled=sync_enabled).received([inform])
        assert (out.writes, out.send, out.send_synced) == (writes, {}, {})
        assert out.apply == [(inform.zxid, b"a")]


def test_reconfigurations_say_who_is_to_lead() -> None:
    activate = Packet(PacketType.COMMITANDACTIVATE, make_zxid(2, 1), q.build_activation(3))
    out = serving().received([proposal(1), activate])
    assert (out.activations, len(out.apply)) == ([(make_zxid(2, 1), 3)], 1)
    data = q.build_activation(3, b"a")
    inform = Packet(PacketType.INFORMANDACTIVATE, make_zxid(2, 1), data)
    out = serving(is_observer=True).received([inform])
    assert (out.activations, out.apply) == ([(make_zxid(2, 1), 3)], [(make_zxid(2, 1), b"a")])


def test_a_silent_leader_is_given_up_by_initlimit_and_then_by_synclimit() -> None:
    learner = make()
    assert learner.tick(10_000).ended is None
    assert "10 ticks" in str(learner.tick(10_001).ended)
    learner = serving()
    assert learner.tick(5000).ended is None
    assert "5 ticks" in str(learner.tick(5001).ended)


def test_requests_before_serving_are_dropped() -> None:
    learner = make()
    request = Request(1, 1, 5, b"")
    for out in (learner.submit(request), learner.sync("x", request), learner.revalidate(1, 1)):
        assert out.send == {}
        assert out.notes


def test_a_sync_nobody_waits_for_is_noted() -> None:
    out = serving().received([Packet(PacketType.SYNC, 0), Packet(99, 0)])
    assert len(out.notes) == 2
    assert out.syncs_done == []


@pytest.mark.parametrize(
    ("accepted", "is_observer", "ends"), [(5, False, True), (5, True, False), (2, False, False)]
)
def test_a_voter_keeps_its_promise_and_an_observer_need_not(accepted, is_observer, ends) -> None:
    learner = make(accepted, is_observer=is_observer)
    learner.link_up()
    version = q.build_int(q.PROTOCOL_VERSION)
    out = learner.received([Packet(PacketType.LEADERINFO, make_zxid(2, 0), version)])
    assert bool(out.ended) == ends
    # What was promised is not taken back.
    assert out.writes == []
    assert [packet.type for packet in out.send_synced.get(0, ())] == (
        [] if ends else [PacketType.ACKEPOCH]
    )


@pytest.mark.parametrize("kind", [PacketType.DIFF, PacketType.TRUNC])
def test_a_server_without_a_database_takes_nothing_but_a_tree(kind) -> None:
    learner = make(last=-1)
    out = learner.received([LEADERINFO, Packet(kind, 0)])
    assert "only a tree" in out.ended
    assert not any(isinstance(write, CutLog) for write in out.writes)


def test_a_server_without_a_database_says_its_epoch_again_behind_the_tree() -> None:
    learner = Learner(LearnerSettings(1, tick_ms=1000), 2, 2, -1, CommittedLog(), 0)
    learner.link_up()
    learner.received([LEADERINFO, Packet(PacketType.SNAP, LAST)])
    learner.snapshot_received()
    assert learner.received([NEWLEADER]).writes == []
    out = learner.synced()
    assert out.writes == [StoreEpoch(EpochFile.CURRENT, 2)]
    assert [packet.type for packet in out.send_synced[LEADER_LINK]] == [PacketType.ACK]


@pytest.mark.parametrize("zxid", [make_zxid(1, 4), -1])
def test_nothing_is_cut_back_to_a_zxid_that_was_not_reached(zxid) -> None:
    learner = make()
    out = learner.received([LEADERINFO, Packet(PacketType.TRUNC, zxid)])
    assert "has not reached" in out.ended
    assert not any(isinstance(write, CutLog) for write in out.writes)
