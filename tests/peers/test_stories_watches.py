"""Stories of watches: what fires, where, how often, and before which reply."""

from __future__ import annotations

import pytest

from tests.support import wire
from tests.support.server_process import four_letter_word
from tests.support.stories import (
    CHANGED,
    CHILD,
    CREATED,
    DELETED,
    MARSHALLING_ERROR,
    NO_AUTH,
    NO_NODE,
    NO_WATCHER,
    OK,
    Session,
    Story,
)

CHILDREN, DATA, ANY, PERSISTENT, RECURSIVE = 1, 2, 3, 4, 5
MODE_PERSISTENT, MODE_RECURSIVE = 0, 1


def test_a_standard_watch_fires_once_and_before_the_reply(story: Story) -> None:
    s = story.session()
    assert s.create("/w1") == OK
    assert s.get_data("/w1", watch=True) == OK
    assert s.set_data("/w1", b"1") == OK
    frames = s.outcome.frames[s.slot]
    assert "event" in frames[0]
    assert frames[0]["event"] == {"type": CHANGED, "state": 3, "path": b"/w1"}
    assert s.set_data("/w1", b"2") == OK
    assert s.events() == []


@pytest.mark.since(3, 9, 0)
def test_an_event_names_the_zxid_that_fired_it(story: Story) -> None:
    s = story.session()
    assert s.exists("/w2", watch=True) == NO_NODE
    reply = s.ask(wire.CREATE, wire.create_request("/w2"))
    event = s.outcome.frames[s.slot][0]
    assert (event["xid"], event["zxid"], event["err"]) == (-1, reply.get("zxid", event["zxid"]), 0)
    assert s.events() == [(CREATED, b"/w2")]
    # Catch-up after a reconnect names none.
    assert s.set_watches(0, ["/w2"], [], []) == OK
    assert s.outcome.frames[s.slot][0]["zxid"] == -1


def test_which_reads_leave_a_watch_when_they_fail(story: Story) -> None:
    s = story.session()
    assert s.get_data("/w3", watch=True) == NO_NODE
    assert s.get_children("/w3", watch=True) == NO_NODE
    assert s.create("/w3") == OK
    assert s.events() == []
    assert s.exists("/w3x", watch=True) == NO_NODE
    assert s.create("/w3x") == OK
    assert s.events() == [(CREATED, b"/w3x")]


def test_a_delete_tells_of_the_node_and_its_parent(story: Story) -> None:
    s, other = story.session(), story.session()
    assert s.create("/w4") == OK
    assert s.create("/w4/c") == OK
    assert other.get_data("/w4/c", watch=True) == OK
    assert other.get_children("/w4/c", watch=True) == OK
    assert other.get_children("/w4", watch=True) == OK
    assert s.delete("/w4/c") == OK
    assert other.pair_events(s.outcome) == [(DELETED, b"/w4/c"), (CHILD, b"/w4")]
    assert other.get_children("/", watch=True) == OK
    assert s.delete("/w4") == OK
    assert other.pair_events(s.outcome) == [(CHILD, b"/")]


def test_child_watches_do_not_tell_of_data(story: Story) -> None:
    s = story.session()
    assert s.create("/w5") == OK
    assert s.get_children("/w5", watch=True) == OK
    assert s.set_data("/w5", b"x") == OK
    assert s.set_acl("/w5", wire.OPEN_ACL) == OK
    assert s.events() == []
    assert s.create("/w5/c") == OK
    assert s.events() == [(CHILD, b"/w5")]


def test_persistent_watches_stay(story: Story) -> None:
    s = story.session()
    assert s.add_watch("/w6", MODE_PERSISTENT) == OK
    seen: list[tuple[int, bytes]] = []
    for act in (
        lambda: s.create("/w6"),
        lambda: s.set_data("/w6", b"x"),
        lambda: s.create("/w6/c"),
        lambda: s.set_data("/w6/c", b"x"),
        lambda: s.delete("/w6/c"),
        lambda: s.delete("/w6"),
    ):
        assert act() == OK
        seen += s.events()
    kinds = [kind for kind, _ in seen]
    assert kinds == [CREATED, CHANGED, CHILD, CHILD, DELETED]
    assert {path for _, path in seen} == {b"/w6"}


@pytest.mark.since(3, 9, 0)
def test_recursive_watches_tell_of_all_below_but_not_of_children(story: Story) -> None:
    s = story.session()
    assert s.add_watch("/w7", MODE_RECURSIVE) == OK
    assert s.create("/w7") == OK
    assert s.events() == [(CREATED, b"/w7")]
    assert s.create("/w7/a") == OK
    assert s.events() == [(CREATED, b"/w7/a")]
    assert s.create("/w7/a/b") == OK
    assert s.events() == [(CREATED, b"/w7/a/b")]
    assert s.create("/w7x") == OK
    assert s.events() == []
    assert s.set_data("/w7/a/b") == OK
    assert s.events() == [(CHANGED, b"/w7/a/b")]
    assert s.delete("/w7/a/b") == OK
    assert s.events() == [(DELETED, b"/w7/a/b")]


