"""A snapshot that comes in from outside, to become a standalone server's database.

`Incoming` takes its bytes piece by piece into the file `incomingSnapshot` of the data directory.
`load` reads them into a tree of its own: nothing of the running server is touched, and what does
not read is refused (`RestoreError`). `job` is then the order for the storage that makes the file
the directory's only history, crash-safe (`storage.truncation`); `StandaloneProcess` opens a new
server over the tree when that is done.

Files are written and read on a thread of the loop's executor, so that clients are served meanwhile;
the tree is made there too, and shares the interpreter with the loop.

Room: what comes in may fill the disk up to `RESERVE_BYTES`, no further, because the running server
needs room for its log. The tree must fit into memory beside the old one until that is let go.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from zlib import adler32

from zkserver.base.zxid import hex_zxid
from zkserver.runtime.machine import Machine
from zkserver.runtime.storage_thread import Job
from zkserver.storage import truncation
from zkserver.storage.compression import (
    GZIP_MAGIC,
    SNAPPY_MAGIC,
    CompressionError,
    decompressing,
)
from zkserver.storage.disk import Disk, chunks
from zkserver.storage.layout import Layout
from zkserver.storage.snapshot import SnapshotError, SnapshotInfo, read
from zkserver.storage.snapshot_reader import DIGEST_VERSION
from zkserver.storage.truncation import INCOMING_NAME
from zkserver.tree.tree import DataTree

RESERVE_BYTES = 256 << 20
# The last epoch of all is left to go on in.
_ZXID_LIMIT = (1 << 63) - (1 << 32)
_FREE_EVERY_BYTES = 8 << 20


class RestoreError(Exception):
    """What came in cannot become the database; the old one is untouched."""


class Incoming:
    """See the module's docstring. One at a time for a data directory."""

    def __init__(self, machine: Machine, layout: Layout, loop: asyncio.AbstractEventLoop) -> None:
        self._machine = machine
        self._layout = layout
        self._loop = loop
        self.path = f"{layout.snapshot_folder}/{INCOMING_NAME}"
        self._file = machine.disk.create(self.path)
        self.size_bytes = 0
        self._checked_bytes = 0
        self._head = b""
        self._checksum = 1
        self.info = SnapshotInfo()

    async def write(self, data: bytes) -> None:
        """The next piece. Raises RestoreError if the disk has no more room for it."""
        if self.size_bytes >= self._checked_bytes:
            self._checked_bytes += _FREE_EVERY_BYTES
            if free_bytes(self._layout.snapshot_folder) < RESERVE_BYTES + _FREE_EVERY_BYTES:
                raise RestoreError(
                    f"the disk of {self._layout.snapshot_folder} has no room for a snapshot of "
                    f"more than {self.size_bytes} bytes; {RESERVE_BYTES} are kept for the log"
                )
        if len(self._head) < len(SNAPPY_MAGIC):
            self._head += data[: len(SNAPPY_MAGIC)]
        try:
            await self._loop.run_in_executor(None, self._put, data)
        except OSError as error:
            raise RestoreError(f"cannot write {self.path}: {error.strerror or error}") from error

    def _put(self, data: bytes) -> None:
        self._file.write(self.size_bytes, data)
        self._checksum = adler32(data, self._checksum)
        self.size_bytes += len(data)

    @property
    def compression(self) -> str:
        """How the bytes are packed, by their first ones."""
        if self._head.startswith(GZIP_MAGIC):
            return "gz"
        return "snappy" if self._head.startswith(SNAPPY_MAGIC) else ""

    @property
    def last_zxid(self) -> int:
        """The zxid of the snapshot, once it is loaded."""
        return self.info.last_zxid or 0

    async def load(self, tree: DataTree) -> None:
        """Sync the file and fill `tree` from it; raises RestoreError if it is no snapshot."""
        self._machine.hold_collector()
        try:
            self.info = await self._loop.run_in_executor(None, self._read, tree)
        finally:
            self._machine.settle_collector()

    def _read(self, tree: DataTree) -> SnapshotInfo:
        try:
            self._file.sync()
            self._machine.disk.sync_folder(self._layout.snapshot_folder)
            info = read(decompressing(self._pieces(), self.compression), tree)
        except (CompressionError, SnapshotError) as error:
            raise RestoreError(f"the snapshot does not read: {error}") from error
        except OSError as error:
            raise RestoreError(f"{self.path}: {error.strerror or error}") from error
        if info.last_zxid is None:
            raise RestoreError(
                "the snapshot does not say which zxid it is of: it was written with "
                "serializeLastProcessedZxid.enabled=false"
            )
        if not 0 <= info.last_zxid < _ZXID_LIMIT:
            raise RestoreError(
                f"the snapshot is of zxid {info.last_zxid}, behind which no writes can come"
            )
        digest = info.digest
        if (
            tree.digest_enabled
            and digest is not None
            and digest.zxid
            and digest.zxid == info.last_zxid
            and digest.version == DIGEST_VERSION
            and digest.digest != tree.digest
        ):
            raise RestoreError("the znodes of the snapshot do not sum to the digest in it")
        tree.last_zxid = info.last_zxid
        return info

    def _pieces(self) -> Iterator[bytes]:
        return chunks(self._machine.disk, self.path)

    def job(self) -> Job:
        """The order for the storage: this file becomes the only history, durable when done."""
        zxid, checksum = self.last_zxid, self._checksum
        return partial(_install, self._layout, zxid, self.compression, checksum)

    def discard(self) -> None:
        """It comes to nothing, or it has been installed: nothing of it stays."""
        self._file.close()
        with suppress(OSError):
            if self._machine.disk.exists(self.path):
                self._machine.disk.remove(self.path)

    def __str__(self) -> str:
        return f"0x{hex_zxid(self.last_zxid)}, {self.size_bytes} bytes"


def _install(
    layout: Layout, zxid: int, compression: str, checksum: int, reading: Disk, writing: Disk
) -> None:
    replacement = truncation.plan_replace(reading, layout, zxid, compression)
    replacement = replacement._replace(checksum=checksum)
    replacement.begin(writing)
    replacement.install(writing)
    replacement.finish(writing)


def free_bytes(folder: str) -> int:
    """What a user may still write on the disk of a folder."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize
