"""A disk in memory that forgets what was not synced, and fails on demand.

It keeps for each file what was written and what is durable, and for each name
whether it is durable. What `crash` leaves of the rest, the random generator says:

* a name made, renamed or removed since the last `sync_folder` holds or not;
* of unsynced bytes there is a beginning of some length, or (a torn write) any of the
  512-byte sectors.

`kill` is a killed process: everything written stays. Both give a new disk, so that
files that a dead process left open are of a disk that is no more.
"""

from __future__ import annotations

import errno
import random
from collections.abc import Callable

SECTOR_BYTES = 512
TORN_CHANCE = 0.5


class _Content:
    """`dirty` are the ranges written since the last sync; None: everything may differ."""

    def __init__(self, data: bytes = b"") -> None:
        self.written = bytearray(data)
        self.durable = bytearray(data)
        self.dirty: list[tuple[int, int]] | None = []

    def sync(self, written: bytearray, dirty: list[tuple[int, int]] | None) -> None:
        """What was written as of `dirty` is durable."""
        if dirty is None or len(written) < len(self.durable):
            self.durable = bytearray(written)
            return
        self.durable.extend(bytes(len(written) - len(self.durable)))
        for start, stop in dirty:
            self.durable[start:stop] = written[start:stop]


class SimFile:
    """An open file of a `SimDisk`."""

    def __init__(self, disk: SimDisk, path: str, content: _Content) -> None:
        self._disk = disk
        self._path = path
        self._content = content
        self.closed = False

    def write(self, offset: int, data: bytes) -> None:
        """Put data at an offset; in part only if the disk gets full."""
        disk, content = self._disk, self._content
        written = content.written
        disk.operations.append(("write", self._path))
        room = disk.free_bytes
        if room is not None and len(data) > room:
            data, error = data[:room], OSError(errno.ENOSPC, "No space left on device")
        else:
            error = None
        if room is not None:
            disk.free_bytes = room - len(data)
        if data:
            start = min(offset, len(written))
            if len(written) < offset:
                written += bytes(offset - len(written))
            written[offset : offset + len(data)] = data
            if content.dirty is not None:
                content.dirty.append((start, offset + len(data)))
        if error is not None:
            raise error

    def sync(self) -> None:
        """Make the content durable, or with `SimDisk.hold_syncs` promise to."""
        disk, content = self._disk, self._content
        disk.operations.append(("sync", self._path))
        if disk.failing_sync:
            raise OSError(errno.EIO, "Input/output error")
        dirty, content.dirty = content.dirty, []
        disk.do_sync(lambda: content.sync(content.written, dirty))

    def close(self) -> None:
        """Close without syncing."""
        self.closed = True