@pytest.mark.since(3, 9, 0)
def test_modes_of_one_path_live_side_by_side(story: Story) -> None:
    s = story.session()
    assert s.create("/w8") == OK
    assert s.get_data("/w8", watch=True) == OK
    assert s.get_children("/w8", watch=True) == OK
    assert s.add_watch("/w8", MODE_PERSISTENT) == OK
    assert s.add_watch("/w8", MODE_RECURSIVE) == OK
    for kind in (CHILDREN, DATA, ANY, PERSISTENT, RECURSIVE):
        assert s.check_watches("/w8", kind) == OK
    assert s.set_data("/w8") == OK
    assert s.events() == [(CHANGED, b"/w8")]
    assert s.check_watches("/w8", DATA) == NO_WATCHER
    assert s.check_watches("/w8", CHILDREN) == OK
    assert s.remove_watches("/w8", CHILDREN) == OK
    assert s.remove_watches("/w8", CHILDREN) == NO_WATCHER
    assert s.check_watches("/w8", PERSISTENT) == OK
    assert s.remove_watches("/w8", PERSISTENT) == OK
    assert s.set_data("/w8") == OK
    assert s.events() == [(CHANGED, b"/w8")]
    assert s.remove_watches("/w8", ANY) == OK
    assert s.set_data("/w8") == OK
    assert s.events() == []
    assert s.check_watches("/w8", ANY) == NO_WATCHER


@pytest.mark.since(3, 9, 0)
def test_a_delete_is_told_once_however_many_watches(story: Story) -> None:
    s = story.session()
    assert s.create("/w9") == OK
    assert s.get_data("/w9", watch=True) == OK
    assert s.get_children("/w9", watch=True) == OK
    assert s.add_watch("/w9", MODE_PERSISTENT) == OK
    assert s.add_watch("/", MODE_RECURSIVE) == OK
    assert s.delete("/w9") == OK
    assert s.events() == [(DELETED, b"/w9")]


def test_bad_kinds_are_malformed(story: Story) -> None:
    s = story.session()
    for mode in (2, -1, 100):
        assert s.add_watch("/", mode) == MARSHALLING_ERROR
    for kind in (0, 6, -1):
        assert s.remove_watches("/", kind) == MARSHALLING_ERROR
        assert s.check_watches("/", kind) == MARSHALLING_ERROR
    assert s.remove_watches("/", ANY) == NO_WATCHER


def test_set_watches_catches_up_before_it_answers(story: Story) -> None:
    s = story.session()
    assert s.create("/wa") == OK
    old = s.stat("/wa")["mzxid"]
    assert s.set_data("/wa", b"new") == OK
    assert s.create("/wa/c") == OK
    assert s.set_watches(old, ["/wa", "/wa/c", "/none"], ["/wa", "/none"], ["/wa", "/none"]) == OK
    assert [("event" in frame) for frame in s.outcome.frames[s.slot]][-2:] == [False, False]
    assert s.events() == [
        (CHANGED, b"/wa"),
        (CHANGED, b"/wa/c"),
        (DELETED, b"/none"),
        (CREATED, b"/wa"),
        (CHILD, b"/wa"),
        (DELETED, b"/none"),
    ]
    # What was up to date is watched again.
    now = s.stat("/wa")["pzxid"]
    assert s.set_watches(now, ["/wa"], ["/none"], ["/wa"]) == OK
    assert s.events() == []
    assert s.create("/wa/d") == OK
    assert s.events() == [(CHILD, b"/wa")]
    assert s.set_data("/wa") == OK
    assert s.events() == [(CHANGED, b"/wa")]
    assert s.create("/none") == OK
    assert s.events() == [(CREATED, b"/none")]


def test_set_watches_with_a_null_vector_is_malformed(story: Story) -> None:
    s = story.session()
    assert s.set_watches(0, None, [], []) == MARSHALLING_ERROR
    assert s.set_watches(0, [], ["/wn"], None, [], []) == MARSHALLING_ERROR
    # What stood before it is watched.
    assert s.create("/wn") == OK
    assert s.events() == [(CREATED, b"/wn")]
    assert s.delete("/wn") == OK


