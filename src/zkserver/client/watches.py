"""Which callables watch which path, and whom an event is for.

Five tables, as in Apache's client: data, exist, child (one event, then gone), persistent and
recursive (until removed). A path's watchers are kept in the order they came, each once, so a
callable set twice on a path is called once. Requests that will set a watch are counted, so that
a removal does not take away on the server what they need. The tables outlive connections; after a
reconnect `tables` says what the server must be told again.

Paths here are the server's (with the chroot). Left out: sending, and calling the watchers.
"""

from __future__ import annotations

from collections.abc import Iterable

from zkserver.client.records import AddWatchMode, EventType, Watcher, WatcherType

DATA, EXIST, CHILD, PERSISTENT, RECURSIVE = range(5)

_Table = dict[str, dict[Watcher, None]]

# The tables whose watchers an event is for; those of the first three lose them by it.
_ONE_SHOT: dict[int, tuple[int, ...]] = {
    EventType.NODE_CREATED: (DATA, EXIST),
    EventType.NODE_DATA_CHANGED: (DATA, EXIST),
    EventType.NODE_DELETED: (DATA, EXIST, CHILD),
    EventType.NODE_CHILDREN_CHANGED: (CHILD,),
}
_OF_TYPE: dict[WatcherType, tuple[int, ...]] = {
    WatcherType.CHILDREN: (CHILD,),
    WatcherType.DATA: (DATA, EXIST),
    WatcherType.PERSISTENT: (PERSISTENT,),
    WatcherType.PERSISTENT_RECURSIVE: (RECURSIVE,),
    WatcherType.ANY: (DATA, EXIST, CHILD, PERSISTENT, RECURSIVE),
}
REMOVED = {
    DATA: EventType.DATA_WATCH_REMOVED,
    EXIST: EventType.DATA_WATCH_REMOVED,
    CHILD: EventType.CHILD_WATCH_REMOVED,
    PERSISTENT: EventType.PERSISTENT_WATCH_REMOVED,
    RECURSIVE: EventType.PERSISTENT_WATCH_REMOVED,
}
OF_MODE = {
    AddWatchMode.PERSISTENT: PERSISTENT,
    AddWatchMode.PERSISTENT_RECURSIVE: RECURSIVE,
}


class Watches:
    """The watches of one session."""

    def __init__(self) -> None:
        self._tables: tuple[_Table, ...] = ({}, {}, {}, {}, {})
        self._coming: dict[tuple[int, str], int] = {}

    def __bool__(self) -> bool:
        return any(self._tables)

    def add(self, table: int, path: str, watcher: Watcher) -> None:
        """From now on `watcher` is told."""
        self._tables[table].setdefault(path, {})[watcher] = None

    def expect(self, table: int, path: str) -> None:
        """A request that sets a watch goes out."""
        self._coming[table, path] = self._coming.get((table, path), 0) + 1

    def arrived(self, table: int, path: str) -> None:
        """Its reply has come, or never will."""
        left = self._coming.pop((table, path), 1) - 1
        if left:
            self._coming[table, path] = left

    def is_coming(self, kind: WatcherType, path: str) -> bool:
        """Whether a request that is on its way sets a watch of this kind."""
        return any((number, path) in self._coming for number in _OF_TYPE[kind])

    def take(self, kind: EventType, path: str) -> list[Watcher]:
        """Whom an event is for; one-shot watchers are forgotten by that."""
        found: dict[Watcher, None] = {}
        for number in _ONE_SHOT.get(kind, ()):
            found.update(self._tables[number].pop(path, {}))
        found.update(self._tables[PERSISTENT].get(path, {}))
        if self._tables[RECURSIVE] and kind != EventType.NODE_CHILDREN_CHANGED:
            for above in _upwards(path):
                found.update(self._tables[RECURSIVE].get(above, {}))
        return list(found)

    def tables(self) -> list[list[str]]:
        """The paths of each table."""
        return [list(table) for table in self._tables]

    def of_type(self, kind: WatcherType, path: str) -> dict[int, list[Watcher]]:
        """The watchers of a path that a removal of `kind` is about, by table."""
        return {
            number: list(self._tables[number][path])
            for number in _OF_TYPE[kind]
            if path in self._tables[number]
        }

    def remove(
        self, kind: WatcherType, path: str, watcher: Watcher | None
    ) -> list[tuple[EventType, Watcher]]:
        """Forget one watcher of a path, or all; gives who is to be told what."""
        told: dict[tuple[EventType, Watcher], None] = {}
        for number, watchers in self.of_type(kind, path).items():
            gone = watchers if watcher is None else [one for one in watchers if one == watcher]
            for one in gone:
                del self._tables[number][path][one]
                told[REMOVED[number], one] = None
            if not self._tables[number][path]:
                del self._tables[number][path]
        return list(told)

    def persistent(self) -> list[tuple[str, Watcher]]:
        """All watchers that stay, with their paths."""
        return [
            (path, watcher)
            for number in (PERSISTENT, RECURSIVE)
            for path, watchers in self._tables[number].items()
            for watcher in watchers
        ]

    def clear(self) -> list[tuple[str, Watcher]]:
        """Forget all; gives each watcher once per path."""
        found = dict.fromkeys(
            (path, watcher)
            for table in self._tables
            for path, watchers in table.items()
            for watcher in watchers
        )
        for table in self._tables:
            table.clear()
        return list(found)


def _upwards(path: str) -> Iterable[str]:
    """The path, its parent, and so on to the root."""
    while len(path) > 1:
        yield path
        path = path[: path.rfind("/")]
    yield "/"
