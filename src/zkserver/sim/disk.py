"""A disk in memory that forgets what was not synced, and fails on demand.

It keeps for each file what was written and what is durable, and for each name
whether it is durable. `crash` leaves of the unsynced sectors and names what the
random generator says, as a power cut does. `kill` is a killed process: everything
written stays.
"""

from __future__ import annotations

import errno
import random

SECTOR_BYTES = 512


class _Content:
    def __init__(self) -> None:
        self.written = bytearray()
        self.durable = bytearray()


class MemoryFile:
    """An open file of a `MemoryDisk`."""

    def __init__(self, disk: MemoryDisk, path: str, content: _Content) -> None:
        self._disk = disk
        self._path = path
        self._content = content
        self.closed = False

    def write(self, offset: int, data: bytes) -> None:
        """Put data at an offset; in part only if the disk gets full."""
        disk, written = self._disk, self._content.written
        disk.operations.append(("write", self._path))
        room = disk.free_bytes
        if room is not None and len(data) > room:
            data, error = data[:room], OSError(errno.ENOSPC, "No space left on device")
        else:
            error = None
        if room is not None:
            disk.free_bytes = room - len(data)
        if data:
            if len(written) < offset:
                written += bytes(offset - len(written))
            written[offset : offset + len(data)] = data
        if error is not None:
            raise error

    def sync(self) -> None:
        """Make the content durable."""
        self._disk.operations.append(("sync", self._path))
        if self._disk.failing_sync:
            raise OSError(errno.EIO, "Input/output error")
        self._content.durable = bytearray(self._content.written)

    def close(self) -> None:
        """Close without syncing."""
        self.closed = True


class MemoryDisk:
    """`zkserver.storage.disk.Disk` in memory.

    `free_bytes` (None: plenty) and `failing_sync` make calls fail; `operations`
    tells what was called on which path.
    """

    def __init__(self) -> None:
        self._files: dict[str, _Content] = {}
        self._durable_files: dict[str, _Content] = {}
        self._folders: dict[str, None] = {}
        self.read_only: list[str] = []
        self.operations: list[tuple[str, str]] = []
        self.free_bytes: int | None = None
        self.failing_sync = False

    # What tests do with it

    def put(self, path: str, data: bytes) -> None:
        """A durable file with this content."""
        content = _Content()
        content.written = bytearray(data)
        content.durable = bytearray(data)
        self._files[path] = self._durable_files[path] = content
        self._folders[path.rpartition("/")[0]] = None

    def get(self, path: str) -> bytes:
        """The content of a file."""
        return bytes(self._find(path).written)

    def paths(self) -> list[str]:
        """All files, sorted."""
        return sorted(self._files)

    def kill(self) -> MemoryDisk:
        """The disk after the process was killed: all that was written is there."""
        disk = MemoryDisk()
        for path, content in self._files.items():
            disk.put(path, bytes(content.written))
        disk._folders.update(self._folders)
        return disk

    def crash(self, chance: random.Random) -> MemoryDisk:
        """The disk after a power cut: unsynced sectors and names are there or not."""
        disk = MemoryDisk()
        disk._folders.update(self._folders)
        for path in {**self._durable_files, **self._files}:
            now, before = self._files.get(path), self._durable_files.get(path)
            content = now if now is before else chance.choice((now, before))
            if content is not None:
                disk.put(path, _torn(content, chance))
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

    def create(self, path: str) -> MemoryFile:
        """Open for writing, emptied."""
        self.operations.append(("create", path))
        content = self._files.setdefault(path, _Content())
        content.written = bytearray()
        return MemoryFile(self, path, content)

    def remove(self, path: str) -> None:
        """Delete a file."""
        self._find(path)
        del self._files[path]

    def rename(self, path: str, new_path: str) -> None:
        """Rename over whatever had the name."""
        self.operations.append(("rename", new_path))
        self._files[new_path] = self._find(path)
        del self._files[path]

    def truncate(self, path: str, size_bytes: int) -> None:
        """Cut a file and sync it."""
        content = self._find(path)
        del content.written[size_bytes:]
        content.durable = bytearray(content.written)

    def make_folder(self, path: str) -> None:
        """Make a folder."""
        self._folders[path] = None

    def sync_folder(self, path: str) -> None:
        """Make the names in a folder durable."""
        self.operations.append(("sync_folder", path))
        prefix = path + "/"
        others = {k: v for k, v in self._durable_files.items() if not k.startswith(prefix)}
        here = {k: v for k, v in self._files.items() if k.startswith(prefix)}
        self._durable_files = {**others, **here}

    def _find(self, path: str) -> _Content:
        try:
            return self._files[path]
        except KeyError:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", path) from None


def _torn(content: _Content, chance: random.Random) -> bytes:
    """The durable bytes with some of the unsynced sectors over them."""
    written, durable = content.written, content.durable
    if written == durable:
        return bytes(durable)
    size_bytes = len(chance.choice((written, durable)))
    old = bytes(durable).ljust(len(written), b"\0")
    keep = chance.random()
    result = bytearray()
    for start in range(0, size_bytes, SECTOR_BYTES):
        source = written if chance.random() < keep else old
        piece = bytes(source[start : min(start + SECTOR_BYTES, size_bytes)])
        result += piece.ljust(min(SECTOR_BYTES, size_bytes - start), b"\0")
    return bytes(result)
