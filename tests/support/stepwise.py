"""What a power cut leaves of a change to a disk, wherever in the change it comes."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from zkserver.sim.disk import SimDisk
from zkserver.sim.recorded import RecordingDisk


def crashes(
    new_disk: Callable[[], SimDisk], change: Callable[[RecordingDisk], object], seeds: int = 8
) -> Iterator[tuple[int, int, SimDisk]]:
    """(steps done, steps in all, what is left) for each number of steps and some chances.

    `new_disk` makes the disk before; `change` may not read it.
    """
    recording = RecordingDisk()
    change(recording)
    count = len(recording.steps)
    for done in range(count + 1):
        for seed in range(seeds):
            disk = new_disk()
            recording = RecordingDisk()
            change(recording)
            for step in recording.steps[:done]:
                step(disk)
            yield done, count, disk.crash(random.Random(seed))
