"""Each property on the smallest history that breaks it, and on one that keeps it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from zkserver.base import opcodes as op
from zkserver.jute.txns import Txn
from zkserver.sim import history as words
from zkserver.sim.checkers import CHECKERS, Evidence, judge
from zkserver.sim.history import Frame, History, Request, Session, Stat

ANN, BOB = 1, 2
NONODE, NODEEXISTS = -101, -110


def stat(czxid: int, mzxid: int, version: int, owner: int = 0) -> Stat:
    return Stat(czxid, mzxid, 0, 0, version, 0, 0, owner, 0, 0, 0)


class Story:
    """Builds a history step by step; every step takes one number of the events' clock."""

    def __init__(self) -> None:
        self.history = History()
        self.log: list[Txn] = []
        self.clock = 0
        self.xids = {ANN: 0, BOB: 0}
        for session_id in (ANN, BOB):
            self.history.sessions[session_id] = Session(session_id, f"client {session_id}")
            self.logged(session_id, 0, session_id - 2, op.CREATE_SESSION)

    def tick(self) -> int:
        self.clock += 1
        return self.clock

    def logged(self, session_id: int, xid: int, zxid: int, kind: int = op.SET_DATA) -> None:
        self.log.append((session_id, xid, zxid, 0, kind, None))

    def ask(self, who: int, kind: str, path: bytes = b"/a", data: bytes = b"", **more: bool) -> Request:
        self.xids[who] += 1
        request = Request(f"client {who}", who, self.xids[who], kind, path, data, **more)
        request.invoked = self.tick()
        self.history.requests.append(request)
        return request

    def answer(self, request: Request, zxid: int, error: int = 0, seen: Stat | None = None) -> None:
        request.outcome, request.zxid, request.error, request.stat = words.DONE, zxid, error, seen
        request.completed = self.tick()
        frames = self.history.sessions[request.session_id].frames
        frames.append(Frame(0, zxid, request.completed, request))

    def write(self, who: int, kind: str, zxid: int, error: int = 0, seen: Stat | None = None) -> None:
        """A write that is logged and answered."""
        request = self.ask(who, kind, data=b"%d" % zxid)
        self.logged(who, request.xid, zxid)
        self.answer(request, zxid, error, seen)

    def read(self, who: int, zxid: int, seen: Stat | None, data: bytes = b"", **more: bool) -> None:
        request = self.ask(who, words.GET, **more)
        request.result = data
        self.answer(request, zxid, 0 if seen else NONODE, seen)

    def event(self, who: int, zxid: int) -> None:
        self.history.sessions[who].frames.append(Frame(0, zxid, self.tick(), None, b"/a", 3))

    def broken(self) -> list[str]:
        verdicts = judge(Evidence(self.history, self.log))
        assert all(verdict.outcome in ("ok", "invalid") for verdict in verdicts), verdicts
        return [verdict.name for verdict in verdicts if verdict.outcome == "invalid"]


@pytest.fixture
def story() -> Story:
    told = Story()
    told.write(ANN, words.CREATE, 1)
    return told


def test_a_plain_story_breaks_nothing(story: Story) -> None:
    story.write(BOB, words.SET, 2, seen=stat(1, 2, 1))
    story.write(ANN, words.CREATE, 3, error=NODEEXISTS)
    story.read(ANN, 3, stat(1, 2, 1), b"2", watch=True)
    story.write(BOB, words.SET, 4, seen=stat(1, 4, 2))
    story.event(ANN, 4)
    story.read(ANN, 4, stat(1, 4, 2), b"4")
    assert story.broken() == []


def test_an_answered_write_that_the_log_does_not_have_is_lost(story: Story) -> None:
    story.answer(story.ask(ANN, words.DELETE), 2)
    assert "NoAckedWriteLost" in story.broken()


def test_a_write_that_nobody_answered_may_have_happened_or_not(story: Story) -> None:
    happened = story.ask(ANN, words.SET, data=b"yes")
    story.ask(ANN, words.SET, data=b"no")
    story.logged(ANN, happened.xid, 2)
    story.read(BOB, 2, stat(1, 2, 1), b"yes")
    assert story.broken() == []


def test_a_result_must_be_that_of_its_place_in_the_order(story: Story) -> None:
    story.write(BOB, words.CREATE, 2)
    assert story.broken() == ["WritesLinearizable"]


def test_an_answered_write_may_not_come_after_one_that_was_asked_later(story: Story) -> None:
    first = story.ask(ANN, words.SET, data=b"3")
    story.logged(ANN, first.xid, 3)
    story.answer(first, 3, seen=stat(1, 3, 2))
    story.write(BOB, words.SET, 2, seen=stat(1, 2, 1))
    assert story.broken() == ["WritesLinearizable"]


def test_zxids_do_not_fall_within_a_session(story: Story) -> None:
    story.write(BOB, words.SET, 2, seen=stat(1, 2, 1))
    story.read(ANN, 2, stat(1, 2, 1), b"2")
    story.read(BOB, 1, stat(1, 1, 0), b"1")
    assert "SessionOrder" in story.broken()


def test_a_read_shows_the_znode_as_of_its_zxid(story: Story) -> None:
    story.write(BOB, words.SET, 2, seen=stat(1, 2, 1))
    story.read(ANN, 2, stat(1, 1, 0), b"1")
    assert story.broken() == ["SessionOrder"]


def test_writes_of_a_session_take_effect_in_the_order_they_were_asked_in(story: Story) -> None:
    first, second = (story.ask(ANN, words.SET, data=data) for data in (b"x", b"y"))
    story.logged(ANN, second.xid, 2)
    story.logged(ANN, first.xid, 3)
    assert story.broken() == ["SessionOrder"]


