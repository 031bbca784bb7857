"""The real disk keeps the promises of the Disk port."""

from __future__ import annotations

from pathlib import Path

import pytest

from zkserver.runtime.disk import RealDisk
from zkserver.storage.disk import Disk, chunks

DISK: Disk = RealDisk()


def test_writing_and_reading(tmp_path: Path) -> None:
    path = str(tmp_path / "file")
    file = DISK.create(path)
    file.write(0, b"hello")
    file.write(10, b"!")
    file.sync()
    file.close()
    file.close()
    assert DISK.size(path) == 11
    assert DISK.read(path, 0, 100) == b"hello\0\0\0\0\0!"
    assert DISK.read(path, 3, 4) == b"lo\0\0"
    assert DISK.read(path, 50, 4) == b""
    assert list(chunks(DISK, path, 4)) == [b"hell", b"o\0\0\0", b"\0\0!"]


def test_create_empties_and_truncate_cuts(tmp_path: Path) -> None:
    path = str(tmp_path / "file")
    Path(path).write_bytes(b"0123456789")
    DISK.truncate(path, 4)
    assert DISK.read(path, 0, 100) == b"0123"
    DISK.create(path).close()
    assert DISK.size(path) == 0


def test_a_preallocated_file_takes_no_space(tmp_path: Path) -> None:
    path = tmp_path / "file"
    file = DISK.create(str(path))
    file.write((64 << 20) - 1, b"\0")
    file.close()
    assert path.stat().st_size == 64 << 20
    assert path.stat().st_blocks * 512 < 1 << 20


def test_names_renaming_and_removing(tmp_path: Path) -> None:
    folder = str(tmp_path / "a" / "b")
    assert DISK.names(folder) == []
    assert not DISK.exists(folder)
    DISK.make_folder(folder)
    DISK.make_folder(folder)
    assert DISK.exists(folder)
    assert DISK.writable(folder)
    DISK.create(f"{folder}/x").close()
    Path(f"{folder}/y").write_bytes(b"old")
    DISK.rename(f"{folder}/x", f"{folder}/y")
    DISK.sync_folder(folder)
    assert DISK.names(folder) == ["y"]
    assert DISK.size(f"{folder}/y") == 0
    DISK.remove(f"{folder}/y")
    assert DISK.names(folder) == []


def test_what_fails_is_an_oserror(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    for call in (
        lambda: DISK.size(missing),
        lambda: DISK.read(missing, 0, 1),
        lambda: DISK.remove(missing),
        lambda: DISK.truncate(missing, 0),
        lambda: DISK.create(f"{missing}/file"),
        lambda: DISK.rename(missing, missing + "2"),
        lambda: DISK.sync_folder(missing),
    ):
        with pytest.raises(FileNotFoundError):
            call()
    Path(missing).write_bytes(b"")
    with pytest.raises(FileExistsError):
        DISK.make_folder(missing)
