"""Answers about local sessions, which keep their place behind what their client has under way.

They are handlers as those of `reads`, under numbers that are no opcodes of the wire.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from zkserver.base import opcodes as op
from zkserver.base.errors import ClientError, ErrorCode
from zkserver.jute import requests
from zkserver.jute.codec import JuteError, pack_int, unpack_int
from zkserver.server.reads import HEADER_SIZE, Handler, pack_reply

if TYPE_CHECKING:
    from zkserver.server.connection import Connection

END_SESSION = -101
REFUSE_EPHEMERAL = -102

_pack_multi_header = Struct(">i?i").pack


def makes_ephemeral(kind: int, body: bytes) -> bool:
    """Whether a create, create2 or multi makes an ephemeral znode, by the rule of Java's upgrade.

    False for a record that cannot be read: whoever prepares it says so.
    """
    try:
        if kind == op.MULTI:
            return _first_ephemeral(body) is not None
        return requests.create(body)[0][3] in requests.EPHEMERAL_FLAGS
    except JuteError:
        return False


def _first_ephemeral(body: bytes) -> int | None:
    """The place of the first operation of a multi that makes an ephemeral znode."""
    for place, (kind, fields) in enumerate(requests.multi(body)):
        if kind in (op.CREATE, op.CREATE2) and fields[3] in requests.EPHEMERAL_FLAGS:
            return place
    return None


def end_session(connection: Connection, xid: int, _data: bytes, _start: int, _stop: int) -> None:
    """closeSession of a local session: answered, and the connection closed."""
    connection.out.append(pack_reply(HEADER_SIZE, xid, connection.tree.last_zxid, 0))
    connection.server.end_local_session(connection.session_id)


def refuse_ephemeral(
    connection: Connection, xid: int, data: bytes, start: int, stop: int
) -> None:
    """A request for an ephemeral znode by a local session that may not be upgraded.

    The data is the request's opcode and record. A multi is told operation by operation.
    """
    if unpack_int(data, start)[0] != op.MULTI:
        raise ClientError(ErrorCode.EPHEMERALONLOCALSESSION)
    record = data[start + 4 : stop]
    failing = _first_ephemeral(record) or 0
    parts = []
    for place in range(len(requests.multi(record))):
        code = int(ErrorCode.OK if place < failing else ErrorCode.RUNTIMEINCONSISTENCY)
        if place == failing:
            code = int(ErrorCode.EPHEMERALONLOCALSESSION)
        parts += [_pack_multi_header(op.ERROR, False, code), pack_int(code)]
    parts.append(_pack_multi_header(-1, True, -1))
    answer = b"".join(parts)
    size = HEADER_SIZE + len(answer)
    connection.out += (pack_reply(size, xid, connection.tree.last_zxid, 0), answer)


ANSWERS: dict[int, Handler] = {END_SESSION: end_session, REFUSE_EPHEMERAL: refuse_ephemeral}