def test_set_watches2_knows_the_persistent_kinds(story: Story) -> None:
    s = story.session()
    assert s.set_watches(0, [], [], [], ["/wb"], []) == OK
    assert s.events() == []
    assert s.create("/wb") == OK
    assert s.events() == [(CREATED, b"/wb")]
    assert s.set_data("/wb") == OK
    assert s.events() == [(CHANGED, b"/wb")]


def test_watches_end_with_the_connection_not_the_session(story: Story) -> None:
    s, other = story.session(), story.session()
    assert s.create("/wc", flags=1) == OK
    assert s.get_data("/wc", watch=True) == OK
    s.reconnect()
    assert other.set_data("/wc") == OK
    assert s.pair_events(other.outcome) == []
    assert s.exists("/wc", watch=True) == OK
    assert other.get_data("/wc", watch=True) == OK
    assert s.close() == OK
    assert other.pair_events(s.outcome) == [(DELETED, b"/wc")]


@pytest.mark.since(3, 9, 2)
def test_events_are_kept_from_those_who_may_not_read(story: Story) -> None:
    owner, other = story.session(), story.session()
    assert owner.auth("ann:secret") == OK
    mine = ((31, "auth", ""),)
    assert other.add_watch("/wd", MODE_RECURSIVE) == OK
    assert other.exists("/wd", watch=True) == NO_NODE
    assert owner.create("/wd", acl=mine) == OK
    assert other.pair_events(owner.outcome) == []
    assert other.exists("/wd", watch=True) == NO_AUTH
    assert owner.set_data("/wd") == OK
    assert owner.create("/wd/open") == OK
    assert other.pair_events(owner.outcome) == [(CREATED, b"/wd/open")]
    assert owner.delete("/wd/open") == OK
    assert owner.delete("/wd") == OK
    assert other.pair_events(owner.outcome) == []


def _reads(s: Session, path: str) -> list[int | None]:
    return [s.exists(path), s.get_data(path), s.get_children(path)]


@pytest.mark.since(3, 9, 2)
def test_reads_need_read(story: Story) -> None:
    s = story.session()
    assert s.create("/we", acl=((30, "world", "anyone"),)) == OK
    assert _reads(s, "/we") == [NO_AUTH, NO_AUTH, NO_AUTH]
    assert s.err(wire.GET_ALL_CHILDREN_NUMBER, wire.path_request("/we")) == NO_AUTH
    assert s.acl("/we")["err"] == OK
    assert s.create("/we/x") == OK
    assert s.exists("/we/x") == OK


@pytest.mark.since(3, 9, 0)
def test_a_null_path_and_an_empty_one_can_be_watched(story: Story) -> None:
    """Null is a key like others to Java's maps; nothing ever happens there."""
    s = story.session()
    for path in (None, ""):
        for mode, kind in ((MODE_PERSISTENT, 4), (MODE_RECURSIVE, 5)):
            assert s.check_watches(path, kind) == NO_WATCHER
            assert s.add_watch(path, mode) == OK
            assert s.check_watches(path, kind) == OK
            assert s.remove_watches(path, kind) == OK
            assert s.remove_watches(path, kind) == NO_WATCHER
        assert s.set_watches(0, [], [], [], [path], [path]) == OK
        assert s.check_watches(path, 4) == OK
        assert s.check_watches(path, 5) == OK
    assert s.create("/wf") == OK
    assert s.events() == []
    for side in story.pair.sides:
        assert "null" in four_letter_word(side.server.port, "wchp").split()
        assert "null" in four_letter_word(side.server.port, "wchc").split()


@pytest.mark.since(3, 9, 0)
@pytest.mark.parametrize("null_at", range(5))
def test_a_null_vector_in_set_watches_breaks_off_there(story: Story, null_at: int) -> None:
    """What stands before it has had its effect; a negative count but -1 is an empty vector."""
    s = story.session()
    path = f"/wg{null_at}"
    names = [f"{path}-data", path, f"{path}-child", f"{path}-persistent", f"{path}-recursive"]
    parts = [wire.texts([name]) for name in names]
    parts[null_at] = wire.int32(-1)
    record = wire.int64(0) + b"".join(parts)
    assert s.err(wire.SET_WATCHES2, record, wire.XID_SET_WATCHES) == MARSHALLING_ERROR
    assert len(s.events()) == (null_at > 0) + (null_at > 2)
    assert s.check_watches(path, DATA) == (OK if null_at > 1 else NO_WATCHER)
    assert s.check_watches(names[3], PERSISTENT) == (OK if null_at > 3 else NO_WATCHER)
    parts[null_at] = wire.int32(-7)
    record = wire.int64(0) + b"".join(parts)
    assert s.err(wire.SET_WATCHES2, record, wire.XID_SET_WATCHES) == OK
