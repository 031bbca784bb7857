"""A connection and whatever bytes: it answers, or closes itself, and disturbs nobody else."""

from __future__ import annotations

import itertools

from hypothesis import example, given
from hypothesis import strategies as st

from tests.support import wire
from tests.support.quiet_server import QuietClient, QuietServer, Wire
from zkserver.server.connection import CLOSED, Connection

MAX_BUFFER = 1000

OPCODES = st.sampled_from([*range(-12, 24), *range(99, 109), 1 << 30, -(1 << 31)])
XIDS = st.sampled_from([1, 0, -1, -2, -4, -8, 1 << 31 - 1, -(1 << 31)])
RECORDS = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [
            b"",
            wire.create_request("/a", b"data"),
            wire.create_request("/a/s-", None, flags=3),
            wire.set_data_request("/a", b"x"),
            wire.version_request("/a"),
            wire.read_request("/a", True),
            wire.path_request("/"),
            wire.typed_path_request("/", 1),
            wire.set_watches_request(0, ["/a"], ["/b"], ["/"]),
            wire.auth_request("digest", b"ann:secret"),
            wire.multi_request([(wire.CREATE, wire.create_request("/m"))]),
            wire.create_request(b"/\xff\xfe", b""),
        ]
    ),
)
REQUESTS = st.builds(wire.request, XIDS, OPCODES, RECORDS).map(wire.text)
FRAMES = st.lists(REQUESTS | st.binary(max_size=30), max_size=8).map(b"".join)


def feed(connection: Connection, data: bytes, cuts: list[int]) -> None:
    """The bytes in chunks cut at these places."""
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    for start, stop in itertools.pairwise(places):
        if connection.phase == CLOSED:
            return
        connection.receive(data[start:stop])
        assert len(connection.rest) <= MAX_BUFFER + 4


CUTS = st.lists(st.integers(0, 1000), max_size=4)


@given(FRAMES, CUTS, st.booleans())
@example(wire.text(wire.connect_request())[:20] + b"\xff" * 30, [], False)
@example(wire.int32(MAX_BUFFER + 1), [2], True)
@example(wire.int32(7) + bytes(7), [], True)
def test_any_bytes(data: bytes, cuts: list[int], in_session: bool) -> None:
    quiet = QuietServer(jute_maxbuffer=MAX_BUFFER)
    bystander = QuietClient(quiet)
    if in_session:
        connection = QuietClient(quiet).connection
    else:
        connection = Connection(quiet.server, Wire(), "127.0.0.1", 2)
        quiet.server.add(connection)
    feed(connection, data, cuts)
    quiet.sync()
    bystander.frames()
    bystander.receive(wire.request(wire.XID_PING, wire.PING))
    assert [wire.decode_header(frame)["err"] for frame in bystander.frames()] == [0]
    connection.lost()
    quiet.sync()
    assert quiet.server.in_flight == 0
    assert list(quiet.server.connections) == [bystander.connection]
    assert quiet.tree.digest == quiet.tree.compute_digest()
    if connection.session_id:
        assert connection not in quiet.tree.data_watches.by_watcher


@given(st.lists(REQUESTS, max_size=8).map(b"".join), CUTS)
def test_where_the_bytes_are_cut_makes_no_difference(data: bytes, cuts: list[int]) -> None:
    sent = []
    for places in ([], cuts):
        quiet = QuietServer(jute_maxbuffer=MAX_BUFFER)
        client = QuietClient(quiet)
        feed(client.connection, data, places)
        quiet.sync()
        sent.append(client.frames())
    assert sent[0] == sent[1]
