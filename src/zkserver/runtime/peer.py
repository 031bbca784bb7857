"""A peer of an ensemble: the loop of its roles, with everything a role needs of the outside.

    restore, epochs, ports  ->  LOOKING -> LEADING | FOLLOWING | OBSERVING -> LOOKING -> ...

The election (`election`) and the roles (`server.role`) are told of packets, disks and time, and
say what to do; here are the sockets, the storage thread and the clock that they need. Between two
roles everything that the earlier one has written is waited for, and what it had logged and not
committed is taken into the tree: the vote says what is on the disk.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TypeVar

from zkserver.base.config import Config
from zkserver.base.errors import ExitCode, FatalError
from zkserver.base.members import text_of
from zkserver.base.quorum import verifier_of
from zkserver.base.zxid import hex_zxid
from zkserver.election.election import Election
from zkserver.election.votes import Vote
from zkserver.jute.notifications import PeerState
from zkserver.runtime import logs, peer_settings, peer_storage, quorum_port
from zkserver.runtime.looking import Looking, election_port_of
from zkserver.runtime.machine import Machine
from zkserver.runtime.observer_port import ObserverPort
from zkserver.runtime.observing import LearnerMasters
from zkserver.runtime.peer_clients import PeerClients
from zkserver.runtime.process import (
    QUICK_SYNC_MS,
    QUICK_SYNCS,
    SMALL_BATCH_SIZE,
    TICK_MS,
    Process,
)
from zkserver.runtime.quorum_links import QuorumLinks
from zkserver.runtime.role_times import RoleTimes
from zkserver.server import audit
from zkserver.server.database import Database
from zkserver.server.leading import LeaderRole
from zkserver.server.learning import LearnerRole
from zkserver.server.local_sessions import LocalLeaderRole, LocalLearnerRole
from zkserver.server.peer_words import PeerFacts
from zkserver.server.role import Job, Role
from zkserver.server.server import Server
from zkserver.storage import emptying
from zkserver.storage.log_on_disk import LogFiles
from zkserver.storage.recovery import Restored
from zkserver.zab.committed_log import DEFAULT_LIMIT, CommittedLog
from zkserver.zab.effects import LEADER_LINK, Entry, EpochFile, Phase, StoreEpoch
from zkserver.zab.leader import Leader
from zkserver.zab.learner import Learner
from zkserver.zab.settings import LeaderSettings, LearnerSettings

log = logs.get_log("peer")

AnyRole = TypeVar("AnyRole", LeaderRole, LearnerRole)
# A role that came to nothing twice is not tried again at once.
FIRST_PAUSE_MS = 10
LONGEST_PAUSE_MS = 1000


class PeerProcess(Process):
    """A running peer; the host of its roles, and of the server that they open."""

    why_not_restore = peer_settings.WHY_NOT_RESTORE
    leader_class = Leader
    learner_class = Learner
    election_class = Election
    leader_role_class = LeaderRole
    learner_role_class = LearnerRole

    def __init__(
        self,
        config: Config,
        loop: asyncio.AbstractEventLoop,
        started_ms: float,
        machine: Machine | None = None,
    ) -> None:
        super().__init__(config, loop, started_ms, machine)
        if config.server_id is None:
            raise FatalError(ExitCode.UNEXPECTED_ERROR, f"no myid file in {config.data_dir}")
        self.server_id = config.server_id
        self.membership = config.membership
        self.verifier = verifier_of(config.membership)
        self.config_text = text_of(config.membership)
        self.facts = PeerFacts(self.server_id, config.membership, self.config_text)
        self.database = self._make_database()
        self.epochs = {EpochFile.ACCEPTED: 0, EpochFile.CURRENT: 0}
        self.state = PeerState.LOOKING
        self.role: LeaderRole | LearnerRole | None = None
        self.server: Server | None = None
        self.looking = Looking(
            self._make_election(),
            partial(election_port_of, config, loop, self.report),
            loop,
            self.machine.now_ms,
            self.machine.wall_ms,
        )
        self.clients = PeerClients(
            config, self, loop, self._open_read_only, self.database.timeouts_ms, self.stats
        )
        self._masters = LearnerMasters(config, self.facts, self.machine.random)
        self._observers = ObserverPort(config, loop, self.machine, self.database, self.facts)
        self.links = QuorumLinks(loop, self.machine, self.database)
        self._ended: asyncio.Future[str] = loop.create_future()
        self._settled: asyncio.Future[None] | None = None
        self._flush_is_due = False
        self._quick_syncs = 0
        self._times = RoleTimes(self.stats, self.machine.now_ms)

    def _make_database(self) -> Database:
        return Database(self.make_tree, self._committed_log(), self.stats)

    def _committed_log(self) -> CommittedLog:
        return CommittedLog(max(self.config.commit_log_count, DEFAULT_LIMIT))

    def _make_election(self) -> Election:
        timing = peer_settings.of_election(self.config)
        return self.election_class(self.server_id, self.verifier, self.config_text, timing)

    # Life

    async def serve(self) -> None:
        """Start, take one role after another until asked to stop, stop."""
        self._listen()
        restored = self._read_database()
        self.epochs = peer_storage.recover_epochs(
            self.machine.disk, self.layout, self.database.last_zxid
        )
        self._start_storage()
        await self.looking.open()
        await self._accept(self._make_protocol)
        self._announce(f"peer {self.server_id}", restored, self.database.tree.znode_count())
        self._tick()
        roles = self.loop.create_task(self._take_roles())
        roles.add_done_callback(self._roles_ended)
        await self._done
        roles.cancel()
        self._stop()

    def _roles_ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if isinstance(error, FatalError):
            self.fail(error)
        elif error is not None:
            self.unexpected(self.loop, {"message": "the peer's loop", "exception": error})

    async def _take_roles(self) -> None:
        failures = 0
        while True:
            vote = await self._look()
            role = self._lead if vote.leader == self.server_id else self._learn
            had_database = self.database.last_zxid >= 0
            has_served = await role(vote)
            if had_database and self.database.last_zxid < 0:
                # It was emptied by a leader whose quorum may need it: an election, where it has
                # no vote now, would not find that leader.
                has_served = await self._learn(vote)
            failures = 0 if has_served else failures + 1
            pause_ms = min(FIRST_PAUSE_MS << failures, LONGEST_PAUSE_MS) if failures > 1 else 0
            if self.state is PeerState.OBSERVING:
                pause_ms += round(self.machine.random() * self.config.observer_election_delay_ms)
            if pause_ms:
                await asyncio.sleep(pause_ms / 1000)

    def _make_protocol(self) -> asyncio.Protocol:
        return self.clients.make_protocol()

    def active_server(self) -> Server | None:
        """The role's server, whether it takes clients or not, or the one that serves reads."""
        return self.server or self.clients.reads

    # Storage

    def _read_database(self) -> Restored:
        tree = self.make_tree()
        recent = self._committed_log()
        restored = self._restore(tree, lambda *entry: recent.append(entry))
        tree.last_zxid = restored.last_zxid
        is_exact = not restored.digest_mismatches and restored.uncovered_digest_zxid is None
        self.database.replace(tree, restored.sessions, recent, is_exact=is_exact)
        return restored

    def _start_storage(self) -> None:
        machine = self.machine
        self._storage = machine.storage(self._log_writer(), self.loop, self._stored, self.fail)
        self._storage.start()
        self._snapshots = machine.snapshots(self.config, self.layout, self._roll_log, self.fail)

    def _roll_log(self) -> None:
        self._storage.carry_out(None, lambda *_: None, closes_log=True)

    def store(self, role: Role, job: Job) -> None:
        """Give the storage a job of a role."""
        storage, layout = self._storage, self.layout
        token = role, job
        if isinstance(job, list):
            self._log(token, [entry for _, entry in job])
        elif isinstance(job, StoreEpoch):
            storage.carry_out(
                token, partial(peer_storage.store_epoch, layout, job), closes_log=False
            )
        else:
            # What a snapshot under way holds may be about to go.
            self._snapshots.stop()
            work = peer_storage.replacement(layout, job, self.database, self.config)
            storage.carry_out(token, self._purging.apart(work), closes_log=True)

    def _log(self, token: object, entries: list[bytes]) -> None:
        """Log entries: a few by the loop itself while the disk is quick, else by the thread."""
        is_quick = self._quick_syncs >= QUICK_SYNCS and not self._snapshots.under_way
        if is_quick and len(entries) <= SMALL_BATCH_SIZE and self._storage.is_free:
            self.loop.call_soon(self._stored, [token], self._storage.write_here(entries))
        else:
            self._storage.write(token, entries)

    def _stored(self, tokens: list[object], sync_ms: float) -> None:
        """Orders are durable: tell the roles that gave them."""
        self._quick_syncs = self._quick_syncs + 1 if sync_ms <= QUICK_SYNC_MS else 0
        counts: dict[Role, int] = {}
        txns = 0
        for token in tokens:
            if isinstance(token, tuple):
                role, job = token
                counts[role] = counts.get(role, 0) + 1
                txns += len(job) if isinstance(job, list) else 0
                if isinstance(job, StoreEpoch) and job.file in self.epochs:
                    self.epochs[job.file] = job.epoch
        for role, count in counts.items():
            role.stored(count)
        self._note_sync(sync_ms, txns)
        if self._settled is not None and not self._settled.done():
            self._settled.set_result(None)

    def reload(self) -> None:
        """Read the database again from what is on the disk."""
        restored = self._read_database()
        log.info("read the database again", zxid=f"0x{hex_zxid(restored.last_zxid)}")

    async def _look(self) -> Vote:
        self.state = PeerState.LOOKING
        self._note_state("")
        self._times.looks()
        self.facts.reign = self.facts.learners = None
        self.clients.begin_looking(has_database=self.database.last_zxid >= 0)
        vote = await self.looking.look(self.database.last_zxid, self.epochs[EpochFile.CURRENT])
        self.clients.end_looking()
        self.facts.leader_id = vote.leader
        self._times.has_elected()
        self.state = self.looking.election.state
        return vote

    # Roles

    async def _lead(self, _vote: Vote) -> bool:
        """Lead; whether it came to serving."""
        config = self.config
        settings = peer_settings.of_leader(config, self.server_id, self.config_text)
        core = self._make_leader(settings)
        kind = LocalLeaderRole if config.local_sessions_enabled else self.leader_role_class
        role = self._begin(kind(core, self.database, self))
        self.facts.reign, self.facts.learners = role.reign, role.learners
        self._note_state("")
        member = self.membership.find(self.server_id)
        acceptors: list[asyncio.AbstractServer] = []
        try:
            if member is not None:
                acceptors = await quorum_port.listen(
                    self.loop,
                    member.addresses,
                    partial(self.links.make_to_learner, no_delay=config.leader_no_delay),
                    on_all_ips=config.quorum_listen_on_all_ips,
                )
            role.begin()
            reason = await self._ended
        except OSError as error:
            reason = f"cannot listen for learners: {error}"
        finally:
            for acceptor in acceptors:
                acceptor.close()
        return await self._end(role, reason)

    def _make_leader(self, settings: LeaderSettings) -> Leader:
        return self.leader_class(
            settings,
            self.verifier,
            *self._history(),
            LogFiles(self.machine.disk, self.layout),
            self.machine.now_ms(),
        )

    def _history(self) -> tuple[int, int, int, CommittedLog]:
        accepted, current = self.epochs[EpochFile.ACCEPTED], self.epochs[EpochFile.CURRENT]
        return accepted, current, self.database.last_zxid, self.database.committed

    async def _learn(self, vote: Vote) -> bool:
        """Follow or observe; whether it came to serving."""
        config = self.config
        self._note_state(f"of {vote.leader}")
        master = self.membership.find(vote.leader)
        if self.state is PeerState.OBSERVING:
            master = await self._masters.next(master)
        settings = peer_settings.of_learner(
            config, self.server_id, is_observer=self.state is PeerState.OBSERVING
        )
        core = self._make_learner(settings)
        kind = LocalLearnerRole if config.local_sessions_enabled else self.learner_role_class
        role = self._begin(kind(core, self.database, self))
        limit_ticks = config.connect_to_learner_master_limit_ticks or config.init_limit_ticks
        reason = await quorum_port.connect(
            self.loop,
            master.addresses if master is not None else (),
            partial(self.links.make_to_leader, no_delay=config.follower_no_delay),
            limit_ms=limit_ticks * config.tick_time_ms,
            retry_delay_ms=config.leader_connect_delay_during_retry_ms,
        )
        if reason is not None:
            role.link_down(LEADER_LINK, f"cannot connect to the leader: {reason}")
        return await self._end(role, await self._ended)

    def _make_learner(self, settings: LearnerSettings) -> Learner:
        return self.learner_class(settings, *self._history(), self.machine.now_ms())

    def _begin(self, role: AnyRole) -> AnyRole:
        self.role = self.links.user = role
        role.pipeline_class = audit.audited(role.pipeline_class, self.config.audit_enabled)
        self._ended = self.loop.create_future()
        return role

    async def _end(self, role: LeaderRole | LearnerRole, reason: str) -> bool:
        """Close everything of a role, wait until its writes are on disk; whether it served."""
        say = log.warn if role.phase is Phase.BROADCAST else log.info
        say("the role has ended", role=self.state.name, reason=reason)
        self.looking.story.ends(reason)
        self.role = self.server = self.clients.server = None
        self._observers.close()
        role.close()
        self._snapshots.let_go()
        self.links.close()
        while not role.is_stored:
            self._settled = self.loop.create_future()
            await self._settled
        self._settled = None
        if emptying.is_marked(self.machine.disk, self.layout):
            if self.database.last_zxid >= 0:
                # What was stored in this role was not acknowledged, and goes.
                self._storage.roll()
                self.reload()
        elif isinstance(role, LearnerRole) and role.is_receiving_tree:
            self.reload()
        else:
            role.settle()
        return role.phase is Phase.BROADCAST

    # Host of the roles

    def open_server(self) -> Server:
        """A server over the database, for the clients of this role."""
        return self._make_server(self.database.timeouts_ms())

    def _open_read_only(self) -> Server:
        return self._make_server({})

    def _make_server(self, timeouts_ms: dict[int, int]) -> Server:
        database = self.database
        database.set_config(self.config_text, self.membership.version, self.machine.wall_ms())
        server = self._new_server(database.tree, timeouts_ms, self.server_id)
        server.peer = self.facts
        return server

    def serving(self, epoch: int) -> None:
        """The role is in broadcast: clients are welcome."""
        if self.role is None or self.role.server is None:
            return
        self.server = self.role.server
        if self.state is not PeerState.LEADING or self.config.leader_serves:
            self.clients.server = self.server
        self._observers.open(self.role)
        self.looking.election.update_election_vote(epoch)
        self._snapshots.use(self.server)
        self.looking.story.serves(epoch, self.machine.now_ms())
        self._times.serves(self.state)
        self._note_state(f"serves in epoch {epoch}")

    def ended(self, reason: str) -> None:
        """The core has given its role up."""
        self.links.user = None
        if not self._ended.done():
            self._ended.set_result(reason)

    def note(self, line: str) -> None:
        """A line for the log."""
        log.info(line)

    def committed(self, entries: list[Entry]) -> None:
        """Txns were applied: while clients are served, a snapshot may be due."""
        if self.server is not None:
            self._snapshots.committed(len(entries), self._storage.bytes_since_snapshot())

    def tree_received(self, zxid: int) -> None:
        """The leader's tree has come whole."""
        znodes = self.database.tree.znode_count()
        log.info("received the leader's tree", zxid=f"0x{hex_zxid(zxid)}", znodes=znodes)

    def batch_is_open(self) -> None:
        """Clients have asked for something; when the turn ends, it goes its way."""
        if not self._flush_is_due:
            self._flush_is_due = True
            self.loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_is_due = False
        if self.role is not None:
            self.role.flush()

    # Time, and the end

    def _tick(self) -> None:
        if self.role is not None:
            self.role.tick(self.machine.now_ms())
        self.clients.tick(self.machine.now_ms())
        self.loop.call_later(min(TICK_MS, self.config.tick_time_ms / 4) / 1000, self._tick)

    def _note_state(self, detail: str) -> None:
        log.info("peer state", state=self.state.name, detail=detail)

    def _stop(self) -> None:
        for acceptor in self._acceptors:
            acceptor.close()
        self.looking.close()
        self.clients.end_looking()
        self._observers.close()
        role, self.role, self.server = self.role, None, None
        if role is not None:
            role.close()
        self.links.close()
        self._snapshots.stop()
        self._storage.stop()
        self._purging.stop()
        log.info("stopped", zxid=f"0x{hex_zxid(self.database.last_zxid)}")