class SimDisk:
    """`zkserver.storage.disk.Disk` in memory.

    `free_bytes` (None: plenty) and `failing_sync` make calls fail; `operations`
    tells what was called on which path.
    """

    def __init__(self) -> None:
        self._files: dict[str, _Content] = {}
        self._durable_files: dict[str, _Content] = {}
        self._folders: dict[str, None] = {}
        # Names that have changed since their folder was synced.
        self._new_names: dict[str, None] = {}
        self._held_syncs: list[Callable[[], None]] | None = None
        self.read_only: list[str] = []
        self.operations: list[tuple[str, str]] = []
        self.free_bytes: int | None = None
        self.failing_sync = False

    # What tests and faults do with it

    def put(self, path: str, data: bytes) -> None:
        """A durable file with this content."""
        self._files[path] = self._durable_files[path] = _Content(data)
        self._folders[path.rpartition("/")[0]] = None

    def get(self, path: str) -> bytes:
        """The content of a file."""
        return bytes(self._find(path).written)

    def paths(self) -> list[str]:
        """All files, sorted."""
        return sorted(self._files)

    def flip_bit(self, path: str, bit: int) -> None:
        """What a bad medium does: one bit (counted from the file's first) is the other one."""
        content = self._find(path)
        for data in (content.written, content.durable):
            if bit // 8 < len(data):
                data[bit // 8] ^= 1 << bit % 8

    def hold_syncs(self) -> None:
        """Let syncs take time: they return at once and hold only after `release_syncs`."""
        self._held_syncs = []

    def release_syncs(self) -> list[Callable[[], None]]:
        """The syncs since `hold_syncs`, to be called in order when they are done."""
        held, self._held_syncs = self._held_syncs or [], None
        return held

    def do_sync(self, sync: Callable[[], None]) -> None:
        """Sync now, or when the caller of `hold_syncs` says."""
        if self._held_syncs is None:
            sync()
        else:
            self._held_syncs.append(sync)

    def kill(self) -> SimDisk:
        """The disk after the process was killed: all that was written is there."""
        disk = SimDisk()
        for path, content in self._files.items():
            disk.put(path, bytes(content.written))
        return self._pass_on(disk)

    def crash(self, chance: random.Random) -> SimDisk:
        """The disk after a power cut: what was unsynced is there, or in part, or not."""
        disk = SimDisk()
        for path in {**self._durable_files, **self._files}:
            now, before = self._files.get(path), self._durable_files.get(path)
            content = now if now is before else chance.choice((now, before))
            if content is not None:
                disk.put(path, _left_of(content, chance))
        return self._pass_on(disk)

    def _pass_on(self, disk: SimDisk) -> SimDisk:
        disk._folders.update(self._folders)
        disk.free_bytes = self.free_bytes
        disk.read_only = self.read_only
        return disk

    # The port

    def names(self, folder: str) -> list[str]:
        """The names in a folder."""
        prefix = folder + "/"
        return [
            path[len(prefix) :]
            for path in self._files
            if path.startswith(prefix) and "/" not in path[len(prefix) :]
        ]

    def exists(self, path: str) -> bool:
        """Whether a file or folder is there."""
        return path in self._files or path in self._folders

    def writable(self, folder: str) -> bool:
        """Whether the folder is none of `read_only`."""
        return folder not in self.read_only

    def size(self, path: str) -> int:
        """The size of a file."""
        return len(self._find(path).written)

    def read(self, path: str, offset: int, size_bytes: int) -> bytes:
        """A part of a file."""
        return bytes(self._find(path).written[offset : offset + size_bytes])

    def create(self, path: str) -> SimFile:
        """Open for writing, emptied."""
        self.operations.append(("create", path))
        content = self._files.get(path)
        if content is None:
            content = self._files[path] = _Content()
            self._new_names[path] = None
        elif content.written:
            content.written = bytearray()
            content.dirty = None
        return SimFile(self, path, content)

    def remove(self, path: str) -> None:
        """Delete a file."""
        self._find(path)
        del self._files[path]
        self._new_names[path] = None

    def rename(self, path: str, new_path: str) -> None:
        """Rename over whatever had the name."""
        self.operations.append(("rename", new_path))
        self._files[new_path] = self._find(path)
        del self._files[path]
        self._new_names[path] = self._new_names[new_path] = None

    def truncate(self, path: str, size_bytes: int) -> None:
        """Cut a file and sync it."""
        content = self._find(path)
        del content.written[size_bytes:]
        content.durable = bytearray(content.written)
        content.dirty = []

    def make_folder(self, path: str) -> None:
        """Make a folder."""
        self._folders[path] = None

    def sync_folder(self, path: str) -> None:
        """Make the names in a folder durable."""
        self.operations.append(("sync_folder", path))
        prefix = path + "/"
        names = [name for name in self._new_names if name.startswith(prefix)]
        changed = {name: self._files.get(name) for name in names}
        for name in names:
            del self._new_names[name]
        self.do_sync(lambda: self._keep_names(changed))

    def _keep_names(self, changed: dict[str, _Content | None]) -> None:
        for name, content in changed.items():
            if content is None:
                self._durable_files.pop(name, None)
            else:
                self._durable_files[name] = content

    def _find(self, path: str) -> _Content:
        try:
            return self._files[path]
        except KeyError:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", path) from None


def _left_of(content: _Content, chance: random.Random) -> bytes:
    """The durable bytes with some of the unsynced ones over them."""
    written, durable = content.written, content.durable
    if written == durable:
        return bytes(durable)
    if written.startswith(durable) and chance.random() >= TORN_CHANCE:
        more = chance.randint(0, len(written) - len(durable))
        return bytes(written[: len(durable) + more])
    return _torn(written, durable, chance)


def _torn(written: bytearray, durable: bytearray, chance: random.Random) -> bytes:
    """Sector by sector, the old or the new one."""
    size_bytes = len(chance.choice((written, durable)))
    old = bytes(durable).ljust(len(written), b"\0")
    keep = chance.random()
    result = bytearray()
    for start in range(0, size_bytes, SECTOR_BYTES):
        source = written if chance.random() < keep else old
        piece = bytes(source[start : min(start + SECTOR_BYTES, size_bytes)])
        result += piece.ljust(min(SECTOR_BYTES, size_bytes - start), b"\0")
    return bytes(result)
