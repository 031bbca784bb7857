"""The tree on a learner's link: Apache's bytes, any pieces, and what does not read."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path
from struct import pack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.histories import TIME_MS, History, describe
from zkserver.base import opcodes as op
from zkserver.base.acl import OPEN_ACL
from zkserver.jute import quorum_packets as q
from zkserver.jute.quorum_packets import PacketType
from zkserver.storage.snapshot_reader import SnapshotError
from zkserver.storage.tree_stream import MAX_PIECE_BYTES, TreeReader, pieces
from zkserver.tree.tree import DataTree

CAPTURED = Path(__file__).parents[1] / "golden" / "zab_captured" / "leader3.bin"
BEHIND = q.build(q.Packet(PacketType.NEWLEADER, 5 << 32))


def sample(seed: int = 1, steps: int = 120) -> History:
    history = History(random.Random(seed), DataTree(extended_types=True))
    while history.tree.last_zxid < steps:
        history.step()
    return history


def stream(history: History) -> bytes:
    return b"".join(pieces(history.tree, history.sessions))


def read(chunks: list[bytes]) -> tuple[DataTree, TreeReader, bytes]:
    """The tree, its reader, and what stood behind; all chunks but the last are needed."""
    tree = DataTree(extended_types=True)
    reader = TreeReader(tree)
    assert [reader.feed(chunk) for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    rest = reader.feed(chunks[-1])
    assert rest is not None
    return tree, reader, rest


def check(chunks: list[bytes], history: History, behind: bytes) -> None:
    tree, reader, rest = read(chunks)
    assert rest == behind
    assert describe(tree) == describe(history.tree)
    assert reader.sessions == history.sessions
    assert tree.digest == tree.compute_digest() == history.tree.digest
    assert tree.ephemerals == history.tree.ephemerals
    assert tree.data_size_bytes == history.tree.data_size_bytes


def test_apache_s_stream_reads_and_is_written_back_byte_by_byte() -> None:
    packets, rest = q.parse(CAPTURED.read_bytes())
    assert packets[-1].type == PacketType.SNAP
    tree, reader, behind = read([rest])
    assert tree.nodes[b"/a"].data == b"y"
    assert len(reader.sessions) == 1
    more, left = q.parse(behind)
    assert left == b""
    assert PacketType.NEWLEADER in [packet.type for packet in more]
    ours = b"".join(pieces(tree, reader.sessions))
    assert ours + behind == rest


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1 << 32), st.integers(0, 150), st.data())
def test_any_pieces_give_the_same_tree(seed: int, steps: int, data: st.DataObject) -> None:
    history = sample(seed, steps)
    whole = stream(history)
    behind = data.draw(st.sampled_from([b"", b"\0", BEHIND]), label="behind")
    places = data.draw(st.lists(st.integers(1, len(whole) - 1), unique=True), label="places")
    cuts = [0, *sorted(places), len(whole) + len(behind)]
    everything = whole + behind
    chunks = [everything[i:j] for i, j in pairwise(cuts)]
    check(chunks, history, behind)


@pytest.mark.parametrize("seed", range(3))
def test_byte_by_byte(seed) -> None:
    history = sample(seed)
    check([bytes([byte]) for byte in stream(history)], history, b"")


def test_nothing_fed_is_nothing_read() -> None:
    history = sample()
    reader = TreeReader(DataTree())
    assert reader.feed(b"") is None
    assert reader.feed(stream(history)[:-1]) is None
    assert reader.feed(b"") is None
    assert reader.feed(stream(history)[-1:] + BEHIND) == BEHIND


def test_what_the_tree_held_before_is_forgotten() -> None:
    tree = sample(2).tree
    history = sample(1)
    assert TreeReader(tree).feed(stream(history)) == b""
    assert describe(tree) == describe(history.tree)


def test_pieces_are_neither_tiny_nor_huge() -> None:
    history = sample(1, 20)
    zxid = history.tree.last_zxid
    for number in range(6000):
        zxid += 1
        data = bytes(5 << 20) if number == 3000 else b"x" * 100
        body = (b"/many%d" % number, data, OPEN_ACL, False, number + 1000)
        history.tree.apply((7, zxid, zxid, TIME_MS, op.CREATE2, body))
    history.tree.digest = history.tree.compute_digest()
    found = list(pieces(history.tree, history.sessions))
    assert max(map(len, found)) <= MAX_PIECE_BYTES
    assert sum(map(len, found)) / len(found) > 1 << 16
    check(found, history, b"")


def test_another_signature_is_refused() -> None:
    whole = stream(sample())
    with pytest.raises(SnapshotError, match=r"BenWasHerf.*not with"):
        TreeReader(DataTree()).feed(whole[:-1] + b"f")
    with pytest.raises(SnapshotError, match="not with"):
        TreeReader(DataTree()).feed(whole[:-14] + b"\x7f\xff\xff\xff" + whole[-10:])


EMPTY = pack(">ii", 0, 0)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (EMPTY + pack(">i", 1 << 30), "over the limit"),
        (EMPTY + pack(">i", -5) + bytes(100), "a path of -5"),
        (EMPTY + pack(">ii", 0, 0x7FFFFFFF), "over the limit"),
        (EMPTY + pack(">i2si", 2, b"/a", -2) + bytes(100), "data of -2"),
        (EMPTY + pack(">i4si", 4, b"/a/b", 0) + bytes(100), "no parent"),
        (EMPTY + pack(">i1s", 1, b"/") + b"\0\0\0\x0aBenWasHere", "without a root"),
        (pack(">iiqiii", 0, 1, 1, 1, 31, -7) + bytes(20), "Unreasonable length"),
        (pack(">iiqiii", 0, 1, 1, 1, 31, 1 << 30) + bytes(5000), "over the limit"),
        (pack(">iiqi", 0, 1, 1, 0x7FFFFFFF) + bytes(5000), "over the limit"),
    ],
)
def test_what_does_not_read_is_refused(data, reason) -> None:
    reader = TreeReader(DataTree(), limit_bytes=4096)
    with pytest.raises(SnapshotError, match=reason):
        reader.feed(data)


def test_an_absurd_length_takes_no_more_than_the_limit() -> None:
    reader = TreeReader(DataTree(), limit_bytes=1 << 16)
    assert reader.feed(pack(">iiqiii", 0, 1, 1, 1, 31, 1 << 30)) is None
    fed_bytes = 0
    with pytest.raises(SnapshotError, match="over the limit"):  # noqa: PT012
        while True:
            reader.feed(bytes(1000))
            fed_bytes += 1000
    assert fed_bytes <= 1 << 16


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 16), st.integers(0, 255))
def test_a_changed_byte_is_refused_or_read_but_nothing_else(place: int, value: int) -> None:
    whole = bytearray(stream(sample(3, 60)))
    whole[place % len(whole)] = value
    try:
        TreeReader(DataTree(extended_types=True)).feed(bytes(whole))
    except SnapshotError:
        return
