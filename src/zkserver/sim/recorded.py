"""A disk that writes down what is done to it, for doing it to another one later, step by step."""

from __future__ import annotations

from collections.abc import Callable

from zkserver.sim.disk import SimDisk
from zkserver.storage.disk import OutputFile

Step = Callable[[SimDisk], None]


class _RecordedFile:
    def __init__(self, disk: RecordingDisk, number: int) -> None:
        self._disk = disk
        self._number = number

    def _later(self, act: Callable[[OutputFile], None]) -> None:
        disk = self._disk
        disk.steps.append(lambda _: act(disk.opened[self._number]))

    def write(self, offset: int, data: bytes) -> None:
        self._later(lambda file: file.write(offset, data))

    def sync(self) -> None:
        self._later(lambda file: file.sync())

    def close(self) -> None:
        self._later(lambda file: file.close())


class RecordingDisk(SimDisk):
    """`steps` are the operations, each to be given the disk it is for.

    Nothing here fails, and nothing but new files can be read back.
    """

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[Step] = []
        self.opened: list[OutputFile] = []
        self._files_made = 0

    def create(self, path: str) -> _RecordedFile:  # type: ignore[override]
        """A file that will be made."""
        number, self._files_made = self._files_made, self._files_made + 1
        self.steps.append(lambda disk: self.opened.append(disk.create(path)))
        return _RecordedFile(self, number)

    def rename(self, path: str, new_path: str) -> None:
        """A rename that will be."""
        self.steps.append(lambda disk: disk.rename(path, new_path))

    def remove(self, path: str) -> None:
        """A removal that will be."""
        self.steps.append(lambda disk: disk.remove(path))

    def truncate(self, path: str, size_bytes: int) -> None:
        """A cut that will be, synced."""
        self.steps.append(lambda disk: disk.truncate(path, size_bytes))

    def sync_folder(self, path: str) -> None:
        """A sync that will be."""
        self.steps.append(lambda disk: disk.sync_folder(path))
