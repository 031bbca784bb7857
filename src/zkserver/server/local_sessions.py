"""Sessions that one server alone knows (localSessionsEnabled), on a leader and on a learner.

* A new session is open at once: no transaction makes it, no other server hears of it. It expires
  by its own server's word, and a client that brings it to another server is told that it is over.
* Its writes go the usual way. The leader takes those of sessions that it does not know, unless
  they bear its own number: they may be another server's local ones.
* An ephemeral znode needs a session that all know. With localSessionsUpgradingEnabled the server
  has the session made global by a createSession right before the request; without, it refuses
  with EPHEMERALONLOCALSESSION. Java proposes that refusal, as a transaction with another error
  in it; here nobody else hears of it.
"""

from __future__ import annotations

from typing import Protocol

from zkserver.base import opcodes as op
from zkserver.jute.codec import pack_int, pack_long
from zkserver.server import local_answers
from zkserver.server.connection import Connection
from zkserver.server.database import Database
from zkserver.server.leading import LeaderPipeline, LeaderRole
from zkserver.server.learning import LearnerPipeline, LearnerRole
from zkserver.server.server import Server
from zkserver.session import passwords
from zkserver.session.tracker import SessionTracker
from zkserver.zab.effects import LEADER_LINK, Revalidation

_MAY_MAKE_EPHEMERALS = frozenset((op.CREATE, op.CREATE2, op.MULTI))


class _Upgrades(Protocol):
    server: Server

    def upgrade(self, connection: Connection) -> None:
        """Have a connection's local session made global."""


class LiveOrForeign:
    """The sessions that the leader takes writes of: those it knows, and other servers' local ones.

    Known ones are live or closing; a server's number is the top byte of the ids it makes.
    """

    def __init__(self, sessions: SessionTracker, server_id: int) -> None:
        self._sessions = sessions
        self._number = server_id & 0xFF

    def __contains__(self, session_id: object) -> bool:
        sessions = self._sessions
        if session_id in sessions.live:
            return True
        if not isinstance(session_id, int) or session_id in sessions:
            return False
        return pack_long(session_id)[0] != self._number


def open_local(connection: Connection) -> None:
    """A connection's new session is this server's own."""
    connection.server.sessions.make_local(connection.session_id)
    connection.settle(valid=True)


def settle_here(
    pipeline: _Upgrades, connection: Connection, kind: int, cxid: int, body: bytes
) -> bool:
    """Whether a write of a local session needs no transaction: then it is answered in its turn."""
    server = pipeline.server
    session_id = connection.session_id
    if session_id not in server.sessions.local:
        return False
    if kind == op.CLOSE_SESSION:
        server.sessions.set_closing(session_id)
        connection.answer_in_turn(cxid, local_answers.END_SESSION, b"")
        return True
    if kind not in _MAY_MAKE_EPHEMERALS or not local_answers.makes_ephemeral(kind, body):
        return False
    if not server.config.local_sessions_upgrading_enabled:
        connection.answer_in_turn(cxid, local_answers.REFUSE_EPHEMERAL, pack_int(kind) + body)
        return True
    pipeline.upgrade(connection)
    return False


class LocalLeaderPipeline(LeaderPipeline):
    """The leader's pipeline, with local sessions of its own and of learners."""

    def __init__(self, server: Server, epoch_zxid: int) -> None:
        super().__init__(server, epoch_zxid)
        server.has_local_sessions = True
        facts = server.peer
        number = 0 if facts is None else facts.server_id
        self.prep.live_sessions = LiveOrForeign(server.sessions, number)

    def submit(
        self, connection: Connection, kind: int, cxid: int, data: bytes, start: int, stop: int
    ) -> bool:
        """See `LeaderPipeline`."""
        if settle_here(self, connection, kind, cxid, data[start:stop]):
            return True
        return super().submit(connection, kind, cxid, data, start, stop)

    def open_session(self, connection: Connection) -> None:
        """Nobody has to be told."""
        open_local(connection)

    def upgrade(self, connection: Connection) -> None:
        """The createSession goes before the request that needs it."""
        server, session_id = self.server, connection.session_id
        timeout_ms = server.sessions.upgrade(session_id)
        server.sessions.set_owner(session_id, LEADER_LINK)
        prepared = self.prep.prepare_create_session(session_id, timeout_ms, server.wall_ms())
        self._add(prepared, None, op.CREATE_SESSION)

    def revalidate(self, asked: Revalidation) -> bool:
        """A local session of the leader does not move."""
        return asked.session_id not in self.server.sessions.local and super().revalidate(asked)


class LocalLearnerPipeline(LearnerPipeline):
    """A learner's pipeline, with local sessions."""

    def __init__(self, server: Server, database: Database, mode: str) -> None:
        super().__init__(server, database, mode)
        server.has_local_sessions = True

    def submit(
        self, connection: Connection, kind: int, cxid: int, data: bytes, start: int, stop: int
    ) -> bool:
        """See `LearnerPipeline`."""
        if settle_here(self, connection, kind, cxid, data[start:stop]):
            return True
        return super().submit(connection, kind, cxid, data, start, stop)

    def open_session(self, connection: Connection) -> None:
        """Nobody has to be told."""
        open_local(connection)

    def resume_session(
        self, connection: Connection, session_id: int, password: bytes | None
    ) -> None:
        """The leader need not be asked for a local one."""
        server = self.server
        if session_id not in server.sessions.local:
            super().resume_session(connection, session_id, password)
            return
        is_valid = passwords.is_password(session_id, password) and server.sessions.set_timeout(
            session_id, connection.session_timeout_ms, server.now_ms()
        )
        server.settle(connection, session_id, is_valid=is_valid)

    def upgrade(self, connection: Connection) -> None:
        """The createSession goes to the leader before the request that needs it."""
        timeout_ms = self.server.sessions.upgrade(connection.session_id)
        self._ask(connection, op.CREATE_SESSION, 0, pack_int(timeout_ms))

    def heard_of(self, since_ms: int) -> list[tuple[int, int]]:
        """The leader does not know local sessions."""
        local = self.server.sessions.local
        return [each for each in super().heard_of(since_ms) if each[0] not in local]


class LocalLeaderRole(LeaderRole):
    """A leader with local sessions."""

    pipeline_class = LocalLeaderPipeline


class LocalLearnerRole(LearnerRole):
    """A learner with local sessions."""

    pipeline_class = LocalLearnerPipeline
