"""The transaction log: what has been promised, in the order it was promised.

A log file is `log.<hex zxid of its first transaction>` (org.apache.zookeeper.
server.persistence.FileTxnLog):

    16 bytes   "ZKLG", int version 2, long dbid 0
    records    long Adler32 of the entry · int length · entry · byte 0x42 'B'
    zeros      to the end of the preallocated size

An entry is what `jute.txns.encode` makes. A length of 0 ends a file. Invariants:

* `TxnLogWriter.write` returns only when all it was given is durable; after an
  error nothing is tried again, because a failed sync may have dropped the pages;
* no file that an earlier run wrote is ever appended to: the first write makes a
  new file, so a cut tail stays the end of its file;
* at most `UNSYNCED_LIMIT_BYTES`, or one record that is larger, are written
  before a sync. `storage.logreader` relies on it to tell a tail that a crash
  tore from a record that went bad on the disk.

Cutting the log back to a zxid (TRUNC) is `storage.truncation`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from zlib import adler32

from zkserver.base.errors import ExitCode, FatalError
from zkserver.jute.txns import peek_zxid
from zkserver.storage.disk import Disk, OutputFile
from zkserver.storage.layout import log_name

FILE_HEADER = Struct(">4siq")
MAGIC = b"ZKLG"
VERSION = 2
HEADER_BYTES = FILE_HEADER.size
RECORD_HEAD = Struct(">qi")
RECORD_HEAD_BYTES = RECORD_HEAD.size
RECORD_END = b"B"
# What a record adds to its entry.
FRAME_BYTES = RECORD_HEAD_BYTES + 1
PADDING_MARGIN_BYTES = 4096
UNSYNCED_LIMIT_BYTES = 1 << 20

_pack_head = RECORD_HEAD.pack


def padded_size(position: int, size_bytes: int, preallocate_bytes: int) -> int:
    """The size to give a file that is written up to `position` (FilePadding)."""
    if preallocate_bytes <= 0 or position + PADDING_MARGIN_BYTES < size_bytes:
        return size_bytes
    if position > size_bytes:
        return (position + preallocate_bytes) // preallocate_bytes * preallocate_bytes
    return size_bytes + preallocate_bytes


class TxnLogWriter:
    """Appends batches of transactions, each with one write and one sync.

    `preallocate_bytes` is preAllocSize, `size_limit_bytes` txnLogSizeLimitInKb
    (None: no limit; it counts bytes written, where Java counts the preallocated
    size), `sync` forceSync. `clock_ms` is any clock that only goes forward.

    `bytes_since_snapshot` counts record bytes since the last `roll`, for the
    snapSizeLimitInKb trigger. `last_sync_ms` is how long the last sync took; the
    caller warns when that is too long. Not thread-safe: one thread writes.
    """

    def __init__(
        self,
        disk: Disk,
        folder: str,
        *,
        preallocate_bytes: int,
        size_limit_bytes: int | None,
        sync: bool,
        clock_ms: Callable[[], float],
    ) -> None:
        self._disk = disk
        self._folder = folder
        self._preallocate_bytes = preallocate_bytes
        self._size_limit_bytes = size_limit_bytes
        self._sync = sync
        self._clock_ms = clock_ms
        self._file: OutputFile | None = None
        self._position = 0
        self._size_bytes = 0
        self._failed = False
        self.path = ""
        self.bytes_since_snapshot = 0
        self.last_sync_ms = 0.0

    def write(self, entries: list[bytes]) -> None:
        """Append entries (of `jute.txns`) in their order; they are durable on return.

        Raises FatalError with exit code 10 if the disk fails. What was given may
        then be on the disk in part, and nothing more can be written.
        """
        if self._failed:
            raise self._fatal("an earlier write failed")
        if sum(map(len, entries)) + FRAME_BYTES * len(entries) <= UNSYNCED_LIMIT_BYTES:
            self._append(entries)
            return
        some: list[bytes] = []
        size_bytes = 0
        for entry in entries:
            if some and size_bytes + len(entry) + FRAME_BYTES > UNSYNCED_LIMIT_BYTES:
                self._append(some)
                some, size_bytes = [], 0
            some.append(entry)
            size_bytes += len(entry) + FRAME_BYTES
        self._append(some)

    def roll(self) -> None:
        """Begin a new file with the next write; a snapshot is about to be taken."""
        self._close_file()
        self.bytes_since_snapshot = 0

    def close(self) -> None:
        """Close the file. Everything written is durable already."""
        self._close_file()

    def _open(self, zxid: int) -> OutputFile:
        self.path = f"{self._folder}/{log_name(zxid)}"
        try:
            # An old file of this name holds nothing that counts: recovery read it.
            file = self._file = self._disk.create(self.path)
        except OSError as error:
            raise self._fatal(str(error)) from error
        self._position = 0
        self._size_bytes = HEADER_BYTES
        return file

    def _append(self, entries: list[bytes]) -> None:
        """One write and one sync for these entries."""
        if not entries:
            return
        file = self._file or self._open(peek_zxid(entries[0]))
        begins = self._position == 0
        position = self._position or HEADER_BYTES
        pieces: list[bytes] = []
        for entry in entries:
            pieces += (_pack_head(adler32(entry), len(entry)), entry, RECORD_END)
        data = b"".join(pieces)
        self.bytes_since_snapshot += len(data)
        size_bytes = padded_size(position, self._size_bytes, self._preallocate_bytes)
        try:
            if begins:
                file.write(0, FILE_HEADER.pack(MAGIC, VERSION, 0) + data)
            else:
                file.write(position, data)
            position += len(data)
            if size_bytes > self._size_bytes and size_bytes > position:
                file.write(size_bytes - 1, b"\0")
            if self._sync:
                started_ms = self._clock_ms()
                file.sync()
                if begins:
                    self._disk.sync_folder(self._folder)
                self.last_sync_ms = self._clock_ms() - started_ms
        except OSError as error:
            raise self._fatal(str(error)) from error
        self._position = position
        self._size_bytes = max(size_bytes, position)
        if self._size_limit_bytes is not None and position > self._size_limit_bytes:
            self._close_file()

    def _close_file(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except OSError as error:
                raise self._fatal(str(error)) from error

    def _fatal(self, reason: str) -> FatalError:
        self._failed = True
        return FatalError(
            ExitCode.TXNLOG_ERROR_TAKING_SNAPSHOT,
            f"cannot write the transaction log {self.path or self._folder}: {reason}. "
            "Every acknowledged change is kept; make room on that disk or repair it, "
            "then start again",
        )
