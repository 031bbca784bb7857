"""The codec: what was written is read back, and bytes that are nothing are refused as such."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support import wire
from zkserver.base import opcodes as op
from zkserver.base.acl import Acl, Id
from zkserver.jute import requests, txns
from zkserver.jute.codec import JuteError

INTS = st.integers(-(1 << 31), (1 << 31) - 1)
LONGS = st.integers(-(1 << 63), (1 << 63) - 1)
BUFFERS = st.none() | st.binary(max_size=20)
PATHS = st.binary(max_size=20)
TEXTS = st.none() | st.text(st.characters(codec="utf-8", max_codepoint=0xD7FF), max_size=8)
ACLS = st.lists(st.tuples(INTS, TEXTS, TEXTS), max_size=3)


def as_acl(entries: list[tuple[int, Any, Any]]) -> tuple[Acl, ...]:
    return tuple(Acl(perms, Id(scheme, name)) for perms, scheme, name in entries)


@given(BUFFERS, BUFFERS, ACLS, INTS, LONGS)
def test_create_requests(path: Any, data: Any, acl: Any, flags: int, ttl_ms: int) -> None:
    record = wire.create_request(path, data, acl, flags)
    fields = (path, data, as_acl(acl), flags)
    assert requests.create(record) == ((*fields, -1), len(record))
    # Known by its end the second time.
    assert requests.create(record) == ((*fields, -1), len(record))
    record = wire.create_ttl_request(path, data, acl, flags, ttl_ms)
    assert requests.create(record, with_ttl=True) == ((*fields, ttl_ms), len(record))


@given(BUFFERS, BUFFERS, INTS, ACLS)
def test_other_requests(path: Any, data: Any, number: int, acl: Any) -> None:
    record = wire.set_data_request(path, data, number)
    assert requests.set_data(record) == ((path, data, number), len(record))
    record = wire.version_request(path, number)
    assert requests.path_version(record) == ((path, number), len(record))
    assert requests.set_acl(wire.set_acl_request(path, acl, number)) == (path, as_acl(acl), number)
    assert requests.path_int(wire.typed_path_request(path, number)) == (path, number)
    assert requests.path_watch(wire.read_request(path, bool(number % 2))) == (
        path, bool(number % 2),
    )  # fmt: skip


VECTORS = st.none() | st.lists(BUFFERS, max_size=3)


@given(LONGS, st.lists(VECTORS, min_size=5, max_size=5))
def test_set_watches_requests(zxid: int, vectors: Any) -> None:
    three = wire.set_watches_request(zxid, *vectors[:3])
    assert requests.set_watches(three, two=False) == (zxid, *vectors[:3], [], [])
    five = wire.set_watches_request(zxid, *vectors)
    assert requests.set_watches(five, two=True) == (zxid, *vectors)


DECODERS: tuple[Callable[[bytes], object], ...] = (
    requests.create,
    lambda body: requests.create(body, with_ttl=True),
    requests.set_data,
    requests.path_version,
    requests.set_acl,
    requests.path,
    requests.container_path,
    requests.path_watch,
    requests.path_int,
    lambda body: requests.set_watches(body, two=True),
    requests.auth,
    requests.sasl,
    requests.reconfig,
    requests.create_session,
    requests.multi,
    txns.decode,
)
WHOLE = wire.multi_request(
    [
        (wire.CREATE, wire.create_request("/a", b"data")),
        (wire.SET_DATA, wire.set_data_request("/a", None)),
        (wire.CHECK, wire.version_request("/a", 3)),
    ]
)


@pytest.mark.parametrize("decode", DECODERS)
@given(st.binary(max_size=60) | st.integers(0, len(WHOLE)).map(lambda end: WHOLE[:end]))
@example(b"\x7f\xff\xff\xff")
@example(b"\x00\x00\x00\x01/\x7f\xff\xff\xff")
@example(b"\xff" * 40)
def test_any_bytes_are_read_or_refused(decode: Callable[[bytes], object], body: bytes) -> None:
    with suppress(JuteError):
        decode(body)


def test_a_count_is_no_reason_to_take_memory() -> None:
    with pytest.raises(JuteError):
        requests.set_watches(bytes(8) + b"\x7f\xff\xff\xff", two=False)


ACL_LISTS = ACLS.map(as_acl)
BODIES: dict[int, st.SearchStrategy[Any]] = {
    op.CREATE: st.tuples(PATHS, BUFFERS, ACL_LISTS, st.booleans(), INTS),
    op.CREATE2: st.tuples(PATHS, BUFFERS, ACL_LISTS, st.booleans(), INTS),
    op.CREATE_CONTAINER: st.tuples(PATHS, BUFFERS, ACL_LISTS, INTS),
    op.CREATE_TTL: st.tuples(PATHS, BUFFERS, ACL_LISTS, INTS, LONGS),
    op.DELETE: st.tuples(PATHS),
    op.DELETE_CONTAINER: st.tuples(PATHS),
    op.SET_DATA: st.tuples(PATHS, BUFFERS, INTS),
    op.RECONFIG: st.tuples(PATHS, BUFFERS, INTS),
    op.SET_ACL: st.tuples(PATHS, ACL_LISTS, INTS),
    op.CHECK: st.tuples(PATHS, INTS),
    op.CREATE_SESSION: st.tuples(INTS),
    op.CLOSE_SESSION: st.tuples(st.lists(PATHS.map(b"/".__add__), max_size=3).map(tuple)),
    op.ERROR: st.tuples(INTS),
}
SINGLE = st.sampled_from(sorted(BODIES)).flatmap(
    lambda kind: st.tuples(st.just(kind), BODIES[kind])
)
PARTS = SINGLE.filter(lambda part: part[0] not in (op.CREATE_SESSION, op.CLOSE_SESSION))
MULTIS = st.tuples(st.just(op.MULTI), st.lists(PARTS, max_size=4).map(tuple))


@given(LONGS, INTS, LONGS, LONGS, SINGLE | MULTIS, st.integers(0, (1 << 64) - 1))
def test_transactions(
    session_id: int, cxid: int, zxid: int, time_ms: int, part: Any, digest: int
) -> None:
    txn = (session_id, cxid, zxid, time_ms, *part)
    entry = txns.encode(txn, digest)
    assert txns.decode(entry) == (txn, (2, digest))
    assert txns.peek_zxid(entry) == zxid
