"""Reading the transaction logs back, and telling a torn tail from damage.

Nothing that was acknowledged may be lost in silence, and a kill or a power cut
must not need a human. What each leaves behind:

* a kill or a full disk: a prefix of the last write, zeros after it;
* a power cut: of what was written since the last sync (at most
  `UNSYNCED_LIMIT_BYTES`, or one larger record) any subset of its sectors, the
  others still zero. So a bad record may be followed by good ones, and a lost
  length looks like the end of the log. None of these was acknowledged;
* damage of older, synced bytes: changed bits, and the records after them are good.

The rule, for the last log file and the first place that does not read:

* only zeros follow: the end of the log;
* the bytes stop inside of the record: torn;
* the record, or its length, lies in a sector that is all zeros from there on,
  and no more than `UNSYNCED_LIMIT_BYTES` follow: torn;
* anything else cannot be a torn write: StorageError.

So one case is decided without proof: a sector near the end of the log that the
disk wiped after it was synced looks like a torn write, and is cut, with a warning.
With forceSync=no the system may lose more at a power cut than the rule forgives.

In an older file what does not read ends that file, as in Apache ZooKeeper, but
the next file must then continue with the very next zxid: zxids within an epoch
have no gaps (rejected writes take one too), and an epoch begins with counter 1.
The same rule finds missing files. Equal zxids are no gap: Apache ZooKeeper logs
an unreadable request under the zxid before it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from zlib import adler32

from zkserver.base.zxid import counter_of, epoch_of, hex_zxid
from zkserver.jute.txns import peek_zxid
from zkserver.storage.disk import CHUNK_BYTES, Disk
from zkserver.storage.layout import StorageError, log_name
from zkserver.storage.txnlog import (
    FRAME_BYTES,
    HEADER_BYTES,
    MAGIC,
    RECORD_HEAD,
    RECORD_HEAD_BYTES,
    UNSYNCED_LIMIT_BYTES,
)

SECTOR_BYTES = 512
_END = 0x42
_MIN_ENTRY_BYTES = 32  # a transaction's header
_WAY_OUT = (
    "Restore the data directory from a backup or from another server; or, knowing that "
    "every transaction from there on is lost, move this file and all later logs out of "
    "the folder"
)

Record = tuple[int, bytes, str, int]


@dataclass(frozen=True)
class TornTail:
    """What a crash left unfinished: `path` is good up to `offset`, `dropped_bytes` follow."""

    path: str
    offset: int
    dropped_bytes: int

    def __str__(self) -> str:
        if self.offset <= HEADER_BYTES and not self.dropped_bytes:
            return f"{self.path}: removed, a log that a crash left without any transaction"
        return (
            f"{self.path}: cut an unfinished write of {self.dropped_bytes} bytes at offset "
            f"{self.offset}; nothing of it had been acknowledged"
        )


class LogReader:
    """Iterates over the records of sorted log files, (zxid, entry, path, offset).

    `after_zxid` is the zxid of the snapshot below: records up to it are passed
    over, and the first one yielded must be its successor. After the iteration
    `torn` tells of a torn tail in the last file (still to be cut), `last_zxid`
    the newest zxid read, `log_bytes` the size of the records yielded and
    `out_of_order` how many had a zxid below the one before.
    """

    def __init__(
        self, disk: Disk, folder: str, logs: list[tuple[int, str]], after_zxid: int = 0
    ) -> None:
        self._disk = disk
        self._paths = [f"{folder}/{name}" for _, name in logs]
        self._after_zxid = after_zxid
        # Where an older file stopped to read, until the next one shows that it may.
        self._stopped: tuple[str, int] | None = None
        self.last_zxid = after_zxid
        self.torn: TornTail | None = None
        self.log_bytes = 0
        self.out_of_order = 0
        self.read_bytes = 0

    def __iter__(self) -> Iterator[Record]:
        for path in self._paths:
            is_last = path == self._paths[-1]
            stop = yield from self._file(path)
            self._finish(path, stop, is_last)

    def _file(self, path: str) -> Generator[Record, None, int]:
        """Yield a file's good records; the value is the offset where they end."""
        disk = self._disk
        after = self._after_zxid
        if not self._has_header(path):
            return 0
        base = HEADER_BYTES
        buffer = disk.read(path, base, CHUNK_BYTES)
        position = 0
        unpack_head = RECORD_HEAD.unpack_from
        while True:
            if len(buffer) - position < RECORD_HEAD_BYTES:
                base += position
                buffer = disk.read(path, base, CHUNK_BYTES)
                position = 0
                if len(buffer) < RECORD_HEAD_BYTES:
                    return base
            checksum, length = unpack_head(buffer, position)
            if length < _MIN_ENTRY_BYTES:
                return base + position
            start = position + RECORD_HEAD_BYTES
            stop = start + length
            if stop >= len(buffer):
                base += position
                if base + FRAME_BYTES + length > disk.size(path):
                    return base
                buffer = disk.read(path, base, max(CHUNK_BYTES, FRAME_BYTES + length))
                position = 0
                start = RECORD_HEAD_BYTES
                stop = start + length
            entry = buffer[start:stop]
            if buffer[stop] != _END or adler32(entry) != checksum:
                return base + position
            zxid = peek_zxid(entry)
            if zxid > after:
                self._check_order(zxid, path, base + position)
                self.log_bytes += length + FRAME_BYTES
                yield zxid, entry, path, base + position
            position = stop + 1
            self.read_bytes += length + FRAME_BYTES

    def _has_header(self, path: str) -> bool:
        """Whether the file begins as a log; False if a crash left it without a header."""
        header = self._disk.read(path, 0, HEADER_BYTES)
        magic = header[: len(MAGIC)]
        if magic != MAGIC and not MAGIC.startswith(header.rstrip(b"\0")):
            raise StorageError(
                f"{path}: not a transaction log: it begins with {magic.hex()} at offset 0 "
                f'and not with {MAGIC.hex()}, "ZKLG". {_WAY_OUT}'
            )
        return len(header) == HEADER_BYTES and magic == MAGIC

    def _check_order(self, zxid: int, path: str, offset: int) -> None:
        last = self.last_zxid
        if zxid <= last:
            # Never with our own logs; replayed as Apache ZooKeeper replays it.
            self.out_of_order += zxid < last
            return
        next_epoch = epoch_of(zxid) > epoch_of(last) and counter_of(zxid) <= 1
        if zxid != last + 1 and not next_epoch:
            raise self._gap(zxid, path, offset)
        if self._stopped is not None:
            stopped_path, stop = self._stopped
            if zxid != last + 1 and _judge(self._disk, stopped_path, stop) == _DAMAGED:
                raise self._gap(zxid, path, offset)
            self._stopped = None
        self.last_zxid = zxid

    def _gap(self, zxid: int, path: str, offset: int) -> StorageError:
        missing = f"0x{hex_zxid(self.last_zxid + 1)}"
        if self._stopped is not None and _judge(self._disk, *self._stopped) != _CLEAN:
            stopped_path, stop = self._stopped
            return StorageError(
                f"{stopped_path}: damaged at offset {stop}: the transactions from {missing} "
                f"on cannot be read, and {path} continues only with 0x{hex_zxid(zxid)}. "
                f"{_WAY_OUT}"
            )
        return StorageError(
            f"{path}: the transactions from {missing} to 0x{hex_zxid(zxid - 1)} are missing "
            f"before offset {offset}. A log file (such as {log_name(self.last_zxid + 1)}) is "
            f"gone, or the snapshot they were in. {_WAY_OUT}"
        )

    def _finish(self, path: str, stop: int, is_last: bool) -> None:
        if not is_last:
            self._stopped = (path, stop)
            return
        verdict = _judge(self._disk, path, stop)
        if verdict == _DAMAGED:
            raise StorageError(
                f"{path}: damaged at offset {stop}, after transaction "
                f"0x{hex_zxid(self.last_zxid)}: the record there does not match its checksum "
                f"or length, and no unfinished write looks like it. {_WAY_OUT}"
            )
        if verdict == _TORN:
            dropped_bytes = _written_end(self._disk, path, stop) - stop
            self.torn = TornTail(path, stop, dropped_bytes)
        elif stop == 0:
            self.torn = TornTail(path, 0, 0)


