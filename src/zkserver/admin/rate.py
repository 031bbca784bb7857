"""One turn in an interval, for commands that burden a server."""

from __future__ import annotations

from collections.abc import Callable


class RateLimiter:
    """Gives one turn every `interval_ms` by the monotonic clock `now_ms`; 0 or less: always."""

    def __init__(self, interval_ms: float, now_ms: Callable[[], float]) -> None:
        self._interval_ms = interval_ms
        self._now_ms = now_ms
        self._next_ms: float | None = None

    def allow(self) -> bool:
        """Take a turn, if there is one; a refusal takes none."""
        now_ms = self._now_ms()
        if self._next_ms is not None and now_ms < self._next_ms:
            return False
        self._next_ms = now_ms + self._interval_ms
        return True
