"""Our leader and our learner say, byte for byte, what Apache's 3.9.5 said in the same place.

The bytes are in `zab_captured`, with a note on how they came about.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.zab_world import Disk, Majority
from zkserver.base import opcodes
from zkserver.base.zxid import make_zxid
from zkserver.jute import quorum_packets as q
from zkserver.jute.quorum_packets import Packet, PacketType, Request
from zkserver.zab.committed_log import CommittedLog
from zkserver.zab.effects import LEADER_LINK
from zkserver.zab.leader import Leader, LeaderSettings
from zkserver.zab.learner import Learner, LearnerSettings

FOLDER = Path(__file__).parent / "zab_captured"
SIGNATURE = b"\0\0\0\x0a" + q.SNAPSHOT_SIGNATURE
LINK = 7


def captured(name: str) -> tuple[list[Packet], bytes]:
    """The packets of a file, and the tree that stood among them."""
    packets, rest = q.parse((FOLDER / name).read_bytes())
    tree = b""
    if packets[-1].type == PacketType.SNAP:
        tree, _, rest = rest.partition(SIGNATURE)
        more, rest = q.parse(rest)
        packets += more
    assert rest == b""
    return packets, tree


def of_types(packets, *types):
    return [packet for packet in packets if packet.type in types]


PAST = [
    (packet.zxid, packet.data)
    for packet in of_types(captured("leader1.bin")[0], PacketType.PROPOSAL)
]
# What the leader and the follower had before: epoch, history, the follower's and leader's place.
BEFORE = {1: (0, [], 0, 0), 2: (1, PAST, PAST[-1][0], PAST[-1][0]), 3: (2, PAST, 0, make_zxid(2, 0))}


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.bin")), ids=lambda file: file.stem)
def test_every_packet_is_built_as_it_was_read(file) -> None:
    packets, tree = captured(file.name)
    built = b""
    for packet in packets:
        built += q.build(packet)
        if packet.type == PacketType.SNAP:
            built += tree + SIGNATURE
    assert built == file.read_bytes()


def committed_log(entries) -> CommittedLog:
    log = CommittedLog()
    for entry in entries:
        log.append(entry)
    return log


@pytest.mark.parametrize("run", sorted(BEFORE))
def test_our_learner_answers_as_theirs_did(run) -> None:
    epoch, history, place, _ = BEFORE[run]
    if run == 3:
        epoch, history = 0, []
    learner = Learner(
        LearnerSettings(1, tick_ms=1000), epoch, epoch, place, committed_log(history), 0
    )
    said = []

    def note(out):
        said.extend(out.send.get(LEADER_LINK, ()))
        said.extend(out.send_synced.get(LEADER_LINK, ()))
        assert out.ended is None
        if out.writes:
            note(learner.synced())

    note(learner.link_up())
    if run == 1:
        session_id = q.parse_request(of_types(captured("learner1.bin")[0], 1)[0].data).session_id
        learner.touch(session_id, 10000)
    for packet in captured(f"leader{run}.bin")[0]:
        if packet.type == PacketType.SYNC:
            learner.sync("a client's", Request(1, 1, opcodes.SYNC, b""))
        note(learner.received([packet]))
        if packet.type == PacketType.SNAP:
            note(learner.snapshot_received())
    theirs = captured(f"learner{run}.bin")[0]
    kinds = (PacketType.FOLLOWERINFO, PacketType.ACKEPOCH, PacketType.ACK)
    assert q.build_all(of_types(said, *kinds)) == q.build_all(of_types(theirs, *kinds))
    pings = of_types(theirs, PacketType.PING)
    assert q.build_all(of_types(said, PacketType.PING)[: len(pings)]) == q.build_all(pings)


@pytest.mark.parametrize("run", sorted(BEFORE))
def test_our_leader_says_what_theirs_did(run) -> None:
    epoch, history, _, place = BEFORE[run]
    theirs, _ = captured(f"leader{run}.bin")
    config = of_types(theirs, PacketType.NEWLEADER)[0].data
    leader = Leader(
        LeaderSettings(2, tick_ms=1000, config=config),
        Majority((1, 2)),
        epoch,
        epoch,
        place,
        committed_log(history),
        Disk(history),
        0,
    )
    said = []

    def note(out):
        said.extend(out.send.get(LINK, ()))
        said.extend(out.send_synced.get(LINK, ()))
        assert (out.ended, out.closed) == (None, [])
        if out.writes:
            note(leader.synced())
        for request in out.requests:
            if request.type == opcodes.SYNC:
                note(leader.sync(LINK))
            else:
                zxid = leader.last_proposed + 1
                note(leader.propose([(zxid, dict(PAST)[zxid])]))

    note(leader.start())
    note(leader.link_up(LINK))
    for packet in captured(f"learner{run}.bin")[0]:
        note(leader.received(LINK, [packet]))
    without_pings = [packet for packet in theirs if packet.type != PacketType.PING]
    assert q.build_all(said) == q.build_all(without_pings)
    said.clear()
    note(leader.tick(500))
    assert q.build_all(said) == q.build(of_types(theirs, PacketType.PING)[-1])


def test_a_malformed_request_between_two_others_does_not_stop_our_learner() -> None:
    # Apache's follower ended here: the error has the zxid of the create before it.
    packets, _ = q.parse((FOLDER / "malformed" / "leader.bin").read_bytes())
    learner = Learner(LearnerSettings(1, tick_ms=1000), 0, 0, 0, CommittedLog(), 0)
    learner.link_up()
    applied, acks = [], []
    for packet in packets:
        out = learner.received([packet])
        while True:
            applied += [zxid for zxid, _ in out.apply]
            acks += of_types(out.send_synced.get(LEADER_LINK, ()), PacketType.ACK)
            assert out.ended is None
            if not out.writes:
                break
            out = learner.synced()
    proposed = [packet.zxid & 0xFF for packet in of_types(packets, PacketType.PROPOSAL)]
    assert proposed == [1, 2, 2, 3]
    assert [zxid & 0xFF for zxid in applied] == [1, 2, 3]
    theirs, _ = q.parse((FOLDER / "malformed" / "learner.bin").read_bytes())
    assert acks == of_types(theirs, PacketType.ACK)
