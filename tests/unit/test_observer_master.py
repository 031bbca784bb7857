"""What a follower says to observers, packet by packet."""

from __future__ import annotations

import pytest

from tests.support.zab_world import Disk
from zkserver.base.acl import Id
from zkserver.base.zxid import make_zxid
from zkserver.jute import quorum_packets as q
from zkserver.jute.quorum_packets import LearnerInfo, Packet, PacketType, Request
from zkserver.zab.committed_log import CommittedLog
from zkserver.zab.effects import Forwarded, Revalidation
from zkserver.zab.observer_master import ObserverMaster
from zkserver.zab.settings import LeaderSettings

MASTER = 2
EPOCH = 3
NEW_LEADER = make_zxid(EPOCH, 0)
NEVER = 1 << 40


def entry(counter: int, size: int = 3) -> tuple[int, bytes]:
    return make_zxid(EPOCH, counter), b"x" * size


class Scene:
    """A master that has applied txns 1 to `applied`."""

    def __init__(self, applied: int = 3, size_limit: int = NEVER, memory=500, **settings) -> None:
        self.log = CommittedLog(memory)
        for counter in range(1, applied + 1):
            self.log.append(entry(counter))
        self.master = ObserverMaster(
            LeaderSettings(MASTER, tick_ms=1000, config=b"the config", **settings),
            size_limit,
            EPOCH,
            make_zxid(EPOCH, applied),
            self.log,
            Disk(),
            0,
        )

    def hello(self, link: int, zxid: int, server_id: int | None = None):
        """Up to the history; what the observer is sent then."""
        self.master.link_up(link)
        out = self.master.received(link, [info(server_id or 10 + link)])
        if out.closed:
            return out
        assert out.send == {
            link: [Packet(PacketType.LEADERINFO, NEW_LEADER, q.build_int(q.PROTOCOL_VERSION))]
        }
        return self.master.received(link, [Packet(PacketType.ACKEPOCH, zxid, q.build_int(-1))])

    def serve(self, link: int, counter: int = 3, **more) -> None:
        self.hello(link, make_zxid(EPOCH, counter), **more)
        out = self.master.received(link, [Packet(PacketType.ACK, NEW_LEADER)])
        assert out.send == {link: [Packet(PacketType.UPTODATE, -1)]}
        # The answer to UPTODATE.
        out = self.master.received(link, [Packet(PacketType.ACK, NEW_LEADER)])
        assert not out.send
        assert not out.closed

    def apply(self, *counters: int, waiting=None, size: int = 3):
        entries = [entry(counter, size) for counter in counters]
        for each in entries:
            self.log.append(each)
        return self.master.applied(entries, waiting or {})


def info(server_id: int, kind=PacketType.OBSERVERINFO, **more) -> Packet:
    return Packet(kind, make_zxid(1, 0), q.build_learner_info(LearnerInfo(server_id, **more)))


def kinds(queue) -> list[str]:
    return [PacketType(packet.type).name for packet in queue]


def test_an_observer_is_brought_up_to_date_and_told_of_what_is_applied_from_then_on() -> None:
    scene = Scene(applied=3)
    out = scene.hello(1, make_zxid(EPOCH, 1))
    assert kinds(out.send[1]) == ["DIFF", *["PROPOSAL", "COMMIT"] * 2, "NEWLEADER"]
    assert [packet.zxid for packet in out.send[1][1:5:2]] == [entry(2)[0], entry(3)[0]]
    assert out.send[1][-1] == Packet(PacketType.NEWLEADER, NEW_LEADER, b"the config")
    # Before it has acknowledged, and after.
    assert scene.apply(4).send == {1: [Packet(PacketType.INFORM, *entry(4))]}
    scene.master.received(1, [Packet(PacketType.ACK, NEW_LEADER)])
    assert scene.apply(5, 6).send == {
        1: [Packet(PacketType.INFORM, *entry(5)), Packet(PacketType.INFORM, *entry(6))]
    }
    assert scene.master.observers == 1


def test_one_that_has_all_gets_an_empty_diff_and_one_with_nothing_the_tree() -> None:
    scene = Scene(applied=3)
    assert kinds(scene.hello(1, make_zxid(EPOCH, 3)).send[1]) == ["DIFF", "NEWLEADER"]
    out = scene.hello(2, -1)
    assert kinds(out.send[2]) == ["SNAP", "NEWLEADER"]
    assert out.send[2][0].zxid == make_zxid(EPOCH, 3)


def test_one_that_is_ahead_waits_until_the_follower_has_caught_up() -> None:
    scene = Scene(applied=3)
    assert not scene.hello(1, make_zxid(EPOCH, 5)).send
    assert not scene.apply(4).send
    out = scene.apply(5)
    assert kinds(out.send[1]) == ["DIFF", "NEWLEADER"]
    assert out.send[1][0].zxid == make_zxid(EPOCH, 5)
    assert scene.apply(6).send == {1: [Packet(PacketType.INFORM, *entry(6))]}


