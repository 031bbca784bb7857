"""Planted bugs: a simulator that finds nothing proves nothing.

Each is one flag, a subclass or a wrapper around the production code, which has none
of it. `SEEDS_TO_FIND` is within how many seeds, counting from 0, each must be found.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from zkserver.base import opcodes as op
from zkserver.base.errors import FatalError
from zkserver.jute.codec import unpack_int
from zkserver.jute.txns import Txn
from zkserver.runtime.client_port import ClientProtocol
from zkserver.runtime.storage_thread import StorageThread
from zkserver.server.connection import Connection
from zkserver.session.tracker import SessionTracker
from zkserver.sim.disk import SimDisk, SimFile
from zkserver.sim.machine import SimMachine, SimStorage
from zkserver.sim.standalone import SimProcess, Standalone
from zkserver.storage.txnlog import HEADER_BYTES, TxnLogWriter
from zkserver.tree.tree import DataTree

ACK_BEFORE_FSYNC = "ack-before-fsync"
TORN_TAIL_KEPT = "torn-tail-kept"
READ_OVERTAKES_WRITE = "read-overtakes-write"
EPHEMERAL_KEPT_AT_EXPIRY = "ephemeral-kept-at-expiry"
EXPIRED_EARLY = "expired-early"
EVENT_AFTER_REPLY = "event-after-reply"

TICK_MS = 2000

SEEDS_TO_FIND = {
    ACK_BEFORE_FSYNC: 6,
    TORN_TAIL_KEPT: 6,
    READ_OVERTAKES_WRITE: 2,
    EPHEMERAL_KEPT_AT_EXPIRY: 5,
    EXPIRED_EARLY: 2,
    EVENT_AFTER_REPLY: 2,
}


# A write is answered when it is written, not when it is synced.


class _HastyStorage(SimStorage):
    def log(self, tokens: list[object], entries: list[bytes]) -> None:
        machine = self.machine
        machine.sim_disk.hold_syncs()
        self.writer.write(entries)
        for sync in machine.sim_disk.release_syncs():
            machine.later(machine.begin_sync(), sync)
        machine.later(0, self.done, tokens, 5.0)


class HastyMachine(SimMachine):
    """Its storage reports what is written and not synced."""

    def storage(
        self,
        writer: TxnLogWriter,
        loop: asyncio.AbstractEventLoop,  # noqa: ARG002
        written: Callable[[list[object], float], None],
        failed: Callable[[FatalError], None],
    ) -> StorageThread:
        """The storage that does so."""
        return cast(StorageThread, _HastyStorage(self, writer, written, failed))


# A log's torn tail stays, and the log goes on behind it.


class _TailFile(SimFile):
    """Writes to what it thinks is a new log; they land behind an old log's last byte."""

    base = 0

    def write(self, offset: int, data: bytes) -> None:
        skipped = max(HEADER_BYTES - offset, 0)
        place = max(offset, HEADER_BYTES) - HEADER_BYTES + self.base
        super().write(place, data[skipped:])


class _TailDisk:
    """A disk on which logs are appended to across restarts, torn tail or not."""

    def __init__(self, disk: SimDisk) -> None:
        self._disk = disk

    def __getattr__(self, name: str) -> Any:
        return getattr(self._disk, name)

    def truncate(self, path: str, size_bytes: int) -> None:
        """Not done: that is the bug."""

    def create(self, path: str) -> SimFile:
        disk = self._disk
        folder = path.rpartition("/")[0]
        logs = [name for name in disk.names(folder) if name.startswith("log.")]
        if "/log." not in path or not logs:
            return disk.create(path)
        last = f"{folder}/{max(logs, key=lambda name: int(name[4:], 16))}"
        end = len(disk.get(last).rstrip(b"\0"))
        file = _TailFile(disk, last, disk._find(last))
        file.base = max(end, HEADER_BYTES)
        return file


