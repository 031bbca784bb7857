"""Watches: who is told when a znode changes.

A `WatchTable` maps paths to watchers; a tree has two, one for data (and for the
existence of a znode), one for children. A watcher is a connection, of which this
module needs only that it can be a key.

* One watcher may hold several modes on one path; each is a bit and is added and
  removed on its own.
* A standard watch fires once. Persistent ones stay until they are removed.
* A recursive watch fires for its path and for all below it, but never on
  NodeChildrenChanged.
* A watcher is told of one change of one path at most once.
* Everything is kept and reported in the order in which it was added.

Left out: which tables a request's watch goes into, and who may read the znode
that an event is about; the tree and the connection know that.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import NamedTuple

# Modes (WatcherMode).
STANDARD = 1
PERSISTENT = 2
PERSISTENT_RECURSIVE = 4

# Event types that a change can cause (WatcherEvent.type).
NODE_CREATED = 1
NODE_DELETED = 2
NODE_DATA_CHANGED = 3
NODE_CHILDREN_CHANGED = 4


class WatchSummary(NamedTuple):
    """Figures for the four-letter word wchs."""

    connections: int
    paths: int
    watches: int


class WatchTable:
    """Watches on paths; a client may also watch null, where nothing ever happens.

    `by_path` (path, watcher: modes) and `by_watcher` (watcher: paths) are for
    others to read: for reports, and to see quickly whether there are any. A
    watcher whose watches have all fired keeps an empty row, as in Java.
    """

    def __init__(self) -> None:
        self.by_path: dict[bytes | None, dict[Hashable, int]] = {}
        self.by_watcher: dict[Hashable, dict[bytes | None, None]] = {}
        self._recursive = 0

    def add(self, path: bytes | None, watcher: Hashable, mode: int) -> None:
        """Let `watcher` watch `path` in this mode too."""
        watchers = self.by_path.get(path)
        if watchers is None:
            watchers = self.by_path[path] = {}
        modes = watchers.get(watcher, 0)
        if not modes:
            paths = self.by_watcher.get(watcher)
            if paths is None:
                paths = self.by_watcher[watcher] = {}
            paths[path] = None
        watchers[watcher] = modes | mode
        if mode & ~modes & PERSISTENT_RECURSIVE:
            self._recursive += 1

    def remove(self, path: bytes | None, watcher: Hashable, mode: int | None) -> bool:
        """Remove the watch of this mode, or with None those of all modes; False if none was there.

        Other modes of the same watcher on the same path stay.
        """
        watchers = self.by_path.get(path)
        modes = 0 if watchers is None else watchers.get(watcher, 0)
        removed = modes if mode is None else modes & mode
        if watchers is None or not removed:
            return False
        if removed & PERSISTENT_RECURSIVE:
            self._recursive -= 1
        if modes != removed:
            watchers[watcher] = modes & ~removed
            return True
        self._drop(path, watcher, watchers)
        paths = self.by_watcher[watcher]
        del paths[path]
        if not paths:
            del self.by_watcher[watcher]
        return True

    def contains(self, path: bytes | None, watcher: Hashable, mode: int | None) -> bool:
        """Whether `watcher` watches `path` in this mode, or with None in any."""
        watchers = self.by_path.get(path)
        if watchers is None:
            return False
        modes = watchers.get(watcher, 0)
        return bool(modes if mode is None else modes & mode)

    def remove_watcher(self, watcher: Hashable) -> None:
        """Remove all that `watcher` watches: its connection is gone."""
        for path in self.by_watcher.pop(watcher, ()):
            watchers = self.by_path[path]
            if watchers[watcher] & PERSISTENT_RECURSIVE:
                self._recursive -= 1
            self._drop(path, watcher, watchers)

    def trigger(
        self, path: bytes, event_type: int, exclude: Iterable[Hashable] = ()
    ) -> dict[Hashable, None]:
        """`path` changed: the watchers to tell, in order, without those in `exclude`.

        One-shot watches on `path` are spent, also those of excluded watchers.
        """
        watchers = self.by_path.get(path)
        if not self._recursive:
            if watchers is None:
                return {}
            fired = self._fire(path, watchers)
        elif event_type == NODE_CHILDREN_CHANGED:
            fired = {} if watchers is None else self._fire(path, watchers, PERSISTENT_RECURSIVE)
        else:
            fired = {} if watchers is None else self._fire(path, watchers)
            self._fire_above(path, fired)
        if exclude:
            return {watcher: None for watcher in fired if watcher not in exclude}
        return fired

    def size(self) -> int:
        """How many watches there are, a watcher's modes on one path counting as one."""
        return sum(map(len, self.by_watcher.values()))

    def paths(self) -> list[bytes | None]:
        """Paths that somebody watches."""
        return list(self.by_path)

    def summary(self) -> WatchSummary:
        """Figures for wchs."""
        return WatchSummary(len(self.by_watcher), len(self.by_path), self.size())

    def _drop(self, path: bytes | None, watcher: Hashable, watchers: dict[Hashable, int]) -> None:
        del watchers[watcher]
        if not watchers:
            del self.by_path[path]

    def _fire(
        self, path: bytes, watchers: dict[Hashable, int], deaf: int = 0
    ) -> dict[Hashable, None]:
        """Watchers of `path` itself, but for those with no other mode than `deaf`."""
        fired: dict[Hashable, None] = {}
        spent = []
        for watcher, modes in watchers.items():
            if modes != deaf:
                fired[watcher] = None
            if modes & STANDARD:
                spent.append(watcher)
        for watcher in spent:
            modes = watchers[watcher] & ~STANDARD
            if modes:
                watchers[watcher] = modes
            else:
                del watchers[watcher]
                del self.by_watcher[watcher][path]
        if not watchers:
            del self.by_path[path]
        return fired

    def _fire_above(self, path: bytes, fired: dict[Hashable, None]) -> None:
        """Add watchers that watch an ancestor of `path` recursively, nearest first."""
        while len(path) > 1:
            path = path[: path.rfind(b"/")] or b"/"
            for watcher, modes in self.by_path.get(path, {}).items():
                if modes & PERSISTENT_RECURSIVE:
                    fired[watcher] = None
