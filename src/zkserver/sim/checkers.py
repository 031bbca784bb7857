"""What must hold of a run, each property by its name, with one of three verdicts.

ok, invalid, or unknown; a checker that fails itself says unknown, never ok. The
evidence is what clients asked and were told (`history`) and, for the outcome of
requests whose reply was lost, the transactions on the disk after the run.

* NoAckedWriteLost: every answered write is in the log, with the zxid it was answered with.
* WritesLinearizable: in order of zxids every write meets the result it was answered
  with, and none that was answered before another was asked comes after it.
* SessionOrder: replies come in order of requests, their zxids never fall within a
  session, every read shows the znode as of the zxid in its reply, and writes take effect
  in the order they were asked in.
* SyncedReads: a sync brings whatever was answered before it, of the same reign.
* WatchBeforeRead: an event comes before any reply of its zxid or a later one, and a
  read never shows a change that its session watches for and has no event of.
* SessionIds: no session id is given out twice.
* Ephemerals: gone with their session, and not before.
* RestoreEqualsLive: what recovery makes of the disk is what the server has in memory.
* Liveness: once the faults are over, everybody is served and the server stays up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from zkserver.base import opcodes as op
from zkserver.base.zxid import epoch_of
from zkserver.jute.txns import Txn
from zkserver.sim import history as words
from zkserver.sim.history import Frame, History, Request, Session
from zkserver.sim.model import Model, Version, build

OK = "ok"
INVALID = "invalid"
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Verdict:
    """`detail` names the first breach, or why a verdict is unknown."""

    name: str
    outcome: str
    detail: str = ""


@dataclass
class Evidence:
    """All that is known of a run when it is over. `audits` and `stuck` are breaches found in it.

    `log_reads` is false if the log on the disk is damaged, and `log` then empty. A session may
    expire `expiry_slack_ms` before its timeout: the leader need not hear all that a follower does.
    """

    history: History
    log: list[Txn]
    log_reads: bool = True
    audits: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    expiry_slack_ms: int = 0

    def __post_init__(self) -> None:
        self.model: Model = build(self.history, self.log)


Checker = Callable[[Evidence], Iterator[str]]


def no_acked_write_lost(evidence: Evidence) -> Iterator[str]:
    """Every answered write is in the log under its zxid."""
    logged = {txn[2]: (txn[0], txn[1]) for txn in evidence.log}
    for request in evidence.history.requests:
        if request.kind not in words.WRITES or request.outcome != words.DONE:
            continue
        if logged.get(request.zxid) != (request.session_id, request.xid):
            yield f"{request}: answered with zxid 0x{request.zxid:x}, which the log does not have"
    for session in evidence.history.sessions.values():
        if not any(txn[0] == session.session_id for txn in evidence.log):
            yield f"session 0x{session.session_id:x} of {session.client} is not in the log"


def writes_linearizable(evidence: Evidence) -> Iterator[str]:
    """The order of zxids explains every result, and does not contradict real time."""
    model = evidence.model
    # The latest moment at which a write of a lower zxid was asked.
    latest_asked = 0
    latest: Request | None = None
    for zxid in sorted(model.requests):
        request = model.requests[zxid]
        if request.completed is not None:
            if request.error != model.expected[zxid]:
                yield (
                    f"{request}: answered with error {request.error}, and zxid 0x{zxid:x} "
                    f"means {model.expected[zxid]}"
                )
            node = model.at(request.path, zxid)
            if request.stat is not None and not _shows(request, node):
                yield f"{request}: answered with {request.stat}, and zxid 0x{zxid:x} means {node}"
            if request.completed < latest_asked:
                yield f"{request}: was answered before {latest} was asked, and comes after it"
        if request.invoked > latest_asked:
            latest_asked, latest = request.invoked, request


def _shows(request: Request, node: Version | None) -> bool:
    stat = request.stat
    if stat is None or node is None:
        return (stat is None) == (node is None)
    seen = (stat.version, stat.ephemeral_owner, stat.czxid, stat.mzxid)
    wanted = (node.version, node.owner, node.czxid, node.mzxid)
    return seen == wanted and (request.kind != words.GET or request.result == node.data)


def session_order(evidence: Evidence) -> Iterator[str]:
    """Zxids never fall, and reads are of the zxid they say."""
    for session in evidence.history.sessions.values():
        last = 0
        for frame in _replies(session):
            if frame.zxid < last:
                yield f"{frame.request or session.client}: zxid 0x{frame.zxid:x} after 0x{last:x}"
            last = max(last, frame.zxid)
            request = frame.request
            if request is None or request.kind not in (words.GET, words.EXISTS):
                continue
            node = evidence.model.at(request.path, frame.zxid)
            if not _shows(request, node):
                yield f"{request}: shows {request.stat}, and as of 0x{frame.zxid:x} it is {node}"
    newest: dict[int, int] = {}
    for session_id, xid, zxid, _, kind, _ in evidence.log:
        if kind in (op.ERROR, op.CREATE_SESSION) or not xid:
            continue
        if xid < newest.get(session_id, 0):
            yield (
                f"0x{zxid:x} is request {xid} of session 0x{session_id:x}, "
                f"behind its request {newest[session_id]}"
            )
        newest[session_id] = xid


def synced_reads(evidence: Evidence) -> Iterator[str]:
    """A sync's reply is of a state that holds every write answered before it was asked.

    Only those of the reign that the reply is of: a leader answers syncs without asking a quorum,
    so one that is not the leader any more may answer for its own reign, as Apache's does.
    """
    answered = [
        request
        for request in evidence.history.requests
        if request.outcome == words.DONE and request.kind in (*words.WRITES, words.SYNC)
    ]
    # By epoch, the newest write that was answered so far.
    newest: dict[int, int] = {}
    moments = [(each.invoked, 1, each) for each in answered if each.kind == words.SYNC]
    moments += [(each.completed or 0, 0, each) for each in answered if each.kind != words.SYNC]
    for _, is_sync, request in sorted(moments, key=lambda moment: moment[:2]):
        epoch = epoch_of(request.zxid)
        if not is_sync:
            newest[epoch] = max(newest.get(epoch, 0), request.zxid)
        elif request.zxid < newest.get(epoch, 0):
            yield (
                f"{request}: shows 0x{request.zxid:x}, and 0x{newest[epoch]:x} was answered before"
            )


def _replies(session: Session) -> Iterator[Frame]:
    return (frame for frame in session.frames if not frame.event_type)


def watch_before_read(evidence: Evidence) -> Iterator[str]:
    """No reply overtakes the event of a change that it could show."""
    for session in evidence.history.sessions.values():
        connection = -1
        last = 0
        # Paths that are watched, and the mzxid that was seen then (0: no znode).
        watched: dict[bytes, int] = {}
        for frame in session.frames:
            if frame.connection != connection:
                connection, last = frame.connection, 0
            if frame.event_type:
                watched.pop(frame.path, None)
                if 0 < frame.zxid <= last:
                    yield (
                        f"{session.client}: the event of 0x{frame.zxid:x} on "
                        f"{frame.path.decode()} comes after a reply of 0x{last:x}"
                    )
                continue
            last = max(last, frame.zxid)
            request = frame.request
            if request is None or not request.path:
                continue
            seen = _mzxid(request)
            if seen is None:
                continue
            if watched.get(request.path, seen) != seen:
                yield f"{request}: shows a change that no event has told of"
            if request.watch and (seen or request.kind == words.EXISTS):
                watched.setdefault(request.path, seen)


def _mzxid(request: Request) -> int | None:
    """What a reply tells of the znode: its mzxid, 0 if there is none; None: nothing."""
    if request.stat is not None:
        return request.stat.mzxid
    if request.kind in (words.GET, words.EXISTS):
        return 0
    return None


def session_ids(evidence: Evidence) -> Iterator[str]:
    """Clients complain of an id that somebody had before; nothing else to look at."""
    yield from (what for name, what in evidence.history.complaints if name == "SessionIds")


def ephemerals(evidence: Evidence) -> Iterator[str]:
    """Reads show an ephemeral while its session lives, and not when that has ended."""
    history = evidence.history
    closed = {txn[0]: txn[2] for txn in evidence.log if txn[4] == op.CLOSE_SESSION}
    alive = {session.session_id: _last_alive(session) for session in history.sessions.values()}
    for request in history.requests:
        stat = request.stat
        if stat is None or not stat.ephemeral_owner:
            continue
        session = history.sessions.get(stat.ephemeral_owner)
        # A client may learn that its session has expired a moment before the transaction
        # that closes it takes effect, so that one counts; without one, what the client knows.
        if stat.ephemeral_owner in closed:
            is_over = closed[stat.ephemeral_owner] <= request.zxid
        else:
            is_over = session is not None and (session.ended or request.invoked) < request.invoked
        if is_over:
            owner = f"0x{stat.ephemeral_owner:x}"
            yield f"{request}: shows an ephemeral of session {owner}, which has ended"
    for zxid, request in evidence.model.requests.items():
        if request.kind != words.CREATE_EPHEMERAL or evidence.model.expected[zxid]:
            continue
        changes = evidence.model.versions[request.path]
        gone = [change for at, change in changes if at > zxid]
        if gone and gone[0] is None:
            yield from _gone_too_early(evidence, request, zxid, alive)
    yield from _expired_too_early(history, evidence.expiry_slack_ms)


def _expired_too_early(history: History, slack_ms: int) -> Iterator[str]:
    """A session lives for its timeout after the last request that it was answered.

    It may go on after its expiry if the server lost power before that was on disk.
    """
    for session_id, at_s in history.expiries:
        session = history.sessions.get(session_id)
        asked_s = [
            request.invoked_s
            for request in history.requests
            if request.session_id == session_id
            and request.outcome == words.DONE
            and request.completed_s <= at_s
        ]
        if session is None or not asked_s:
            continue
        idle_s = at_s - max(asked_s)
        # The server counts whole milliseconds.
        if idle_s * 1000 < session.timeout_ms - 1 - slack_ms:
            yield (
                f"session 0x{session_id:x} of {session.client}: expired {idle_s:.3f} s after a "
                f"request that was answered, its timeout is {session.timeout_ms} ms"
            )


def _last_alive(session: Session) -> int:
    """The zxid of the last reply that the session got, its closing aside."""
    zxids = [
        frame.zxid
        for frame in _replies(session)
        if frame.request is None or frame.request.kind != words.CLOSE
    ]
    return max(zxids, default=0)


def _gone_too_early(
    evidence: Evidence, created: Request, zxid: int, alive: dict[int, int]
) -> Iterator[str]:
    """Complain of an ephemeral that went with its session while that was still answered."""
    model = evidence.model
    gone_zxid = next(at for at, node in model.versions[created.path] if at > zxid and node is None)
    by = model.requests.get(gone_zxid)
    if by is not None and by.kind == words.DELETE:
        return
    if alive.get(created.session_id, 0) > gone_zxid:
        yield f"{created}: its session was closed at 0x{gone_zxid:x} and answered after that"


def restore_equals_live(evidence: Evidence) -> Iterator[str]:
    """Compared during the run, whenever nothing was on its way."""
    yield from evidence.audits


def liveness(evidence: Evidence) -> Iterator[str]:
    """Told by the run's second act."""
    yield from evidence.stuck


