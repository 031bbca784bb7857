"""A peer's role between two elections: what its core wants is carried out, in the order it asks.

`leading.LeaderRole` and `learning.LearnerRole` stand between a core (`zab.leader`, `zab.learner`),
the links to the other peers, the storage, the database and, once the peer is in broadcast, a
`Server` with its clients. Bytes come in, `Effects` come out of the core, and `_perform` is the only
place that acts on them. Sockets, files and clocks are the host's.

* A batch's `send_synced` leaves when the storage has done the batch's writes and all before.
* A write that replaces the tree (CutLog, StoreSnapshot) holds back the writes and the applies
  behind it until it is done; after CutLog the tree has been read again from what is left. If that
  is nothing, because the history could not be cut, the role ends.
* A role that has ended acts no more; the writes it had asked for are finished all the same.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from zkserver.jute import quorum_packets as packets
from zkserver.jute.quorum_packets import Packet, PacketType
from zkserver.server.database import Database
from zkserver.server.server import Server
from zkserver.server.stats import ServerStats
from zkserver.zab.effects import (
    Append,
    CutLog,
    Effects,
    Entry,
    Phase,
    StoreEpoch,
    StoreSnapshot,
    Write,
)
from zkserver.zab.leader import Leader
from zkserver.zab.learner import Learner

Job = list[Entry] | CutLog | StoreSnapshot | StoreEpoch
"""One order to the storage: entries to log together, or one of the other writes."""


class LinkHost(Protocol):
    """Who has the links."""

    def transmit(self, link: int, data: bytes) -> None:
        """Bytes for a link; nothing happens if it is gone."""

    def transmit_tree(self, link: int) -> None:
        """The database's tree as it is now, before anything that is transmitted later."""

    def hang_up(self, link: int, reason: str) -> None:
        """Close a link, with one line."""


class RoleHost(Protocol):
    """What a role asks of the process around it. `stats` are the process's figures."""

    @property
    def links(self) -> LinkHost: ...
    @property
    def stats(self) -> ServerStats: ...

    def store(self, role: Role, job: Job) -> None:
        """Do this after all jobs before; `Role.stored` is called for each, in order."""

    def reload(self) -> None:
        """Read the database again from the disk; no job is under way."""

    def open_server(self) -> Server:
        """A server over the database as it is; its pipeline is the role's to give."""

    def committed(self, entries: list[Entry]) -> None:
        """These were applied."""

    def tree_received(self, zxid: int) -> None:
        """The database is a leader's tree now, as of this zxid or later."""

    def serving(self, epoch: int) -> None:
        """The peer is in broadcast, in the reign of this epoch; the server takes clients now."""

    def ended(self, reason: str) -> None:
        """The role has ended."""

    def note(self, line: str) -> None:
        """A line for the log."""

    def now_ms(self) -> int:
        """The monotonic clock."""

    def wall_ms(self) -> int:
        """The calendar's clock."""


def transmit(links: LinkHost, queues: dict[int, list[Packet]]) -> None:
    """Packets for links, in order; behind a SNAP goes the tree as it is now."""
    before: list[Packet] = []
    data = b""
    for link, queue in queues.items():
        # All learners are sent the same most of the time.
        if queue != before:
            if any(packet.type == PacketType.SNAP for packet in queue):
                _transmit_tree(links, link, queue)
                continue
            before, data = queue, packets.build_all(queue)
        links.transmit(link, data)


def _transmit_tree(links: LinkHost, link: int, queue: list[Packet]) -> None:
    for packet in queue:
        links.transmit(link, packets.build(packet))
        if packet.type == PacketType.SNAP:
            links.transmit_tree(link)


class _Batch:
    """Writes of one `Effects`: how many jobs are to be done, and what leaves then.

    `since_ms` is when they were asked for, `txns` how many of them are log entries.
    """

    __slots__ = ("jobs", "send", "since_ms", "txns")

    def __init__(
        self, jobs: int, send: dict[int, list[Packet]], since_ms: int, txns: int
    ) -> None:
        self.jobs = jobs
        self.send = send
        self.since_ms = since_ms
        self.txns = txns


