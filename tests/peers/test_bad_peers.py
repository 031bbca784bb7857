"""Peers that break the rules: each is refused with one clear line, or survived, or the server stops
before its tree could be another one than its leader's.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import mixed
from tests.support.bad_peer import FakeLeader, FakeLearner, QuorumSocket, info, new_lines
from tests.support.ensemble_processes import EnsembleProcesses
from tests.support.histories import set_data_entry
from tests.support.mixed import client_of, end, eventually, log_of
from tests.support.server_process import NotStarted, ServerProcess
from zkserver.base import opcodes as op
from zkserver.base.zxid import epoch_of, make_zxid
from zkserver.jute import quorum_packets as packets
from zkserver.jute import txns
from zkserver.jute.codec import pack_int
from zkserver.jute.notifications import encode_initial_message
from zkserver.jute.quorum_packets import Packet, PacketType, Request
from zkserver.storage import tree_stream
from zkserver.storage.emptying import MARK_NAME
from zkserver.tree.tree import DataTree

EPOCH = 51


def zxid_of(server: ServerProcess) -> int:
    client = client_of(server)
    found = client.set("/", b"x").mzxid
    end(client)
    # Closing the session was one more.
    return found + 1


class Rig:
    """Servers 1 and 2 of three; 2 leads, and seat 3 is for a bad peer."""

    def __init__(self, ensemble: EnsembleProcesses) -> None:
        self.ensemble = ensemble
        self.leader = ensemble.server(2)

    def learner(self) -> FakeLearner:
        return FakeLearner(self.ensemble.quorum_ports[1])

    def assert_well(self) -> None:
        """Both serve, in one epoch all along, with equal trees."""
        assert self.ensemble.modes() == {1: "follower", 2: "leader"}
        clients = [client_of(server) for server in self.ensemble.servers[:2]]
        for client in clients:
            client.set("/", b"well")
        end(*clients)
        mixed.assert_equal_trees(self.ensemble)


@pytest.fixture(name="rig", scope="module")
def _rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    ensemble = mixed.make(tmp_path_factory.mktemp("rig"), "zzz")
    try:
        mixed.launch(ensemble, [1, 2])
        ensemble.wait_serving()
        yield Rig(ensemble)
    finally:
        ensemble.__exit__()


def raw_packet(kind: int, size: int) -> bytes:
    return struct.pack(">iqi", kind, 0, size) + bytes(4)


FIRST_BYTES = {
    "garbage": (b"GET / HTTP/1.1\r\n\r\n" * 3, "a packet of type 1195725856 says its data has"),
    "too_long": (raw_packet(PacketType.FOLLOWERINFO, 0x7FFFFFFF), "says its data has 2147483647 bytes"),
    "negative": (raw_packet(PacketType.FOLLOWERINFO, -5), "says its data has -5 bytes"),
    "unknown_type": (packets.build(Packet(99, 0)), "the first packet has type 99, not FOLLOWERINFO"),
    "out_of_order": (packets.build(Packet(PacketType.ACK, 7)), "the first packet has type 3"),
    "no_info": (packets.build(Packet(PacketType.FOLLOWERINFO, 0)), "speaks the protocol before LEADERINFO"),
    "bare_id": (
        packets.build(Packet(PacketType.FOLLOWERINFO, 0, struct.pack(">q", 3))),
        "speaks the protocol before LEADERINFO",
    ),
    "old_version": (
        packets.build(Packet(PacketType.FOLLOWERINFO, 0, struct.pack(">qiq", 3, 1, 0))),
        "speaks the protocol before LEADERINFO",
    ),
    "newer_configuration": (packets.build(info(3, version=5)), "learner 3 has a newer configuration"),
    "the_leaders_id": (packets.build(info(2)), "the learner has this leader's own id, 2"),
}


@pytest.mark.parametrize("name", FIRST_BYTES)
def test_a_learner_is_refused_at_once(rig: Rig, name: str) -> None:
    data, line = FIRST_BYTES[name]
    added = new_lines(lambda: log_of(rig.leader))
    learner = rig.learner()
    learner.send_bytes(data)
    learner.until_closed()
    eventually(lambda: line in added())
    assert len(added().splitlines()) == 1
    rig.assert_well()


def test_a_learner_that_hangs_up_within_a_packet(rig: Rig) -> None:
    for size in (1, 11, 19, 35):
        learner = rig.learner()
        learner.send_bytes(packets.build(info(3))[:size])
        learner.close()
    rig.assert_well()


def test_a_learner_ahead_of_the_leader_gets_its_tail_cut(rig: Rig) -> None:
    """As from Apache's leader, once it leads: the tail was never committed."""
    learner = rig.learner()
    last = zxid_of(rig.leader)
    learner.promise(3, last + 7)
    assert learner.expect(PacketType.TRUNC).zxid == last
    learner.close()
    rig.assert_well()


