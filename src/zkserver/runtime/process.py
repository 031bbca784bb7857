"""A server's process: configuration, restore, client port, log, and the one way out.

Order of a start: configuration (done by the caller), purge schedule, client port,
restore, serve. Clients that connect during the restore wait in the listen queue.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping

from zkserver import __version__
from zkserver.base.config import Config
from zkserver.base.errors import ExitCode, FatalError
from zkserver.base.zxid import hex_zxid
from zkserver.runtime import environment, logs
from zkserver.runtime.line_limit import LineLimit
from zkserver.runtime.machine import Machine
from zkserver.runtime.providers import load_providers
from zkserver.runtime.purging import Purging
from zkserver.runtime.restoring import Incoming, RestoreError
from zkserver.runtime.snapshots import Snapshots
from zkserver.server import audit
from zkserver.server.server import STANDALONE_ID, Server
from zkserver.server.stats import ServerStats
from zkserver.storage import recovery
from zkserver.storage.layout import Layout
from zkserver.storage.recovery import Restored, RestoreSettings
from zkserver.storage.snapshot import Saved
from zkserver.storage.txnlog import TxnLogWriter
from zkserver.tree.tree import DataTree

log = logs.get_log("server")

TICK_MS = 100
# A batch this small is written on the loop itself while the disk is quick: the last
# QUICK_SYNCS syncs took no longer than QUICK_SYNC_MS, and no snapshot is being written.
SMALL_BATCH_SIZE = 32
QUICK_SYNCS = 16
QUICK_SYNC_MS = 1.0


class Process(ABC):
    """What both kinds share: the outside that a server lives in, its start and its end.

    `standalone.StandaloneProcess` and `peer.PeerProcess` are the kinds.
    """

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
        self.stats = ServerStats()
        self._line_limit = LineLimit(self.machine.now_ms)
        self.providers = load_providers(config)
        self._done = loop.create_future()
        self._sockets: list[socket.socket] = []

    @abstractmethod
    async def serve(self) -> None:
        """Start, serve until asked to stop, stop."""

    # Why this process takes no other database while it runs; "" if it does.
    why_not_restore = ""
    _snapshots: Snapshots

    async def replace_database(self, incoming: Incoming, tree: DataTree) -> None:  # noqa: ARG002
        """Serve from `tree`, which was loaded from `incoming`, and let go of what was before.

        Clients are hung up on. Everything is durable on return. Raises RestoreError.
        """
        raise RestoreError(self.why_not_restore)

    def take_snapshot(self) -> Awaitable[Saved]:
        """A snapshot of the tree as it is now or later; raises NoSnapshot if there is none.

        Only while there is an active server.
        """
        return self._snapshots.request()

    @abstractmethod
    def active_server(self) -> Server | None:
        """The server that clients meet now, be it read-only; None while nobody is served."""

    def _new_server(
        self, tree: DataTree, timeouts_ms: dict[int, int], server_id: int = STANDALONE_ID
    ) -> Server:
        """A server over a tree and the sessions with it; its pipeline is the caller's to give."""
        machine = self.machine
        return Server(
            self.config,
            tree,
            timeouts_ms,
            self.providers,
            self,
            machine.now_ms,
            machine.wall_ms,
            server_id,
            self.stats,
        )

    # Host

    @abstractmethod
    def batch_is_open(self) -> None:
        """Clients have asked for something; when the turn ends, it goes its way."""

    def report(self, event: str, **facts: object) -> None:
        """A line for the log."""
        left_out = self._line_limit.admit(event)
        if left_out is not None:
            more = {"lines_left_out": str(left_out)} if left_out else {}
            log.info(event, **{name: str(fact) for name, fact in facts.items()}, **more)

    def audit(self, fields: Mapping[str, str]) -> None:
        """A line for the audit log."""
        logs.audit(fields)

    def random(self) -> float:
        """A number from 0 up to 1."""
        return self.machine.random()

    def now_ms(self) -> int:
        """The monotonic clock."""
        return self.machine.now_ms()

    def wall_ms(self) -> int:
        """The calendar's clock."""
        return self.machine.wall_ms()

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

    def make_tree(self) -> DataTree:
        """An empty tree with the features that the configuration wants."""
        config = self.config
        return DataTree(
            config.digest_enabled, config.extended_types_enabled, config.emulate_353_ttl_nodes
        )

    def _listen(self) -> None:
        """Bind the client port; who comes waits in its queue until the server accepts."""
        config = self.config
        self._purging = Purging(config, self.layout, self.machine.disk)
        self._purging.start()
        self._sockets = self.machine.listen(
            config.client_port_address, config.client_port or 0, config.client_port_listen_backlog
        )

    async def _accept(self, factory: Callable[[], asyncio.Protocol]) -> None:
        """Give clients a protocol from now on, and take signals."""
        self._acceptors = [
            await self.loop.create_server(factory, sock=each) for each in self._sockets
        ]
        for number in (signal.SIGTERM, signal.SIGINT):
            self.loop.add_signal_handler(number, self._finish, ExitCode.EXECUTION_FINISHED)

    def _restore(
        self, tree: DataTree, replayed: Callable[[int, bytes], object] | None = None
    ) -> Restored:
        """Fill the tree from the data directory; see `storage.recovery.restore`."""
        config, stats = self.config, self.stats
        began_ms = self.machine.precise_ms()
        self.machine.hold_collector()
        settings = RestoreSettings(
            config.datadir_autocreate,
            config.db_autocreate,
            config.snapshot_trust_empty,
            config.snapshot_compression_method,
            config.serialize_last_processed_zxid_enabled,
        )
        restored = recovery.restore(
            self.machine.disk, self.layout, tree, settings, log.warn, replayed=replayed
        )
        stats.digest_mismatches += restored.digest_mismatches
        if restored.digest_mismatches:
            log.error(
                "the log's digests differ from the tree that came of it",
                count=restored.digest_mismatches,
                first_zxid=f"0x{hex_zxid(restored.first_mismatch_zxid or 0)}",
            )
        self.machine.settle_collector()
        stats.database_load.record(1, round(self.machine.precise_ms() - began_ms))
        stats.startup_txns.record(1, restored.txns_replayed)
        return restored

    def _log_writer(self) -> TxnLogWriter:
        config = self.config
        limit_kb = config.txn_log_size_limit_kb
        return TxnLogWriter(
            self.machine.disk,
            self.layout.log_folder,
            preallocate_bytes=config.pre_alloc_size_kb * 1024,
            size_limit_bytes=limit_kb * 1024 if limit_kb > 0 else None,
            sync=config.force_sync,
            clock_ms=self.machine.precise_ms,
        )

    def _announce(self, mode: str, restored: Restored, znodes: int) -> None:
        config = self.config
        self._audit_life("serverStart", audit.SUCCESS)
        log.info(f"zkserver {__version__}", mode=mode, pid=os.getpid())
        for each in self._sockets:
            address, port = each.getsockname()[:2]
            log.info("client port", address="*" if address == "::" else address, port=port)
        log.info("data directory", path=config.data_dir, log_path=config.data_log_dir)
        log.info(
            "restored",
            zxid=f"0x{hex_zxid(restored.last_zxid)}",
            znodes=znodes,
            sessions=len(restored.sessions),
            txns_replayed=restored.txns_replayed,
        )

    def _note_sync(self, sync_ms: float, txns: int) -> None:
        """Count a sync of the log with so many txns before it, and warn of a slow one."""
        stats = self.stats
        took_ms = round(sync_ms)
        stats.fsync.record(1, took_ms)
        if txns:
            stats.logged += txns
            stats.log_batch_size.record(1, txns)
            stats.log_flush.record(1, took_ms)
        if sync_ms > self.config.fsync_warning_threshold_ms:
            stats.fsync_threshold_exceeded += 1
            log.warn(
                "syncing the transaction log was slow, which delays every write",
                took_ms=round(sync_ms),
                folder=self.layout.log_folder,
            )

    # The end

    def fail(self, error: FatalError) -> None:
        """Stop at once: nothing more may be promised."""
        log.error(str(error), exit_code=int(error.exit_code))
        self._exit_now(error.exit_code)

    def unexpected(self, _loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        """The loop caught an exception: of a socket, or of our own, which is fatal."""
        error = context.get("exception")
        if isinstance(error, FatalError):
            self.fail(error)
            return
        if getattr(context.get("protocol"), "concerns_one_client", False):
            log.warn("closing a connection", reason=repr(error))
            return
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

    def _audit_life(self, operation: str, result: str) -> None:
        """The server starts or stops: an event for the audit log, if there is one."""
        if self.config.audit_enabled:
            self.audit(audit.server_event(audit.user_of(self.environment()), operation, result))

    def start_failed(self) -> None:
        """The server could not begin to serve."""
        self._audit_life("serverStart", audit.FAILURE)

    def _finish(self, exit_code: int) -> None:
        if not self._done.done():
            self._audit_life("serverStop", audit.INVOKED)
            self.exit_code = exit_code
            self._done.set_result(None)
