"""The table of open sessions, and which of them are due to expire.

A session touched at `t` expires at the end of the tick that holds `t + timeout`:
(t + timeout) / tick rounded down, plus 1, times tick. Sessions wait in a bucket
per such instant. To touch one writes one number; when its bucket falls due, a
session that was touched since moves on to the bucket it belongs in by then.

* A session is live (may be touched, may submit requests) or closing.
* Two timeouts are kept. The one in the createSession transaction is what
  snapshots carry, and it never changes. The one negotiated by the connection
  that reopened the session rules its expiry.
* `expired` is Java's SessionTrackerImpl.run: it hands out each due session once
  and marks it closing; a closeSession transaction then removes it.
* A local session is known to this server alone: no transaction has made it, so it is in no
  snapshot. `upgrade` makes it one like the others.
"""

from __future__ import annotations

from typing import NamedTuple

from zkserver.base.errors import ClientError, ErrorCode
from zkserver.session.ids import initial_session_id, signed


class Bucket(NamedTuple):
    """Sessions that expire together, `remaining_ms` from now unless they are touched."""

    remaining_ms: int
    session_ids: list[int]


class _Session:
    __slots__ = ("bucket_ms", "owner", "timeout_ms")

    def __init__(self, timeout_ms: int, bucket_ms: int) -> None:
        self.owner: int | None = None
        self.timeout_ms = timeout_ms
        self.bucket_ms = bucket_ms


