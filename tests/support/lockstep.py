"""Two servers side by side, asked the same, compared reply by reply.

A `Pair` takes one step at a time: the same bytes go to both servers, then all that
the step caused is gathered on every connection: the reply, watch events in their
order, and whether the server closed it. A ping on each connection is the fence: the
server answers it after all events of the step. What came is made comparable
(`normalise.Normaliser`) and compared; the first difference raises `Difference` with
both outcomes and the steps before it.

Both servers start empty, so zxids must be equal and not merely in step.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support import wire
from tests.support.describe import describe
from tests.support.normalise import Normaliser
from tests.support.raw_client import Closed, RawClient
from tests.support.server_process import ServerProcess

HISTORY_SHOWN = 25
CLOSE_TIMEOUT_S = 5.0


class Difference(AssertionError):
    """The two servers did not do the same."""


@dataclass(frozen=True)
class Connect:
    """A new connection in `slot`: a new session, or the slot's session again."""

    slot: int
    session: bool = False
    password: bytes | None = None
    timeout_ms: int = 40000
    read_only: bool | None = False
    last_zxid: int = 0
    hang_up: bool = False

    def __str__(self) -> str:
        kind = "reconnect" if self.session else "connect"
        return f"[{self.slot}] {kind} timeout={self.timeout_ms} read_only={self.read_only}"


@dataclass(frozen=True)
class Request:
    """One request and its reply (`silent`: no reply is due)."""

    slot: int
    opcode: int
    record: bytes = b""
    xid: int | None = None
    silent: bool = False

    def __str__(self) -> str:
        xid = "" if self.xid is None else f"xid={self.xid} "
        return f"[{self.slot}] {xid}{describe(self.opcode, self.record)}"


@dataclass(frozen=True)
class Burst:
    """Several requests in one write, one reply each."""

    slot: int
    requests: tuple[tuple[int, bytes], ...]

    def __str__(self) -> str:
        return f"[{self.slot}] in one write: " + " | ".join(
            describe(opcode, record) for opcode, record in self.requests
        )


@dataclass(frozen=True)
class Raw:
    """Bytes without a frame, after which the server must close the connection."""

    slot: int
    data: bytes

    def __str__(self) -> str:
        return f"[{self.slot}] raw {self.data[:60]!r} ({len(self.data)} bytes)"


Step = Connect | Request | Burst | Raw


@dataclass
class Outcome:
    """What a step caused: decoded frames by slot, in order, and the slots that were closed."""

    frames: dict[int, list[wire.Record]] = field(default_factory=dict)
    closed: list[int] = field(default_factory=list)

    def add(self, slot: int, frame: wire.Record) -> None:
        """Note a frame that came on the connection of `slot`."""
        self.frames.setdefault(slot, []).append(frame)

    def replies(self, slot: int) -> list[wire.Record]:
        """The frames of `slot` that are no watch events."""
        return [frame for frame in self.frames.get(slot, []) if "event" not in frame]

    def events(self, slot: int) -> list[tuple[int, bytes]]:
        """The watch events of `slot`: (type, path)."""
        found = [frame["event"] for frame in self.frames.get(slot, []) if "event" in frame]
        return [(event["type"], event["path"]) for event in found]


