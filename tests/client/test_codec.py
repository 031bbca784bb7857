"""What the client writes is what the server reads, and the other way round."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import wire
from zkserver.base import opcodes as op
from zkserver.base.acl import Acl as ServerAcl
from zkserver.base.acl import Id
from zkserver.base.errors import ErrorCode
from zkserver.base.stat import STAT
from zkserver.client import OPEN_ACL_UNSAFE, Acl, CreateMode, Op, Stat, errors, replies, requests
from zkserver.client.transactions import read_decoder, write_decoder
from zkserver.jute import codec
from zkserver.jute import requests as served
from zkserver.jute.codec import JuteError

INTS = st.integers(-(1 << 31), (1 << 31) - 1)
LONGS = st.integers(-(1 << 63), (1 << 63) - 1)
PATHS = st.text(st.characters(codec="utf-8", categories=["L", "N"]), max_size=20).map(lambda text: f"/{text}")
DATA = st.none() | st.binary(max_size=50)
NAMES = st.text(max_size=10)
ACLS = st.just(OPEN_ACL_UNSAFE) | st.lists(st.builds(Acl, INTS, NAMES, NAMES), max_size=4)
STATS = st.builds(Stat, LONGS, LONGS, LONGS, LONGS, INTS, INTS, INTS, LONGS, INTS, INTS, LONGS)
BEFORE, BEHIND = b"\x7f" * 5, b"\x7f" * 100


def as_java_reads(text: str) -> str:
    return codec.decode_text(codec.encode_text(text))


def server_acl(entries: list[Acl]) -> tuple[ServerAcl, ...]:
    return tuple(
        ServerAcl(perms, Id(as_java_reads(scheme), as_java_reads(name))) for perms, scheme, name in entries
    )


def decoded(decode: replies.Decode, record: bytes) -> object:
    """What a decoder makes of a record in the middle of a chunk."""
    stop = len(BEFORE) + len(record)
    return decode(BEFORE + record + BEHIND, len(BEFORE), stop)


@given(PATHS, DATA, ACLS, INTS, st.none() | LONGS)
def test_create(path: str, data: bytes | None, acl: list[Acl], flags: int, ttl_ms: int | None) -> None:
    body = requests.create(path.encode(), data, acl, flags, ttl_ms)
    fields, end = served.create(body, with_ttl=ttl_ms is not None)
    assert fields == (path.encode(), data, server_acl(acl), flags, -1 if ttl_ms is None else ttl_ms)
    assert end == len(body)


@given(PATHS, DATA, INTS, st.booleans(), ACLS)
def test_small_requests(path: str, data: bytes | None, number: int, watch: bool, acl: list[Acl]) -> None:
    raw = path.encode()
    assert served.set_data(requests.set_data(raw, data, number))[0] == (raw, data, number)
    assert served.path_watch(requests.path_watch(raw, watch)) == (raw, watch)
    assert served.path_int(requests.path_int(raw, number)) == (raw, number)
    assert served.path_version(requests.path_int(raw, number))[0] == (raw, number)
    assert served.set_acl(requests.set_acl(raw, acl, number)) == (raw, server_acl(acl), number)
    assert served.path(codec.buffer(raw)) == raw


@given(NAMES, NAMES, NAMES, LONGS, st.binary(max_size=30))
def test_texts(joining: str, leaving: str, members: str, version: int, credential: bytes) -> None:
    texts = (as_java_reads(text) if text else None for text in (joining, leaving, members))
    assert served.reconfig(requests.reconfig(joining, leaving, members, version)) == (*texts, version)
    frame = requests.auth(joining, credential)
    assert struct.unpack(">iii", frame[:12]) == (len(frame) - 4, -4, 100)
    assert served.auth(frame[12:]) == (as_java_reads(joining), credential)


@given(LONGS, st.integers(1, 1 << 30), LONGS, st.binary(min_size=16, max_size=16), st.booleans())
def test_connect(zxid: int, timeout_ms: int, session_id: int, password: bytes, read_only: bool) -> None:
    frame = requests.connect(zxid, timeout_ms, session_id, password, read_only)
    assert wire.connect_request(timeout_ms, session_id, password, zxid, read_only) == frame[4:]
    answer = struct.pack(">iiqi", 0, timeout_ms, session_id, 16) + password
    assert replies.connect(answer) == (timeout_ms, session_id, password, False)
    assert replies.connect(answer + bytes([read_only])) == (timeout_ms, session_id, password, read_only)


@given(LONGS, st.lists(st.lists(PATHS, max_size=4), min_size=5, max_size=5))
def test_set_watches(zxid: int, tables: list[list[str]]) -> None:
    raw = [[path.encode() for path in table] for table in tables]
    frames = requests.set_watches(zxid, raw)
    assert len(frames) == any(raw)
    for frame in frames:
        size, xid, kind = struct.unpack(">iii", frame[:12])
        assert (size, xid) == (len(frame) - 4, -8)
        assert kind == (op.SET_WATCHES2 if raw[3] or raw[4] else op.SET_WATCHES)
        assert served.set_watches(frame[12:], kind == op.SET_WATCHES2) == (zxid, *raw)


def test_set_watches_is_split() -> None:
    tables = [[b"/%d-%04d" % (number, index) + b"x" * 1000 for index in range(200)] for number in range(5)]
    frames = requests.set_watches(7, tables)
    assert len(frames) > 5
    assert max(map(len, frames)) < requests.SET_WATCHES_LIMIT_BYTES + 2000
    found: list[list[bytes]] = [[] for _ in range(5)]
    for frame in frames:
        kind = codec.unpack_int(frame, 8)[0]
        for number, table in enumerate(served.set_watches(frame[12:], kind == op.SET_WATCHES2)[1:]):
            found[number] += table
    assert found == tables


OPS = st.one_of(
    st.builds(Op.create, PATHS, DATA, acl=ACLS, mode=st.sampled_from(list(CreateMode)[:5])),
    st.builds(Op.create, PATHS, DATA, acl=ACLS, mode=st.sampled_from(list(CreateMode)[5:]), ttl_ms=LONGS),
    st.builds(Op.delete, PATHS, INTS),
    st.builds(Op.set, PATHS, DATA, INTS),
    st.builds(Op.check, PATHS, INTS),
)


@given(st.lists(OPS, max_size=6), STATS)
def test_multi(ops: list[Op], stat: Stat) -> None:
    body = requests.multi((one.kind, one.body(str.encode)) for one in ops)
    record = b""
    for one, (kind, fields) in zip(ops, served.multi(body), strict=True):
        assert (kind, fields[0]) == (one.kind, one.path.encode())
        if one.kind in (op.DELETE, op.CHECK):
            assert fields[1:] == (one.version,)
            answer = struct.pack(">i?i", kind, False, 0)
        elif one.kind == op.SET_DATA:
            assert fields[1:] == (one.data, one.version)
            answer = struct.pack(">i?i", kind, False, 0) + STAT.pack(*stat)
        else:
            ttl_ms = -1 if one.ttl_ms is None else one.ttl_ms
            assert fields[1:] == (one.data, server_acl(one.acl), one.mode, ttl_ms)
            is_plain = one.kind == op.CREATE
            answer = struct.pack(">i?i", op.CREATE if is_plain else op.CREATE2, False, 0)
            answer += codec.buffer(one.path.encode()) + (b"" if is_plain else STAT.pack(*stat))
        record += answer
    results = decoded(write_decoder(ops, lambda path: path), record + requests.MULTI_END)
    for one, (same, path, found) in zip(ops, results, strict=True):
        is_create = one.kind not in (op.DELETE, op.CHECK, op.SET_DATA)
        assert same is one
        assert path == (one.path if is_create else None)
        assert found == (stat if one.kind in (op.SET_DATA, op.CREATE_CONTAINER, op.CREATE_TTL) else None)


@given(st.lists(st.tuples(st.sampled_from([Op.get, Op.get_children]), PATHS, st.binary(max_size=9)), max_size=5), STATS)
def test_multi_read(asked: list[tuple[object, str, bytes]], stat: Stat) -> None:
    ops = [make(path) for make, path, _ in asked]
    body = requests.multi((one.kind, one.body(str.encode)) for one in ops)
    assert [(kind, *fields) for kind, fields in served.multi(body)] == [
        (one.kind, one.path.encode(), False) for one in ops
    ]
    record, wanted = b"", []
    for one, (_, _, data) in zip(ops, asked, strict=True):
        if not data:
            record += struct.pack(">i?ii", -1, False, -101, -101)
            wanted.append(errors.NoNode)
        elif one.kind == op.GET_DATA:
            record += struct.pack(">i?i", one.kind, False, 0) + codec.buffer(data) + STAT.pack(*stat)
            wanted.append((data, stat))
        else:
            record += struct.pack(">i?i", one.kind, False, 0) + codec.vector([b"a", b"bc"])
            wanted.append(["a", "bc"])
    results = decoded(read_decoder(ops), record + requests.MULTI_END)
    assert [type(one) if isinstance(one, errors.NoNode) else one for one in results] == wanted


@given(STATS, DATA, st.lists(NAMES, max_size=5), st.lists(st.builds(Acl, INTS, NAMES, NAMES), max_size=3))
def test_replies(stat: Stat, data: bytes | None, names: list[str], acl: list[Acl]) -> None:
    packed = STAT.pack(*stat)
    read = [as_java_reads(name) for name in names]
    vector = codec.vector(codec.encode_text(name) for name in names)
    assert decoded(replies.stat, packed) == stat
    assert decoded(replies.get_data, codec.buffer(data) + packed) == (data or b"", stat)
    assert decoded(replies.get_data_or_null, codec.buffer(data) + packed) == (data, stat)
    assert decoded(replies.names, vector) == read
    assert decoded(replies.names_and_stat, vector + packed) == (read, stat)
    found = decoded(replies.acl_and_stat, codec.acl(server_acl(acl)) + packed)
    assert found == ([Acl(one.perms, as_java_reads(one.scheme), as_java_reads(one.id)) for one in acl], stat)


RECORDS = (
    (replies.stat, STAT.pack(*range(11))),
    (replies.get_data, codec.buffer(b"12345") + STAT.pack(*range(11))),
    (replies.names, codec.vector([b"a", b"bc"])),
    (replies.names_and_stat, codec.vector([b"a", b"bc"]) + STAT.pack(*range(11))),
    (replies.acl_and_stat, codec.OPEN_ACL_RECORD + STAT.pack(*range(11))),
    (replies.integer, codec.pack_int(7)),
    (replies.who_am_i, codec.pack_int(1) + codec.text("ip") + codec.text("::1")),
    (replies.watcher_event, struct.pack(">ii", 1, 3) + codec.text("/a")),
)


@pytest.mark.parametrize(("decode", "record"), RECORDS, ids=lambda one: getattr(one, "__name__", ""))
def test_a_record_that_ends_early_is_seen(decode: replies.Decode, record: bytes) -> None:
    decode(record, 0, len(record))
    for size in range(len(record)):
        for behind in (b"", BEHIND):
            with pytest.raises((JuteError, struct.error)):
                decode(record[:size] + behind, 0, size)


def test_every_code_has_its_class() -> None:
    for code in ErrorCode:
        if code is not ErrorCode.OK:
            found = errors.error_for(code, "/a")
            assert found.code in (code, ErrorCode.SESSIONEXPIRED)
            assert str(found).endswith(" for /a")
    assert str(errors.error_for(-999)) == "KeeperErrorCode = Unknown error (code -999)"
