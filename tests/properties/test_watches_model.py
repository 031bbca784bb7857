"""The table of watches against a plain list of (path, watcher, mode)."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from zkserver.tree.watches import (
    NODE_CHILDREN_CHANGED,
    PERSISTENT,
    PERSISTENT_RECURSIVE,
    STANDARD,
    WatchTable,
)

paths = st.sampled_from([b"/", b"/a", b"/a/b", b"/a/b/c", b"/a/bc", b"/b"])
watchers = st.sampled_from("xyz")
modes = st.sampled_from([STANDARD, PERSISTENT, PERSISTENT_RECURSIVE])
steps = st.one_of(
    st.tuples(st.just("add"), paths, watchers, modes),
    st.tuples(st.just("remove"), paths, watchers, modes | st.none()),
    st.tuples(st.just("gone"), watchers),
    st.tuples(st.just("trigger"), paths, st.integers(1, 4), st.lists(watchers)),
)


def is_below(path: bytes, ancestor: bytes) -> bool:
    return path != ancestor and (path + b"/").startswith(ancestor.rstrip(b"/") + b"/")


class NaiveWatches:
    def __init__(self) -> None:
        self.rows: list[tuple[bytes, str, int]] = []

    def drop(self, path: bytes, watcher: str, mode: int | None) -> bool:
        kept = [
            row
            for row in self.rows
            if not (row[0] == path and row[1] == watcher and mode in (None, row[2]))
        ]
        changed = len(kept) < len(self.rows)
        self.rows = kept
        return changed

    def trigger(self, path: bytes, event_type: int) -> list[str]:
        told = []
        for row_path, watcher, mode in self.rows:
            recursive = mode == PERSISTENT_RECURSIVE
            if recursive and event_type == NODE_CHILDREN_CHANGED:
                continue
            if row_path == path or (recursive and is_below(path, row_path)):
                told.append(watcher)
        self.rows = [row for row in self.rows if row[0] != path or row[2] != STANDARD]
        return sorted(dict.fromkeys(told))


@settings(max_examples=300)
@given(st.lists(steps, max_size=40))
def test_table_agrees_with_a_list(history: list[tuple[object, ...]]) -> None:
    table, naive = WatchTable(), NaiveWatches()
    for step in history:
        match step:
            case ("add", bytes(path), str(watcher), int(mode)):
                table.add(path, watcher, mode)
                naive.drop(path, watcher, mode)
                naive.rows.append((path, watcher, mode))
            case ("remove", bytes(path), str(watcher), mode):
                assert mode is None or isinstance(mode, int)
                present = any(
                    row[:2] == (path, watcher) and mode in (None, row[2]) for row in naive.rows
                )
                assert table.contains(path, watcher, mode) == present
                assert table.remove(path, watcher, mode) == naive.drop(path, watcher, mode)
            case ("gone", str(watcher)):
                table.remove_watcher(watcher)
                naive.rows = [row for row in naive.rows if row[1] != watcher]
            case ("trigger", bytes(path), int(event_type), list(exclude)):
                told = sorted(map(str, table.trigger(path, event_type, exclude)))
                expected = naive.trigger(path, event_type)
                assert told == [watcher for watcher in expected if watcher not in exclude]
        pairs = {(path, watcher): None for path, watcher, _ in naive.rows}
        assert table.size() == len(pairs)
        assert sorted(table.paths()) == sorted({path: None for path, _ in pairs})
