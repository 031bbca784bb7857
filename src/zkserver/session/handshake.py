"""The handshake: ConnectRequest in, ConnectResponse out, neither with a header.

ConnectRequest: int protocolVersion, long lastZxidSeen, int timeOut (ms), long
sessionId, buffer passwd, boolean readOnly. ConnectResponse: int protocolVersion,
int timeOut (ms), long sessionId, buffer passwd, boolean readOnly. Clients before
ZooKeeper 3.4 leave readOnly out and must not be sent it.
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from zkserver.base.errors import LinkError
from zkserver.jute.codec import Cursor, JuteError
from zkserver.session.passwords import SIZE_BYTES, password

# Frame length, protocolVersion, timeOut, sessionId, length of the password, password.
_RESPONSE = Struct(f">iiiqi{SIZE_BYTES}s").pack
_OLD_SIZE_BYTES = 36


class ConnectRequest(NamedTuple):
    """What a client says first. `session_id` is 0 for a new session.

    `has_read_only` tells whether the client sent (and expects) the last field.
    """

    protocol_version: int
    last_zxid_seen: int
    timeout_ms: int
    session_id: int
    password: bytes | None
    read_only: bool
    has_read_only: bool


def parse_connect_request(frame: bytes) -> ConnectRequest:
    """Read the payload of a connection's first frame; LinkError if it is none.

    What follows the record is ignored, as Java does.
    """
    cursor = Cursor(frame)
    try:
        version, zxid, timeout_ms = cursor.int(), cursor.long(), cursor.int()
        session_id, given = cursor.long(), cursor.buffer()
        has_read_only = cursor.position < cursor.end
        read_only = has_read_only and cursor.boolean()
    except JuteError as error:
        raise LinkError(f"unreadable ConnectRequest of {len(frame)} bytes: {error}") from error
    return ConnectRequest(version, zxid, timeout_ms, session_id, given, read_only, has_read_only)


def negotiate(timeout_ms: int, min_timeout_ms: int, max_timeout_ms: int) -> int:
    """The session timeout that the server grants; the upper bound wins."""
    return min(max(timeout_ms, min_timeout_ms), max_timeout_ms)


def connect_response(
    session_id: int, timeout_ms: int, has_read_only: bool, read_only: bool = False
) -> bytes:
    """The frame, length included, that tells a client its session is open."""
    return _frame(timeout_ms, session_id, password(session_id), has_read_only, read_only)


def invalid_session_response(has_read_only: bool, read_only: bool = False) -> bytes:
    """The frame that tells a client its session is gone; the connection closes after it."""
    return _frame(0, 0, bytes(SIZE_BYTES), has_read_only, read_only)


def _frame(
    timeout_ms: int, session_id: int, secret: bytes, has_read_only: bool, read_only: bool
) -> bytes:
    size_bytes = _OLD_SIZE_BYTES + has_read_only
    frame = _RESPONSE(size_bytes, 0, timeout_ms, session_id, SIZE_BYTES, secret)
    return frame + bytes((read_only,)) if has_read_only else frame
