"""What the clients of a run asked and what they were told: the only evidence of checkers.

Numbers of events (`EventLog.note`) are the clock: `invoked` and `completed` are such.
A request whose reply was lost has the outcome unknown; it may have happened or not.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from zkserver.base.stat import Stat

CREATE = "create"
CREATE_EPHEMERAL = "create ephemeral"
SET = "set"
DELETE = "delete"
GET = "get"
EXISTS = "exists"
CLOSE = "close"
SYNC = "sync"
WRITES = (CREATE, CREATE_EPHEMERAL, SET, DELETE, CLOSE)

UNKNOWN = "unknown"
DONE = "done"


@dataclass(eq=False)
class Request:
    """A request and its reply. `version` is the expected one, -1 for any."""

    client: str
    session_id: int
    xid: int
    kind: str
    path: bytes = b""
    data: bytes = b""
    version: int = -1
    watch: bool = False
    invoked: int = 0
    invoked_s: float = 0.0
    completed_s: float = 0.0
    completed: int | None = None
    outcome: str = UNKNOWN
    error: int = 0
    zxid: int = 0
    stat: Stat | None = None
    result: bytes = b""

    @property
    def short_data(self) -> str:
        """The data without the filling of large ones."""
        return self.data.decode().rstrip(".")

    def __str__(self) -> str:
        what = f"{self.client} {self.kind} {self.path.decode()} {self.short_data}".rstrip()
        return f"{what} (session 0x{self.session_id:x}, xid {self.xid})"


@dataclass(eq=False)
class Frame:
    """What a session was sent, in order: a reply (with its request) or a watch event.

    `connection` counts the connections of the run. An event of setWatches has zxid -1.
    """

    connection: int
    zxid: int
    number: int
    request: Request | None = None
    path: bytes = b""
    event_type: int = 0


@dataclass
class Session:
    """`ended` is the event by which its client knew that it is over: closed or expired.

    `timeout_ms` is what the server granted.
    """

    session_id: int
    client: str
    frames: list[Frame] = field(default_factory=list)
    opened: int = 0
    timeout_ms: int = 0
    ended: int | None = None
    end_zxid: int = 0
    expired: bool = False


@dataclass
class History:
    """Everything of a run. `complaints` are breaches that clients saw at once, by property.

    `complained` are the numbers of the events at which they saw them.

    `expiries` are the sessions that the server let expire, with the virtual time (s).
    """

    requests: list[Request] = field(default_factory=list)
    sessions: dict[int, Session] = field(default_factory=dict)
    complaints: list[tuple[str, str]] = field(default_factory=list)
    complained: list[int] = field(default_factory=list)
    expiries: list[tuple[int, float]] = field(default_factory=list)
    connections: int = 0

    def complain(self, prop: str, what: str, number: int) -> None:
        """A property is broken, and a client saw it with the event of that number."""
        self.complaints.append((prop, what))
        self.complained.append(number)