CHECKERS: dict[str, Checker] = {
    "NoAckedWriteLost": no_acked_write_lost,
    "WritesLinearizable": writes_linearizable,
    "SessionOrder": session_order,
    "SyncedReads": synced_reads,
    "WatchBeforeRead": watch_before_read,
    "SessionIds": session_ids,
    "Ephemerals": ephemerals,
    "RestoreEqualsLive": restore_equals_live,
    "Liveness": liveness,
}

NEED_NO_LOG = ("SyncedReads", "WatchBeforeRead", "SessionIds", "RestoreEqualsLive", "Liveness")

# What a checker may stumble over in evidence that it was not made for.
FAILURES = (LookupError, TypeError, ValueError, ArithmeticError, AttributeError)


def judge(evidence: Evidence, checkers: dict[str, Checker] | None = None) -> list[Verdict]:
    """One verdict per property, and one more for each that a client saw broken."""
    verdicts = []
    for name, checker in (CHECKERS if checkers is None else checkers).items():
        if not evidence.log_reads and name not in NEED_NO_LOG:
            verdicts.append(Verdict(name, UNKNOWN, "the log on the disk does not read"))
            continue
        complaints = [what for prop, what in evidence.history.complaints if prop == name]
        try:
            breach = next(iter(complaints), None) or next(checker(evidence), None)
        except FAILURES as error:
            verdicts.append(Verdict(name, UNKNOWN, f"the checker failed: {error!r}"))
            continue
        verdicts.append(Verdict(name, OK if breach is None else INVALID, breach or ""))
    return verdicts