_CLEAN = "clean"
_TORN = "torn"
_DAMAGED = "damaged"


def _judge(disk: Disk, path: str, position: int) -> str:
    """What stands at `position`, where no good record begins (see the module's rule)."""
    end = _written_end(disk, path, position)
    written_bytes = end - position
    if written_bytes <= 0:
        return _CLEAN
    if position == 0 or written_bytes < RECORD_HEAD_BYTES:
        # A file without its header, or a record without its head.
        return _TORN if written_bytes <= UNSYNCED_LIMIT_BYTES else _DAMAGED
    checksum, length = RECORD_HEAD.unpack(disk.read(path, position, RECORD_HEAD_BYTES))
    if length < 0:
        return _DAMAGED
    record_bytes = length + FRAME_BYTES
    if length > 0 and record_bytes > written_bytes:
        return _judge_cut_record(disk.read(path, position, written_bytes), checksum)
    if length > 0 and record_bytes == written_bytes:
        lost = _lost_sector(disk, path, position, end)
    elif written_bytes > UNSYNCED_LIMIT_BYTES:
        return _DAMAGED
    else:
        stop = position + (record_bytes if length > 0 else RECORD_HEAD_BYTES)
        lost = _lost_sector(disk, path, position, stop)
    return _TORN if lost else _DAMAGED


