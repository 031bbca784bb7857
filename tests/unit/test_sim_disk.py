"""The simulated disk: what a crash may leave, and what it may not touch."""

from __future__ import annotations

import random

import pytest

from zkserver.sim.disk import SECTOR_BYTES, SimDisk


def written(disk: SimDisk, path: str, data: bytes, synced: int) -> None:
    """A file with a durable name whose first `synced` bytes are durable."""
    file = disk.create(path)
    file.write(0, data[:synced])
    file.sync()
    disk.sync_folder(path.rpartition("/")[0])
    file.write(synced, data[synced:])


@pytest.mark.parametrize("seed", range(50))
def test_a_crash_keeps_what_was_synced(seed: int) -> None:
    disk = SimDisk()
    data = bytes(range(1, 251)) * 20
    written(disk, "/d/f", data, 2000)
    left = disk.crash(random.Random(seed)).get("/d/f")
    assert left[:2000] == data[:2000]
    assert 2000 <= len(left) <= len(data)


def test_a_crash_leaves_every_kind_of_remainder() -> None:
    data = b"x" * 5 * SECTOR_BYTES
    kinds: dict[str, None] = {}
    for seed in range(200):
        disk = SimDisk()
        written(disk, "/d/f", data, 10)
        left = disk.crash(random.Random(seed)).get("/d/f")
        if len(left) == len(data) and b"\0" in left:
            kinds["torn"] = None
        elif 10 < len(left) < len(data):
            kinds["cut"] = None
        elif left == data:
            kinds["whole"] = None
        elif len(left) == 10:
            kinds["nothing"] = None
    assert sorted(kinds) == ["cut", "nothing", "torn", "whole"]


def test_names_hold_once_their_folder_is_synced() -> None:
    fates: dict[tuple[str, ...], None] = {}
    for seed in range(50):
        disk = SimDisk()
        written(disk, "/d/old", b"1", 1)
        disk.rename("/d/old", "/d/new")
        fates[tuple(disk.crash(random.Random(seed)).paths())] = None
        disk.sync_folder("/d")
        assert disk.crash(random.Random(seed)).paths() == ["/d/new"]
    assert sorted(fates) == [(), ("/d/new",), ("/d/new", "/d/old"), ("/d/old",)]


def test_a_sync_that_takes_time_holds_when_it_is_over() -> None:
    disk = SimDisk()
    file = disk.create("/d/f")
    disk.hold_syncs()
    file.write(0, b"data")
    file.sync()
    disk.sync_folder("/d")
    syncs = disk.release_syncs()
    assert {disk.crash(random.Random(seed)).paths() == [] for seed in range(20)} == {True, False}
    for sync in syncs:
        sync()
    assert disk.crash(random.Random(1)).get("/d/f") == b"data"


def test_a_bit_flips_for_good() -> None:
    disk = SimDisk()
    disk.put("/d/f", b"\x00\x00")
    disk.flip_bit("/d/f", 9)
    assert disk.get("/d/f") == disk.crash(random.Random(1)).get("/d/f") == b"\x00\x02"


def test_a_killed_process_leaves_all_it_wrote() -> None:
    disk = SimDisk()
    disk.create("/d/f").write(0, b"unsynced")
    assert disk.kill().get("/d/f") == b"unsynced"
