"""The pipeline: whatever comes from whom and when, zxids are applied and answered in order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import wire
from tests.support.quiet_server import QuietClient, QuietServer
from zkserver.base.errors import FatalError
from zkserver.jute import txns
from zkserver.tree.tree import DataTree


def set_number(xid: int, number: int) -> bytes:
    return wire.request(xid, wire.SET_DATA, wire.set_data_request("/", b"%d" % number))


def get(xid: int) -> bytes:
    return wire.request(xid, wire.GET_DATA, wire.read_request("/"))


def test_writes_of_two_connections_are_applied_in_the_order_of_their_zxids() -> None:
    quiet = QuietServer()
    ann, bob = QuietClient(quiet), QuietClient(quiet)
    ann.receive(set_number(1, 1))
    bob.receive(set_number(1, 2))
    ann.receive(set_number(2, 3))
    bob.receive(set_number(2, 4))
    quiet.sync()
    assert quiet.tree.root.data == b"4"
    zxids = [wire.decode_header(frame)["zxid"] for frame in ann.frames() + bob.frames()]
    assert zxids == [3, 5, 4, 6]


def test_a_read_sees_the_write_before_it_and_not_the_one_behind_it() -> None:
    quiet = QuietServer()
    ann = QuietClient(quiet)
    ann.receive(set_number(1, 1), get(2), set_number(3, 2), get(4), get(5))
    assert ann.frames() == []
    quiet.sync()
    frames = ann.frames()
    assert [wire.decode_header(frame)["xid"] for frame in frames] == [1, 2, 3, 4, 5]
    reads = [wire.decode_reply(wire.GET_DATA, frames[place]) for place in (1, 3, 4)]
    assert [read["body"]["data"] for read in reads] == [b"1", b"2", b"2"]
    assert quiet.server.in_flight == 0


def test_a_transaction_out_of_order_ends_the_server() -> None:
    quiet = QuietServer()
    ann = QuietClient(quiet)
    ann.receive(set_number(1, 1))
    first = quiet.take()
    ann.receive(set_number(2, 2))
    second = quiet.take()
    with pytest.raises(FatalError, match="to be applied after"):
        quiet.server.pipeline.durable(second)
    quiet.server.pipeline.durable(first)


def test_a_batch_is_no_larger_than_max_batch_size() -> None:
    quiet = QuietServer(max_batch_size=3)
    ann = QuietClient(quiet)
    ann.receive(*(set_number(xid, xid) for xid in range(1, 9)))
    sizes = []
    while (batch := quiet.take()).entries:
        sizes.append(len(batch.entries))
        quiet.server.pipeline.durable(batch)
    assert sizes == [3, 3, 2]
    assert [wire.decode_header(frame)["xid"] for frame in ann.frames()] == list(range(1, 9))


STEPS = st.lists(
    st.one_of(
        st.tuples(st.integers(0, 2), st.text("sgcd", min_size=1, max_size=6)),
        st.sampled_from(["take", "durable"]),
    ),
    max_size=40,
)


@given(STEPS)
def test_any_interleaving_is_answered_in_order_and_replays_to_the_same_tree(
    steps: list[str | tuple[int, str]],
) -> None:
    quiet = QuietServer()
    clients = [QuietClient(quiet) for _ in range(3)]
    asked: list[list[int]] = [[], [], []]
    on_disk = []
    xid = 0
    for step in steps:
        if step == "take":
            on_disk.append(quiet.take())
        elif step == "durable":
            if on_disk:
                quiet.server.pipeline.durable(on_disk.pop(0))
        else:
            number, letters = step
            payloads = []
            for letter in letters:
                xid += 1
                asked[int(number)].append(xid)
                payloads.append(payload(letter, xid))
            clients[int(number)].receive(*payloads)
    for batch in on_disk:
        quiet.server.pipeline.durable(batch)
    quiet.sync()
    for client, xids in zip(clients, asked, strict=True):
        headers = [wire.decode_header(frame) for frame in client.frames()]
        assert [header["xid"] for header in headers] == xids
        assert [header["zxid"] for header in headers] == sorted(h["zxid"] for h in headers)
    assert quiet.server.in_flight == 0
    replica = DataTree()
    for entry in quiet.log:
        replica.apply(txns.decode(entry)[0])
    assert quiet.tree.digest == quiet.tree.compute_digest() == replica.digest


def payload(letter: str, xid: int) -> bytes:
    """One request of each kind: setData, getData, create, delete."""
    if letter == "s":
        return set_number(xid, xid)
    if letter == "g":
        return get(xid)
    if letter == "c":
        return wire.request(xid, wire.CREATE, wire.create_request(f"/{xid % 5}"))
    return wire.request(xid, wire.DELETE, wire.version_request(f"/{xid % 5}"))
