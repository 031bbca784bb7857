"""Recovery and a disk with one bad bit: it refuses, it warns, or it does without; see `damage`."""

from __future__ import annotations

import random

from zkserver.base import opcodes as op
from zkserver.jute import txns
from zkserver.sim.bad_disks import damage
from zkserver.sim.disk import SimDisk
from zkserver.sim.restoring import DATA_DIR
from zkserver.storage import recovery
from zkserver.storage.layout import Layout
from zkserver.storage.recovery import RestoreSettings
from zkserver.storage.txnlog import TxnLogWriter
from zkserver.tree.tree import DataTree

SESSIONS = 20


def disk_with_a_log() -> SimDisk:
    disk = SimDisk()
    layout = Layout.of(DATA_DIR)
    recovery.restore(disk, layout, DataTree(), RestoreSettings(), lambda _: None)
    writer = TxnLogWriter(
        disk,
        layout.log_folder,
        preallocate_bytes=4096,
        size_limit_bytes=None,
        sync=True,
        clock_ms=lambda: 0.0,
    )
    for zxid in range(1, SESSIONS + 1):
        writer.write([txns.encode((zxid, 0, zxid, 0, op.CREATE_SESSION, (4000,)), None)])
    writer.close()
    return disk


def test_a_bad_bit_is_noticed_or_does_no_harm() -> None:
    seen = set()
    for seed in range(60):
        result = damage(disk_with_a_log(), random.Random(seed))
        assert result.breach == ""
        seen.add(next(word for word in ("refuses", "warns", "without") if word in result.detail))
    assert seen >= {"refuses", "without"}


def test_an_empty_disk_has_no_bit_to_flip() -> None:
    assert damage(SimDisk(), random.Random(1)).detail == "nothing on it yet"
