"""A server that gives up its history, and has no vote until it has another one.

The leader says to cut the history back (TRUNC) and that cannot be done: the server stored the tree
of a leader that was never established, and has no older snapshot to go back to; or the log that
would hold the zxid is gone or damaged. What it has is another history than the leader's, and of no
use. It is removed, and the server asks for a tree like a new one.

But it is not new. It has acknowledged txns, and a quorum in which it takes part with an empty
database might know of none of them. So the first thing on disk is a mark, the file MARK_NAME in
the snapshot folder, and **while the mark is there the server has no database**:

1. `Emptying.carry_out`: the mark, durably; then all snapshots and logs go, in any order;
2. recovery calls `resume` first: with the mark there, whatever is left is removed, and the last
   zxid is -1, also where db.autocreate would begin with an empty tree. Nobody counts the votes
   and the promises of such a server;
3. a leader's tree is stored as always (`truncation.Replacement`), and what comes behind it;
4. `end`: currentEpoch is that leader's, durably; then the mark goes.

So a crash leaves one of two states: the old history whole, without the mark; or the mark, and no
database, whatever of snapshots and logs is there: half of the old ones, or a leader's tree that
was stored and not acknowledged. After 4 it is a server like others. What it holds then is the
history of a leader that has all that was ever committed, by the word of a quorum without this
server; docs/replication.md has the whole argument.

acceptedEpoch and currentEpoch stay, for they are promises and not data. The text in the mark is for
people; nothing reads it but the line in the log.

Left out: a way to take the mark away. Who empties the whole folder removes it too, and says so that
this server may begin anew. Apache's server does not know the mark; it would begin with an empty
tree and vote, so start ours first, or Apache's with db.autocreate=false.
"""

from __future__ import annotations

from typing import NamedTuple

from zkserver.storage.disk import Disk, replace_file
from zkserver.storage.layout import RECEIVED_NAME, Layout, sorted_logs, sorted_snapshots

MARK_NAME = "emptiedHasNoVote"
_READ_BYTES = 1024


class Emptying(NamedTuple):
    """Mark the server and remove its history. `reason`: why it cannot be kept, a clause."""

    layout: Layout
    reason: str
    snapshots: tuple[str, ...]
    logs: tuple[str, ...]

    def carry_out(self, disk: Disk) -> None:
        """Do it; durable on return. Only changes. Raises OSError if the disk fails."""
        replace_file(disk, self.layout.snapshot_folder, MARK_NAME, self.reason.encode())
        _remove(disk, self.layout, (*self.snapshots, *self.logs))


def plan_empty(disk: Disk, layout: Layout, reason: str) -> Emptying:
    """How to give up the history. Only reads; OSError if the disk fails."""
    return Emptying(layout, reason, _snapshots(disk, layout), _logs(disk, layout))


def is_marked(disk: Disk, layout: Layout) -> bool:
    """Whether this server has no database, whatever else is there."""
    return disk.exists(_mark(layout))


def resume(disk: Disk, layout: Layout) -> str | None:
    """With the mark there, remove what is left; a line that says so, None without the mark.

    Raises OSError if the disk fails.
    """
    if not is_marked(disk, layout):
        return None
    intent = f"{layout.snapshot_folder}/{RECEIVED_NAME}"
    intents = (intent,) if disk.exists(intent) else ()
    _remove(disk, layout, (*_snapshots(disk, layout), *_logs(disk, layout), *intents))
    reason = disk.read(_mark(layout), 0, _READ_BYTES).decode("utf-8", "replace")
    return (
        f"{_mark(layout)}: this server has given up its history, because {reason}. It has no vote "
        "until it has stored the tree of a leader, which the other voters elect: for that, those "
        "that have a database must be a quorum. If they never will be, stop all servers, copy the "
        "snapshots, the logs, acceptedEpoch and currentEpoch of the voter with the newest "
        f"currentEpoch and zxid to this one, remove {MARK_NAME} here, and start all"
    )


def end(reading: Disk, writing: Disk, layout: Layout) -> None:
    """The leader's history is on disk, and its epoch is current: this server may vote again.

    Nothing happens without the mark. `writing` is only changed. Raises OSError if the disk fails.
    """
    if is_marked(reading, layout):
        writing.remove(_mark(layout))
        writing.sync_folder(layout.snapshot_folder)


def _remove(disk: Disk, layout: Layout, paths: tuple[str, ...]) -> None:
    for path in paths:
        disk.remove(path)
    disk.sync_folder(layout.snapshot_folder)
    disk.sync_folder(layout.log_folder)


def _mark(layout: Layout) -> str:
    return f"{layout.snapshot_folder}/{MARK_NAME}"


def _snapshots(disk: Disk, layout: Layout) -> tuple[str, ...]:
    found = sorted_snapshots(disk.names(layout.snapshot_folder))
    return tuple(layout.snapshot_path(name) for _, name in found)


def _logs(disk: Disk, layout: Layout) -> tuple[str, ...]:
    found = sorted_logs(disk.names(layout.log_folder))
    return tuple(layout.log_path(name) for _, name in found)
