"""The files of a test's folder: the real disk, which lets go of what a dead server held open.

A process that is killed leaves its descriptors to the system, which closes them. A server in the
test's process is not the system's to clean up after, so its disk does that. What was written stays,
as it does after a real `kill -9`.
"""

from __future__ import annotations

from weakref import WeakSet

from zkserver.runtime.disk import RealDisk, RealFile


class FolderDisk(RealDisk):
    """`RealDisk` that knows what is open."""

    def __init__(self) -> None:
        self._open: WeakSet[RealFile] = WeakSet()

    def create(self, path: str) -> RealFile:
        """Open for writing, emptied."""
        file = super().create(path)
        self._open.add(file)
        return file

    def after_kill(self) -> FolderDisk:
        """The same folder for the next life; all open files are closed."""
        for file in list(self._open):
            file.close()
        return FolderDisk()
