"""The leader: whom it refuses, whom it counts, when it ends."""

from __future__ import annotations

import pytest

from tests.support.zab_world import Disk, Majority
from zkserver.base.errors import FatalError
from zkserver.base.zxid import make_zxid
from zkserver.jute import quorum_packets as q
from zkserver.jute.quorum_packets import LearnerInfo, Packet, PacketType
from zkserver.zab.committed_log import CommittedLog
from zkserver.zab.effects import Append, EpochFile, Phase, StoreEpoch
from zkserver.zab.leader import Leader, LeaderSettings

LEADER = 9


class Groups:
    """A verifier that needs every one of its sets: two configurations, or groups."""

    def __init__(self, *groups):
        self.parts = [Majority(group) for group in groups]

    def is_quorum(self, ids):
        return all(part.is_quorum(ids) for part in self.parts)


def make(verifier=None, **settings) -> Leader:
    leader = Leader(
        LeaderSettings(LEADER, tick_ms=1000, **settings),
        verifier or Majority((1, 2, LEADER)),
        1,
        1,
        make_zxid(1, 3),
        CommittedLog(),
        Disk(),
        0,
    )
    leader.start()
    return leader


def info(n, epoch=1, *, kind=PacketType.FOLLOWERINFO, **more) -> Packet:
    return Packet(kind, make_zxid(epoch, 0), q.build_learner_info(LearnerInfo(n, **more)))


def promise() -> Packet:
    return Packet(PacketType.ACKEPOCH, make_zxid(1, 3), q.build_int(1))


def ack(counter, epoch=2) -> Packet:
    return Packet(PacketType.ACK, make_zxid(epoch, counter))


def join(leader, *learners, **kinds) -> None:
    """Bring learners, each on the link of its number, to serving; the leader's disk is quick."""
    for n in learners:
        leader.link_up(n)
    for step in ("info", "promise", "ack"):
        for n in learners:
            words = {"info": info(n, **kinds), "promise": promise(), "ack": ack(0, leader.epoch)}
            out = leader.received(n, [words[step]])
            assert out.closed == []
            if out.writes:
                leader.synced()


def serving(verifier=None, learners=(1, 2)) -> Leader:
    leader = make(verifier)
    join(leader, *learners)
    assert leader.phase is Phase.BROADCAST
    return leader


def propose(leader, *bodies):
    first = leader.last_proposed + 1
    return leader.propose([(first + i, body) for i, body in enumerate(bodies)])


def kinds(out, link):
    return [PacketType(packet.type).name for packet in out.send.get(link, ())]


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (Packet(PacketType.PING, 0), "first packet"),
        (Packet(PacketType.FOLLOWERINFO, 0), "3.3"),
        (Packet(PacketType.FOLLOWERINFO, 0, b"\0" * 8), "3.3"),
        (info(1, config_version=5), "newer configuration"),
    ],
)
def test_who_may_not_learn(packet, reason) -> None:
    leader = make(config_version=4)
    leader.link_up(1)
    ((link, said),) = leader.received(1, [packet]).closed
    assert link == 1
    assert reason in said
    assert leader.received(1, [info(1)]).writes == []


@pytest.mark.parametrize("packet", [ack(0), Packet(PacketType.ACKEPOCH, 0), info(1)])
def test_an_ackepoch_has_to_be_one(packet) -> None:
    leader = make()
    leader.link_up(1)
    leader.received(1, [info(1)])
    leader.synced()
    assert leader.received(1, [packet]).closed


@pytest.mark.parametrize("packet", [ack(1), ack(0, 1), Packet(PacketType.PING, 0)])
def test_the_first_word_after_the_history_is_the_ack_of_newleader(packet) -> None:
    leader = make()
    leader.link_up(1)
    leader.received(1, [info(1)])
    leader.synced()
    assert leader.received(1, [promise()]).writes == [StoreEpoch(EpochFile.CURRENT, 2)]
    assert leader.received(1, [packet]).closed


def test_packets_out_of_turn_close_the_link() -> None:
    leader = make()
    leader.link_up(1)
    assert leader.received(1, [info(1), promise()]).closed == []
    leader.link_up(2)
    leader = make(Majority((1, 2, 3, 4, LEADER)))
    leader.link_up(1)
    assert "asked for" in leader.received(1, [info(1), promise()]).closed[0][1]


def test_the_epoch_is_above_all_that_were_accepted_observers_included() -> None:
    leader = make()
    leader.link_up(4)
    leader.received(4, [info(4, 7, kind=PacketType.OBSERVERINFO)])
    leader.link_up(1)
    assert leader.received(1, [info(1, 5)]).writes == [StoreEpoch(EpochFile.ACCEPTED, 8)]
    assert leader.epoch == 8


def test_a_learner_that_comes_again_has_its_former_link_closed() -> None:
    leader = serving()
    leader.link_up(11)
    assert [link for link, _ in leader.received(11, [info(1)]).closed] == [1]


def test_two_configurations_both_need_a_quorum() -> None:
    leader = serving(Groups((1, 2, LEADER), (3, 4, LEADER)), learners=(1, 3))
    propose(leader, b"a")
    leader.synced()
    assert leader.received(1, [ack(1)]).apply == []
    assert leader.received(3, [ack(1)]).apply == [(make_zxid(2, 1), b"a")]


def test_a_leader_outside_the_voters_of_one_configuration_needs_them_all_the_same() -> None:
    leader = serving(Majority((1, 2, 3)))
    propose(leader, b"a")
    assert leader.synced().apply == []
    assert leader.received(1, [ack(1)]).apply == []
    assert len(leader.received(2, [ack(1)]).apply) == 1


