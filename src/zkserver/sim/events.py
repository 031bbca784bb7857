"""The events of a run, in order, and their digest.

A line is virtual time in microseconds, who, and what. Two runs are the same run if
their digests are equal, so nothing may go into a line that is not of the seed: no
addresses of objects, no machine time, nothing in the order of a set.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable


class EventLog:
    """`time_s` is the world's clock. `note` returns the event's number, counting from 0.

    `listener` hears of each event: who, and what.
    """

    def __init__(self, time_s: Callable[[], float]) -> None:
        self._time_s = time_s
        self._digest = hashlib.sha256()
        self.lines: list[str] = []
        self.listener: Callable[[str, str], object] | None = None

    def note(self, who: str, what: str) -> int:
        """Add an event."""
        line = f"{round(self._time_s() * 1e6):>12} {who:<8} {what}"
        self.lines.append(line)
        self._digest.update(line.encode() + b"\n")
        if self.listener is not None:
            self.listener(who, what)
        return len(self.lines) - 1

    @property
    def last_number(self) -> int:
        """The number of the event that was noted last, -1 before the first."""
        return len(self.lines) - 1

    def digest(self) -> str:
        """SHA-256 of all lines, in hex."""
        return self._digest.hexdigest()
