"""The Disk port: the few operations on files that storage needs.

Every call is synchronous and raises OSError, never anything else. Paths are
text joined by "/". The real one is `zkserver.runtime.disk.RealDisk`; tests have
one in memory that loses what was not synced. What a crash may do to a file:

* bytes written and not synced may be there or not, sector by sector;
* a new name, a rename or a removal holds only after `sync_folder`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

CHUNK_BYTES = 1 << 20


class OutputFile(Protocol):
    """A file open for writing."""

    def write(self, offset: int, data: bytes) -> None:
        """Put all of `data` at `offset`; a gap before it reads as zeros."""

    def sync(self) -> None:
        """Return when the content and the size are on stable storage (fdatasync)."""

    def close(self) -> None:
        """Close without syncing. A second call does nothing."""


class Disk(Protocol):
    """A file system as storage sees it."""

    def names(self, folder: str) -> list[str]:
        """The names in `folder`, in any order; a missing folder has none."""

    def exists(self, path: str) -> bool:
        """Whether a file or folder is there."""

    def writable(self, folder: str) -> bool:
        """Whether files may be made in `folder`."""

    def size(self, path: str) -> int:
        """The size of a file in bytes."""

    def read(self, path: str, offset: int, size_bytes: int) -> bytes:
        """At most `size_bytes` from `offset`; fewer only at the end of the file."""

    def create(self, path: str) -> OutputFile:
        """Open for writing; an existing file loses its content."""

    def remove(self, path: str) -> None:
        """Delete a file."""

    def rename(self, path: str, new_path: str) -> None:
        """Give a file another name, replacing what had it, in one step."""

    def truncate(self, path: str, size_bytes: int) -> None:
        """Cut a file to `size_bytes` and sync it."""

    def make_folder(self, path: str) -> None:
        """Make a folder and those above it; one that exists is fine."""

    def sync_folder(self, path: str) -> None:
        """Return when the names in a folder are on stable storage."""


def chunks(disk: Disk, path: str, size_bytes: int = CHUNK_BYTES) -> Iterator[bytes]:
    """The content of a file, piece by piece."""
    offset = 0
    while chunk := disk.read(path, offset, size_bytes):
        yield chunk
        offset += len(chunk)


def replace_file(disk: Disk, folder: str, name: str, data: bytes) -> None:
    """Give `name` this small content: a crash leaves the old content or the new, never a part.

    Durable on return. The new content is written as `<name>.new` first; what a crash leaves
    under that name counts for nothing. Reads nothing. Raises OSError.
    """
    path = f"{folder}/{name}"
    file = disk.create(f"{path}.new")
    try:
        file.write(0, data)
        file.sync()
    finally:
        file.close()
    disk.rename(f"{path}.new", path)
    disk.sync_folder(folder)
