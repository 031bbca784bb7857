"""One log file looked through to its end, damage and all: for tools, never for a start.

`storage.logreader` stops at the first thing that does not read, because a server must. A tool shows
what is behind it. `scan` cuts a file into pieces that follow each other without holes:

* `Record`: a frame whose length and end mark fit. It is good when its checksum is right;
* `Gap`: bytes that are no frame, up to the next good record;
* `Tail`: how the file ends: only zeros behind, or bytes that lead to no record any more.

Every record whose checksum is right is found, wherever it begins and whatever stands before it: a
length that a flipped bit made wrong costs the records it reaches over nothing. So where a checksum
is wrong its frame is searched for good records too, and if there is one the frame was none.
Memory holds one chunk of the file and one entry. An entry over `ENTRY_LIMIT_BYTES` is no record.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple
from zlib import adler32

from zkserver.jute.txns import HEADER
from zkserver.storage.disk import CHUNK_BYTES, Disk
from zkserver.storage.layout import StorageError
from zkserver.storage.txnlog import (
    FILE_HEADER,
    FRAME_BYTES,
    HEADER_BYTES,
    MAGIC,
    RECORD_END,
    RECORD_HEAD,
    RECORD_HEAD_BYTES,
)

ENTRY_LIMIT_BYTES = 1 << 28
_MIN_ENTRY_BYTES = HEADER.size
_written = re.compile(rb"[^\0]").search


class Record(NamedTuple):
    """A framed entry at `offset`; `checksum` is the stored one, `computed` what the bytes give."""

    offset: int
    checksum: int
    computed: int
    entry: bytes

    @property
    def is_good(self) -> bool:
        """Whether the entry is as it was written."""
        return self.checksum == self.computed

    @property
    def end(self) -> int:
        """The offset after the record."""
        return self.offset + FRAME_BYTES + len(self.entry)


class Gap(NamedTuple):
    """Bytes from `offset` up to `end` that are no record, with a good record behind them."""

    offset: int
    end: int


class Tail(NamedTuple):
    """The end of the records at `offset`. `left_bytes` without the zeros behind them follow.

    `is_cut` tells that the file ends inside of what its head says is a record.
    """

    offset: int
    left_bytes: int
    is_cut: bool


class LogHeader(NamedTuple):
    """What a log file begins with, beside its magic."""

    version: int
    dbid: int


def read_header(disk: Disk, path: str) -> LogHeader:
    """The header of a log file; StorageError if the file is no log, OSError from the disk."""
    header = disk.read(path, 0, HEADER_BYTES)
    if len(header) < HEADER_BYTES:
        raise StorageError(
            f"{path}: not a transaction log: {len(header)} bytes are less than its header"
        )
    magic, version, dbid = FILE_HEADER.unpack(header)
    if magic != MAGIC:
        raise StorageError(
            f"{path}: not a transaction log: it begins with {magic.hex()} "
            f'and not with {MAGIC.hex()}, "ZKLG"'
        )
    return LogHeader(version, dbid)


def scan(disk: Disk, path: str) -> Iterator[Record | Gap | Tail]:
    """The pieces of a log file behind its header, in their order; a Tail is the last.

    Raises OSError if the disk fails.
    """
    window = _Window(disk, path)
    position = HEADER_BYTES
    while True:
        record = window.record(position)
        if record is not None and not record.is_good:
            # A wrong length may have come upon the end mark of a later record.
            inner = window.find_good(position + 1, record.end)
            record = record if inner is None else None
        if record is not None:
            yield record
            position = record.end
            continue
        found = window.find_good(position + 1, window.size_bytes)
        if found is None:
            yield window.tail(position)
            return
        yield Gap(position, found)
        position = found


class _Window:
    """A file seen through one chunk at a time."""

    def __init__(self, disk: Disk, path: str) -> None:
        self._disk = disk
        self._path = path
        self._base = 0
        self._chunk = b""
        self.size_bytes = disk.size(path)

    def read(self, offset: int, size_bytes: int) -> bytes:
        """Bytes of the file, fewer at its end."""
        start = offset - self._base
        if start < 0 or start + size_bytes > len(self._chunk):
            self._base, start = offset, 0
            self._chunk = self._disk.read(self._path, offset, max(CHUNK_BYTES, size_bytes))
        return self._chunk[start : start + size_bytes]

    def record(self, position: int) -> Record | None:
        """The record at `position`, its checksum right or wrong; None if there is no frame."""
        head = self.read(position, RECORD_HEAD_BYTES)
        if len(head) < RECORD_HEAD_BYTES:
            return None
        checksum, length = RECORD_HEAD.unpack(head)
        end = position + RECORD_HEAD_BYTES + length
        if not _MIN_ENTRY_BYTES <= length <= ENTRY_LIMIT_BYTES or end >= self.size_bytes:
            return None
        is_outside = end >= self._base + len(self._chunk)
        # One byte is looked at before a length that may be wild is read.
        if is_outside and self._disk.read(self._path, end, 1) != RECORD_END:
            return None
        data = self.read(position, length + FRAME_BYTES)
        if not data.endswith(RECORD_END):
            return None
        entry = data[RECORD_HEAD_BYTES:-1]
        return Record(position, checksum, adler32(entry), entry)

    def find_good(self, begin: int, end: int) -> int | None:
        """The offset of the first good record that begins in [begin, end)."""
        position = begin
        while position < end:
            data = self.read(position, min(CHUNK_BYTES, self.size_bytes - position))
            if len(data) < RECORD_HEAD_BYTES:
                return None
            found = self._find_in(position, data, end)
            if found is not None:
                return found
            position += len(data) - RECORD_HEAD_BYTES + 1
        return None

    def _find_in(self, base: int, data: bytes, end: int) -> int | None:
        """The same among the heads that lie in `data` as a whole."""
        last = min(len(data) - RECORD_HEAD_BYTES, end - 1 - base)
        # A checksum of 32 bits stands in a long: its upper half is zeros.
        start = data.find(b"\0\0\0\0")
        while 0 <= start <= last:
            nonzero = _written(data, start)
            if nonzero is None:
                return None
            # In a run of zeros a head begins so near its end that the length is not zero.
            start = max(start, nonzero.start() - RECORD_HEAD_BYTES + 1)
            if start > last:
                return None
            if data.startswith(b"\0\0\0\0", start) and self._is_good(base + start, data, start):
                return base + start
            start = data.find(b"\0\0\0\0", start + 1)
        return None

    def _is_good(self, position: int, data: bytes, start: int) -> bool:
        """Whether a good record is at `position`, whose head is at `start` of `data`."""
        length: int
        checksum, length = RECORD_HEAD.unpack_from(data, start)
        if not _MIN_ENTRY_BYTES <= length <= ENTRY_LIMIT_BYTES:
            return False
        begin = start + RECORD_HEAD_BYTES
        if begin + length < len(data):
            if not data.startswith(RECORD_END, begin + length):
                return False
            entry = data[begin : begin + length]
        else:
            offset = position + RECORD_HEAD_BYTES
            if self._disk.read(self._path, offset + length, 1) != RECORD_END:
                return False
            entry = self._disk.read(self._path, offset, length)
        return bool(adler32(entry) == checksum)

    def tail(self, position: int) -> Tail:
        """How the file ends from `position` on, where no record is."""
        end = self.size_bytes
        while end > position:
            begin = max(position, end - CHUNK_BYTES)
            written = self._disk.read(self._path, begin, end - begin).rstrip(b"\0")
            if written:
                return self._unfinished(position, begin + len(written) - position)
            end = begin
        return Tail(position, 0, False)

    def _unfinished(self, position: int, left_bytes: int) -> Tail:
        head = self.read(position, RECORD_HEAD_BYTES)
        is_cut = len(head) < RECORD_HEAD_BYTES
        if not is_cut:
            _, length = RECORD_HEAD.unpack(head)
            end = position + FRAME_BYTES + length
            is_cut = length >= _MIN_ENTRY_BYTES and end > self.size_bytes
        return Tail(position, left_bytes, is_cut)
