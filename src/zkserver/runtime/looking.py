"""A peer that looks for a leader: its election, the election port and a timer.

The election goes on being told of notifications once there is a leader, for others may look.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from zkserver.base.config import Config
from zkserver.election.election import Effects, Election
from zkserver.election.story import Story
from zkserver.election.votes import Vote
from zkserver.jute.notifications import Notification, PeerState
from zkserver.runtime import peer_settings
from zkserver.runtime.election_port import ElectionPort

Heard = Callable[[int, Notification], None]
MakePort = Callable[[Heard, Callable[[], None]], ElectionPort]


def election_port_of(
    config: Config,
    loop: asyncio.AbstractEventLoop,
    report: Callable[..., None],
    heard: Heard,
    links_changed: Callable[[], None],
) -> ElectionPort:
    """The election port that a configuration describes."""
    return ElectionPort(
        config.server_id or 0,
        {
            member.server_id: [(each.host, each.election_port) for each in member.addresses]
            for member in config.membership.members
        },
        loop,
        heard,
        links_changed,
        report,
        connect_timeout_ms=config.cnx_timeout_ms,
        introduction_timeout_ms=peer_settings.introduction_timeout_ms(config),
        tcp_keep_alive=config.tcp_keep_alive,
        bind_retries=config.election_port_bind_retry,
        bind_host="" if config.quorum_listen_on_all_ips else None,
        multi_address_enabled=config.multi_address_enabled,
        reach_timeout_ms=peer_settings.reach_timeout_ms(config),
    )


class Looking:
    """One peer's elections, one after another."""

    def __init__(
        self,
        election: Election,
        make_port: MakePort,
        loop: asyncio.AbstractEventLoop,
        now_ms: Callable[[], int],
        wall_ms: Callable[[], int],
    ) -> None:
        self.election = election
        self.story = Story(election.server_id)
        self._wall_ms = wall_ms
        self._port = make_port(self._heard, self._links_changed)
        self._loop = loop
        self._now_ms = now_ms
        self._timer: asyncio.TimerHandle | None = None
        self._decided: asyncio.Future[Vote] = loop.create_future()

    async def open(self) -> None:
        """Bind the election port. Raises `FatalError` if it cannot be had."""
        await self._port.open()

    def close(self) -> None:
        """Close the port and all its links."""
        if self._timer is not None:
            self._timer.cancel()
        self._port.close()

    async def look(self, last_zxid: int, current_epoch: int) -> Vote:
        """The vote that wins; `election.state` is the role then."""
        self._decided = self._loop.create_future()
        self.story.begin(self._now_ms(), self._wall_ms())
        self._links_changed()
        self._carry_out(self.election.begin(last_zxid, current_epoch, self._now_ms()))
        return await self._decided

    def _heard(self, sender: int, notification: Notification) -> None:
        now_ms = self._now_ms()
        self.story.hears(sender, notification, now_ms)
        self._carry_out(self.election.receive(sender, notification, now_ms))

    def _links_changed(self) -> None:
        reach = [self.election.server_id, *self._port.reach()]
        self._carry_out(self.election.reach(reach, self._now_ms()))

    def _wake(self) -> None:
        is_delivered = self._port.is_delivered
        self._carry_out(self.election.wake(self._now_ms(), delivered=is_delivered))

    def _carry_out(self, effects: Effects) -> None:
        self._tell(effects)
        for receiver, notification in effects.send:
            self._port.send(receiver, notification)
        if effects.reconnect:
            self._port.reconnect()
        if effects.decided is not None and not self._decided.done():
            self._decided.set_result(effects.decided)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due_ms = self.election.deadline_ms
        if due_ms is not None:
            delay_ms = max(due_ms - self._now_ms(), 0)
            self._timer = self._loop.call_later(delay_ms / 1000, self._wake)

    def _tell(self, effects: Effects) -> None:
        """Write down what this peer says and decides."""
        election = self.election
        if election.vote is None:
            return
        if effects.send and effects.send[0][1].state is PeerState.LOOKING:
            self.story.proposes(election.vote, election.round, self._now_ms())
        if effects.decided is not None:
            role, now_ms = election.state, self._now_ms()
            self.story.decides(effects.decided, role, election.round, now_ms)
