"""Making the answers of two servers comparable, and the list of known differences.

What may differ between two right servers: session ids (numbered here in the order in
which they appear), clock times (each must belong to its zxid), the order of children,
of ephemerals and of a connection's identities (Java gives its hash order).

`KNOWN_DIFFERENCES` is the one place for answers that differ between the versions of
Apache ZooKeeper we compare with; zkserver answers as 3.9.5 does.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.support import wire

if TYPE_CHECKING:
    from tests.support.lockstep import Outcome

Version = tuple[int, int, int]
CLOCK_SLACK_MS = 5_000


def _hide_event_zxid(frame: wire.Record) -> wire.Record:
    return frame | {"zxid": "any"} if "event" in frame else frame


class KnownDifference(NamedTuple):
    """An answer that servers before version `before` give otherwise.

    `hide` makes a frame look the same on both sides; without it the question is not asked
    of such a server (see `differs`).
    """

    name: str
    before: Version
    reason: str
    hide: Callable[[wire.Record], wire.Record] | None = None


KNOWN_DIFFERENCES = (
    KnownDifference(
        "event zxid",
        (3, 9, 0),
        "ZOOKEEPER-4655: events carry the zxid that fired them from 3.9.0 on, -1 before",
        _hide_event_zxid,
    ),
    KnownDifference(
        "create in multi",
        (3, 9, 0),
        "an unknown mode or a null ACL fails the whole multi as malformed, and create2 is answered "
        "with a Stat; before, they were that operation's errors, and create2 was a create",
    ),
    KnownDifference(
        "check alone",
        (3, 9, 0),
        "check outside a multi is an unknown opcode; before, it was carried out",
    ),
    KnownDifference(
        "deleteContainer",
        (3, 9, 0),
        "the record is a string with its length; before, the bare bytes of the path",
    ),
    KnownDifference(
        "unreadable write",
        (3, 9, 0),
        "a write whose record does not read takes no zxid of its own; before, it took one",
    ),
    KnownDifference(
        "IPv6 in ACLs",
        (3, 9, 0),
        "ids of scheme ip may be IPv6 addresses; before, they were refused",
    ),
    KnownDifference(
        "null paths",
        (3, 9, 0),
        "a multi with a null path takes no zxid, an addWatch with one is harmless; "
        "before, a connection with such a watch could not be closed",
    ),
    KnownDifference(
        "hard quotas",
        (3, 9, 0),
        "a hard quota holds inside a multi too; before, it did not always",
    ),
    KnownDifference(
        "watch modes",
        (3, 9, 0),
        "ZOOKEEPER-4466, 4471, 4472, 4475: modes of one watcher on a path are kept apart, and "
        "removeWatches knows the persistent kinds; before, one mode took another's place, and "
        "checkWatches told of watches that the connection does not hold",
    ),
    KnownDifference(
        "unreadable nodes",
        (3, 9, 2),
        "ZOOKEEPER-2590, CVE-2024-23944: exists and watch events need READ on the node",
    ),
)


def differs(name: str, oldest_version: Version) -> bool:
    """Whether a server of that version answers otherwise in what `name` stands for."""
    return any(known.name == name and oldest_version < known.before for known in KNOWN_DIFFERENCES)


class Normaliser:
    """Makes one server's answers comparable; it remembers sessions and times it saw."""

    def __init__(self, oldest_version: Version) -> None:
        self.hidden = [
            known.hide
            for known in KNOWN_DIFFERENCES
            if known.hide is not None and oldest_version < known.before
        ]
        self.sessions: dict[int, str] = {}
        self.times_ms: dict[int, int] = {0: 0}
        self.first_ms = time.time() * 1000 - CLOCK_SLACK_MS

    def connect_response(self, response: wire.Record) -> wire.Record:
        """Number the session; its password must be the one that goes with its id."""
        session_id = response["session_id"]
        expected = wire.password_of(session_id) if session_id else bytes(16)
        return response | {
            "session_id": self._session(session_id),
            "password": "right" if response["password"] == expected else response["password"],
        }

    def outcome(self, outcome: Outcome, any_event_order: bool) -> Outcome:
        """All frames of a step. A closing session deletes its ephemerals in no set order."""
        for slot, frames in outcome.frames.items():
            frames = [self._frame(frame) for frame in frames]
            if any_event_order:
                events = sorted((frame for frame in frames if "event" in frame), key=repr)
                frames = events + [frame for frame in frames if "event" not in frame]
            outcome.frames[slot] = frames
        return outcome

    def _frame(self, frame: wire.Record) -> wire.Record:
        for hide in self.hidden:
            frame = hide(frame)
        body = frame.get("body")
        return frame | {"body": self._record(body)} if isinstance(body, dict) else frame

    def _record(self, record: wire.Record) -> wire.Record:
        normal: wire.Record = {}
        for key, value in record.items():
            if key == "stat":
                normal[key] = self._stat(value)
            elif key in ("children", "ephemerals", "clients"):
                normal[key] = value if value is None else sorted(value, key=repr)
            elif key == "acl":
                normal[key] = value if value is None else _acl_in_order(value)
            elif key == "results":
                normal[key] = [self._record(result) for result in value]
            else:
                normal[key] = value
        return normal

    def _session(self, session_id: int) -> int | str:
        if session_id == 0:
            return 0
        return self.sessions.setdefault(session_id, f"session {len(self.sessions)}")

    def _stat(self, stat: wire.Record) -> wire.Record:
        return stat | {
            "ctime": self._time(stat["czxid"], stat["ctime"]),
            "mtime": self._time(stat["mzxid"], stat["mtime"]),
            "ephemeralOwner": self.sessions.get(stat["ephemeralOwner"], stat["ephemeralOwner"]),
        }

    def _time(self, zxid: int, time_ms: int) -> Any:
        """Every time is that of the transaction it belongs to."""
        known = self.times_ms.setdefault(zxid, time_ms)
        if known != time_ms:
            return f"{time_ms}, but zxid {zxid} was at {known}"
        last_ms = time.time() * 1000 + CLOCK_SLACK_MS
        if zxid and not self.first_ms <= time_ms <= last_ms:
            return f"{time_ms} is not the time of a transaction of this run"
        return f"time of zxid {zxid}"


def _acl_in_order(acl: list[Any]) -> list[Any]:
    """`auth` expands to the caller's identities in Java's hash order: sort such runs."""
    ordered: list[Any] = []
    for _, run in groupby(acl, key=lambda entry: (entry[0], entry[1])):
        ordered += sorted(run, key=repr)
    return ordered