LATER = {
    "another_ack": (Packet(PacketType.ACK, make_zxid(9, 9)), "where ACK of NEWLEADER was due"),
    "a_request": (Packet(PacketType.REQUEST, -1), "a packet of type 1 where ACK of NEWLEADER was due"),
}


@pytest.mark.parametrize("name", LATER)
def test_a_learner_out_of_order_in_the_synchronisation(rig: Rig, name: str) -> None:
    packet, line = LATER[name]
    last = zxid_of(rig.leader)
    added = new_lines(lambda: log_of(rig.leader))
    learner = rig.learner()
    learner.promise(3, last)
    learner.until(PacketType.NEWLEADER)
    learner.send(packet)
    learner.until_closed()
    assert line in added()
    rig.assert_well()


def test_an_epoch_that_is_no_number(rig: Rig) -> None:
    added = new_lines(lambda: log_of(rig.leader))
    learner = rig.learner()
    learner.send(info(3))
    learner.expect(PacketType.LEADERINFO)
    learner.send(Packet(PacketType.ACKEPOCH, 0, b"\x00"))
    learner.until_closed()
    assert "a packet has 1 of 4 bytes of data" in added()
    rig.assert_well()


def request(kind: int, body: bytes, session_id: int = 77) -> Packet:
    data = packets.build_request(Request(session_id, 1, kind, body))
    return Packet(PacketType.REQUEST, -1, data, ())


BREACHES = {
    "short_request": (Packet(PacketType.REQUEST, -1, b"\x00" * 5), "a packet has 5 of 16 bytes"),
    "no_request": (Packet(PacketType.REQUEST, -1), "a packet has none of 16 bytes"),
    "short_revalidation": (Packet(PacketType.REVALIDATE, -1, b"\x00" * 11), "a packet has 11 of 12 bytes"),
    "touches": (Packet(PacketType.PING, 0, b"\x00" * 13), "a PING has 13 bytes of touches"),
}


@pytest.mark.parametrize("name", BREACHES)
def test_a_serving_learner_that_breaks_the_protocol(rig: Rig, name: str) -> None:
    packet, line = BREACHES[name]
    learner = rig.learner()
    learner.join(3, zxid_of(rig.leader))
    added = new_lines(lambda: log_of(rig.leader))
    learner.send(packet)
    learner.until_closed()
    eventually(lambda: line in added())
    assert len(added().splitlines()) == 1
    rig.assert_well()


SURVIVED = {
    "unknown_type": Packet(99, 0, b"what"),
    "a_leaders_type": Packet(PacketType.PROPOSAL, make_zxid(1, 9), b"x"),
    "ack_of_what_was_not_proposed": Packet(PacketType.ACK, make_zxid(1, 0x7FFFFFFF)),
    "ack_of_another_epoch": Packet(PacketType.ACK, make_zxid(77, 7)),
    "malformed_create": request(op.CREATE, b"\x00\x00\x00\xff"),
    "malformed_multi": request(op.MULTI, b"\xff" * 9),
    "unknown_opcode": request(4711, b"x"),
    "a_read": request(op.GET_DATA, b"x"),
    "an_error": request(-1, b"x"),
    "create_session_without_timeout": request(op.CREATE_SESSION, b""),
    "close_of_no_session": request(op.CLOSE_SESSION, b"", 4711),
    "reconfig": request(op.RECONFIG, b""),
    "create_session": request(op.CREATE_SESSION, pack_int(1)),
    "revalidation_of_no_session": Packet(
        PacketType.REVALIDATE, -1, packets.build_revalidation(4711, 10_000)
    ),
    "touch_of_no_session": Packet(PacketType.PING, 0, packets.build_touches([(4711, -1)])),
}


