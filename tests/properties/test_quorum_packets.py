"""QuorumPackets survive the wire, wherever the stream is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zkserver.base.acl import Id
from zkserver.base.errors import LinkError
from zkserver.jute import quorum_packets as q
from zkserver.jute.quorum_packets import LearnerInfo, Packet, PacketType, Request

ints = st.integers(-(2**31), 2**31 - 1)
longs = st.integers(-(2**63), 2**63 - 1)
# Astral characters do not come back: Java writes them as surrogates and reads those as bad bytes.
words = st.none() | st.text("aé€:.\0", max_size=5)
ids = st.builds(Id, words, words)
packets = st.builds(
    Packet,
    ints.filter(lambda kind: kind != PacketType.SNAP),
    longs,
    st.none() | st.binary(max_size=40),
    st.none() | st.lists(ids, max_size=3).map(tuple),
)
bare = st.builds(Packet, st.sampled_from([PacketType.ACK, PacketType.COMMIT]), longs, st.none(), st.none())


@given(st.lists(packets | bare, max_size=8), st.data())
def test_packets_come_back_however_the_stream_is_cut(sent, data) -> None:
    stream = q.build_all(sent)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=5).map(sorted))
    got, rest = [], b""
    for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        some, rest = q.parse(rest + stream[start:stop])
        got += some
    assert got == sent
    assert rest == b""


@given(st.lists(packets, min_size=1, max_size=3))
def test_every_prefix_is_either_packets_or_rest(sent) -> None:
    stream = q.build_all(sent)
    for end in range(len(stream) + 1):
        got, rest = q.parse(stream[:end])
        assert q.build_all(got) + rest == stream[:end]
        assert got == sent[: len(got)]


@given(st.binary(max_size=80))
def test_any_bytes_are_packets_or_a_link_error(stream) -> None:
    try:
        _, rest = q.parse(stream, limit_bytes=64)
    except LinkError:
        return
    assert stream.endswith(rest)


@given(st.lists(longs, max_size=50))
def test_runs_are_packets(zxids) -> None:
    run = q.build_run(PacketType.ACK, zxids)
    assert run == q.build_all(Packet(PacketType.ACK, zxid) for zxid in zxids)
    assert len(run) == 20 * len(zxids)
    assert q.parse(run)[0] == [Packet(PacketType.ACK, zxid) for zxid in zxids]


def test_the_tree_behind_snap_is_no_packet() -> None:
    tree = bytes(range(100))
    for data in (None, b"", b"x"):
        stream = q.build_all([Packet(PacketType.DIFF, 1), Packet(PacketType.SNAP, 7, data)])
        got, rest = q.parse(stream + tree)
        assert [packet.type for packet in got] == [PacketType.DIFF, PacketType.SNAP]
        assert rest == tree


def test_a_null_and_an_empty_vector_differ_and_counts_below_null_are_empty() -> None:
    empty = q.build(Packet(3, 5, None, ()))
    assert len(empty) == 20
    assert q.parse(empty)[0] == [Packet(3, 5, None, ())]
    assert q.parse(empty[:-4] + b"\xff\xff\xff\xf0")[0] == [Packet(3, 5, None, ())]


@pytest.mark.parametrize(
    "stream",
    [
        q.build(Packet(2, 1, b"x" * 65)),
        q.build(Packet(2, 1, b"")).replace(b"\0\0\0\0\xff", b"\xff\xff\xff\xfe\xff"),
        q.build(Packet(2, 1, b"", ()))[:-4] + b"\x7f\xff\xff\xff",
        q.build(Packet(2, 1, b"", (Id("a", "b"),))).replace(b"\0\0\0\x01a", b"\0\0\x01\0a"),
    ],
)
def test_lengths_out_of_bounds_break_the_link(stream) -> None:
    with pytest.raises(LinkError):
        q.parse(stream + b"\0" * 40, limit_bytes=64)


@given(longs, ints, longs)
def test_learner_info_of_twenty_bytes_eight_and_none(server_id, version, config_version) -> None:
    info = LearnerInfo(server_id, version, config_version)
    data = q.build_learner_info(info)
    assert len(data) == 20
    assert q.parse_learner_info(data) == info
    assert q.parse_learner_info(data[:8]) == LearnerInfo(server_id, 1, 0)
    assert q.parse_learner_info(b"") == q.parse_learner_info(None) == LearnerInfo(None, 1, 0)


@given(longs, ints, ints, st.binary(max_size=20), st.booleans())
def test_payloads_come_back(session_id, cxid, kind, body, is_valid) -> None:
    request = Request(session_id, cxid, kind, body)
    assert q.parse_request(q.build_request(request)) == request
    assert q.parse_revalidation(q.build_revalidation(session_id, cxid)) == (session_id, cxid)
    assert q.parse_validity(q.build_validity(session_id, is_valid)) == (session_id, is_valid)
    assert q.parse_activation(q.build_activation(session_id, body)) == (session_id, body)
    assert q.parse_int(q.build_int(kind)) == kind
    touches = [(session_id, cxid), (kind, kind)]
    assert q.parse_touches(q.build_touches(touches)) == touches
    assert q.parse_touches(None) == []


@pytest.mark.parametrize(
    "read",
    [q.parse_request, q.parse_revalidation, q.parse_validity, q.parse_activation, q.parse_int],
)
@pytest.mark.parametrize("data", [None, b"", b"\0\0\0"])
def test_a_payload_cut_short_breaks_the_link(read, data) -> None:
    with pytest.raises(LinkError):
        read(data)


def test_touches_cut_short_break_the_link() -> None:
    with pytest.raises(LinkError):
        q.parse_touches(b"\0" * 13)


def test_bytes_as_the_server_3_9_5_has_them() -> None:
    # Header of COMMIT 0x100000002, then null data and null authinfo.
    commit = bytes.fromhex("00000004 0000000100000002 ffffffff ffffffff")
    assert q.build(Packet(PacketType.COMMIT, 0x100000002)) == commit
    info = bytes.fromhex(
        "0000000b 0000000000000000 00000014"
        "0000000000000003 00010000 0000000000000000 ffffffff"
    )
    (packet,), rest = q.parse(info)
    assert packet.type == PacketType.FOLLOWERINFO
    assert packet.zxid == 0
    assert q.parse_learner_info(packet.data) == LearnerInfo(3)
    assert (q.build(packet), rest) == (info, b"")
