"""The port at which a follower serves observers (`observerMasterPort`): its listener and links.

It is open while the follower serves. One that cannot be had is tried again, for the
follower can do without; its observers try the others meanwhile.

What its bytes mean is the affair of `server.observing` and `zab.observer_master`.
"""

from __future__ import annotations

import asyncio

from zkserver.base.config import Config
from zkserver.runtime import logs, peer_settings, quorum_port
from zkserver.runtime.machine import Machine
from zkserver.runtime.quorum_links import QuorumLinks
from zkserver.runtime.quorum_port import QuorumLink
from zkserver.server.database import Database
from zkserver.server.leading import LeaderRole
from zkserver.server.learning import LearnerRole
from zkserver.server.observing import ObserverService
from zkserver.server.peer_words import PeerFacts
from zkserver.storage.layout import Layout
from zkserver.storage.log_on_disk import LogFiles
from zkserver.zab.observer_master import ObserverMaster

log = logs.get_log("observer master")

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0


class ObserverPort:
    """One follower's observers, role after role; the host of its `ObserverService`."""

    def __init__(
        self,
        config: Config,
        loop: asyncio.AbstractEventLoop,
        machine: Machine,
        database: Database,
        facts: PeerFacts,
    ) -> None:
        self._config = config
        self._loop = loop
        self._machine = machine
        self._layout = Layout.of(config.data_dir, config.data_log_dir)
        self._database = database
        self._facts = facts
        self._task: asyncio.Task[None] | None = None
        self._listeners: list[asyncio.AbstractServer] = []
        self.links = QuorumLinks(loop, machine, database)

    def open(self, role: LeaderRole | LearnerRole) -> None:
        """A role serves clients now: if it is a follower, and has the port, observers too."""
        config, facts = self._config, self._facts
        if not config.observer_master_port or not isinstance(role, LearnerRole):
            return
        if role.core.settings.is_observer:
            return
        core = ObserverMaster(
            peer_settings.of_leader(config, facts.server_id, facts.config),
            config.observer_master_size_limit_bytes,
            role.core.leader_epoch,
            self._database.tree.last_zxid,
            self._database.committed,
            LogFiles(self._machine.disk, self._layout),
            self._machine.now_ms(),
        )
        self.links.user = role.observers = ObserverService(core, role, self)
        facts.observers = lambda: core.observers
        self._task = self._loop.create_task(self._listen())

    def close(self) -> None:
        """The follower's role is over: observers look for another master."""
        if self._task is not None:
            self._task.cancel()
        self._task = self._facts.observers = None
        for listener in self._listeners:
            listener.close()
        self.links.close()
        self._listeners.clear()

    async def _listen(self) -> None:
        config, facts = self._config, self._facts
        member = facts.membership.find(facts.server_id)
        port = config.observer_master_port
        addresses = [] if member is None else [
            each._replace(quorum_port=port) for each in member.addresses
        ]
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                self._listeners = await quorum_port.listen(
                    self._loop,
                    addresses,
                    self._make_link,
                    on_all_ips=config.quorum_listen_on_all_ips,
                )
            except OSError:
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            else:
                log.info("serves observers", port=port)
                return

    # Host of the service

    def note(self, line: str) -> None:
        """A line for the log."""
        log.info(line)

    def _make_link(self) -> QuorumLink:
        return self.links.make_to_learner(no_delay=self._config.leader_no_delay)