class SessionTracker:
    """Open sessions by id (signed 64-bit)."""

    def __init__(self, tick_time_ms: int, server_id: int, now_ms: int) -> None:
        self._tick_time_ms = tick_time_ms
        self._next_session_id = initial_session_id(now_ms, server_id)
        self._sessions: dict[int, _Session] = {}
        # When each live session was touched last (ms); a closing one has left this.
        # For others to look into, never to change.
        self.live: dict[int, int] = {}
        # Local sessions. For others to look into, never to change.
        self.local: dict[int, None] = {}
        # What createSession transactions said: the content of a snapshot.
        self._timeouts_ms: dict[int, int] = {}
        self._buckets: dict[int, dict[int, None]] = {}
        self._next_expiry_ms = self._round(now_ms)

    def __len__(self) -> int:
        return len(self._sessions)

    def __contains__(self, session_id: int) -> bool:
        return session_id in self._sessions

    def create(self, timeout_ms: int, now_ms: int) -> int:
        """Open a new session and return its id. Ids grow by one; those in use are passed over."""
        session_id = self._next_session_id
        while session_id in self._sessions:
            session_id = signed(session_id + 1)
        self._next_session_id = signed(session_id + 1)
        self._track(session_id, timeout_ms, now_ms)
        return session_id

    def add(self, session_id: int, timeout_ms: int, now_ms: int) -> None:
        """A createSession transaction was applied, or a session restored, with this timeout."""
        self._timeouts_ms[session_id] = timeout_ms
        if session_id not in self._sessions:
            self._track(session_id, timeout_ms, now_ms)
        else:
            self.touch(session_id, now_ms)

    def touch(self, session_id: int, now_ms: int) -> bool:
        """Put a session's expiry off; False if it is unknown or closing."""
        if session_id in self.live:
            self.live[session_id] = now_ms
            return True
        return False

    def set_timeout(self, session_id: int, timeout_ms: int, now_ms: int) -> bool:
        """Touch a session with the timeout that its new connection negotiated.

        False if it is unknown or closing. What snapshots carry stays as it was.
        """
        if session_id not in self.live:
            return False
        self.live[session_id] = now_ms
        session = self._sessions[session_id]
        session.timeout_ms = max(timeout_ms, 0)
        due_ms = self._round(now_ms + session.timeout_ms)
        if due_ms < session.bucket_ms:
            self._move(session_id, session, due_ms)
        return True

    def make_local(self, session_id: int) -> None:
        """A session that was just created is this server's own affair."""
        self.local[session_id] = None

    def upgrade(self, session_id: int) -> int:
        """A local session is going to be everybody's; its timeout (ms)."""
        del self.local[session_id]
        return self._sessions[session_id].timeout_ms

    def resume(self, session_id: int, timeout_ms: int, now_ms: int) -> None:
        """The leader says that a session lives, which this server may not have heard of yet."""
        if not self.set_timeout(session_id, timeout_ms, now_ms):
            self._track(session_id, timeout_ms, now_ms)

    def owner(self, session_id: int) -> int | None:
        """By which link the session's client came last; None: nobody has said."""
        session = self._sessions.get(session_id)
        return None if session is None else session.owner

    def set_owner(self, session_id: int, link: int) -> None:
        """The session's client comes by this link now; nothing happens if it is unknown."""
        session = self._sessions.get(session_id)
        if session is not None:
            session.owner = link

    def is_closing(self, session_id: int) -> bool:
        """Whether the session is known but takes no more requests."""
        return session_id in self._sessions and session_id not in self.live

    def set_closing(self, session_id: int) -> None:
        """Take no more requests for the session; nothing happens if it is unknown."""
        self.live.pop(session_id, None)

    def remove(self, session_id: int) -> None:
        """Forget the session: its closeSession transaction was applied."""
        self.live.pop(session_id, None)
        self.local.pop(session_id, None)
        self._timeouts_ms.pop(session_id, None)
        session = self._sessions.pop(session_id, None)
        if session is not None:
            self._leave(session_id, session.bucket_ms)

    def check(self, session_id: int) -> None:
        """Raise ClientError(SESSIONEXPIRED) if the session is unknown or closing."""
        if session_id not in self.live:
            raise ClientError(ErrorCode.SESSIONEXPIRED)

    def expired(self, now_ms: int) -> list[int]:
        """Sessions that fell due up to `now_ms`, earliest bucket first, each marked closing."""
        return self._expired(now_ms, only_local=False)

    def expired_local(self, now_ms: int) -> list[int]:
        """The same of local sessions; the others expire by another server's word."""
        return self._expired(now_ms, only_local=True)

    def _expired(self, now_ms: int, *, only_local: bool) -> list[int]:
        if now_ms < self._next_expiry_ms:
            return []
        self._next_expiry_ms = self._round(now_ms)
        found: list[int] = []
        while self._buckets:
            bucket_ms = min(self._buckets)
            if bucket_ms > now_ms:
                break
            for session_id in self._buckets.pop(bucket_ms):
                touched_ms = self.live.get(session_id)
                if touched_ms is None:
                    continue
                session = self._sessions[session_id]
                due_ms = self._round(touched_ms + session.timeout_ms)
                if only_local and session_id not in self.local:
                    due_ms = self._round(now_ms + session.timeout_ms)
                if due_ms > bucket_ms:
                    self._enter(session_id, session, due_ms)
                else:
                    del self.live[session_id]
                    found.append(session_id)
        return found

    def next_expiry_ms(self) -> int:
        """When to call `expired` next: the end of the current tick."""
        return self._next_expiry_ms

    def timeout_ms(self, session_id: int) -> int | None:
        """The timeout that rules the session's expiry; None if it is unknown."""
        session = self._sessions.get(session_id)
        return None if session is None else session.timeout_ms

    def timeouts(self) -> dict[int, int]:
        """Timeouts (ms) by session id as a snapshot carries them; a copy."""
        return dict(self._timeouts_ms)

    def dump(self, now_ms: int, *, local: bool = False) -> list[Bucket]:
        """Live sessions by the bucket they are due in, earliest first: the local ones, or else
        all others.
        """
        due: dict[int, list[int]] = {}
        for session_id, touched_ms in self.live.items():
            if (session_id in self.local) is not local:
                continue
            due_ms = self._round(touched_ms + self._sessions[session_id].timeout_ms)
            due.setdefault(due_ms, []).append(session_id)
        return [Bucket(due_ms - now_ms, due[due_ms]) for due_ms in sorted(due)]

    def _round(self, time_ms: int) -> int:
        return (time_ms // self._tick_time_ms + 1) * self._tick_time_ms

    def _track(self, session_id: int, timeout_ms: int, now_ms: int) -> None:
        # A log may hold any timeout; none may put a session into the past.
        session = _Session(max(timeout_ms, 0), 0)
        self._sessions[session_id] = session
        self.live[session_id] = now_ms
        self._enter(session_id, session, self._round(now_ms + session.timeout_ms))

    def _enter(self, session_id: int, session: _Session, bucket_ms: int) -> None:
        session.bucket_ms = bucket_ms
        bucket = self._buckets.get(bucket_ms)
        if bucket is None:
            self._buckets[bucket_ms] = {session_id: None}
        else:
            bucket[session_id] = None

    def _leave(self, session_id: int, bucket_ms: int) -> None:
        bucket = self._buckets.get(bucket_ms)
        if bucket is not None:
            bucket.pop(session_id, None)
            if not bucket:
                del self._buckets[bucket_ms]

    def _move(self, session_id: int, session: _Session, bucket_ms: int) -> None:
        self._leave(session_id, session.bucket_ms)
        self._enter(session_id, session, bucket_ms)
