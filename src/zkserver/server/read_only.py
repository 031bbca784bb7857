"""Reads without a leader: the pipeline of a peer that has lost its quorum (readonlymode.enabled).

Clients that said they can do with less are served from the tree as it is, which may be behind
what the others have by now. Their sessions are this server's own and end with it; whatever would
change something is answered NOTREADONLY, and a session that all servers know is not given back:
its client is hung up on, for to tell it that its session is over would be wrong.

Apache's server does this only together with localSessionsEnabled, for without it nobody can open
a session there; here readonlymode.enabled is enough.
"""

from __future__ import annotations

from collections.abc import Container

from zkserver.base import opcodes as op
from zkserver.base.errors import ClientError, ErrorCode, LinkError
from zkserver.server import local_answers
from zkserver.server.connection import Connection
from zkserver.server.leading import FORWARDED, LOCAL_READS
from zkserver.server.local_sessions import open_local
from zkserver.server.reads import Handler
from zkserver.server.server import Server
from zkserver.session import passwords

GRACE_MS = 2000
"""How long a peer must have looked for a leader, at least, before it serves reads."""


def refuse(_connection: Connection, _xid: int, _data: bytes, _start: int, _stop: int) -> None:
    """Whatever would change something."""
    raise ClientError(ErrorCode.NOTREADONLY)


HANDLERS: dict[int, Handler] = {
    **LOCAL_READS,
    **dict.fromkeys(FORWARDED - {op.CLOSE_SESSION}, refuse),
}


class ReadOnlyPipeline:
    """See the module's docstring; `server.server.Requests` says what each method is for."""

    mode = "read-only"
    handlers = HANDLERS
    writes = frozenset((op.CLOSE_SESSION,))
    is_authority = False

    def __init__(self, server: Server, global_sessions: Container[int]) -> None:
        self.server = server
        self._global_sessions = global_sessions
        server.is_read_only = server.has_local_sessions = True

    def submit(
        self,
        connection: Connection,
        _kind: int,
        cxid: int,
        _data: bytes,
        _start: int,
        _stop: int,
    ) -> bool:
        """closeSession, the only one left."""
        connection.answer_in_turn(cxid, local_answers.END_SESSION, b"")
        return True

    def submit_internal(self, _kind: int, _session_id: int, _body: bytes = b"") -> None:
        """Nothing is written."""

    def open_session(self, connection: Connection) -> None:
        """All sessions are local."""
        open_local(connection)

    def resume_session(
        self, connection: Connection, session_id: int, password: bytes | None
    ) -> None:
        """A session of this server, or none."""
        server = self.server
        if session_id in self._global_sessions:
            raise LinkError("a session of the ensemble is not renewed without a leader")
        is_valid = passwords.is_password(session_id, password) and server.sessions.set_timeout(
            session_id, connection.session_timeout_ms, server.now_ms()
        )
        server.settle(connection, session_id, is_valid=is_valid)

    def end_run(self) -> None:
        """There are no writes."""

    def abandoned(self, connection: Connection) -> int:
        """What waits, waits for nothing."""
        return len(connection.waiting)
