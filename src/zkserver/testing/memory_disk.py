"""A disk in memory: `zkserver.storage.disk.Disk` without files, for servers of a test.

It keeps for each file what was written and what is durable, and for each folder which names are
durable. `after_kill` is what a new life finds: the durable content of the durable names and
nothing else. That is the worst that a loss of power may do; of a real `kill -9` more would be left.
A server that acknowledges nothing before it is synced loses nothing that it has acknowledged.

The disk of a server that is dead stays with whoever still holds it; the next life has another one.
Left out: torn writes, bad sectors and full disks, which are the simulated world's (`sim.disk`).
"""

from __future__ import annotations

import errno


class _Content:
    """`dirty` are the ranges written since the last sync; None: everything may differ."""

    __slots__ = ("dirty", "durable", "written")

    def __init__(self, data: bytes | bytearray = b"") -> None:
        self.written = bytearray(data)
        self.durable = bytearray(data)
        self.dirty: list[tuple[int, int]] | None = []

    def write(self, offset: int, data: bytes) -> None:
        written = self.written
        start = min(offset, len(written))
        if len(written) < offset:
            written += bytes(offset - len(written))
        written[offset : offset + len(data)] = data
        if self.dirty:
            before, end = self.dirty[-1]
            if end == start:
                start = before
                self.dirty.pop()
        if self.dirty is not None:
            self.dirty.append((start, offset + len(data)))

    def sync(self) -> None:
        if self.dirty is None:
            self.durable = bytearray(self.written)
        else:
            self.durable += bytes(len(self.written) - len(self.durable))
            for start, stop in self.dirty:
                self.durable[start:stop] = self.written[start:stop]
        self.dirty = []

    def cut(self, size_bytes: int) -> None:
        """Shorten; what is left is not durable until the next sync."""
        del self.written[size_bytes:]
        self.dirty = None


class MemoryFile:
    """An open file of a `MemoryDisk`."""

    def __init__(self, content: _Content) -> None:
        self._content = content

    def write(self, offset: int, data: bytes) -> None:
        """Put data at an offset."""
        self._content.write(offset, data)

    def sync(self) -> None:
        """Make what was written durable."""
        self._content.sync()

    def close(self) -> None:
        """Nothing is held open."""


class MemoryDisk:
    """Files by their whole path. Used by one thread at a time."""

    def __init__(self) -> None:
        self._files: dict[str, _Content] = {}
        self._durable: dict[str, _Content] = {}
        self._folders: dict[str, None] = {}

    def after_kill(self) -> MemoryDisk:
        """What is durable, as a disk of its own."""
        disk = MemoryDisk()
        for path, content in self._durable.items():
            disk._files[path] = disk._durable[path] = _Content(content.durable)
        disk._folders.update(self._folders)
        return disk

    # The port

    def names(self, folder: str) -> list[str]:
        """The names in a folder."""
        prefix = folder + "/"
        size = len(prefix)
        return [
            path[size:]
            for path in self._files
            if path.startswith(prefix) and "/" not in path[size:]
        ]

    def exists(self, path: str) -> bool:
        """Whether a file or folder is there."""
        return path in self._files or path in self._folders

    def writable(self, folder: str) -> bool:  # noqa: ARG002
        """Always."""
        return True

    def size(self, path: str) -> int:
        """The size of a file."""
        return len(self._find(path).written)

    def read(self, path: str, offset: int, size_bytes: int) -> bytes:
        """A part of a file."""
        return bytes(self._find(path).written[offset : offset + size_bytes])

    def create(self, path: str) -> MemoryFile:
        """Open for writing, emptied."""
        content = self._files.get(path)
        if content is None:
            content = self._files[path] = _Content()
        else:
            content.cut(0)
        return MemoryFile(content)

    def remove(self, path: str) -> None:
        """Delete a file."""
        self._find(path)
        del self._files[path]

    def rename(self, path: str, new_path: str) -> None:
        """Rename over whatever had the name."""
        self._files[new_path] = self._find(path)
        del self._files[path]

    def truncate(self, path: str, size_bytes: int) -> None:
        """Cut a file and sync it."""
        content = self._find(path)
        content.cut(size_bytes)
        content.sync()

    def make_folder(self, path: str) -> None:
        """Make a folder and those above it."""
        while path:
            self._folders[path] = None
            path = _folder(path)

    def sync_folder(self, path: str) -> None:
        """Make the names in a folder durable."""
        kept = {name: it for name, it in self._durable.items() if _folder(name) != path}
        kept |= {name: it for name, it in self._files.items() if _folder(name) == path}
        self._durable = kept

    def _find(self, path: str) -> _Content:
        try:
            return self._files[path]
        except KeyError:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", path) from None


def _folder(path: str) -> str:
    return path.rpartition("/")[0]
