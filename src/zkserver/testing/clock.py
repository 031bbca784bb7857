"""The clocks of servers in a test: the machine's, and so much later as the test has said.

One `Clock` belongs to a server, or to all servers of an ensemble. Both of its clocks, the one that
only goes forward and the calendar, jump together, and so does the event loop's, which is made from
it: timers that fall due by a jump fire at once.
"""

from __future__ import annotations

import time

_NS_IN_MS = 1_000_000


class Clock:
    """`offset_ms` is how far the test has put the clocks on; it never shrinks."""

    def __init__(self) -> None:
        self.offset_ms = 0

    def advance(self, by_ms: int) -> None:
        """Put the clocks on."""
        self.offset_ms += by_ms

    def now_ms(self) -> int:
        """A clock that only goes forward; its zero means nothing."""
        return time.monotonic_ns() // _NS_IN_MS + self.offset_ms

    def precise_ms(self) -> float:
        """`now_ms` with its fraction."""
        return time.monotonic_ns() / _NS_IN_MS + self.offset_ms

    def wall_ms(self) -> int:
        """Milliseconds since 1970."""
        return time.time_ns() // _NS_IN_MS + self.offset_ms

    def loop_s(self) -> float:
        """The same instant as `now_ms`, in seconds, for an event loop."""
        return time.monotonic() + self.offset_ms / 1000
