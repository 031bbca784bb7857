"""Planted bugs of the ensemble, part two: disks, roles, sessions, reads and watches.

As `ensemble_bugs_zab`: each is a subclass with one thing wrong in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from zkserver.base import opcodes as op
from zkserver.base.config import Config
from zkserver.jute.codec import pack_long
from zkserver.jute.quorum_packets import Packet, PacketType, Request, build_request
from zkserver.server import watching
from zkserver.server.connection import Connection
from zkserver.server.leading import LOCAL_READS, LeaderPipeline, LeaderRole
from zkserver.server.learning import LearnerPipeline, LearnerRole
from zkserver.server.role import Job, Role
from zkserver.server.server import Server
from zkserver.session.handshake import ConnectRequest
from zkserver.session.tracker import SessionTracker
from zkserver.sim.bugs import HastyProtocol
from zkserver.sim.ensemble import SimPeer
from zkserver.storage import emptying, snapshot
from zkserver.storage.disk import Disk
from zkserver.zab.effects import Forwarded, StoreSnapshot

# Behind every zxid that there is.
LAST_ZXID = (1 << 63) - 1


# Disks


class ForgetsCuts(SimPeer):
    """After TRUNC the tree is not read again."""

    def reload(self) -> None:
        """Not done."""


class KeepsOldLogs(SimPeer):
    """The tree behind SNAP is stored, and everything that was there before stays."""

    def store(self, role: Role, job: Job) -> None:
        """Saves the tree and no more."""
        if not isinstance(job, StoreSnapshot):
            super().store(role, job)
            return
        self._snapshots.stop()
        self._storage.carry_out((role, job), self._save_only, closes_log=True)

    def _save_only(self, _: Disk, writing: Disk) -> None:
        database = self.database
        snapshot.save(writing, self.layout, database.tree, database.timeouts_ms())


class TrustsItsEmptyDisk(SimPeer):
    """A server whose disk was lost votes as one that has never had anything."""

    def __init__(self, config: Config, *rest: Any) -> None:
        super().__init__(replace(config, db_autocreate=True), *rest)


class EmptiedVotes(SimPeer):
    """A server that was emptied begins anew at its next start, as one that never had anything."""

    async def serve(self) -> None:
        """Without the mark."""
        emptying.end(self.machine.disk, self.machine.disk, self.layout)
        await super().serve()


class UnmarksEarly(SimPeer):
    """A server that was emptied has its mark removed when the leader's tree has come, and not when
    that is on its disk and the epoch with it.
    """

    def store(self, role: Role, job: Job) -> None:
        """The tree is stored behind that."""
        if isinstance(job, StoreSnapshot):
            self._storage.carry_out(None, self._unmark, closes_log=False)
        super().store(role, job)

    def _unmark(self, reading: Disk, writing: Disk) -> None:
        emptying.end(reading, writing, self.layout)


# Roles


class ForgetfulLearnerRole(LearnerRole):
    """What is logged and not committed is not taken into the tree when the role ends."""

    def settle(self) -> None:
        """Not done."""


class ForgetfulLeaderRole(LeaderRole):
    """As `ForgetfulLearnerRole`."""

    def settle(self) -> None:
        """Not done."""


class HalfTreeRole(LearnerRole):
    """A tree that had not come whole when the role ended is kept as if it had."""

    @property
    def is_receiving_tree(self) -> bool:
        """Denied."""
        return False

    def settle(self) -> None:
        """What there is of the tree is the state at the zxid that SNAP named."""
        if self._reader is not None:
            tree = self.database.tree
            tree.last_zxid = self._tree_zxid
            self.database.replace(tree, self._reader.sessions, is_exact=False)
        super().settle()


# Sessions


class _ExpiringPipeline(LearnerPipeline):
    is_authority = True

    def submit_internal(self, kind: int, session_id: int, body: bytes = b"") -> None:
        if kind == op.CLOSE_SESSION:
            request = Request(session_id, 0, kind, body)
        self._put(Packet(PacketType.REQUEST, -1, build_request(request), ()))


class ExpiringRole(LearnerRole):
    """A follower has sessions closed that it has not heard of itself."""

    def _serve(self) -> None:
        super()._serve()
        self.pipeline.__class__ = _ExpiringPipeline


class _Heir(SessionTracker):
    inherited: dict[int, int]

    def expired(self, now_ms: int) -> list[int]:
        return [each for each in super().expired(now_ms) if each not in self.inherited]


class CarelessHeir(SimPeer):
    """Sessions that were opened under an earlier leader are not closed when they expire."""

    def open_server(self) -> Server:
        """With a tracker that knows what it has inherited."""
        server = super().open_server()
        tracker = server.sessions
        tracker.__class__ = _Heir
        tracker.inherited = self.database.timeouts_ms()  # type: ignore[attr-defined]
        return server


class _MovedPipeline(LeaderPipeline):
    def submit_forwarded(self, asked: Sequence[Forwarded]) -> None:
        for each in asked:
            self.server.sessions.set_owner(each.session_id, each.link)
        super().submit_forwarded(asked)


class IgnoresMoves(LeaderRole):
    """A request is taken from a server that its client has left."""

    def _serve(self) -> None:
        super()._serve()
        self.pipeline.__class__ = _MovedPipeline


# Reads and watches


class HastyReads(SimPeer):
    """A read is served at once, though a write of its connection is under way before it."""

    def _make_protocol(self) -> asyncio.Protocol:
        if self.server is None:
            return super()._make_protocol()
        return HastyProtocol(self.server, self.config.client_tcp_keep_alive)


class _LocalSyncs(LearnerPipeline):
    def submit(
        self, connection: Connection, kind: int, cxid: int, data: bytes, start: int, stop: int
    ) -> bool:
        if kind != op.SYNC:
            return super().submit(connection, kind, cxid, data, start, stop)
        if connection.waiting:
            self.end_run()
            self.server.in_flight += 1
            connection.waiting.append((cxid, kind, data[start:stop]))
        else:
            connection.serve(cxid, kind, data[start:stop])
        return True


class SyncsAlone(LearnerRole):
    """A learner answers a sync without asking the leader."""

    def _serve(self) -> None:
        super()._serve()
        self.pipeline.__class__ = _LocalSyncs


class _Trusting(Server):
    def connect(self, connection: Connection, request: ConnectRequest) -> None:
        super().connect(connection, request._replace(last_zxid_seen=0))


class ServesOlderState(SimPeer):
    """A client is taken that has seen more than this server has."""

    def open_server(self) -> Server:
        """With a server that does not ask."""
        server = super().open_server()
        server.__class__ = _Trusting
        return server


def _set_watches_only(
    connection: Connection, xid: int, data: bytes, start: int, stop: int
) -> None:
    late = data[:start] + pack_long(LAST_ZXID) + data[start + 8 :]
    watching.set_watches(connection, xid, late, start, stop)


_NO_CATCHING_UP = {**LOCAL_READS, op.SET_WATCHES: _set_watches_only}


class DeafLeaderRole(LeaderRole):
    """A client that brings its watches is not told what it has missed."""

    def _serve(self) -> None:
        super()._serve()
        self.pipeline.handlers = _NO_CATCHING_UP


class DeafLearnerRole(LearnerRole):
    """As `DeafLeaderRole`."""

    def _serve(self) -> None:
        super()._serve()
        self.pipeline.handlers = _NO_CATCHING_UP
