"""`run`: start a server, serve until a signal or a fatal error, end the process.

Order of a start: configuration (done by the caller), purge schedule, client port,
restore, serve. Clients that connect during the restore wait in the listen queue.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence

from zkserver import __version__
from zkserver.base.auth import Providers
from zkserver.base.config import Config
from zkserver.base.errors import ExitCode, FatalError
from zkserver.base.properties import ConfigWarning
from zkserver.base.zxid import hex_zxid
from zkserver.runtime import clock, environment, logs
from zkserver.runtime.client_port import ClientProtocol
from zkserver.runtime.machine import Machine
from zkserver.runtime.providers import load_providers
from zkserver.runtime.purging import Purging
from zkserver.server.run import Batch
from zkserver.server.server import Server
from zkserver.storage import recovery
from zkserver.storage.layout import Layout
from zkserver.storage.recovery import Restored, RestoreSettings
from zkserver.storage.txnlog import TxnLogWriter
from zkserver.tree.tree import DataTree

log = logs.get_log("server")

TICK_MS = 100
# A batch this small is written on the loop itself while the disk is quick: the last
# QUICK_SYNCS syncs took no longer than QUICK_SYNC_MS, and no snapshot is being written.
SMALL_BATCH_SIZE = 32
QUICK_SYNCS = 16
QUICK_SYNC_MS = 1.0
# How long (s) the storage thread waits for a busy loop to let it begin or report.
SWITCH_INTERVAL_S = 0.0002


class Process:
    """A running server and the outside it lives in; `Host` to the server."""

    def __init__(
        self,
        config: Config,
        loop: asyncio.AbstractEventLoop,
        started_ms: float,
        machine: Machine | None = None,
    ) -> None:
        self.config = config
        self.loop = loop
        self.machine = Machine() if machine is None else machine
        self.started_ms = started_ms
        self.layout = Layout.of(config.data_dir, config.data_log_dir)
        self.exit_code = 0
        self._done = loop.create_future()
        # A batch is with the storage thread.
        self._writing = False
        self._quick_syncs = 0

    # Host

    def batch_is_open(self) -> None:
        """A write waits; the turn's other writes join it before the disk is asked."""
        if self.config.flush_delay_ms > 0 and not self._writing:
            self.loop.call_later(self.config.flush_delay_ms / 1000, self._write_batch)
        else:
            self.loop.call_soon(self._write_batch)

    def report(self, event: str, **facts: object) -> None:
        """A line for the log."""
        log.info(event, **{name: str(fact) for name, fact in facts.items()})

    def random(self) -> float:
        """A number from 0 up to 1."""
        return self.machine.random()

    def client_port(self) -> int:
        """The port that clients come to."""
        port: int = self._sockets[0].getsockname()[1]
        return port

    def environment(self) -> dict[str, str]:
        """Facts about the machine and the process."""
        return environment.facts()

    def directory_sizes(self) -> tuple[int, int]:
        """Bytes of snapshots and of logs."""
        return environment.directory_sizes(self.layout)

    def descriptor_counts(self) -> tuple[int, int]:
        """Open file descriptors, and how many there may be."""
        return environment.descriptor_counts()

    # Life

    async def serve(self) -> None:
        """Start, serve until asked to stop, stop."""
        config = self.config
        self._purging = Purging(config, self.layout)
        self._purging.start()
        self._sockets = sockets = self.machine.listen(
            config.client_port_address, config.client_port or 0, config.client_port_listen_backlog
        )
        restored, tree, providers = self._restore()
        machine = self.machine
        self.server = Server(
            config, tree, restored.sessions, providers, self, machine.now_ms, machine.wall_ms
        )
        self._start_storage(restored)
        acceptors = [
            await self.loop.create_server(self._make_protocol, sock=each) for each in sockets
        ]
        for number in (signal.SIGTERM, signal.SIGINT):
            self.loop.add_signal_handler(number, self._finish, ExitCode.EXECUTION_FINISHED)
        self._announce(sockets, restored)
        self.server.close_orphans()
        if restored.txns_replayed:
            self._snapshots.take()
        self._tick()
        await self._done
        for acceptor in acceptors:
            acceptor.close()
        self._stop()

    def _make_protocol(self) -> ClientProtocol:
        return ClientProtocol(self.server, self.config.client_tcp_keep_alive)

    def _restore(self) -> tuple[Restored, DataTree, Providers]:
        config = self.config
        self.machine.hold_collector()
        tree = DataTree(
            config.digest_enabled, config.extended_types_enabled, config.emulate_353_ttl_nodes
        )
        settings = RestoreSettings(
            config.datadir_autocreate,
            config.db_autocreate,
            config.snapshot_trust_empty,
            config.snapshot_compression_method,
            config.serialize_last_processed_zxid_enabled,
        )
        restored = recovery.restore(self.machine.disk, self.layout, tree, settings, log.warn)
        if restored.last_zxid < 0:
            raise FatalError(
                ExitCode.UNEXPECTED_ERROR,
                f"{self.layout.snapshot_folder} has no database, and zookeeper.db.autocreate is "
                "false. If it should begin empty, make a file named initialize in "
                f"{config.data_log_dir or config.data_dir} and start again",
            )
        if restored.digest_mismatches:
            log.error(
                "the log's digests differ from the tree that came of it",
                count=restored.digest_mismatches,
                first_zxid=f"0x{hex_zxid(restored.first_mismatch_zxid or 0)}",
            )
        providers = load_providers(config)
        self.machine.settle_collector()
        return restored, tree, providers

    def _start_storage(self, restored: Restored) -> None:
        config = self.config
        limit_kb = config.txn_log_size_limit_kb
        writer = TxnLogWriter(
            self.machine.disk,
            self.layout.log_folder,
            preallocate_bytes=config.pre_alloc_size_kb * 1024,
            size_limit_bytes=limit_kb * 1024 if limit_kb > 0 else None,
            sync=config.force_sync,
            clock_ms=self.machine.precise_ms,
        )
        self._storage = self.machine.storage(writer, self.loop, self._written, self.fail)
        self._storage.start()
        self._snapshots = self.machine.snapshots(
            config, self.layout, self.server, self._storage.roll, self.fail
        )
        self.server.stats.digest_mismatches = restored.digest_mismatches

    def _announce(self, sockets: list[socket.socket], restored: Restored) -> None:
        config = self.config
        log.info(f"zkserver {__version__}", mode="standalone", pid=os.getpid())
        for each in sockets:
            address, port = each.getsockname()[:2]
            log.info("client port", address="*" if address == "::" else address, port=port)
        log.info("data directory", path=config.data_dir, log_path=config.data_log_dir)
        log.info(
            "restored",
            zxid=f"0x{hex_zxid(restored.last_zxid)}",
            znodes=self.server.tree.znode_count(),
            sessions=len(restored.sessions),
            txns_replayed=restored.txns_replayed,
        )
        log.info("serving", started_in_ms=round(self.machine.precise_ms() - self.started_ms))

    # Writing

    def _write_batch(self) -> None:
        if self._writing:
            return
        while (batch := self.server.pipeline.take_batch()).entries:
            if not self._may_write_here(batch):
                self._writing = True
                self._storage.write(batch)
                return
            try:
                sync_ms = self._storage.write_here(batch)
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

    def _written(self, batch: Batch, sync_ms: float) -> None:
        self._writing = False
        self._answer(batch, sync_ms)
        self._write_batch()

    def _answer(self, batch: Batch, sync_ms: float) -> None:
        """A batch is on disk: answer it, and see whether a snapshot is due."""
        self._quick_syncs = self._quick_syncs + 1 if sync_ms <= QUICK_SYNC_MS else 0
        stats = self.server.stats
        stats.record_sync(round(sync_ms))
        if sync_ms > self.config.fsync_warning_threshold_ms:
            stats.fsync_threshold_exceeded += 1
            log.warn(
                "syncing the transaction log was slow, which delays every write",
                took_ms=round(sync_ms),
                folder=self.layout.log_folder,
            )
        self.server.pipeline.durable(batch)
        self._snapshots.committed(len(batch.entries), self._storage.bytes_since_snapshot())

    def _tick(self) -> None:
        self.server.tick(self.machine.now_ms())
        self.loop.call_later(min(TICK_MS, self.config.tick_time_ms) / 1000, self._tick)

    # The end

    def fail(self, error: FatalError) -> None:
        """Stop at once: nothing more may be promised."""
        log.error(str(error), exit_code=int(error.exit_code))
        self._exit_now(error.exit_code)

    def unexpected(self, _loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        """The loop caught an exception: of a socket, or of our own, which is fatal."""
        error = context.get("exception")
        if error is None or isinstance(error, (ConnectionError, TimeoutError)):
            log.debug("socket trouble", reason=str(context.get("message")))
            return
        if isinstance(error, OSError) and ("transport" in context or "protocol" in context):
            log.warn("socket trouble", reason=str(error))
            return
        log.error(
            "an invariant is broken; the server stops rather than answer wrongly",
            error=error if isinstance(error, BaseException) else None,
            reason=str(context.get("message")),
        )
        self._exit_now(ExitCode.UNEXPECTED_ERROR)

    def _exit_now(self, exit_code: int) -> None:
        os._exit(exit_code)

    def _finish(self, exit_code: int) -> None:
        if not self._done.done():
            self.exit_code = exit_code
            self._done.set_result(None)

    def _stop(self) -> None:
        """Writes that reached the disk are kept; those under way are nobody's promise."""
        self._snapshots.stop()
        self._storage.stop()
        self._purging.stop()
        for connection in list(self.server.connections):
            connection.close()
        log.info("stopped", zxid=f"0x{hex_zxid(self.server.tree.last_zxid)}")


async def _serve(config: Config, started_ms: float) -> int:
    loop = asyncio.get_running_loop()
    process = Process(config, loop, started_ms)
    loop.set_exception_handler(process.unexpected)
    await process.serve()
    return process.exit_code


def run(
    config: Config,
    *,
    warnings: Sequence[ConfigWarning] = (),
    json_logs: bool = False,
    log_level: str = "INFO",
    started_ms: float | None = None,
) -> int:
    """Run a standalone server until SIGTERM or SIGINT; the exit code of the process."""
    logs.configure(json=json_logs, level=log_level)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    started_ms = clock.precise_ms() if started_ms is None else started_ms
    for warning in warnings:
        log.warn(str(warning))
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(_serve(config, started_ms))
    except FatalError as error:
        log.error(str(error), exit_code=int(error.exit_code))
        return int(error.exit_code)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """uvloop's where it is installed, else asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop
