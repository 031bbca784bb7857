"""Whom an observer connects to, and how long it waits before it does.

Without `observerMasterPort` it is the leader. With that port in its own configuration it is one
voter after another, at that port, in an order that each observer draws for itself: those of them
that follow, and have the port as well, serve observers. The leader does not; it is passed over
as long as there is anybody else. (Apache's observer tries it, and is refused.)

Many observers lose a leader at the same moment. So that they do not come back at the same moment
too, each waits for a random share of `observer.reconnectDelayMs`: before it connects to the leader,
for the first time as well, or when it begins with the voters anew. As Apache's does. (A random
share of `observer.election.DelayMs` before it looks for a leader is `peer`'s affair.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from zkserver.base.config import Config
from zkserver.base.members import Member
from zkserver.runtime import logs
from zkserver.server.peer_words import PeerFacts

log = logs.get_log("observing")


class LearnerMasters:
    """Who serves this observer; `facts` are told. `chance` gives a number from 0 up to 1."""

    def __init__(self, config: Config, facts: PeerFacts, chance: Callable[[], float]) -> None:
        self._facts = facts
        self._delay_ms = config.observer_reconnect_delay_ms
        self._chance = chance
        self._masters: list[Member] = []
        self._next = 0
        port = config.observer_master_port
        if port:
            # Drawn first, so that no voter is preferred by many observers.
            drawn = [(chance(), member) for member in config.membership.participants]
            self._masters = [_at_port(member, port) for _, member in sorted(drawn)]

    async def next(self, leader: Member | None) -> Member | None:
        """Whom to connect to now, after the wait; its `quorum_port` is the one to connect to."""
        master = await self._choose(leader)
        self._facts.master_id = _id_of(master)
        return master

    async def _choose(self, leader: Member | None) -> Member | None:
        masters = self._masters
        if all(each.server_id == _id_of(leader) for each in masters):
            await self._wait()
            return leader
        while True:
            if self._next == len(masters):
                self._next = 0
                await self._wait()
            master = masters[self._next]
            self._next += 1
            if master.server_id != _id_of(leader):
                log.info("goes to an observer master", server=master.server_id)
                return master

    async def _wait(self) -> None:
        if self._delay_ms > 0:
            delay_ms = int(self._chance() * self._delay_ms)
            log.info("waits before it connects", delay_ms=delay_ms)
            await asyncio.sleep(delay_ms / 1000)


def _id_of(member: Member | None) -> int | None:
    return None if member is None else member.server_id


def _at_port(member: Member, port: int) -> Member:
    addresses = tuple(each._replace(quorum_port=port) for each in member.addresses)
    return member._replace(addresses=addresses)
