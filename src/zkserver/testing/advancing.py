"""How a test lets time pass: in steps, so that nobody takes the jump for silence.

Between two steps every server's loop goes round a few times: timers that are due fire, leader and
learners exchange the pings that they would have exchanged in that time, and the sessions of
connected clients are touched, for their clients would have sent heartbeats too. So an hour passes
in a moment, and at its end only those sessions are gone whose clients were away.
"""

from __future__ import annotations

from collections.abc import Sequence

from zkserver.testing.clock import Clock
from zkserver.testing.life import Hosted
from zkserver.testing.server import TestServer

# Of a tick: the leader pings so often.
STEPS_PER_TICK = 2
# A leader's ping, the learner's answer, and what the leader does about it.
TURNS_PER_STEP = 4


def advance(
    clock: Clock,
    servers: Sequence[TestServer],
    by_ms: int,
    tick_time_ms: int,
    *,
    heartbeats: bool,
) -> None:
    """Put the clock of all `servers` on. Raises ValueError if it would go back."""
    if by_ms < 0:
        raise ValueError("time does not go back")
    step_ms = max(tick_time_ms // STEPS_PER_TICK, 1)
    turns = TURNS_PER_STEP if len(servers) > 1 else 1
    # Who has hung up before this moment is silent from now on.
    for _ in range(TURNS_PER_STEP):
        _turn(servers, heartbeats=False)
    while by_ms > 0:
        clock.advance(min(step_ms, by_ms))
        by_ms -= step_ms
        _turn(servers, heartbeats=heartbeats)
        for _ in range(turns):
            _turn(servers, heartbeats=False)


def _turn(servers: Sequence[TestServer], *, heartbeats: bool) -> None:
    """Let the loop of every server that runs go round once."""
    pending = []
    for server in servers:
        if server.is_running and not server.is_paused:
            life = server.life
            process = life.process if heartbeats else None
            pending.append((life, life.submit(lambda process=process: _beat(process))))  # type: ignore[misc]
    for life, future in pending:
        life.result(future)


def _beat(process: Hosted | None) -> None:
    """Touch the sessions of connected clients."""
    server = None if process is None else process.active_server()
    if server is not None:
        now_ms = server.now_ms()
        for session_id in server.by_session:
            server.sessions.touch(session_id, now_ms)