class Side:
    """One server, its connections, and what makes its answers comparable."""

    def __init__(self, server: ServerProcess, normaliser: Normaliser) -> None:
        self.server = server
        self.normaliser = normaliser
        self.links: dict[int, RawClient] = {}
        self.credentials: dict[int, tuple[int, bytes]] = {}

    def perform(self, step: Step, xids: Sequence[int]) -> Outcome:
        """Take the step and gather what it caused."""
        outcome = Outcome()
        try:
            if isinstance(step, Connect):
                self._connect(step, outcome)
            elif isinstance(step, Request):
                self._request(step, xids[0], outcome)
            elif isinstance(step, Burst):
                self._burst(step, xids, outcome)
            else:
                self._raw(step)
            self._await_close(step, outcome)
        except Closed:
            self._lost(step.slot, outcome)
        for slot in sorted(self.links):
            self._fence(slot, outcome)
        ends_session = isinstance(step, Request) and step.opcode == wire.CLOSE_SESSION
        return self.normaliser.outcome(outcome, any_event_order=ends_session)

    def _connect(self, step: Connect, outcome: Outcome) -> None:
        old = self.links.pop(step.slot, None)
        if old is not None and step.hang_up:
            old.close()
            old = None
        session_id, password = self.credentials.get(step.slot, (0, bytes(16)))
        if not step.session:
            session_id, password = 0, bytes(16)
        link = RawClient(self.server.port)
        self.links[step.slot] = link
        response = link.connect(
            step.timeout_ms,
            session_id,
            password if step.password is None else step.password,
            step.last_zxid,
            step.read_only,
        )
        if response["session_id"]:
            self.credentials[step.slot] = (response["session_id"], response["password"])
        outcome.add(step.slot, self.normaliser.connect_response(response))
        if old is not None:
            outcome.add(step.slot, {"old connection": self._drain(old)})

    @staticmethod
    def _drain(old: RawClient) -> str:
        """A session moved to a new connection: the server must close the old one."""
        try:
            while True:
                old.receive(CLOSE_TIMEOUT_S)
        except Closed:
            return "closed"
        except TimeoutError:
            return "open"
        finally:
            old.close()

    def _request(self, step: Request, xid: int, outcome: Outcome) -> None:
        link = self.links[step.slot]
        link.send(wire.request(xid, step.opcode, step.record))
        if not step.silent:
            self._receive_until(step.slot, xid, step.opcode, outcome)

    def _burst(self, step: Burst, xids: Sequence[int], outcome: Outcome) -> None:
        payloads = [
            wire.request(xid, opcode, record)
            for xid, (opcode, record) in zip(xids, step.requests, strict=True)
        ]
        frames = [wire.int32(len(payload)) + payload for payload in payloads]
        self.links[step.slot].send_bytes(b"".join(frames))
        for xid, (opcode, _) in zip(xids, step.requests, strict=True):
            self._receive_until(step.slot, xid, opcode, outcome)

    def _raw(self, step: Raw) -> None:
        link = self.links[step.slot]
        link.send_bytes(step.data)
        link.receive()

    def _receive_until(self, slot: int, xid: int, opcode: int, outcome: Outcome) -> None:
        """Take frames up to the one with `xid`. Two kinds of frame share xid -1."""
        link = self.links[slot]
        while True:
            payload = link.receive()
            number = int.from_bytes(payload[:4], "big", signed=True)
            if number == wire.XID_EVENT and xid != wire.XID_EVENT:
                outcome.add(slot, wire.decode_event(payload))
                continue
            try:
                outcome.add(slot, wire.decode_reply(opcode, payload))
            except (wire.Malformed, KeyError):
                outcome.add(slot, {"malformed": payload.hex()})
            if number == xid or opcode == wire.PING:
                return

    def _await_close(self, step: Step, outcome: Outcome) -> None:
        """After an answer that ends the connection a ping might still slip in: wait for the end."""
        last = outcome.frames.get(step.slot, [{}])[-1]
        unknown_opcode = last.get("err") == -6 and last.get("zxid") == -1
        closing = isinstance(step, Request) and step.opcode == wire.CLOSE_SESSION
        if not (closing or unknown_opcode or last.get("err") == -115):
            return
        with contextlib.suppress(TimeoutError):
            payload = self.links[step.slot].receive(CLOSE_TIMEOUT_S)
            outcome.add(step.slot, {"behind the last reply": payload.hex()})

    def _fence(self, slot: int, outcome: Outcome) -> None:
        link = self.links[slot]
        try:
            link.send(wire.request(wire.XID_PING, wire.PING))
            self._receive_until(slot, wire.XID_PING, wire.PING, outcome)
        except Closed:
            self._lost(slot, outcome)

    def _lost(self, slot: int, outcome: Outcome) -> None:
        self.links.pop(slot).close()
        outcome.closed.append(slot)

    def close(self) -> None:
        """Close all connections."""
        for link in self.links.values():
            link.close()
        self.links.clear()


