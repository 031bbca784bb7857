"""The files of epochs: what is read back, what a crash leaves, what is refused."""

from __future__ import annotations

import pytest

from tests.support.stepwise import crashes
from zkserver.sim.disk import SimDisk
from zkserver.storage.epochs import MAX_EPOCH, read_epoch, write_epoch
from zkserver.storage.layout import StorageError
from zkserver.zab.effects import EpochFile
from zkserver.zab.epochs import recover

FOLDER = "/data/version-2"
ACCEPTED, CURRENT, TO_COME = (file.value for file in EpochFile)
NAMES = (ACCEPTED, CURRENT, TO_COME)


def directory(**contents: str) -> SimDisk:
    disk = SimDisk()
    disk.make_folder(FOLDER)
    for name, content in contents.items():
        disk.put(f"{FOLDER}/{name.replace('_', '.')}", content.encode())
    return disk


def read_all(disk: SimDisk) -> tuple[int | None, ...]:
    return tuple(read_epoch(disk, FOLDER, name) for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_value_is_read_back_and_replaced(name) -> None:
    disk = directory()
    assert read_all(disk) == (None, None, None)
    for epoch in (0, 12, MAX_EPOCH):
        write_epoch(disk, FOLDER, name, epoch)
        assert read_epoch(disk, FOLDER, name) == epoch
        assert disk.get(f"{FOLDER}/{name}") == str(epoch).encode()
    assert disk.paths() == [f"{FOLDER}/{name}"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("old", [None, 9])
def test_a_crash_leaves_the_old_or_the_new_value(name, old) -> None:
    def new_disk():
        return directory(**({} if old is None else {name.replace(".", "_"): str(old)}))

    seen = set()
    for done, count, disk in crashes(
        new_disk, lambda disk: write_epoch(disk, FOLDER, name, 10), seeds=16
    ):
        value = read_epoch(disk, FOLDER, name)
        seen.add(value)
        assert value in ((old, 10) if done < count else (10,))
        # A second try is not in the way of what the first one left.
        write_epoch(disk, FOLDER, name, 11)
        assert read_epoch(disk, FOLDER, name) == 11
    assert seen == {old, 10}


def test_between_the_announcement_and_the_current_epoch_a_start_is_always_possible() -> None:
    last_zxid = 5 << 32 | 3

    def new_disk():
        return directory(acceptedEpoch="5", currentEpoch="4", currentEpoch_tmp="5")

    for _, _, disk in crashes(
        new_disk, lambda disk: write_epoch(disk, FOLDER, CURRENT, 5), seeds=32
    ):
        assert recover(last_zxid, *read_all(disk))[:2] == (5, 5)


@pytest.mark.parametrize("content", ["7\n", "7\r\n", "007", "7"])
def test_what_other_hands_wrote_is_read(content) -> None:
    assert read_epoch(directory(currentEpoch=content), FOLDER, CURRENT) == 7


@pytest.mark.parametrize("content", ["", "x", "-1", "7 8", "1" * 40, str(MAX_EPOCH + 1), "\0\0"])
def test_an_ill_formed_file_is_refused_but_an_announcement_counts_as_absent(content) -> None:
    disk = directory(acceptedEpoch=content, currentEpoch=content, currentEpoch_tmp=content)
    for name in (ACCEPTED, CURRENT):
        with pytest.raises(StorageError, match=f"{FOLDER}/{name}: .* is no epoch.*backup"):
            read_epoch(disk, FOLDER, name)
    assert read_epoch(disk, FOLDER, TO_COME) is None


def test_only_these_files_are_epochs() -> None:
    with pytest.raises(ValueError, match="myid"):
        read_epoch(directory(), FOLDER, "myid")
