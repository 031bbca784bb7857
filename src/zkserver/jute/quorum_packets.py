"""QuorumPacket, what a leader and its learners say to each other, as a stream.

A packet is `type int, zxid long, data buffer, authinfo vector<Id>` with no length around it:
a stream is cut into packets by reading them. `parse` takes what has come and gives back whole
packets and the bytes that are not one yet. One thing on the link is no packet: after SNAP the
leader sends the tree itself. `parse` therefore stops behind a SNAP.

Most packets (ACK, COMMIT, PING, SYNC) have neither data nor authinfo: 20 bytes, parsed and built
in runs. Whatever does not read is a `LinkError`, never a crash.

The payloads follow, each with a function that builds and one that reads it. Source: the
QuorumPacket and LearnerInfo records of zookeeper.jute; the data is that of the server 3.9.5.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from functools import lru_cache
from struct import Struct
from typing import NamedTuple

from zkserver.base.acl import Id
from zkserver.base.errors import LinkError
from zkserver.jute import codec
from zkserver.jute.codec import Cursor, JuteError

PROTOCOL_VERSION = 0x10000
# jute.maxbuffer and the extra size that is added to it, by default as much again.
DEFAULT_LIMIT_BYTES = 2 * 0xFFFFF

# The string that closes the tree behind SNAP; its length stands before it, as before any string.
SNAPSHOT_SIGNATURE = b"BenWasHere"


class PacketType(IntEnum):
    """What a packet says. L: learner, both followers and observers."""

    REQUEST = 1  # L to leader: a client's write or sync
    PROPOSAL = 2  # leader to followers: log this
    ACK = 3  # L to leader: it is on disk
    COMMIT = 4  # leader to followers: apply it
    PING = 5  # both ways; the answer carries touched sessions
    REVALIDATE = 6  # both ways: is this session alive
    SYNC = 7  # leader to L: your oldest sync is done
    INFORM = 8  # leader to observers: proposal and commit in one
    COMMITANDACTIVATE = 9  # as COMMIT, of a reconfiguration
    NEWLEADER = 10  # leader to L: end of the history
    FOLLOWERINFO = 11  # follower to leader: first packet
    UPTODATE = 12  # leader to L: serve
    DIFF = 13  # leader to L: proposals follow
    TRUNC = 14  # leader to L: cut the log first
    SNAP = 15  # leader to L: the tree follows
    OBSERVERINFO = 16  # observer to leader: first packet
    LEADERINFO = 17  # leader to L: the new epoch
    ACKEPOCH = 18  # L to leader: agreed; what I have
    INFORMANDACTIVATE = 19  # as INFORM, of a reconfiguration


class Packet(NamedTuple):
    """One packet. `type` is an int, since a peer may send one that has no name here."""

    type: int
    zxid: int
    data: bytes | None = None
    authinfo: tuple[Id, ...] | None = None


class LearnerInfo(NamedTuple):
    """Who a learner is. `protocol_version` is 1 for one that sends no version."""

    server_id: int | None
    protocol_version: int = PROTOCOL_VERSION
    config_version: int = 0


class Request(NamedTuple):
    """A client's request on its way to the leader; `body` is the request's record."""

    session_id: int
    cxid: int
    type: int
    body: bytes


_BARE = Struct(">iqq")
_HEAD = Struct(">iqi")
_BARE_BYTES = _BARE.size
_INFO = Struct(">qiq")
_REQUEST = Struct(">qii")
_TOUCH = Struct(">qi")
_VALID = Struct(">q?")
# The least that an Id can take: two lengths.
_ID_BYTES = 8
_new_packet = tuple.__new__
# The last lists of ids that came, by their bytes: the clients of a learner have few.
_known_ids: dict[bytes, tuple[Id, ...] | None] = {}
_KNOWN_IDS_LIMIT = 8


def parse(data: bytes, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> tuple[list[Packet], bytes]:
    """Whole packets at the head of `data`, and the rest, which begins with a packet's start.

    Behind a SNAP everything is rest. Raises `LinkError` for lengths below -1 or over
    `limit_bytes`.
    """
    packets: list[Packet] = []
    append, unpack = packets.append, _BARE.unpack_from
    position = 0
    end = len(data)
    while end - position >= _BARE_BYTES:
        # What a bare packet ends with is no length and no count: -1 and -1.
        kind, zxid, tail = unpack(data, position)
        if tail == -1:
            position += _BARE_BYTES
            append(_new_packet(Packet, (kind, zxid, None, None)))
        else:
            position, body = _parse_rest(data, position + _HEAD.size, kind, tail >> 32, limit_bytes)
            if body is None:
                break
            append(_new_packet(Packet, (kind, zxid, *body)))
        if kind == PacketType.SNAP:
            break
    return packets, data[position:]


Rest = tuple[bytes | None, tuple[Id, ...] | None]


def _parse_rest(
    data: bytes, start: int, kind: int, size: int, limit_bytes: int
) -> tuple[int, Rest | None]:
    """Where the packet whose head ends at `start` ends, with its data and ids.

    Where it is not whole: where it begins, and None.
    """
    if size < -1 or size > limit_bytes:
        raise LinkError(f"a packet of type {kind} says its data has {size} bytes")
    stop = start + max(size, 0)
    if len(data) < stop + 4:
        return start - _HEAD.size, None
    body = None if size == -1 else data[start:stop]
    count = codec.unpack_int(data, stop)[0]
    if count == -1:
        return stop + 4, (body, None)
    if count * _ID_BYTES > limit_bytes:
        raise LinkError(f"a packet of type {kind} says it has {count} ids")
    for known, ids in _known_ids.items():
        if data.startswith(known, stop):
            return stop + len(known), (body, ids)
    cursor = Cursor(data, stop, limit=limit_bytes)
    try:
        authinfo = _parse_ids(cursor)
    except JuteError as error:
        # Too short is not wrong here: more may come. A bad length is.
        if "early" in str(error):
            if len(data) - stop > limit_bytes:
                raise LinkError(f"a packet of type {kind} has too many ids") from None
            return start - _HEAD.size, None
        raise LinkError(f"a packet of type {kind}: {error}") from None
    if len(_known_ids) == _KNOWN_IDS_LIMIT:
        _known_ids.clear()
    _known_ids[data[stop : cursor.position]] = authinfo
    return cursor.position, (body, authinfo)


def _parse_ids(cursor: Cursor) -> tuple[Id, ...] | None:
    count = cursor.int()
    if count == -1:
        return None
    return tuple(Id(cursor.text(), cursor.text()) for _ in range(count))


@lru_cache(maxsize=64)
def _built_ids(authinfo: tuple[Id, ...]) -> bytes:
    return codec.pack_int(len(authinfo)) + b"".join(
        codec.text(scheme) + codec.text(name) for scheme, name in authinfo
    )


def build(packet: Packet) -> bytes:
    """The bytes of one packet."""
    kind, zxid, data, authinfo = packet
    if authinfo is None:
        if data is None:
            return _BARE.pack(kind, zxid, -1)
        return _HEAD.pack(kind, zxid, len(data)) + data + codec.NULL
    ids = _built_ids(authinfo)
    if data is None:
        return _HEAD.pack(kind, zxid, -1) + ids
    return _HEAD.pack(kind, zxid, len(data)) + data + ids


def build_all(packets: Iterable[Packet]) -> bytes:
    """The bytes of packets that leave together."""
    return b"".join(map(build, packets))


def build_run(kind: PacketType, zxids: Iterable[int]) -> bytes:
    """Packets of one type without data, one for each zxid: a run of ACKs or COMMITs."""
    pack = _BARE.pack
    return b"".join([pack(kind, zxid, -1) for zxid in zxids])


def build_learner_info(info: LearnerInfo) -> bytes:
    """Data of FOLLOWERINFO and OBSERVERINFO, 20 bytes."""
    return _INFO.pack(info.server_id or 0, info.protocol_version, info.config_version)


def parse_learner_info(data: bytes | None) -> LearnerInfo:
    """What a learner says of itself: 20 bytes, 8 (its id alone) or none from old ones.

    Learners that leave out the version speak the protocol before LEADERINFO: version 1.
    """
    if data is None or len(data) < 8:
        return LearnerInfo(None, 1)
    if len(data) < _INFO.size:
        return LearnerInfo(codec.unpack_long(data)[0], 1)
    return LearnerInfo(*_INFO.unpack_from(data))


def build_int(value: int) -> bytes:
    """Data of LEADERINFO (the protocol version) and ACKEPOCH (an epoch or -1)."""
    return codec.pack_int(value)


def parse_int(data: bytes | None) -> int:
    """What `build_int` built. Raises `LinkError` where there are no 4 bytes."""
    return int(_fixed(codec.INT, data)[0])


def build_touches(touches: Iterable[tuple[int, int]]) -> bytes:
    """Data of an answer to PING: (session id, timeout in ms) of sessions heard of."""
    return b"".join([_TOUCH.pack(session_id, timeout) for session_id, timeout in touches])


def parse_touches(data: bytes | None) -> list[tuple[int, int]]:
    """(session id, timeout in ms) from an answer to PING. Raises `LinkError`."""
    if not data:
        return []
    if len(data) % _TOUCH.size:
        raise LinkError(f"a PING has {len(data)} bytes of touches, no multiple of 12")
    return list(_TOUCH.iter_unpack(data))


def build_revalidation(session_id: int, timeout_ms: int) -> bytes:
    """Data of REVALIDATE to the leader."""
    return _TOUCH.pack(session_id, timeout_ms)


def parse_revalidation(data: bytes | None) -> tuple[int, int]:
    """Session id and timeout in ms. Raises `LinkError`."""
    session_id, timeout_ms = _fixed(_TOUCH, data)
    return session_id, timeout_ms


def build_validity(session_id: int, is_valid: bool) -> bytes:
    """Data of REVALIDATE from the leader."""
    return _VALID.pack(session_id, is_valid)


def parse_validity(data: bytes | None) -> tuple[int, bool]:
    """Session id and whether the session lives. Raises `LinkError`."""
    session_id, is_valid = _fixed(_VALID, data)
    return session_id, bool(is_valid)


def build_request(request: Request) -> bytes:
    """Data of REQUEST."""
    return _REQUEST.pack(request.session_id, request.cxid, request.type) + request.body


def parse_request(data: bytes | None) -> Request:
    """A forwarded request. Raises `LinkError` where its head is not whole."""
    session_id, cxid, kind = _fixed(_REQUEST, data)
    return Request(session_id, cxid, kind, (data or b"")[_REQUEST.size :])


def build_activation(leader_id: int, entry: bytes = b"") -> bytes:
    """Data of COMMITANDACTIVATE (the designated leader), and of INFORMANDACTIVATE with `entry`."""
    return codec.pack_long(leader_id) + entry


def parse_activation(data: bytes | None) -> tuple[int, bytes]:
    """The designated leader and, for INFORMANDACTIVATE, the proposal. Raises `LinkError`."""
    return _fixed(codec.LONG, data)[0], (data or b"")[8:]


def _fixed(form: Struct, data: bytes | None) -> tuple[int, ...]:
    if data is None or len(data) < form.size:
        had = "none" if data is None else len(data)
        raise LinkError(f"a packet has {had} of {form.size} bytes of data")
    return form.unpack_from(data)
