"""Turns: while one of the two is measured the other one is stopped (SIGSTOP).

It then takes no CPU, and it has no session that could expire meanwhile. What takes turns is a
server or an ensemble.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, TypeVar


class Contestant(Protocol):
    """One or more server processes that are measured as one."""

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def stop(self, how: signal.Signals = ...) -> None: ...

    def remove_data(self) -> None: ...


Either = TypeVar("Either", bound=Contestant)


def say(message: str) -> None:
    """Progress, beside the tables on standard output."""
    print(message, file=sys.stderr, flush=True)


def alternate(pair: Sequence[Either], action: Callable[[Either], None]) -> None:
    """Gives each its turn while the other one is paused."""
    for one in pair:
        for other in pair:
            if other is not one:
                other.pause()
        one.resume()
        action(one)


@contextmanager
def ended(pair: Sequence[Either]) -> Iterator[Sequence[Either]]:
    """Kills both at the end, however that comes, and deletes their data."""
    try:
        yield pair
    finally:
        for one in pair:
            one.stop(signal.SIGKILL)
        for one in pair:
            one.remove_data()
