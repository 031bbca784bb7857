"""What recovery makes of a disk as it stands, without touching it: for those who compare."""

from __future__ import annotations

from collections.abc import Callable

from zkserver.sim.disk import SimDisk
from zkserver.storage import recovery
from zkserver.storage.layout import Layout
from zkserver.storage.recovery import Restored, RestoreSettings
from zkserver.tree.tree import DataTree

DATA_DIR = "data"


def restore_copy(
    disk: SimDisk, warn: Callable[[str], object] = lambda _: None
) -> tuple[DataTree, Restored]:
    """The tree that a start would have, and what recovery found. Raises StorageError."""
    copy = disk.kill()
    copy.free_bytes = None
    tree = DataTree()
    return tree, recovery.restore(copy, Layout.of(DATA_DIR), tree, RestoreSettings(), warn)
