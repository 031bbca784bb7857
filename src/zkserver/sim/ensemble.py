"""An ensemble of real peers in a world, and what they are seen to do.

Each host runs `runtime.peer.PeerProcess`, the production one, with its ports on the simulated
network and its files on a simulated disk. `SimPeer` writes down what the checkers of the ZAB
papers need (`zab_history`): proposals, deliveries, where a memory was read from, who leads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from zkserver.base.config import Config, ConfigSource, load
from zkserver.base.zxid import epoch_of
from zkserver.jute.notifications import PeerState
from zkserver.runtime.peer import PeerProcess
from zkserver.server.database import Database
from zkserver.server.leading import LeaderRole
from zkserver.server.learning import LearnerRole
from zkserver.server.role import Role
from zkserver.sim.host import CLIENT_PORT, SimHost, Simulated
from zkserver.sim.machine import SimMachine
from zkserver.sim.restoring import DATA_DIR
from zkserver.sim.world import World
from zkserver.sim.zab_history import ZabHistory
from zkserver.storage import emptying
from zkserver.storage.layout import Layout
from zkserver.storage.recovery import Restored
from zkserver.zab.committed_log import CommittedLog
from zkserver.zab.effects import Effects, Entry, EpochFile, Phase
from zkserver.zab.leader import Leader
from zkserver.zab.settings import LeaderSettings

QUORUM_PORT = 2888
ELECTION_PORT = 3888
OBSERVER_MASTER_PORT = 2889


class Observations:
    """What was seen of all peers of a run.

    `entries` are the txns that are committed by anybody's word: delivered, or part of the
    history that a leader was established with.
    """

    def __init__(self) -> None:
        self.zab = ZabHistory()
        self.entries: dict[int, bytes] = {}
        self._proposed: dict[int, bytes] = {}

    def proposed(self, zxid: int, entry: bytes) -> None:
        """A leader took a proposal."""
        self._proposed[zxid] = entry

    def established(self, last_zxid: int) -> None:
        """A leader's history ends here, and so it is committed; it may have come as a tree."""
        for zxid, entry in self._proposed.items():
            if zxid <= last_zxid and epoch_of(zxid) == epoch_of(last_zxid):
                self.entries.setdefault(zxid, entry)


class ObservedLeader(Leader):
    """A leader whose proposals are written down."""

    observer: SimPeer

    def propose(self, entries: Any) -> Effects:
        """Those that are taken follow the last proposed one."""
        given = list(entries)
        before = self.last_proposed
        out = super().propose(given)
        for zxid, entry in given:
            if before < zxid <= self.last_proposed:
                self.observer.note_proposal(self.epoch, zxid, entry)
        return out


class ObservedDatabase(Database):
    """A database that tells of txns which a peer keeps at the end of a role."""

    observer: SimPeer

    def keep(self, entry: Entry) -> None:
        """An uncommitted txn is applied."""
        super().keep(entry)
        self.observer.note_kept(entry)


