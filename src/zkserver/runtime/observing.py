"""Whom an observer connects to, and how long it waits before it does.

Many observers lose a leader at the same moment. So that they do not come back at the same moment
too, each waits for a random share of `observer.reconnectDelayMs` before it connects. As with
Apache's observer that goes for the first time as well. (A random share of
`observer.election.DelayMs` before it looks for a leader is `peer`'s affair.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from zkserver.base.config import Config
from zkserver.base.members import Member
from zkserver.runtime import logs

log = logs.get_log("observing")


class LearnerMasters:
    """Who serves this observer. `chance` gives a number from 0 up to 1."""

    def __init__(self, config: Config, chance: Callable[[], float]) -> None:
        self._delay_ms = config.observer_reconnect_delay_ms
        self._chance = chance

    async def next(self, leader: Member | None) -> Member | None:
        """Whom to connect to now, after the wait: the leader."""
        if self._delay_ms > 0:
            delay_ms = int(self._chance() * self._delay_ms)
            log.info("waits before it connects", delay_ms=delay_ms)
            await asyncio.sleep(delay_ms / 1000)
        return leader
