"""One table of watches: modes, one-shot and recursive firing, removal, reports."""

from __future__ import annotations

import pytest

from zkserver.tree.watches import (
    NODE_CHILDREN_CHANGED,
    NODE_CREATED,
    NODE_DATA_CHANGED,
    NODE_DELETED,
    PERSISTENT,
    PERSISTENT_RECURSIVE,
    STANDARD,
    WatchTable,
)


@pytest.fixture
def table() -> WatchTable:
    return WatchTable()


def test_nobody_watches(table: WatchTable) -> None:
    assert table.trigger(b"/a", NODE_CREATED) == {}
    assert not table.by_path


def test_standard_watch_fires_once(table: WatchTable) -> None:
    table.add(b"/a", "one", STANDARD)
    assert list(table.trigger(b"/a", NODE_DATA_CHANGED)) == ["one"]
    assert table.trigger(b"/a", NODE_DATA_CHANGED) == {}
    assert table.size() == 0


def test_standard_watch_does_not_see_children(table: WatchTable) -> None:
    table.add(b"/a", "one", STANDARD)
    table.add(b"/", "two", PERSISTENT)
    assert table.trigger(b"/a/b", NODE_CREATED) == {}
    assert table.size() == 2


def test_persistent_watch_stays(table: WatchTable) -> None:
    table.add(b"/a", "one", PERSISTENT)
    for event in (NODE_CREATED, NODE_CHILDREN_CHANGED, NODE_DELETED):
        assert list(table.trigger(b"/a", event)) == ["one"]


def test_modes_on_one_path_are_independent(table: WatchTable) -> None:
    for mode in (STANDARD, PERSISTENT, PERSISTENT_RECURSIVE):
        table.add(b"/a", "one", mode)
        table.add(b"/a", "one", mode)
    assert table.size() == 1
    assert list(table.trigger(b"/a", NODE_DATA_CHANGED)) == ["one"]
    assert not table.contains(b"/a", "one", STANDARD)
    assert table.contains(b"/a", "one", PERSISTENT)
    assert table.remove(b"/a", "one", PERSISTENT)
    assert not table.remove(b"/a", "one", PERSISTENT)
    assert list(table.trigger(b"/a/b", NODE_DATA_CHANGED)) == ["one"]
    assert table.remove(b"/a", "one", PERSISTENT_RECURSIVE)
    assert not table.contains(b"/a", "one", None)


def test_removal_without_a_mode_removes_all(table: WatchTable) -> None:
    table.add(b"/a", "one", STANDARD)
    table.add(b"/a", "one", PERSISTENT_RECURSIVE)
    assert table.remove(b"/a", "one", None)
    assert not table.remove(b"/a", "one", None)
    assert table.trigger(b"/a", NODE_DELETED) == {}
    assert table.trigger(b"/a/b", NODE_DELETED) == {}
    assert not table.by_path
    assert not table.by_watcher


@pytest.mark.parametrize(
    ("path", "watcher", "mode"),
    [(b"/b", "one", None), (b"/a", "two", None), (b"/a", "one", PERSISTENT)],
)
def test_removal_of_what_is_not_there(
    table: WatchTable, path: bytes, watcher: str, mode: int | None
) -> None:
    table.add(b"/a", "one", STANDARD)
    assert not table.contains(path, watcher, mode)
    assert not table.remove(path, watcher, mode)
    assert table.contains(b"/a", "one", None)


def test_recursive_watch_sees_itself_and_all_below(table: WatchTable) -> None:
    table.add(b"/a", "one", PERSISTENT_RECURSIVE)
    for path in (b"/a", b"/a/b", b"/a/b/c"):
        assert list(table.trigger(path, NODE_CREATED)) == ["one"]
    for path in (b"/", b"/b", b"/ab", b"/b/a"):
        assert table.trigger(path, NODE_CREATED) == {}


def test_recursive_watch_on_the_root(table: WatchTable) -> None:
    table.add(b"/", "one", PERSISTENT_RECURSIVE)
    for path in (b"/", b"/a", b"/a/b"):
        assert list(table.trigger(path, NODE_DATA_CHANGED)) == ["one"]


def test_recursive_watch_ignores_changes_of_children(table: WatchTable) -> None:
    table.add(b"/a", "one", PERSISTENT_RECURSIVE)
    table.add(b"/a", "two", PERSISTENT_RECURSIVE)
    table.add(b"/a", "two", STANDARD)
    assert table.trigger(b"/a/b", NODE_CHILDREN_CHANGED) == {}
    assert list(table.trigger(b"/a", NODE_CHILDREN_CHANGED)) == ["two"]
    assert table.trigger(b"/a", NODE_CHILDREN_CHANGED) == {}


def test_watcher_is_told_once_and_in_order(table: WatchTable) -> None:
    table.add(b"/", "root", PERSISTENT_RECURSIVE)
    table.add(b"/a", "parent", PERSISTENT_RECURSIVE)
    table.add(b"/a", "both", PERSISTENT_RECURSIVE)
    table.add(b"/a/b", "self", STANDARD)
    table.add(b"/a/b", "both", STANDARD)
    told = table.trigger(b"/a/b", NODE_DELETED)
    assert list(told) == ["self", "both", "parent", "root"]


def test_excluded_watcher_is_not_told_but_its_watch_is_spent(table: WatchTable) -> None:
    table.add(b"/a", "one", STANDARD)
    table.add(b"/a", "two", STANDARD)
    assert list(table.trigger(b"/a", NODE_DELETED, {"one": None})) == ["two"]
    assert table.size() == 0


def test_connection_that_ends_takes_its_watches_along(table: WatchTable) -> None:
    table.add(b"/a", "one", PERSISTENT_RECURSIVE)
    table.add(b"/b", "one", STANDARD)
    table.add(b"/a", "two", PERSISTENT)
    table.remove_watcher("one")
    table.remove_watcher("unknown")
    assert table.by_path == {b"/a": {"two": PERSISTENT}}
    assert list(table.by_watcher) == ["two"]
    assert table.trigger(b"/a/b", NODE_CREATED) == {}


def test_figures_for_reports(table: WatchTable) -> None:
    table.add(b"/a", "one", STANDARD)
    table.add(b"/b", "one", STANDARD)
    table.add(b"/a", "two", PERSISTENT)
    assert table.summary() == (2, 2, 3)
    assert table.size() == 3
    assert table.paths() == [b"/a", b"/b"]
    assert list(table.by_watcher["one"]) == [b"/a", b"/b"]
    assert list(table.by_path[b"/a"]) == ["one", "two"]


def test_connection_without_watches_left_still_counts_as_one(table: WatchTable) -> None:
    table.add(b"/a", "one", STANDARD)
    table.trigger(b"/a", NODE_DELETED)
    assert table.summary() == (1, 0, 0)
    table.add(b"/a", "one", STANDARD)
    assert table.remove(b"/a", "one", None)
    assert table.summary() == (0, 0, 0)
