"""Jute's primitives: a cursor that reads them and functions that write them.

Paths stay bytes. Text (ACL ids, schemes) is decoded, bad UTF-8 replaced, and
written as Java writes it: an astral character becomes two 3-byte surrogates.
"""

from __future__ import annotations

import builtins
import re
from collections.abc import Iterable
from struct import Struct

from zkserver.base.acl import OPEN_ACL, Acl, AclList, Id

INT = Struct(">i")
LONG = Struct(">q")
pack_int = INT.pack
pack_long = LONG.pack
unpack_int = INT.unpack_from
unpack_long = LONG.unpack_from

NULL = pack_int(-1)
_surrogates = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]").sub


class JuteError(Exception):
    """A record that ends too early or carries an impossible length."""


class Cursor:
    """Reads one record after another from `data`, starting at `position`.

    `end` bounds the record; every read past it raises `JuteError`. A string or
    buffer longer than `limit` bytes is refused as Java refuses it
    ("Unreasonable length").
    """

    __slots__ = ("data", "end", "limit", "position")

    def __init__(
        self, data: bytes, position: int = 0, end: int | None = None, limit: int = 0x7FFFFFFF
    ) -> None:
        self.data = data
        self.position = position
        self.end = len(data) if end is None else end
        self.limit = limit

    def _advance(self, size: int) -> int:
        start = self.position
        stop = start + size
        if stop > self.end:
            raise JuteError("record ends early")
        self.position = stop
        return start

    def boolean(self) -> bool:
        """One byte; anything but zero is true."""
        return self.data[self._advance(1)] != 0

    def int(self) -> builtins.int:
        """A signed 32-bit integer."""
        value: builtins.int = unpack_int(self.data, self._advance(4))[0]
        return value

    def long(self) -> builtins.int:
        """A signed 64-bit integer."""
        value: builtins.int = unpack_long(self.data, self._advance(8))[0]
        return value

    def buffer(self) -> bytes | None:
        """A length and that many bytes; None for the null length -1."""
        size = self.int()
        if size == -1:
            return None
        if size < 0 or size > self.limit:
            raise JuteError(f"Unreasonable length = {size}")
        start = self._advance(size)
        return self.data[start : start + size]

    def text(self) -> str | None:
        """A string, decoded; bad bytes become U+FFFD."""
        raw = self.buffer()
        return None if raw is None else decode_text(raw)

    def count(self) -> builtins.int:
        """The count of a vector; null and any other negative count read as 0."""
        return max(self.int(), 0)

    def buffers(self) -> list[bytes | None]:
        """A vector of strings, raw."""
        return [self.buffer() for _ in range(self.count())]

    def buffers_or_null(self) -> list[bytes | None] | None:
        """A vector of strings, raw, or None for the null one."""
        count = self.int()
        return None if count == -1 else [self.buffer() for _ in range(count)]

    def acl(self) -> AclList:
        """A vector of ACLs; null reads as empty."""
        stop = self.position + len(OPEN_ACL_RECORD)
        if stop <= self.end and self.data.startswith(OPEN_ACL_RECORD, self.position):
            self.position = stop
            return OPEN_ACL
        return tuple(
            Acl(self.int(), Id(self.text(), self.text())) for _ in range(self.count())
        )


def buffer(value: bytes | None) -> bytes:
    """A buffer or a string that is bytes already."""
    if value is None:
        return NULL
    return pack_int(len(value)) + value


def decode_text(raw: bytes) -> str:
    """The text Java reads: bad UTF-8 replaced, an encoded surrogate by one U+FFFD."""
    return _surrogates(b"\xef\xbf\xbd", raw).decode("utf-8", "replace")


def encode_text(value: str) -> bytes:
    """The bytes Java writes for a string: UTF-8 of each UTF-16 unit (CESU-8)."""
    if value.isascii():
        return value.encode()
    units = value.encode("utf-16-be", "surrogatepass")
    chars = [chr(units[i] << 8 | units[i + 1]) for i in range(0, len(units), 2)]
    return "".join(chars).encode("utf-8", "surrogatepass")


def as_java_has_it(path: bytes) -> bytes:
    """The bytes that Java would send back for a string it was sent: bad UTF-8 replaced."""
    return path if path.isascii() else encode_text(decode_text(path))


def text(value: str | None) -> bytes:
    """A string."""
    return NULL if value is None else buffer(encode_text(value))


def vector(items: Iterable[bytes]) -> bytes:
    """A vector of strings that are bytes already."""
    rows = [pack_int(len(item)) + item for item in items]
    return pack_int(len(rows)) + b"".join(rows)


def acl(entries: AclList) -> bytes:
    """A vector of ACLs."""
    return pack_int(len(entries)) + b"".join(
        pack_int(perms) + text(scheme) + text(name) for perms, (scheme, name) in entries
    )


OPEN_ACL_RECORD = acl(OPEN_ACL)
"""world:anyone with all permissions, which nearly all znodes have."""
