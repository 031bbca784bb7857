"""Purge: which old snapshots and logs may go (PurgeTxnLog, autopurge).

Of the snapshots that pass the quick test, the newest `retain` stay. What is
older than the oldest of them goes, but the log that begins at or before it stays,
for it may hold transactions that come after (ZOOKEEPER-2420). Snapshots that do
not pass count for nothing; they go when they are older. With no good snapshot
nothing is removed.
"""

from __future__ import annotations

from collections.abc import Callable

from zkserver.storage.disk import Disk
from zkserver.storage.layout import Layout, logs_from, sorted_logs, sorted_snapshots
from zkserver.storage.snapshot_reader import is_valid

MIN_RETAINED = 3


def plan(
    snapshot_names: list[str],
    log_names: list[str],
    retain: int,
    is_good: Callable[[str], bool] = bool,
) -> tuple[list[str], list[str]]:
    """The names of the snapshots and of the logs to delete, oldest first.

    `is_good` says whether a snapshot of that name may be counted on. Raises
    ValueError for a `retain` below 3.
    """
    if retain < MIN_RETAINED:
        raise ValueError(f"retain {retain}: at least {MIN_RETAINED} snapshots must be kept")
    snapshots = sorted_snapshots(snapshot_names)
    kept: list[int] = []
    for zxid, name in snapshots:
        if len(kept) < retain and is_good(name):
            kept.append(zxid)
    if not kept:
        return [], []
    oldest = kept[-1]
    logs = sorted_logs(log_names)
    needed = logs_from(logs, oldest)
    old_snapshots = [name for zxid, name in reversed(snapshots) if zxid < oldest]
    return old_snapshots, [pair[1] for pair in logs if pair not in needed]


def paths_to_delete(disk: Disk, layout: Layout, retain: int) -> list[str]:
    """The paths of what `plan` says. Raises OSError if the disk fails.

    Snapshots come before logs: deleted in this order, a crash in between leaves no snapshot whose
    logs are gone.
    """
    snapshots, logs = plan(
        disk.names(layout.snapshot_folder),
        disk.names(layout.log_folder),
        retain,
        lambda name: is_valid(disk, layout.snapshot_path(name)),
    )
    paths = [layout.snapshot_path(name) for name in snapshots]
    return paths + [layout.log_path(name) for name in logs]


def run(disk: Disk, layout: Layout, retain: int) -> list[str]:
    """Delete what `plan` says and return the paths. Raises OSError if the disk fails."""
    paths = paths_to_delete(disk, layout, retain)
    for path in paths:
        disk.remove(path)
    return paths
