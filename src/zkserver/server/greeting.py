"""How a connection begins, and how its client shows who it is.

The first four bytes are a four-letter word or the length of a ConnectRequest; what
comes behind that waits until the session is settled. `auth` and `sasl` packets may
come at any time after it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zkserver.base.errors import ErrorCode, LinkError
from zkserver.jute import requests
from zkserver.jute.codec import NULL, JuteError, unpack_int
from zkserver.server import four_letter
from zkserver.server.reads import HEADER_SIZE, pack_reply
from zkserver.session import handshake

if TYPE_CHECKING:
    from zkserver.server.connection import Connection


def begin(connection: Connection, chunk: bytes) -> None:
    """Take the first bytes of a connection; all of them come again until they are whole."""
    if len(chunk) < 4:
        connection.rest = chunk
        return
    if chunk[:4] in four_letter.WORDS:
        _answer_word(connection, chunk)
        return
    length = unpack_int(chunk)[0]
    if not 0 <= length <= connection.server.config.jute_maxbuffer:
        raise LinkError(f"first frame of {length} bytes: not a ZooKeeper client")
    stop = 4 + length
    if len(chunk) < stop:
        connection.rest = chunk
        return
    _count_packet(connection)
    connection.rest = chunk[stop:]
    request = handshake.parse_connect_request(chunk[4:stop])
    connection.has_read_only = request.has_read_only
    connection.begin_settling()
    connection.server.connect(connection, request)


def _answer_word(connection: Connection, chunk: bytes) -> None:
    server = connection.server
    if chunk[:4] == b"stmk" and len(chunk) < 12 and server.four_letter_allowed("stmk"):
        connection.rest = chunk
        return
    _count_packet(connection)
    connection.transport.write(four_letter.answer(server, chunk).encode())
    connection.count_sent(1)
    connection.close()


def _count_packet(connection: Connection) -> None:
    connection.server.stats.packets_received += 1
    connection.packets_received += 1


def authenticate(connection: Connection, xid: int, body: bytes) -> None:
    """auth: one identity more, or AUTHFAILED and the end of the connection."""
    try:
        scheme, token = requests.auth(body)
    except JuteError as reason:
        raise LinkError(f"unreadable auth packet: {reason}") from None
    server = connection.server
    code, ids = server.providers.authenticate(scheme, token, connection.address)
    connection.count_sent(1)
    if code != ErrorCode.OK:
        server.stats.auth_failures += 1
        connection.out.append(pack_reply(HEADER_SIZE, xid, 0, int(ErrorCode.AUTHFAILED)))
        connection.close_after_output()
        return
    connection.ids += [id_ for id_ in ids if id_ not in connection.ids]
    connection.out.append(pack_reply(HEADER_SIZE, xid, 0, 0))


def answer_sasl(connection: Connection, xid: int, body: bytes) -> None:
    """No SASL is configured: a null token, as Java says without a SASL server."""
    try:
        token = requests.sasl(body)
    except JuteError as reason:
        raise LinkError(f"unreadable sasl packet: {reason}") from None
    if token is None:
        raise LinkError("a sasl packet without a token")
    connection.out.append(pack_reply(HEADER_SIZE + 4, xid, 0, 0) + NULL)