class Role(ABC):
    """What both roles share. `server` is there in broadcast."""

    core: Leader | Learner

    def __init__(self, database: Database, host: RoleHost) -> None:
        self.database = database
        self.host = host
        self.server: Server | None = None
        self.has_ended = False
        self.phase: Phase | None = None
        self._batches: deque[_Batch] = deque()
        # Given to the storage and not done, oldest first; and those held back.
        self._jobs: deque[Job] = deque()
        self._held_jobs: deque[Job] = deque()
        self._held_entries: list[Entry] = []

    # Events

    def tick(self, now_ms: int) -> None:
        """Time has passed: for the core, the links, and the sessions of clients."""
        if not self.has_ended:
            self._perform(self.core.tick(now_ms))
        if self.server is not None and not self.has_ended:
            self.server.tick(now_ms)

    def stored(self, count: int) -> None:
        """The storage has done the oldest `count` jobs."""
        done = 0
        send: dict[int, list[Packet]] = {}
        for _ in range(count):
            job = self._jobs.popleft()
            if isinstance(job, (CutLog, StoreSnapshot)):
                self._replaced(job)
            batch = self._batches[0]
            batch.jobs -= 1
            if not batch.jobs:
                self._batches.popleft()
                done += 1
                if batch.txns:
                    self._time_log(batch)
                for link, queue in batch.send.items():
                    send.setdefault(link, []).extend(queue)
        if self.has_ended:
            return
        self._transmit(send)
        if done:
            self._perform(self.core.synced(done))

    def _time_log(self, batch: _Batch) -> None:
        """Entries are on disk: how long they have waited for that."""
        stats = self.host.stats
        elapsed_ms = self.host.now_ms() - batch.since_ms
        stats.log_queue_and_flush.record(batch.txns, elapsed_ms)
        stats.proposal_ack.record(batch.txns, elapsed_ms)

    @property
    def is_stored(self) -> bool:
        """Whether every write that was asked for is on disk."""
        return not self._batches

    def close(self) -> None:
        """The role is over: no client is served any more, and nothing is sent."""
        self.has_ended = True
        server, self.server = self.server, None
        if server is not None:
            server.close()
            self.database.stop_serving()

    def settle(self) -> None:
        """All writes are done: take what was logged and not committed for history, too."""
        for entry in self.core.unapplied:
            self.database.keep(entry)

    # Effects

    def _perform(self, out: Effects) -> None:
        host = self.host
        for line in out.notes:
            host.note(line)
        is_broadcasting = self.phase is Phase.BROADCAST
        if is_broadcasting:
            # Nothing replaces the tree now, and what others wait for leaves before the disk is
            # asked, which the loop may do itself.
            self._transmit(out.send)
            self._apply(out.apply)
        if out.writes:
            self._store(out.writes, out.send_synced)
        elif out.send_synced and self._batches:
            behind = self._batches[-1].send
            for link, queue in out.send_synced.items():
                behind.setdefault(link, []).extend(queue)
        if not is_broadcasting:
            self._apply(out.apply)
            self._transmit(out.send)
        if out.send_synced and not self._batches:
            self._transmit(out.send_synced)
        self._answer(out)
        if out.phase is not None:
            self.phase = out.phase
            host.note(f"phase: {out.phase.value}")
            if out.phase is Phase.BROADCAST:
                self._serve()
        for link, reason in out.closed:
            host.links.hang_up(link, reason)
        if out.ended is not None:
            self._end(out.ended)

    def _end(self, reason: str) -> None:
        if not self.has_ended:
            self.has_ended = True
            self.host.ended(reason)

    def _store(self, writes: Sequence[Write], send: dict[int, list[Packet]]) -> None:
        jobs: list[Job] = []
        for write in writes:
            if not isinstance(write, Append):
                jobs.append(write)
            elif jobs and isinstance(jobs[-1], list):
                jobs[-1].append(write)
            else:
                jobs.append([write])
        txns = sum(len(job) for job in jobs if isinstance(job, list))
        self._batches.append(_Batch(len(jobs), send, self.host.now_ms(), txns))
        for job in jobs:
            self._hand_over(job)

    def _hand_over(self, job: Job) -> None:
        if self._held_jobs or self._is_replacing:
            self._held_jobs.append(job)
        else:
            self._jobs.append(job)
            self.host.store(self, job)

    @property
    def _is_replacing(self) -> bool:
        return bool(self._jobs) and isinstance(self._jobs[-1], (CutLog, StoreSnapshot))

    def _replaced(self, job: Job) -> None:
        """The tree on disk is another one; what waited for that goes on."""
        if isinstance(job, CutLog):
            self.host.reload()
            if self.database.last_zxid < 0:
                # What waits in jobs is written, and goes with the rest.
                self._held_entries.clear()
                self._end("the history could not be cut and is given up: a tree is needed")
        held, self._held_entries = self._held_entries, []
        self._apply(held)
        jobs, self._held_jobs = self._held_jobs, deque()
        for each in jobs:
            self._hand_over(each)

    def _apply(self, entries: list[Entry]) -> None:
        if not entries:
            return
        if self._is_replacing:
            self._held_entries += entries
            return
        if self.server is not None:
            self._committed(entries)
        else:
            for entry in entries:
                self.database.apply(entry)
        self.host.committed(entries)

    def _transmit(self, queues: dict[int, list[Packet]]) -> None:
        transmit(self.host.links, queues)

    @abstractmethod
    def _committed(self, entries: list[Entry]) -> None:
        """Apply for a server with clients."""

    @abstractmethod
    def _answer(self, out: Effects) -> None:
        """The effects that only one of the roles has."""

    @abstractmethod
    def _serve(self) -> None:
        """Open the server."""
