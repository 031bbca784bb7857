"""The shortest beginning of a run that shows what is broken.

Numbers of events are the clock of all evidence, so evidence can be cut at one: requests that are
asked later were never asked, replies that come later are unknown, frames and peers' doings of
later did not happen. The smallest number at which a property is broken already is found by
bisection, each time judging that one property anew.

`Shown.event` is broken and the event before it is not; both were judged. It is the smallest one if
evidence that is broken stays so when more is added, which holds for every property that speaks of
what was seen. What is only known at the end stays what it is: which txns were committed, the
comparison of disks and trees, whether everybody was served. A property that breaks by those is
shown by the whole run.

Left out: shortening the run itself. Act one of a shorter run with the same seed is the same act.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from zkserver.sim import history as words
from zkserver.sim.checkers import CHECKERS, FAILURES, INVALID, Evidence, Verdict, judge
from zkserver.sim.history import Frame, History, Request, Session
from zkserver.sim.run import Report
from zkserver.sim.zab_checkers import ZAB_CHECKERS
from zkserver.sim.zab_history import ZabHistory

OF_THE_END = ("RestoreEqualsLive", "Liveness")


@dataclass(frozen=True)
class Shown:
    """A broken property and the events that show it: those up to number `event`.

    `at_s` is the virtual time of that event. `breach` is what the checker says of the prefix.
    """

    name: str
    breach: str
    event: int
    at_s: float


def shortest(report: Report) -> list[Shown]:
    """For each property that is broken, by when it is; the earliest first."""
    found = [_shown(report, verdict) for verdict in report.verdicts if verdict.outcome == INVALID]
    return sorted(found, key=lambda shown: shown.event)


def _shown(report: Report, verdict: Verdict) -> Shown:
    last = len(report.events) - 1
    judged = _judge_of(report, verdict.name)
    if judged is None or judged(last) is None:
        return Shown(verdict.name, verdict.detail, last, time_of(report, last))
    breach = verdict.detail
    # Broken at `high`, not broken at `low`.
    low, high = -1, last
    while high - low > 1:
        middle = (low + high) // 2
        now = judged(middle)
        if now is None:
            low = middle
        else:
            high, breach = middle, now
    return Shown(verdict.name, breach, high, time_of(report, high))


def time_of(report: Report, event: int) -> float:
    """The virtual time (s) of an event."""
    return int(report.events[event].split(maxsplit=1)[0]) / 1e6


def _judge_of(report: Report, name: str) -> Callable[[int], str | None] | None:
    """What breaks a property in the events up to a number; None for what the end alone tells."""
    evidence, zab = report.evidence, report.zab
    if name in ZAB_CHECKERS and zab is not None:
        checker = ZAB_CHECKERS[name]

        def judge_zab(event: int) -> str | None:
            try:
                return next(checker(zab_until(zab, event)), None)
            except FAILURES:
                return None

        return judge_zab
    if name in OF_THE_END or name not in CHECKERS or evidence is None:
        return None

    def judge_clients(event: int) -> str | None:
        cut = evidence_until(evidence, event, time_of(report, event))
        verdict = judge(cut, {name: CHECKERS[name]})[0]
        return verdict.detail if verdict.outcome == INVALID else None

    return judge_clients


def zab_until(history: ZabHistory, event: int) -> ZabHistory:
    """What servers did up to an event."""
    return ZabHistory([each for each in history.events if each.number <= event])


def evidence_until(evidence: Evidence, event: int, at_s: float) -> Evidence:
    """What clients knew at an event, which was at `at_s`."""
    return Evidence(
        history_until(evidence.history, event, at_s),
        evidence.log,
        evidence.log_reads,
        [],
        [],
        evidence.expiry_slack_ms,
    )


def history_until(history: History, event: int, at_s: float) -> History:
    """What clients had asked and been told at an event.

    Expiries have a time and no number; times of events are whole microseconds.
    """
    cut: dict[Request, Request] = {}
    for request in history.requests:
        if request.invoked <= event:
            cut[request] = _request_until(request, event)
    complaints = [
        pair for pair, number in zip(history.complaints, history.complained, strict=True)
        if number <= event
    ]
    return History(
        list(cut.values()),
        {
            session_id: _session_until(session, cut, event)
            for session_id, session in history.sessions.items()
            if session.opened <= event
        },
        complaints,
        [number for number in history.complained if number <= event],
        [expiry for expiry in history.expiries if expiry[1] <= at_s + 1e-6],
        history.connections,
    )


def _request_until(request: Request, event: int) -> Request:
    if request.completed is None or request.completed <= event:
        return request
    return replace(
        request,
        completed=None,
        completed_s=0.0,
        outcome=words.UNKNOWN,
        error=0,
        zxid=0,
        stat=None,
        result=b"",
    )


def _session_until(session: Session, cut: dict[Request, Request], event: int) -> Session:
    frames = [_frame(frame, cut) for frame in session.frames if frame.number <= event]
    if session.ended is None or session.ended <= event:
        return replace(session, frames=frames)
    return replace(session, frames=frames, ended=None, end_zxid=0, expired=False)


def _frame(frame: Frame, cut: dict[Request, Request]) -> Frame:
    if frame.request is None:
        return frame
    return replace(frame, request=cut[frame.request])