def test_one_that_stays_ahead_is_dropped_in_the_end() -> None:
    scene = Scene(applied=3, init_limit=5)
    scene.hello(1, make_zxid(EPOCH, 5))
    assert scene.master.tick(5000).closed == []
    assert scene.master.tick(5001).closed == [(1, "silent for more than 5 ticks")]


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (info(9, PacketType.FOLLOWERINFO), "server 9 is no observer"),
        (info(MASTER), "own id"),
        (info(9, config_version=1), "newer configuration"),
        (Packet(PacketType.PING, 1), "not FOLLOWERINFO"),
        (Packet(PacketType.OBSERVERINFO, 1, b"12345678"), "3.3"),
    ],
)
def test_who_cannot_be_served_is_hung_up_on(packet: Packet, reason: str) -> None:
    scene = Scene()
    scene.serve(7)
    scene.master.link_up(1)
    out = scene.master.received(1, [packet])
    [(link, told)] = out.closed
    assert link == 1
    assert reason in told
    # Nobody else is harmed, and nothing more is said to this one.
    assert list(scene.apply(4).send) == [7]
    assert not scene.master.received(1, [info(9)]).send


@pytest.mark.parametrize("packet", [Packet(PacketType.ACK, 5), Packet(PacketType.REQUEST, 1)])
def test_a_wrong_packet_before_uptodate_ends_the_link(packet: Packet) -> None:
    scene = Scene()
    scene.hello(1, make_zxid(EPOCH, 3))
    assert [link for link, _ in scene.master.received(1, [packet]).closed] == [1]


def test_an_observer_that_comes_again_has_its_former_link_closed() -> None:
    scene = Scene()
    scene.serve(1, server_id=20)
    scene.master.link_up(2)
    out = scene.master.received(2, [info(20)])
    assert out.closed == [(1, "observer 20 has come again")]
    scene.master.received(2, [Packet(PacketType.ACKEPOCH, make_zxid(EPOCH, 3), q.build_int(-1))])
    assert list(scene.apply(4).send) == [2]


def test_what_an_observer_asks_is_handed_on_and_answers_find_it() -> None:
    scene = Scene()
    scene.serve(1)
    scene.serve(2)
    ids = (Id("ip", "::1"),)
    asked = Packet(PacketType.REQUEST, -1, q.build_request(Request(7, 8, 1, b"body")), ids)
    session = Packet(PacketType.REVALIDATE, -1, q.build_revalidation(7, 4000))
    touched = Packet(PacketType.PING, 1, q.build_touches([(7, 4000)]))
    out = scene.master.received(1, [asked, session, touched])
    assert out.requests == [Forwarded(1, 7, 8, 1, b"body", ids)]
    assert out.revalidations == [Revalidation(1, 7, 4000)]
    assert out.touched == [(7, 4000)]
    assert scene.master.synced(2).send == {2: [Packet(PacketType.SYNC, 0)]}
    word = Packet(PacketType.REVALIDATE, -1, q.build_validity(7, True))
    assert scene.master.revalidated(1, 7, True).send == {1: [word]}
    scene.master.link_down(1)
    assert not scene.master.synced(1).send
    assert not scene.master.revalidated(1, 7, True).send
    garbage = Packet(PacketType.REVALIDATE, -1, b"short")
    assert [link for link, _ in scene.master.received(2, [garbage]).closed] == [2]


def test_pings_go_every_half_tick_to_those_that_serve_and_the_silent_are_dropped() -> None:
    scene = Scene(sync_limit=3)
    scene.serve(1)
    scene.hello(2, make_zxid(EPOCH, 3))
    assert not scene.master.tick(499).send
    assert scene.master.tick(500).send == {1: [Packet(PacketType.PING, make_zxid(EPOCH, 3))]}
    scene.master.tick(2900)
    scene.master.received(1, [Packet(PacketType.PING, 1)])
    assert scene.master.tick(5900).closed == []
    assert scene.master.tick(5901).closed == [(1, "silent for more than 3 ticks")]


def test_one_that_does_not_take_what_it_is_sent_is_dropped() -> None:
    scene = Scene(size_limit=1000)
    scene.serve(1)
    scene.serve(2)
    assert list(scene.apply(4, waiting={1: 1000, 2: 0}).send) == [1, 2]
    out = scene.apply(5, waiting={1: 1001, 2: 0})
    assert list(out.send) == [2]
    [(link, reason)] = out.closed
    assert link == 1
    assert "sizeLimit" in reason


def test_the_history_itself_does_not_count_as_being_behind() -> None:
    scene = Scene(applied=0, size_limit=1000)
    scene.apply(*range(1, 101), size=100)
    queue = scene.hello(1, make_zxid(EPOCH, 1)).send[1]
    size = len(q.build_all(queue))
    assert size > 10_000
    assert scene.apply(101, waiting={1: size}).closed == []
    assert scene.apply(102, waiting={1: size + 1000}).closed != []


def test_so_many_are_synchronised_at_a_time() -> None:
    scene = Scene(max_snap_syncs=1)
    scene.hello(1, -1)
    assert [link for link, _ in scene.hello(2, -1).closed] == [2]
    scene.master.received(1, [Packet(PacketType.ACK, NEW_LEADER)])
    assert kinds(scene.hello(3, -1).send[3]) == ["SNAP", "NEWLEADER"]
