"""The disk in memory: what a new life finds after a kill. The port itself is as on a real disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from zkserver.runtime.disk import RealDisk
from zkserver.storage.disk import replace_file
from zkserver.testing.memory_disk import MemoryDisk


@pytest.fixture(name="disk")
def _disk() -> MemoryDisk:
    disk = MemoryDisk()
    disk.make_folder("/d/e")
    return disk


def put(disk: MemoryDisk, path: str, data: bytes) -> None:
    file = disk.create(path)
    file.write(0, data)
    file.sync()
    file.close()
    disk.sync_folder(path.rpartition("/")[0])


def content(disk: MemoryDisk, path: str) -> bytes:
    return disk.read(path, 0, 1000)


def test_what_was_synced_is_there(disk) -> None:
    put(disk, "/d/a", b"data")
    after = disk.after_kill()
    assert content(after, "/d/a") == b"data"
    assert after.exists("/d")
    assert after.exists("/d/e")


def test_bytes_that_were_not_synced_are_lost(disk) -> None:
    put(disk, "/d/a", b"data")
    file = disk.create("/d/b")
    disk.sync_folder("/d")
    file.write(2, b"xy")
    file.sync()
    file.write(0, b"z")
    file.write(4, b"more")
    assert content(disk, "/d/b") == b"z\0xymore"
    assert content(disk.after_kill(), "/d/b") == b"\0\0xy"
    file.sync()
    assert content(disk.after_kill(), "/d/b") == b"z\0xymore"


def test_names_that_were_not_synced_are_lost(disk) -> None:
    put(disk, "/d/a", b"old")
    file = disk.create("/d/new")
    file.write(0, b"new")
    file.sync()
    disk.rename("/d/new", "/d/a")
    disk.create("/d/e/c").sync()
    assert content(disk, "/d/a") == b"new"
    assert content(disk.after_kill(), "/d/a") == b"old"
    disk.sync_folder("/d")
    assert content(disk.after_kill(), "/d/a") == b"new"
    assert disk.after_kill().names("/d/e") == []
    disk.remove("/d/a")
    assert content(disk.after_kill(), "/d/a") == b"new"
    disk.sync_folder("/d")
    assert disk.after_kill().names("/d") == []


def test_a_file_that_is_emptied_keeps_its_content_until_it_is_synced(disk) -> None:
    put(disk, "/d/a", b"data")
    file = disk.create("/d/a")
    assert content(disk.after_kill(), "/d/a") == b"data"
    file.sync()
    assert content(disk.after_kill(), "/d/a") == b""


def test_a_dead_server_does_not_write_on(disk) -> None:
    put(disk, "/d/a", b"data")
    file = disk.create("/d/a")
    after = disk.after_kill()
    file.write(0, b"late")
    file.sync()
    assert content(after, "/d/a") == b"data"


def test_the_port_is_that_of_a_real_disk(disk, tmp_path: Path) -> None:
    def story(disk, folder: str) -> list[object]:
        seen: list[object] = []
        disk.make_folder(f"{folder}/a/b")
        replace_file(disk, f"{folder}/a", "epoch", b"12")
        replace_file(disk, f"{folder}/a", "epoch", b"3")
        file = disk.create(f"{folder}/a/log")
        file.write(0, b"0123456789")
        file.write(12, b"x")
        disk.truncate(f"{folder}/a/log", 5)
        file.close()
        file.close()
        seen += sorted(disk.names(f"{folder}/a"))
        seen.append(disk.names(f"{folder}/nowhere"))
        seen += [disk.read(f"{folder}/a/log", 2, 100), disk.size(f"{folder}/a/epoch")]
        seen += [disk.exists(f"{folder}/a/{name}") for name in ("b", "log", "none")]
        for act in (disk.remove, disk.size):
            with pytest.raises(FileNotFoundError):
                act(f"{folder}/a/none")
        return seen

    expected = story(RealDisk(), str(tmp_path))
    expected.remove("b")
    assert story(disk, "/d") == expected