class SimPeer(Simulated, PeerProcess):
    """The production peer, observed. The classes of its parts are where planted bugs come in."""

    leader_class: type[Leader] = ObservedLeader

    def __init__(
        self,
        config: Config,
        loop: asyncio.AbstractEventLoop,
        started_ms: float,
        machine: SimMachine,
        seen: Observations,
        memory: int,
    ) -> None:
        self.observations = seen
        self.memory = memory
        super().__init__(config, loop, started_ms, machine)

    def _number(self, what: str) -> int:
        return self.machine.world.events.note(self.machine.host, what)

    def _make_database(self) -> Database:
        database = ObservedDatabase(self.make_tree, self._committed_log())
        database.observer = self
        return database

    def _committed_log(self) -> CommittedLog:
        # Less than the least that can be configured, so that DIFF from disk and SNAP come up.
        return CommittedLog(self.memory)

    def _make_leader(self, settings: LeaderSettings) -> Leader:
        # Half of the runs send COMMITs before UPTODATE, as Apache's leader does.
        holds_commits = self.machine.world.chance("early commits").random() < 0.5
        core = super()._make_leader(settings._replace(holds_commits=holds_commits))
        if isinstance(core, ObservedLeader):
            core.observer = self
        return core

    def _read_database(self) -> Restored:
        restored = super()._read_database()
        number = self._number(f"begins at 0x{restored.last_zxid:x}")
        self.observations.zab.begins(number, self.server_id, restored.last_zxid)
        return restored

    def note_proposal(self, epoch: int, zxid: int, entry: bytes) -> None:
        """The leader's core took a proposal."""
        number = self._number(f"proposes 0x{zxid:x}")
        self.observations.zab.proposed(number, self.server_id, epoch, zxid, entry)
        self.observations.proposed(zxid, entry)

    def note_kept(self, entry: Entry) -> None:
        """A txn is applied of which no commit is known."""
        number = self._number(f"keeps 0x{entry[0]:x}")
        self.observations.zab.kept(number, self.server_id, *entry)

    def committed(self, entries: list[Entry]) -> None:
        """Txns were applied: committed ones, or before UPTODATE the history of a leader.

        That one may still fail to be established, and its history be cut again.
        """
        tree, seen = self.database.tree, self.observations
        last = entries[-1][0]
        number = self._number(f"applies up to 0x{last:x}")
        is_delivery = self.server is not None
        note = seen.zab.delivered if is_delivery else seen.zab.adopted
        for zxid, entry in entries:
            digest = tree.digest if zxid == last and tree.digest_enabled else None
            note(number, self.server_id, zxid, entry, digest)
            if is_delivery:
                seen.entries.setdefault(zxid, entry)
        super().committed(entries)

    def tree_received(self, zxid: int) -> None:
        """A leader's tree came behind SNAP."""
        super().tree_received(zxid)
        number = self._number(f"has received the tree of 0x{zxid:x}")
        digest = self.database.tree.digest
        self.observations.zab.received_tree(number, self.server_id, zxid, digest)

    def _note_state(self, detail: str) -> None:
        super()._note_state(detail)
        observer = self.machine.world.network.observer
        if observer is not None:
            observer.peer_state(self.machine.host, self.state.name, detail)

    def serving(self, epoch: int) -> None:
        """The role is in broadcast."""
        last_zxid = self.database.last_zxid
        if self.state is PeerState.LEADING:
            number = self._number(f"is established in epoch {epoch} at 0x{last_zxid:x}")
            self.observations.zab.established(number, self.server_id, epoch, last_zxid)
            self.observations.established(last_zxid)
        else:
            number = self._number(f"serves in epoch {epoch} at 0x{last_zxid:x}")
            self.observations.zab.serves(number, self.server_id, epoch, last_zxid)
        super().serving(epoch)


class PeerHost(SimHost[SimPeer]):
    """A host with a peer on it."""

    def __init__(
        self, world: World, settings: Config, host: str, seen: Observations, memory: int
    ) -> None:
        super().__init__(world, settings, host, SimPeer)
        self.seen = seen
        self.memory = memory

    def make_process(self, machine: SimMachine) -> SimPeer:
        """Another life of the peer."""
        loop = asyncio.get_running_loop()
        started_ms = machine.precise_ms()
        return self.process_class(
            self.config, loop, started_ms, machine, self.seen, self.memory
        )

    @property
    def is_serving(self) -> bool:
        """Whether it has a role and serves clients."""
        return self.is_up and self.process is not None and self.process.server is not None

    @property
    def is_leading(self) -> bool:
        """Whether it leads, or believes so."""
        process = self.process
        return self.is_up and process is not None and process.state is PeerState.LEADING

    @property
    def is_emptied(self) -> bool:
        """Whether it has given up its history, and has no vote."""
        return emptying.is_marked(self.disk, Layout.of(DATA_DIR))

    @property
    def is_joining(self) -> bool:
        """Whether it takes over a leader's history."""
        return isinstance(self._role, LearnerRole) and self._is_synchronising

    @property
    def is_handing_over(self) -> bool:
        """Whether it leads, sends its history, and is not established."""
        return isinstance(self._role, LeaderRole) and self._is_synchronising

    @property
    def has_taken_over(self) -> bool:
        """Whether it has stored the history of the leader that it is joining, and its epoch."""
        if self.process is None or not self.is_joining:
            return False
        epochs = self.process.epochs
        return epochs[EpochFile.CURRENT] == epochs[EpochFile.ACCEPTED]

    @property
    def _role(self) -> Role | None:
        return None if self.process is None or not self.is_up else self.process.role

    @property
    def _is_synchronising(self) -> bool:
        return self._role is not None and self._role.phase is Phase.SYNCHRONISATION


def configuration(
    server_id: int, count: int, observers: Sequence[int], **settings: object
) -> Config:
    """The configuration of one of `count` servers, on hosts n1, n2, and so on."""
    lines = [
        "tickTime=1000",
        "initLimit=10",
        "syncLimit=4",
        f"dataDir={DATA_DIR}",
        f"clientPort={CLIENT_PORT}",
        "preAllocSize=16",
        "maxClientCnxns=0",
        "minSessionTimeout=4000",
        *(f"{name}={value}" for name, value in settings.items()),
    ]
    for number in range(1, count + 1):
        role = "observer" if number in observers else "participant"
        lines.append(f"server.{number}=n{number}:{QUORUM_PORT}:{ELECTION_PORT}:{role}")
    source = ConfigSource(
        file_name="zoo.cfg", text="\n".join(lines), read_text=lambda _: str(server_id)
    )
    return load(source)[0]