def _judge_cut_record(data: bytes, checksum: int) -> str:
    """A record whose bytes stop before its length says, unless the length is what is wrong."""
    if data[-1] == _END and adler32(data[RECORD_HEAD_BYTES:-1]) == checksum:
        return _DAMAGED
    # With nothing written after it there can be no whole record inside it.
    start = data.find(b"\0\0\0\0", RECORD_HEAD_BYTES)
    while 0 <= start <= len(data) - FRAME_BYTES - _MIN_ENTRY_BYTES:
        inner, length = RECORD_HEAD.unpack_from(data, start)
        stop = start + RECORD_HEAD_BYTES + length
        if (
            length >= _MIN_ENTRY_BYTES
            and stop < len(data)
            and data[stop] == _END
            and adler32(data[start + RECORD_HEAD_BYTES : stop]) == inner
        ):
            return _DAMAGED
        start = data.find(b"\0\0\0\0", start + 1)
    return _TORN


def _lost_sector(disk: Disk, path: str, start: int, stop: int) -> bool:
    """Whether some sector that [start, stop) touches is all zeros from `start` on."""
    first = start // SECTOR_BYTES * SECTOR_BYTES
    last = (stop + SECTOR_BYTES - 1) // SECTOR_BYTES * SECTOR_BYTES
    data = disk.read(path, first, last - first)
    begin = start - first
    for sector in range(0, len(data), SECTOR_BYTES):
        piece = data[max(begin, sector) : sector + SECTOR_BYTES]
        if not piece.strip(b"\0"):
            return True
    return False


def _written_end(disk: Disk, path: str, start: int) -> int:
    """The offset after the last byte that is not zero, or `start`."""
    end = disk.size(path)
    zeros = bytes(CHUNK_BYTES)
    while end > start:
        begin = max(start, end - CHUNK_BYTES)
        data = disk.read(path, begin, end - begin)
        if data != zeros[: len(data)]:
            return begin + len(data.rstrip(b"\0"))
        end = begin
    return start
