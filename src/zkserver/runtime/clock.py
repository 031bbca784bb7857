"""The two clocks of a server, both in whole milliseconds."""

from __future__ import annotations

import time


def now_ms() -> int:
    """A clock that only goes forward; its zero means nothing."""
    return time.monotonic_ns() // 1_000_000


def wall_ms() -> int:
    """Milliseconds since 1970, as znodes' times have them."""
    return time.time_ns() // 1_000_000


def precise_ms() -> float:
    """`now_ms` with its fraction, for durations."""
    return time.monotonic_ns() / 1_000_000