class Pair:
    """The subject and the peer, in lock-step."""

    def __init__(
        self, subject: ServerProcess, peer: ServerProcess | None, history_file: Path | None = None
    ) -> None:
        """Without a peer nothing is compared. `history_file` gets all steps of a difference."""
        servers = [subject] if peer is None else [subject, peer]
        oldest = min(server.version() for server in servers)
        self.subject = Side(subject, Normaliser(oldest))
        self.peer = None if peer is None else Side(peer, Normaliser(oldest))
        self.oldest_version = oldest
        self.broken = False
        self.history: list[str] = []
        self.history_file = history_file
        self.xids: dict[int, int] = {}

    @property
    def live_slots(self) -> list[int]:
        """Slots with an open connection."""
        return sorted(self.subject.links)

    @property
    def sides(self) -> list[Side]:
        """Both sides, or the subject alone."""
        return [self.subject] if self.peer is None else [self.subject, self.peer]

    def close(self) -> None:
        """Close all connections of both sides."""
        for side in self.sides:
            side.close()

    def _next_xid(self, slot: int) -> int:
        self.xids[slot] = self.xids.get(slot, 0) + 1
        return self.xids[slot]

    def perform(self, step: Step) -> Outcome:
        """Take one step on both servers; their common outcome, or `Difference`."""
        xids: list[int] = []
        if isinstance(step, Request):
            xids = [self._next_xid(step.slot) if step.xid is None else step.xid]
        elif isinstance(step, Burst):
            xids = [self._next_xid(step.slot) for _ in step.requests]
        self.history.append(str(step))
        theirs = None if self.peer is None else self._perform_on(self.peer, step, xids)
        ours = self._perform_on(self.subject, step, xids)
        if theirs is not None and ours != theirs:
            self.broken = True
            raise Difference(self._report(step, ours, theirs))
        return ours

    def _perform_on(self, side: Side, step: Step, xids: Sequence[int]) -> Outcome:
        try:
            return side.perform(step, xids)
        except (OSError, wire.Malformed) as error:
            self.broken = True
            raise Difference(
                f"{side.server.name}: {error!r} at step {len(self.history)}\n"
                f"{self._recent()}\nlog: {side.server.log_tail()}"
            ) from error

    def _recent(self) -> str:
        if self.history_file is not None:
            self.history_file.write_text("\n".join(self.history) + "\n")
        first = max(0, len(self.history) - HISTORY_SHOWN)
        lines = [f"{first + i + 1:5d} {line}" for i, line in enumerate(self.history[first:])]
        return "\n".join(lines)

    def _report(self, step: Step, ours: Outcome, theirs: Outcome) -> str:
        lines = [f"step {len(self.history)} differs: {step}", "the steps up to it:", self._recent()]
        for path, mine, other in differing(ours.__dict__, theirs.__dict__):
            lines += [f"at {path}", f"  ours:     {mine!r}", f"  Apache's: {other!r}"]
        return "\n".join(lines)


ABSENT = "(absent)"


def differing(ours: Any, theirs: Any, path: str = "") -> list[tuple[str, Any, Any]]:
    """The leaves in which two nested values differ: (where, ours, theirs)."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        keys = list(dict.fromkeys([*ours, *theirs]))
        pairs = [(key, ours.get(key, ABSENT), theirs.get(key, ABSENT)) for key in keys]
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        pairs = [(i, ours[i], theirs[i]) for i in range(len(ours))]
    else:
        return [] if ours == theirs else [(path, ours, theirs)]
    found = []
    for key, mine, other in pairs:
        found += differing(mine, other, f"{path}/{key}")
    return found
