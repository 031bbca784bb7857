"""Ending sessions, and waiting until everybody knows.

A session is ended as the server itself would end it: it is marked as closing, and a closeSession
transaction takes it and its ephemeral znodes away.
"""

from __future__ import annotations

from collections.abc import Sequence

from zkserver.base import opcodes as op
from zkserver.server.pipeline import Pipeline
from zkserver.server.server import Server
from zkserver.testing.errors import TestingError
from zkserver.testing.life import LIMIT_S
from zkserver.testing.server import TestServer
from zkserver.testing.watch import Watch


def expire(
    authority: TestServer, servers: Sequence[TestServer], watch: Watch, session_id: int
) -> None:
    """End a session; returns when none of `servers` that serve knows it any more.

    `authority` is the server by whose word sessions end. Raises ValueError for an unknown one.
    """
    holders = [server for server in servers if _end_local(server, session_id)]
    if not holders and not authority.life.call(lambda: _end(_server_of(authority), session_id)):
        raise ValueError(f"there is no session 0x{session_id & 0xFFFFFFFFFFFFFFFF:x}")
    if not watch.wait_for(lambda: not any(_knows(each, session_id) for each in servers), LIMIT_S):
        raise TestingError(f"the session has not ended within {LIMIT_S:g} s")


def _server_of(server: TestServer) -> Server | None:
    process = server.process
    return None if process is None else process.active_server()


def _knows(server: TestServer, session_id: int) -> bool:
    serving = _server_of(server)
    return serving is not None and not server.is_paused and session_id in serving.sessions


def _end(server: Server | None, session_id: int) -> bool:
    if server is None or session_id not in server.sessions:
        return False
    if not server.sessions.is_closing(session_id):
        server.sessions.set_closing(session_id)
        server.stats.sessions_expired += 1
        server.pipeline.submit_internal(op.CLOSE_SESSION, session_id)
    return True


def _end_local(server: TestServer, session_id: int) -> bool:
    """Whether it was a session that this server alone knew."""
    serving = _server_of(server)
    if serving is None or server.is_paused or session_id not in serving.sessions.local:
        return False
    server.life.call(lambda: serving.end_local_session(session_id))
    return True


def wait_until_applied(
    authority: TestServer, servers: Sequence[TestServer], watch: Watch, timeout_s: float
) -> None:
    """Wait until all that the authority has prepared is in the trees of all `servers`."""

    def is_applied() -> bool:
        pipeline = getattr(_server_of(authority), "pipeline", None)
        if not isinstance(pipeline, Pipeline):
            # It leads no more; what it had prepared is nobody's promise.
            return True
        zxid = pipeline.prep.zxid
        trees = [it.tree for each in servers if (it := _server_of(each)) is not None]
        return all(tree.last_zxid >= zxid for tree in trees)

    if not watch.wait_for(is_applied, timeout_s):
        raise TestingError(f"the servers have not caught up within {timeout_s:g} s")
