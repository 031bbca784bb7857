"""A peer that only elects, with the production election port, on real or on simulated links.

It drives a `zkserver.election` as docs/replication.md says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress

from zkserver.election.election import Effects, Election
from zkserver.jute.notifications import Notification, PeerState
from zkserver.runtime.election_port import ElectionPort


class ElectionPeer:
    """One election and its port. `addresses` are the election addresses of all servers.

    `heard` are the notifications that came, `lines` what the port reported.
    """

    def __init__(
        self,
        election: Election,
        addresses: Mapping[int, Sequence[tuple[str, int]]],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.election = election
        self.loop = loop
        self.heard: list[tuple[int, Notification]] = []
        self.lines: list[tuple[str, dict[str, object]]] = []
        self.changed = asyncio.Event()
        self.port = ElectionPort(
            election.server_id, addresses, loop, self._receive, self._links_changed, self._report
        )

    async def open(self) -> None:
        await self.port.open()

    async def look(self, zxid: int, current_epoch: int, timeout_s: float) -> PeerState:
        """Looks for a leader and returns the role, or LOOKING after a time."""
        self._carry_out(self.election.begin(zxid, current_epoch, self.now_ms()))
        end_ms = self.now_ms() + int(1000 * timeout_s)
        while self.election.state is PeerState.LOOKING and self.now_ms() < end_ms:
            due_ms = min(self.election.deadline_ms or end_ms, end_ms)
            self.changed.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self.changed.wait(), max(due_ms - self.now_ms(), 0) / 1000)
            if self.now_ms() >= due_ms:
                delivered = self.port.is_delivered
                self._carry_out(self.election.wake(self.now_ms(), delivered=delivered))
        return self.election.state

    async def close(self) -> None:
        self.port.close()
        # Sockets are closed in the next turn of the loop.
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    def now_ms(self) -> int:
        return int(1000 * self.loop.time())

    def _receive(self, sender: int, told: Notification) -> None:
        self.heard.append((sender, told))
        self._carry_out(self.election.receive(sender, told, self.now_ms()))
        self.changed.set()

    def _links_changed(self) -> None:
        self._carry_out(self.election.reach(self.port.reach(), self.now_ms()))
        self.changed.set()

    def _report(self, event: str, **facts: object) -> None:
        self.lines.append((event, facts))

    def _carry_out(self, effects: Effects) -> None:
        for receiver, told in effects.send:
            self.port.send(receiver, told)
        if effects.reconnect:
            self.port.reconnect()