@pytest.mark.parametrize("name", SURVIVED)
def test_what_a_serving_learner_may_say_for_nothing(rig: Rig, name: str) -> None:
    learner = rig.learner()
    learner.join(3, zxid_of(rig.leader))
    learner.send(SURVIVED[name])
    # What comes behind it is understood.
    learner.send(Packet(PacketType.REVALIDATE, -1, packets.build_revalidation(4712, 10_000)))
    while packets.parse_validity(learner.until(PacketType.REVALIDATE).data) != (4712, False):
        pass
    rig.assert_well()
    learner.close()


def test_a_server_that_is_in_no_list_does_not_count(rig: Rig) -> None:
    """It is given the history, as by Apache's leader, but its word commits nothing."""
    stranger = rig.learner()
    stranger.join(9, zxid_of(rig.leader))
    rig.ensemble.server(1).stop()
    try:
        eventually(lambda: rig.ensemble.modes() == {2: ""})
    finally:
        stranger.close()
        mixed.launch(rig.ensemble, [1])
        rig.ensemble.wait_serving()
    rig.assert_well()


ELECTION_BYTES = {
    "garbage": b"GET / HTTP/1.1\r\n\r\n",
    "unknown_version": struct.pack(">qqi", -7, 3, 0),
    "no_address": struct.pack(">qqi", -65536, 3, 0),
    "huge_address": struct.pack(">qqi", -65536, 3, 1 << 30),
    "huge_frame": encode_initial_message(3, (("127.0.0.1", 1),)) + pack_int(1 << 30),
    "negative_frame": encode_initial_message(3, (("127.0.0.1", 1),)) + pack_int(-1),
    "short_notification": encode_initial_message(3, (("127.0.0.1", 1),)) + pack_int(4) + b"1234",
    "unknown_state": encode_initial_message(3, (("127.0.0.1", 1),)) + pack_int(40) + b"\x09" * 40,
    "its_own_id": encode_initial_message(2, (("127.0.0.1", 1),)),
    "an_id_in_no_list": encode_initial_message(9, (("127.0.0.1", 1),)),
}


@pytest.mark.parametrize("name", ELECTION_BYTES)
def test_strangers_at_the_election_port(rig: Rig, name: str) -> None:
    port = rig.ensemble.election_ports[1]
    with socket.create_connection(("127.0.0.1", port), timeout=10) as link:
        link.sendall(ELECTION_BYTES[name])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as link:
        link.sendall(ELECTION_BYTES[name][:3])
    rig.assert_well()


def test_a_second_server_with_the_same_id_and_address(tmp_path: Path, rig: Rig) -> None:
    twin = EnsembleProcesses(tmp_path, "zzz")
    server = twin.server(1)
    server.cfg = dict(rig.ensemble.server(1).cfg)
    server.launch()
    try:
        assert exit_of(server) == 14
    finally:
        server.kill()
    assert "Give server.1 another address or port exit_code=14" in log_of(server)
    rig.assert_well()


def test_a_second_server_with_the_same_id(tmp_path: Path, rig: Rig) -> None:
    """The two take each other's place with the leader, which says so. The others go on."""
    third = rig.ensemble.server(3)
    third.launch()
    rig.ensemble.wait_serving()
    twin = EnsembleProcesses(tmp_path, "zzz").server(3)
    twin.cfg |= {key: third.cfg[key] for key in ("server.1", "server.2")}
    twin.launch()
    try:
        eventually(lambda: log_of(rig.leader).count("learner 3 has come again") > 1)
        clients = [client_of(server) for server in rig.ensemble.servers[:2]]
        for number, client in enumerate(clients):
            client.set("/", b"%d" % number)
        end(*clients)
    finally:
        twin.kill()
    rig.ensemble.wait_serving()
    mixed.assert_equal_trees(rig.ensemble)
    third.stop()
    rig.assert_well()


# --- a bad leader


@pytest.fixture(name="alone")
def _alone(tmp_path: Path) -> Iterator[tuple[ServerProcess, FakeLeader, int]]:
    """Server 1 of three, which runs, and a leader by hand in seat 3; server 1's election port."""
    ensemble = EnsembleProcesses(tmp_path, "zzz")
    leader = FakeLeader(3, ensemble.quorum_ports[2], ensemble.election_ports[2])
    server = ensemble.server(1)
    server.launch()
    yield server, leader, ensemble.election_ports[0]
    leader.close()
    server.kill()


def exit_of(server: ServerProcess) -> int:
    assert server.process is not None
    return server.process.wait(20)


