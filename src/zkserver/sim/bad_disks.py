"""A disk on which one bit is the other one, and what recovery makes of it.

A log's record and a snapshot carry checksums, so recovery knows: it refuses to start, it cuts what
it takes for a torn tail and says so, it takes an older snapshot, or nothing that counts was hit.
What it must not do is to start with another state and no word.

A bad bit at the end of a log looks like a torn write. What is cut there may have been acknowledged,
so a server that has warned has lost some of its disk, and may not be believed by the others: that
is the operator's business here, as it is with Apache's server.

Left out: the files of epochs, which have no checksum.
"""

from __future__ import annotations

import random
from typing import NamedTuple

from zkserver.sim.disk import SimDisk
from zkserver.sim.restoring import restore_copy
from zkserver.storage.layout import StorageError


class Damage(NamedTuple):
    """What was done and what came of it, in words. `breach` is empty if recovery did well."""

    detail: str
    breach: str = ""


class _State(NamedTuple):
    """What recovery makes of a disk; `refusal` is why it does not start."""

    last_zxid: int = 0
    digest: int = 0
    warnings: tuple[str, ...] = ()
    refusal: str = ""


def _recover(disk: SimDisk) -> _State:
    warnings: list[str] = []
    try:
        tree, restored = restore_copy(disk, warnings.append)
    except StorageError as error:
        return _State(refusal=str(error))
    return _State(restored.last_zxid, tree.compute_digest(), tuple(warnings))


def damage(disk: SimDisk, chance: random.Random) -> Damage:
    """Flip one bit of a log or a snapshot, and see whether recovery lets itself be deceived."""
    paths = [
        path
        for path in disk.paths()
        if path.rpartition("/")[2].startswith(("log.", "snapshot.")) and disk.size(path)
    ]
    if not paths:
        return Damage("nothing on it yet")
    before = _recover(disk)
    path = chance.choice(paths)
    # Behind the last record there are only zeros: one bit of those is hit now and then.
    used_bytes = len(disk.get(path).rstrip(b"\0")) + 1
    bit = chance.randrange(min(used_bytes, disk.size(path)) * 8)
    disk.flip_bit(path, bit)
    after = _recover(disk)
    detail = f"bit {bit} of {path}"
    if after.refusal:
        return Damage(f"{detail}: recovery refuses: {after.refusal}")
    if after == before:
        return Damage(f"{detail}: recovery does without")
    if after.warnings != before.warnings:
        return Damage(f"{detail}: recovery warns: {after.warnings[-1]}")
    return Damage(detail, f"{detail} is flipped, and recovery starts with another state: {after}")
