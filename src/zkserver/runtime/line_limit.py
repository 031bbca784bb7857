"""A bound on the lines that clients can make the server log.

A client that is turned away and comes again at once, or ten thousand sessions that expire together,
are as many events; the log has the first of them in each second, and then how many it left out.
"""

from __future__ import annotations

from collections.abc import Callable

LINES_PER_S = 20
_SECOND_MS = 1000


class LineLimit:
    """Counts by event; `now_ms` is the monotonic clock."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        # By event: when its second began, lines in it, lines left out since the last one.
        self._seconds: dict[str, tuple[int, int, int]] = {}

    def admit(self, event: str) -> int | None:
        """None if the event's line is to be left out; else how many were, before this one."""
        now_ms = self._now_ms()
        began_ms, lines, left_out = self._seconds.get(event, (now_ms, 0, 0))
        if now_ms - began_ms >= _SECOND_MS:
            began_ms, lines = now_ms, 0
        if lines >= LINES_PER_S:
            self._seconds[event] = began_ms, lines, left_out + 1
            return None
        self._seconds[event] = began_ms, lines + 1, 0
        return left_out