def survives(server: ServerProcess, line: str) -> None:
    """The server has left that leader, for this reason, and looks for another."""
    eventually(lambda: line in log_of(server))
    eventually(lambda: log_of(server).split(line)[1].count("state=LOOKING"))
    assert server.process is not None
    assert server.process.poll() is None


GREETINGS = {
    "garbage": (b"HTTP/1.1 400 Bad Request\r\n\r\n", "a packet of type 1213486160 says"),
    "too_long": (raw_packet(PacketType.LEADERINFO, 0x7FFFFFFF), "says its data has 2147483647 bytes"),
    "unknown_type": (packets.build(Packet(99, 0)), "LEADERINFO has to come first, not a packet of type 99"),
    "out_of_order": (packets.build(Packet(PacketType.UPTODATE, -1)), "LEADERINFO has to come first"),
}


@pytest.mark.parametrize("name", GREETINGS)
def test_a_leader_that_greets_wrongly(alone, name: str) -> None:
    server, leader, port = alone
    link = leader.win(port)
    link.send_bytes(GREETINGS[name][0])
    link.until_closed()
    survives(server, GREETINGS[name][1])


def test_a_leader_of_an_older_epoch(alone) -> None:
    server, leader, port = alone
    leader.lead(port, EPOCH).close()
    link = leader.win(port)
    link.expect(PacketType.FOLLOWERINFO)
    link.send(Packet(PacketType.LEADERINFO, make_zxid(EPOCH - 1, 0), packets.build_int(0x10000)))
    link.until_closed()
    survives(server, "the leader's epoch 32 is less than the accepted 33")


def tree_behind(data: bytes) -> bytes:
    return packets.build(Packet(PacketType.SNAP, make_zxid(5, 5))) + data


HISTORIES = {
    "cut_to_the_future": (
        packets.build(Packet(PacketType.TRUNC, make_zxid(40, 4))),
        "TRUNC to 2800000004, which this server has not reached",
    ),
    "no_kind": (packets.build(Packet(PacketType.COMMIT, 5)), "where DIFF, TRUNC or SNAP was due"),
    "tree_of_garbage": (tree_behind(b"\xff" * 400), "the leader's tree does not read"),
    "commit_of_nothing": (
        packets.build_all([Packet(PacketType.DIFF, 5), Packet(PacketType.COMMIT, 5)]),
        "which is not the next proposal",
    ),
    "another_epoch": (
        packets.build_all([Packet(PacketType.DIFF, 0), Packet(PacketType.NEWLEADER, make_zxid(7, 0), b"")]),
        "is not of epoch 33",
    ),
}


@pytest.mark.parametrize("name", HISTORIES)
def test_a_leader_that_synchronises_wrongly(alone, name: str) -> None:
    server, leader, port = alone
    link = leader.lead(port)
    link.send_bytes(HISTORIES[name][0])
    link.until_closed()
    survives(server, HISTORIES[name][1])


def test_a_cut_that_cannot_be_made_takes_the_history_and_the_vote(alone) -> None:
    server, leader, port = alone
    link = leader.lead(port, EPOCH)
    link.send_bytes(tree_behind(b"".join(tree_stream.pieces(DataTree(), {}))))
    eventually(lambda: "received the leader's tree" in log_of(server))
    link.close()
    link = leader.lead(port, EPOCH + 1)
    link.send(Packet(PacketType.TRUNC, make_zxid(5, 3)))
    link.until_closed()
    # It comes again to the same leader, whatever the other voters say, and has nothing.
    link = QuorumSocket(leader.listener.accept()[0])
    assert epoch_of(link.expect(PacketType.FOLLOWERINFO).zxid) == EPOCH + 1
    version = packets.build_int(packets.PROTOCOL_VERSION)
    link.send(Packet(PacketType.LEADERINFO, make_zxid(EPOCH + 1, 0), version))
    assert link.expect(PacketType.ACKEPOCH).zxid == -1
    link.close()
    survives(server, "the history could not be cut and is given up")
    assert (server.data_dir / "version-2" / MARK_NAME).exists()


def proposal(zxid: int, data: bytes | None = None) -> Packet:
    return Packet(PacketType.PROPOSAL, zxid, set_data_entry(zxid) if data is None else data)