@pytest.mark.parametrize("code", [-118, -112])
def test_a_request_that_was_refused_has_no_effect_and_no_place(story: Story, code: int) -> None:
    """It came late, from a server that its client had left, or for a session that was over."""
    first, second = (story.ask(ANN, words.SET, data=data) for data in (b"x", b"y"))
    story.logged(ANN, second.xid, 2)
    story.log.append((ANN, first.xid, 3, 0, op.ERROR, (code,)))
    story.read(BOB, 3, stat(1, 2, 1), b"y")
    assert story.broken() == []


def test_a_sync_brings_what_was_answered_before_it(story: Story) -> None:
    story.write(BOB, words.SET, 2, seen=stat(1, 2, 1))
    story.answer(story.ask(ANN, words.SYNC), 2)
    assert story.broken() == []
    story.answer(story.ask(ANN, words.SYNC), 1)
    assert "SyncedReads" in story.broken()


def test_a_sync_may_miss_what_is_answered_after_it_was_asked(story: Story) -> None:
    early = story.ask(ANN, words.SYNC)
    story.write(BOB, words.SET, 2, seen=stat(1, 2, 1))
    story.answer(early, 1)
    assert story.broken() == []


def test_a_leader_that_is_none_any_more_syncs_its_own_reign(story: Story) -> None:
    story.write(BOB, words.SET, 1 << 32 | 1, seen=stat(1, 1 << 32 | 1, 1))
    story.answer(story.ask(ANN, words.SYNC), 1)
    assert story.broken() == []


def test_an_event_comes_before_replies_of_its_zxid(story: Story) -> None:
    story.read(ANN, 1, stat(1, 1, 0), b"1", watch=True)
    story.write(BOB, words.SET, 2, seen=stat(1, 2, 1))
    story.read(ANN, 2, stat(1, 2, 1), b"2")
    assert story.broken() == ["WatchBeforeRead"]
    story.event(ANN, 2)
    assert story.broken() == ["WatchBeforeRead"]


def test_a_late_event_is_seen_without_a_read_of_its_path(story: Story) -> None:
    story.write(BOB, words.SET, 2, seen=stat(1, 2, 1))
    story.answer(story.ask(ANN, words.EXISTS, b"/other"), 2, NONODE)
    story.event(ANN, 2)
    assert story.broken() == ["WatchBeforeRead"]


def ephemeral(story: Story) -> None:
    request = story.ask(ANN, words.CREATE_EPHEMERAL, b"/e")
    story.logged(ANN, request.xid, 2)
    story.answer(request, 2)


def look(story: Story, zxid: int, seen: Stat | None) -> None:
    story.answer(story.ask(BOB, words.EXISTS, b"/e"), zxid, 0 if seen else NONODE, seen)


def test_an_ephemeral_goes_with_its_session(story: Story) -> None:
    ephemeral(story)
    look(story, 2, stat(2, 2, 0, ANN))
    story.logged(ANN, 0, 3, op.CLOSE_SESSION)
    look(story, 3, None)
    assert story.broken() == []
    look(story, 3, stat(2, 2, 0, ANN))
    assert "Ephemerals" in story.broken()


def test_an_ephemeral_does_not_go_before_its_session(story: Story) -> None:
    ephemeral(story)
    story.logged(ANN, 0, 3, op.CLOSE_SESSION)
    assert story.broken() == []
    story.write(BOB, words.SET, 4, seen=stat(1, 4, 1))
    story.read(ANN, 4, stat(1, 4, 1), b"4")
    assert story.broken() == ["Ephemerals"]


def test_a_session_lives_for_its_timeout_after_the_last_answered_request(story: Story) -> None:
    story.history.sessions[ANN].timeout_ms = 6000
    story.history.requests[0].invoked_s = 10.0
    story.history.expiries.append((ANN, 16.0))
    assert story.broken() == []
    story.history.expiries.append((ANN, 15.9))
    assert story.broken() == ["Ephemerals"]


def test_a_session_whose_expiry_a_power_cut_undid_may_go_on(story: Story) -> None:
    story.history.sessions[ANN].timeout_ms = 6000
    story.history.expiries.append((ANN, 16.0))
    story.write(ANN, words.SET, 2, seen=stat(1, 2, 1))
    story.history.requests[-1].invoked_s = story.history.requests[-1].completed_s = 30.0
    assert story.broken() == []


def test_what_clients_and_audits_saw_counts() -> None:
    story = Story()
    story.history.complain("SessionOrder", "xid 2 before 1", 7)
    verdicts = judge(Evidence(story.history, story.log, True, ["differs"], ["is down"]))
    broken = {verdict.name: verdict.detail for verdict in verdicts if verdict.outcome == "invalid"}
    assert broken == {
        "SessionOrder": "xid 2 before 1",
        "RestoreEqualsLive": "differs",
        "Liveness": "is down",
    }


def test_a_checker_that_fails_is_no_pass(story: Story) -> None:
    def fails(_: Evidence) -> Iterator[str]:
        yield {}["evidence"]

    verdict = judge(Evidence(story.history, story.log), {**CHECKERS, "Broken": fails})[-1]
    assert (verdict.name, verdict.outcome) == ("Broken", "unknown")


def test_without_a_log_what_needs_it_is_unknown(story: Story) -> None:
    verdicts = judge(Evidence(story.history, [], False))
    unknown = [verdict.name for verdict in verdicts if verdict.outcome == "unknown"]
    assert unknown == ["NoAckedWriteLost", "WritesLinearizable", "SessionOrder", "Ephemerals"]