def test_acks_of_strangers_observers_and_other_epochs_do_not_count() -> None:
    leader = serving(Majority((1, 2, 3, 4, LEADER)))
    join(leader, 7)
    join(leader, 8, kind=PacketType.OBSERVERINFO)
    propose(leader, b"a", b"b")
    leader.synced()
    leader.received(1, [ack(1)])
    for link, word in ((7, ack(2)), (8, ack(2)), (2, ack(1, 1)), (2, ack(3)), (2, ack(0))):
        assert leader.received(link, [word]).apply == []
    out = leader.received(2, [ack(1)])
    assert [zxid for zxid, _ in out.apply] == [make_zxid(2, 1)]
    assert (kinds(out, 1), kinds(out, 8)) == (["COMMIT"], ["INFORM"])


def test_one_ack_speaks_for_all_before_it() -> None:
    leader = serving()
    out = propose(leader, b"a", b"b", b"c")
    assert out.writes == [Append(make_zxid(2, i), b) for i, b in ((1, b"a"), (2, b"b"), (3, b"c"))]
    leader.synced()
    out = leader.received(1, [ack(1), ack(2), ack(3)])
    assert len(out.apply) == 3
    assert kinds(out, 2) == ["COMMIT"] * 3
    assert leader.unapplied == ()


def test_a_zxid_out_of_order_stops_the_server() -> None:
    leader = serving()
    with pytest.raises(FatalError):
        leader.propose([(make_zxid(2, 2), b"a")])


def test_what_a_learner_sends_that_means_nothing_is_noted_or_closes() -> None:
    leader = serving()
    assert leader.received(1, [Packet(99, 0)]).notes
    assert leader.received(1, [Packet(PacketType.REQUEST, -1, b"short")]).closed
    assert leader.received(2, [Packet(PacketType.PING, 0, b"x")]).closed


def test_answers_to_a_link_that_is_gone_are_dropped() -> None:
    leader = serving()
    propose(leader, b"a")
    leader.sync(1)
    leader.link_down(1)
    leader.synced()
    out = leader.received(2, [ack(1)])
    assert kinds(out, 1) == []
    assert leader.sync(1).send == leader.revalidated(1, 1, True).send == {}


def test_a_quiet_ensemble_stays_and_a_silent_one_ends() -> None:
    leader = serving()
    for now_ms in range(500, 20_000, 500):
        out = leader.tick(now_ms)
        assert (out.ended, kinds(out, 1)) == (None, ["PING"])
        for n in (1, 2):
            leader.received(n, [Packet(PacketType.PING, 0, b"")])
    ended = [leader.tick(now_ms).ended for now_ms in range(20_000, 28_000, 500)]
    assert any(ended)


def test_a_quorum_may_have_less_time_to_tell_its_epochs_than_to_follow() -> None:
    leader = make(init_limit=10, epoch_wait_ms=1500)
    leader.start()
    assert leader.tick(1500).ended is None
    assert leader.tick(1501).ended == "no quorum has told its epochs within 1500 ms"
    leader = make(init_limit=10, epoch_wait_ms=1500)
    leader.start()
    leader.link_up(1)
    leader.received(1, [info(1)])
    assert leader.tick(1501).ended is None
    assert leader.tick(9999).ended is None


def test_nothing_is_proposed_after_the_end() -> None:
    leader = serving()
    leader.link_down(1)
    leader.link_down(2)
    assert leader.tick(1000).ended
    assert propose(leader, b"a").writes == []


def test_an_ensemble_of_one() -> None:
    leader = make(Majority((LEADER,)))
    assert leader.synced().phase is Phase.SYNCHRONISATION
    assert leader.synced().phase is Phase.BROADCAST
    propose(leader, b"a")
    assert leader.synced().apply == [(make_zxid(2, 1), b"a")]


def test_only_so_many_observers_are_synchronised_at_a_time() -> None:
    leader = make(force_snapshot=True, max_snap_syncs=1)
    join(leader, 1, 2)
    observer = info(5, kind=PacketType.OBSERVERINFO), info(6, kind=PacketType.OBSERVERINFO)
    said = []
    for link, first in zip((5, 6), observer, strict=True):
        leader.link_up(link)
        leader.received(link, [first])
        said.append(leader.received(link, [promise()]).closed)
    assert said[0] == []
    ((link, reason),) = said[1]
    assert link == 6
    assert "too many" in reason
    # A voter does not wait.
    leader.link_down(1)
    leader.link_up(7)
    leader.received(7, [info(1)])
    assert "SNAP" in kinds(leader.received(7, [promise()]), 7)
    # When the first is through, the next may come.
    leader.received(5, [ack(0, leader.epoch)])
    leader.received(7, [ack(0, leader.epoch)])
    leader.link_up(8)
    leader.received(8, [observer[1]])
    assert "SNAP" in kinds(leader.received(8, [promise()]), 8)


def test_a_sync_stands_between_the_commits_before_it_and_those_behind_it() -> None:
    leader = serving()
    propose(leader, b"a")
    leader.sync(1)
    propose(leader, b"b")
    leader.synced(2)
    out = leader.received(1, [ack(1), ack(2)])
    assert kinds(out, 1) == ["COMMIT", "SYNC", "COMMIT"]
    assert kinds(out, 2) == ["COMMIT", "COMMIT"]


def test_a_learner_with_the_leaders_own_id_is_refused() -> None:
    """Its promise would stand for one that this server's disk has not made yet."""
    leader = make()
    leader.link_up(1)
    out = leader.received(1, [info(LEADER)])
    assert out.closed == [(1, f"the learner has this leader's own id, {LEADER}")]
    assert leader.epoch == 0