class TailMachine(SimMachine):
    """Its logs are appended to across restarts."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.disk = cast(SimDisk, _TailDisk(self.sim_disk))


# A read is served at once, though a write of its session is on its way before it.


class _HastyConnection(Connection):
    __slots__ = ()

    STALE = -99

    def _queue(self, xid: int, kind: int, body: bytes) -> None:
        if not self.waiting:
            super()._queue(xid, kind, body)
            return
        before = len(self.out)
        self.serve(xid, kind, body)
        frames = b"".join(self.out[before:])
        del self.out[before:]
        self.server.pipeline.end_run()
        self.server.in_flight += 1
        self.waiting.append((xid, self.STALE, frames))

    def serve(self, xid: int, kind: int, body: bytes) -> None:
        if kind == self.STALE:
            self.out.append(body)
        else:
            super().serve(xid, kind, body)


class HastyProtocol(ClientProtocol):
    """Its connections serve reads at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Change the connection's class."""
        super().connection_made(transport)
        if self._connection is not None:
            self._connection.__class__ = _HastyConnection


class _HastyReads(SimProcess):
    def _make_protocol(self) -> ClientProtocol:
        return HastyProtocol(self.server, self.config.client_tcp_keep_alive)


# The ephemerals of a session that expires stay; those of one that is closed go.


class _KeepingTree(DataTree):
    def apply(self, txn: Txn, digest: int | None = None) -> Any:  # noqa: ARG002
        if txn[4] == op.CLOSE_SESSION and txn[1] == 0:
            self.ephemerals.pop(txn[0], None)
            txn = (*txn[:5], ((),))
        # Its own digest, so that it is what clients see that tells, not a sum.
        return super().apply(txn, None)


class _KeepingProcess(SimProcess):
    def make_tree(self) -> DataTree:
        tree = super().make_tree()
        tree.__class__ = _KeepingTree
        return tree


# Sessions expire two ticks too early, but for the rounding up to one.


class _HastyTracker(SessionTracker):
    def expired(self, now_ms: int) -> list[int]:
        return super().expired(now_ms + 2 * TICK_MS)


class _HastyExpiry(SimProcess):
    def _start_storage(self) -> None:
        super()._start_storage()
        self.server.sessions.__class__ = _HastyTracker


# Watch events leave behind the replies that they should come before.


class _LateEvents:
    """A transport that sorts what it is given: replies first."""

    def __init__(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._has_session = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        frames: list[bytes] = []
        while data:
            stop = 4 + unpack_int(data)[0]
            frames.append(data[:stop])
            data = data[stop:]
        first = [] if self._has_session else frames[:1]
        self._has_session = True
        rest = frames[len(first) :]
        replies = [frame for frame in rest if unpack_int(frame, 4)[0] != op.XID_NOTIFICATION]
        events = [frame for frame in rest if unpack_int(frame, 4)[0] == op.XID_NOTIFICATION]
        self._transport.write(b"".join(first + replies + events))


class _LateProtocol(ClientProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast(asyncio.BaseTransport, _LateEvents(transport)))


class _LateProcess(SimProcess):
    def _make_protocol(self) -> ClientProtocol:
        return _LateProtocol(self.server, self.config.client_tcp_keep_alive)


def plant(bug: str, server: Standalone) -> None:
    """Give a server one bug. Raises KeyError for one that is not known."""
    machines: dict[str, type[SimMachine]] = {
        ACK_BEFORE_FSYNC: HastyMachine,
        TORN_TAIL_KEPT: TailMachine,
    }
    processes: dict[str, type[SimProcess]] = {
        READ_OVERTAKES_WRITE: _HastyReads,
        EPHEMERAL_KEPT_AT_EXPIRY: _KeepingProcess,
        EXPIRED_EARLY: _HastyExpiry,
        EVENT_AFTER_REPLY: _LateProcess,
    }
    if bug in machines:
        server.machine_class = machines[bug]
    else:
        server.process_class = processes[bug]
