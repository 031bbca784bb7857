"""A standalone server: the loop, the client port and the storage thread around one `Server`."""

from __future__ import annotations

import asyncio

from zkserver.base.config import Config
from zkserver.base.errors import ExitCode, FatalError
from zkserver.base.zxid import hex_zxid
from zkserver.runtime import logs
from zkserver.runtime.client_port import ClientProtocol
from zkserver.runtime.machine import Machine
from zkserver.runtime.peer_clients import Unserved
from zkserver.runtime.process import (
    QUICK_SYNC_MS,
    QUICK_SYNCS,
    SMALL_BATCH_SIZE,
    TICK_MS,
    Process,
)
from zkserver.runtime.restoring import Incoming, RestoreError
from zkserver.server import audit
from zkserver.server.pipeline import Pipeline
from zkserver.server.run import Batch
from zkserver.server.server import Server
from zkserver.storage import emptying
from zkserver.tree.tree import DataTree

log = logs.get_log("server")


class StandaloneProcess(Process):
    """A running server that is alone; `Host` to it."""

    def __init__(
        self,
        config: Config,
        loop: asyncio.AbstractEventLoop,
        started_ms: float,
        machine: Machine | None = None,
    ) -> None:
        super().__init__(config, loop, started_ms, machine)
        self._active: Server | None = None
        # While the database is being replaced: done when the new one is durable.
        self._replaced: asyncio.Future[None] | None = None
        # A batch is with the storage thread.
        self._writing = False
        self._quick_syncs = 0

    def active_server(self) -> Server | None:
        """The one server, once there is one."""
        return self._active

    def batch_is_open(self) -> None:
        """A write waits; the turn's other writes join it before the disk is asked."""
        if self.config.flush_delay_ms > 0 and not self._writing:
            self.loop.call_later(self.config.flush_delay_ms / 1000, self._write_batch)
        else:
            self.loop.call_soon(self._write_batch)

    # Life

    async def serve(self) -> None:
        """Start, serve until asked to stop, stop."""
        config, machine = self.config, self.machine
        self._listen()
        tree = self.make_tree()
        restored = self._restore(tree)
        if restored.is_emptied:
            raise FatalError(
                ExitCode.UNEXPECTED_ERROR,
                f"{self.layout.snapshot_folder} is that of a server of an ensemble which has given "
                f"up its history ({emptying.MARK_NAME} says why). Start it as one of the ensemble; "
                "or, if it should begin empty, empty the folder first",
            )
        if restored.last_zxid < 0:
            raise FatalError(
                ExitCode.UNEXPECTED_ERROR,
                f"{self.layout.snapshot_folder} has no database, and zookeeper.db.autocreate is "
                "false. If it should begin empty, make a file named initialize in "
                f"{config.data_log_dir or config.data_dir} and start again",
            )
        self.server = self._open_server(tree, restored.sessions)
        self._start_storage()
        self._active = self.server
        await self._accept(self._make_protocol)
        self._announce("standalone", restored, tree.znode_count())
        # It goes when another database replaces it, and this coroutine stays.
        del tree
        log.info("serving", started_in_ms=round(machine.precise_ms() - self.started_ms))
        self.server.close_orphans()
        if restored.txns_replayed:
            self._snapshots.take()
        self._tick()
        await self._done
        self._stop()

    def _open_server(self, tree: DataTree, session_timeouts_ms: dict[int, int]) -> Server:
        server = self._new_server(tree, session_timeouts_ms)
        kind = audit.audited(Pipeline, self.config.audit_enabled)
        self._pipeline = server.pipeline = kind(server)
        return server

    async def replace_database(self, incoming: Incoming, tree: DataTree) -> None:
        """See `Process`. Writes that are not durable when this begins are not answered any more."""
        if self._active is None:
            raise RestoreError("this server is not serving")
        old, self._active = self.server, None
        log.warn("an operator replaces the database", by=str(incoming))
        replaced = self._replaced = self.loop.create_future()
        old.close()
        self._snapshots.stop()
        self._snapshots.let_go()
        self._storage.carry_out(replaced, self._purging.apart(incoming.job()), closes_log=True)
        await asyncio.shield(replaced)
        self._replaced = None
        self._writing = False
        server = self.server = self._open_server(tree, incoming.info.sessions)
        server.started_ms, server.trace_mask = old.started_ms, old.trace_mask
        self._snapshots.use(server)
        self._active = server
        log.info("serves the restored database", zxid=f"0x{hex_zxid(tree.last_zxid)}")
        server.close_orphans()

    def _make_protocol(self) -> asyncio.Protocol:
        if self._active is None:
            return Unserved(self.config, self, self.loop, self.stats)
        return ClientProtocol(self._active, self.config.client_tcp_keep_alive)

    def _start_storage(self) -> None:
        machine = self.machine
        self._storage = machine.storage(self._log_writer(), self.loop, self._written, self.fail)
        self._storage.start()
        self._snapshots = machine.snapshots(
            self.config, self.layout, self._storage.roll, self.fail
        )
        self._snapshots.use(self.server)

    # Writing

    def _write_batch(self) -> None:
        if self._writing or self._replaced is not None:
            return
        while (batch := self._pipeline.take_batch()).entries:
            if not self._may_write_here(batch):
                self._writing = True
                self._storage.write(batch, batch.entries)
                return
            try:
                sync_ms = self._storage.write_here(batch.entries)
            except FatalError as error:
                self.fail(error)
                return
            self._answer(batch, sync_ms)

    def _may_write_here(self, batch: Batch) -> bool:
        """Whether the loop writes this batch itself rather than hand it to the thread."""
        return (
            len(batch.entries) <= SMALL_BATCH_SIZE
            and not self._snapshots.under_way
            and self._quick_syncs >= QUICK_SYNCS
        )

    def _written(self, batches: list[object], sync_ms: float) -> None:
        self._writing = False
        if self._replaced is not None:
            # Writes to the old database are nobody's promise.
            if self._replaced in batches:
                self._replaced.set_result(None)
            return
        for batch in batches:
            if isinstance(batch, Batch):
                self._answer(batch, sync_ms)
        self._write_batch()

    def _answer(self, batch: Batch, sync_ms: float) -> None:
        """A batch is on disk: answer it, and see whether a snapshot is due."""
        self._quick_syncs = self._quick_syncs + 1 if sync_ms <= QUICK_SYNC_MS else 0
        self._note_sync(sync_ms, len(batch.entries))
        self._pipeline.durable(batch)
        self._snapshots.committed(len(batch.entries), self._storage.bytes_since_snapshot())

    def _tick(self) -> None:
        if self._active is not None:
            self._active.tick(self.machine.now_ms())
        self.loop.call_later(min(TICK_MS, self.config.tick_time_ms) / 1000, self._tick)

    # The end

    def _stop(self) -> None:
        """Writes that reached the disk are kept; those under way are nobody's promise."""
        for acceptor in self._acceptors:
            acceptor.close()
        self._snapshots.stop()
        self._storage.stop()
        self._purging.stop()
        for connection in list(self.server.connections):
            connection.close()
        log.info("stopped", zxid=f"0x{hex_zxid(self.server.tree.last_zxid)}")
