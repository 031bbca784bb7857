"""The shortest beginning of a run that shows what is broken."""

from __future__ import annotations

import pytest

from zkserver.sim import bugs
from zkserver.sim import history as words
from zkserver.sim.checkers import CHECKERS, Evidence, Verdict, judge
from zkserver.sim.history import Frame, History, Request, Session
from zkserver.sim.prefix import evidence_until, history_until, shortest, zab_until
from zkserver.sim.run import Report, simulate
from zkserver.sim.zab_checkers import judge_zab
from zkserver.sim.zab_history import ZabHistory


def events(count: int) -> list[str]:
    return [f"{number * 1000:>12} n1       something" for number in range(count)]


def report_of(verdicts: list[Verdict], evidence=None, zab=None, count: int = 50) -> Report:
    return Report(1, None, verdicts, "", events(count), evidence=evidence, zab=zab)


def test_a_zab_property_is_shown_by_the_event_that_breaks_it() -> None:
    zab = ZabHistory()
    for server in (1, 2):
        zab.begins(server, server, 0)
    zab.established(5, 1, 1, 0)
    zab.established(17, 2, 1, 0)
    zab.established(30, 1, 1, 0)
    verdicts = [each for each in judge_zab(zab) if each.outcome == "invalid"]
    (shown,) = shortest(report_of(verdicts, zab=zab))
    assert (shown.name, shown.event, shown.at_s) == ("OneLeaderPerEpoch", 17, 0.017)
    assert shown.breach == "epoch 1 is established by n1 and by n2"
    assert len(zab_until(zab, 16).events) == 3


def test_what_the_end_alone_tells_is_shown_by_the_whole_run() -> None:
    verdicts = [Verdict("Liveness", "invalid", "c1 is not served"), Verdict("Agreement", "unknown")]
    evidence = Evidence(History(), [], stuck=["c1 is not served"])
    (shown,) = shortest(report_of(verdicts, evidence, ZabHistory()))
    assert (shown.name, shown.breach, shown.event) == ("Liveness", "c1 is not served", 49)


def test_a_history_is_cut_at_an_event() -> None:
    answered = Request("c1", 7, 1, words.SET, b"/a", b"x", invoked=3, completed=5, completed_s=0.005)
    answered.outcome, answered.zxid, answered.error = words.DONE, 9, -101
    late = Request("c1", 7, 2, words.GET, b"/a", invoked=6)
    session = Session(7, "c1", [Frame(0, 9, 5, answered), Frame(0, 9, 8)], opened=2, ended=9)
    history = History([answered, late], {7: session, 8: Session(8, "c2", opened=7)})
    history.complain("SessionIds", "0x8 was given out twice", 7)
    history.expiries.append((7, 0.0085))

    before = history_until(history, 4, 0.004)
    (asked,) = before.requests
    assert (asked.outcome, asked.completed, asked.zxid, asked.error) == (words.UNKNOWN, None, 0, 0)
    assert before.sessions.keys() == {7}
    assert (before.sessions[7].frames, before.sessions[7].ended) == ([], None)
    assert (before.complaints, before.expiries) == ([], [])

    after = history_until(history, 9, 0.009)
    assert after.requests == [answered, late]
    assert after.sessions[7].frames[0].request is answered
    assert after.sessions[7].ended == 9
    assert (len(after.complaints), len(after.expiries)) == (1, 1)
    assert answered.completed == 5


@pytest.mark.parametrize("bug", [bugs.EVENT_AFTER_REPLY, bugs.EXPIRED_EARLY])
def test_a_planted_bug_is_shown_by_the_shortest_prefix(bug: str) -> None:
    report = simulate(1, bug)
    (shown, *_) = shortest(report)
    last = len(report.events) - 1
    assert 0 < shown.event < last
    for event, outcome in ((shown.event, "invalid"), (shown.event - 1, "ok")):
        at_s = int(report.events[event][:12]) / 1e6
        cut = evidence_until(report.evidence, event, at_s)
        (verdict,) = judge(cut, {shown.name: CHECKERS[shown.name]})
        assert verdict.outcome == outcome
    assert verdict.name in [verdict.name for verdict in report.broken]