FIRST = make_zxid(EPOCH, 1)
BROKEN = {
    "commit_of_nothing": ([Packet(PacketType.COMMIT, FIRST)], 12, "next pending txn 0x"),
    "commit_that_does_not_match": (
        [proposal(FIRST), proposal(FIRST + 1), Packet(PacketType.COMMIT, FIRST + 1)],
        12,
        "Committing zxid 0x3300000002 but next pending txn 0x3300000001",
    ),
    "gap": (
        [
            proposal(FIRST),
            Packet(PacketType.COMMIT, FIRST),
            proposal(FIRST + 3),
            Packet(PacketType.COMMIT, FIRST + 3),
        ],
        1,
        "committed 3300000004 after 3300000001: txns are missing",
    ),
    "txn_of_an_unknown_type": (
        [proposal(FIRST, struct.pack(">qiqqi", 1, 1, FIRST, 1, 4711)), Packet(PacketType.COMMIT, FIRST)],
        1,
        "0x3300000001",
    ),
    "another_tree": (
        [
            proposal(FIRST, txns.encode((1, 0, FIRST, 1, op.SET_DATA, (b"/", b"x", 1)), 4711)),
            Packet(PacketType.COMMIT, FIRST),
        ],
        1,
        "this tree is another one than the leader's",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_leader_whose_history_does_not_fit_stops_the_server(alone, name: str) -> None:
    server, leader, port = alone
    sent, exit_code, line = BROKEN[name]
    link: QuorumSocket = leader.serve(port)
    link.send(*sent)
    assert exit_of(server) == exit_code
    lines = [each for each in log_of(server).splitlines() if f"exit_code={exit_code}" in each]
    assert len(lines) == 1
    assert line in lines[0]
    assert "Traceback" not in log_of(server)


@pytest.mark.parametrize(
    ("packet", "line"),
    [
        (Packet(PacketType.UPTODATE, -1), "UPTODATE, though this learner serves already"),
        (Packet(PacketType.INFORM, FIRST, set_data_entry(FIRST)), "INFORM is for observers"),
        (proposal(FIRST, bytes(9)), "a proposal 0x3300000001 with another txn, or with none"),
        (proposal(FIRST, set_data_entry(FIRST + 5)), "a proposal 0x3300000001 with another txn"),
        (Packet(PacketType.PROPOSAL, FIRST), "a proposal 0x3300000001 with another txn"),
        (Packet(PacketType.REVALIDATE, -1, b"x"), "a packet has 1 of 9 bytes of data"),
    ],
)
def test_a_serving_leader_that_breaks_the_protocol(alone, packet: Packet, line: str) -> None:
    server, leader, port = alone
    link = leader.serve(port)
    link.send(packet)
    link.until_closed()
    survives(server, line)


def test_what_a_leader_may_say_for_nothing(alone) -> None:
    server, leader, port = alone
    link = leader.serve(port)
    link.send(
        Packet(99, 0, b"what"),
        Packet(PacketType.SYNC, 0),
        Packet(PacketType.REVALIDATE, -1, packets.build_validity(4711, True)),
        proposal(FIRST),
        Packet(PacketType.COMMIT, FIRST),
        Packet(PacketType.COMMIT, FIRST),
    )
    assert link.expect(PacketType.ACK).zxid == FIRST
    log = log_of(server)
    assert "a packet of type 99, which means nothing to a learner" in log
    assert "a SYNC that nobody waits for" in log


# --- an id that is none


@pytest.mark.parametrize(
    ("myid", "line"),
    [
        (None, "the file is missing; it must hold this server's id, N of its server.N"),
        ("one", "must be the server's id: digits and nothing else"),
        ("", "must be the server's id: digits and nothing else"),
    ],
)
def test_an_id_that_is_none(tmp_path: Path, myid: str | None, line: str) -> None:
    ensemble = EnsembleProcesses(tmp_path, "zzz")
    server = ensemble.server(1)
    file = server.data_dir / "myid"
    file.unlink()
    if myid is not None:
        file.write_text(myid)
    server.launch()
    assert exit_of(server) == 2
    assert line in log_of(server)
    assert str(file) in log_of(server)


def test_an_id_that_is_in_no_list(tmp_path: Path) -> None:
    """It finds no servers that count its vote, and leads nobody."""
    ensemble = EnsembleProcesses(tmp_path, "zzz")
    server = ensemble.server(1)
    (server.data_dir / "myid").write_text("9")
    server.launch()
    eventually(lambda: "9 is not among the servers of the configuration" in log_of(server))
    with pytest.raises(NotStarted):
        server.wait_ready(2)
    server.kill()
