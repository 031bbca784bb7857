"""How a test waits for what happens in the threads of servers, without looking again and again."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Watch:
    """Servers say `changed` when something may have come true that somebody waits for.

    While nobody waits that costs them one comparison.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._waiting = 0

    def changed(self) -> None:
        """Something has changed. From any thread."""
        if self._waiting:
            with self._condition:
                self._condition.notify_all()

    def wait_for(self, is_true: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until `is_true` gives true; False if it did not in time."""
        with self._condition:
            self._waiting += 1
            try:
                return self._condition.wait_for(is_true, timeout_s)
            finally:
                self._waiting -= 1
