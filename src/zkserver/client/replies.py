"""Replies as Python values: the record of each, behind xid, zxid and error.

A decoder takes a chunk, where the record begins in it and where it must have ended, and
raises `JuteError` or `struct.error` if it is not such a record. Names of znodes are text
here; bytes that are no UTF-8 become U+FFFD, as in Apache's client.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Any, NamedTuple, TypeVar

from zkserver.base.stat import STAT
from zkserver.client.records import Acl, Stat
from zkserver.jute.codec import Cursor, JuteError, decode_text, unpack_int

T = TypeVar("T")
Decode = Callable[[bytes, int, int], Any]
Strip = Callable[[str], str]

_unpack_stat = STAT.unpack_from
STAT_BYTES = STAT.size
_new = tuple.__new__
_CONNECT_REPLY = Struct(">iiqi")


class ConnectResponse(NamedTuple):
    """The server's answer to a ConnectRequest; a timeout of 0 means: no such session."""

    timeout_ms: int
    session_id: int
    password: bytes
    is_read_only: bool


def connect(frame: bytes) -> ConnectResponse:
    """ConnectResponse; servers before 3.4 leave the last byte out."""
    _, timeout_ms, session_id, size = _CONNECT_REPLY.unpack_from(frame)
    start = _CONNECT_REPLY.size
    stop = start + max(size, 0)
    if stop > len(frame):
        raise JuteError("record ends early")
    return ConnectResponse(timeout_ms, session_id, frame[start:stop], frame[stop:] == b"\1")


def nothing(_data: bytes, _position: int, _stop: int) -> None:
    """A reply without a record."""


def stat(data: bytes, position: int, stop: int) -> Stat:
    """A Stat at the end of a record that is nothing else."""
    if position + STAT_BYTES > stop:
        raise JuteError("record ends early")
    return _new(Stat, _unpack_stat(data, position))


def stat_if_there(data: bytes, position: int, stop: int) -> Stat | None:
    """ExistsResponse; a reply NONODE stands for None with this decoder."""
    return stat(data, position, stop)


def get_data(data: bytes, position: int, stop: int) -> tuple[bytes, Stat]:
    """GetDataResponse; null data reads as empty."""
    size = unpack_int(data, position)[0]
    position += 4
    end = position + size if size >= 0 else position
    if size < -1 or end + STAT_BYTES > stop:
        raise JuteError("record ends early")
    return data[position:end], _new(Stat, _unpack_stat(data, end))


def get_data_or_null(data: bytes, position: int, stop: int) -> tuple[bytes | None, Stat]:
    """GetDataResponse; null data is None."""
    value: bytes | None
    value, found = get_data(data, position, stop)
    return (None if unpack_int(data, position)[0] == -1 else value), found


def _names(data: bytes, position: int, stop: int) -> tuple[list[str], int]:
    """A vector of strings and where it ends."""
    names: list[str] = []
    count = unpack_int(data, position)[0]
    position += 4
    for _ in range(count):
        if position + 4 > stop:
            raise JuteError("record ends early")
        start = position + 4
        position = start + unpack_int(data, position)[0]
        if position > stop or position < start:
            raise JuteError("record ends early")
        raw = data[start:position]
        names.append(raw.decode() if raw.isascii() else decode_text(raw))
    return names, position


def names(data: bytes, position: int, stop: int) -> list[str]:
    """GetChildrenResponse."""
    return _names(data, position, stop)[0]


def names_and_stat(data: bytes, position: int, stop: int) -> tuple[list[str], Stat]:
    """GetChildren2Response."""
    found, position = _names(data, position, stop)
    return found, stat(data, position, stop)


def acl_and_stat(data: bytes, position: int, stop: int) -> tuple[list[Acl], Stat]:
    """GetACLResponse."""
    cursor = Cursor(data, position, stop)
    entries = [
        Acl(cursor.int(), cursor.text() or "", cursor.text() or "") for _ in range(cursor.count())
    ]
    return entries, stat(data, cursor.position, stop)


def integer(data: bytes, position: int, stop: int) -> int:
    """GetAllChildrenNumberResponse."""
    return Cursor(data, position, stop).int()


def who_am_i(data: bytes, position: int, stop: int) -> list[tuple[str, str]]:
    """WhoAmIResponse: (scheme, user) each."""
    cursor = Cursor(data, position, stop)
    return [(cursor.text() or "", cursor.text() or "") for _ in range(cursor.count())]


class PathDecoders:
    """The decoders of records that hold whole paths, which `strip` takes the chroot off."""

    def __init__(self, strip: Strip) -> None:
        self._strip = strip

    def path(self, data: bytes, position: int, stop: int) -> str:
        """CreateResponse and SyncResponse."""
        return self._strip(Cursor(data, position, stop).text() or "")

    def path_and_stat(self, data: bytes, position: int, stop: int) -> tuple[str, Stat]:
        """Create2Response."""
        cursor = Cursor(data, position, stop)
        path = self._strip(cursor.text() or "")
        return path, stat(data, cursor.position, stop)

    def paths(self, data: bytes, position: int, stop: int) -> list[str]:
        """GetEphemeralsResponse."""
        return [self._strip(path) for path in names(data, position, stop)]


class Event(NamedTuple):
    """WatcherEvent, with the path as the server has it."""

    type: int
    path: str


def watcher_event(data: bytes, position: int, stop: int) -> Event:
    """WatcherEvent. Its state is always SyncConnected."""
    cursor = Cursor(data, position, stop)
    kind = cursor.int()
    cursor.int()
    return Event(kind, cursor.text() or "")
