"""Snapshots without stalling clients: a forked child writes the tree as it stood.

The child shares the parent's memory as of the fork, so what it writes is exactly
the tree at its zxid. It closes every inherited socket first: a client whose
connection the parent closes must see that at once. It reports through a pipe.

Whoever wants a snapshot now (`request`) gets one that was begun after the asking; all who ask
while one is being written share the next.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
from collections.abc import Callable
from contextlib import suppress

from zkserver.base.config import Config
from zkserver.base.errors import ExitCode, FatalError
from zkserver.base.zxid import hex_zxid
from zkserver.runtime import child, clock
from zkserver.runtime.disk import RealDisk
from zkserver.runtime.logs import get_log
from zkserver.server.server import Server
from zkserver.server.stats import ServerStats
from zkserver.storage import snapshot
from zkserver.storage.disk import Disk
from zkserver.storage.layout import Layout
from zkserver.storage.snapshot import Saved

log = get_log("snapshot")

# Snapshots that follow each other quickly do not all sum the digests of their znodes.
VERIFY_INTERVAL_MS = 60_000.0
_CHILD_NICENESS = 10


class NoSnapshot(Exception):
    """A snapshot that was asked for has not come about; the server goes on or says why not."""


class Snapshots:
    """Decides when a snapshot is due, and has one written at a time.

    It is of the tree of the server that it was told to `use`; without one, none is taken.
    """

    _stats: ServerStats

    def __init__(
        self,
        config: Config,
        layout: Layout,
        roll_log: Callable[[], None],
        failed: Callable[[FatalError], None],
        precise_ms: Callable[[], float] = clock.precise_ms,
        randint: Callable[[int, int], int] = random.randint,
        disk: Disk | None = None,
    ) -> None:
        """`randint(a, b)` gives a number from a to b, both included."""
        self._disk: Disk = RealDisk() if disk is None else disk
        self._precise_ms = precise_ms
        self._randint = randint
        self._config = config
        self._layout = layout
        self._roll_log = roll_log
        self._failed = failed
        self._server: Server | None = None
        self._child = 0
        self._reader = -1
        self._started_ms = 0.0
        self._verify = False
        self._verified_ms = -VERIFY_INTERVAL_MS
        self._report = b""
        self._txns = 0
        # Who waits for the snapshot that is being written, and who for the one after it.
        self._awaited: list[asyncio.Future[Saved]] = []
        self._requested: list[asyncio.Future[Saved]] = []
        self._draw()

    def _draw(self) -> None:
        """Thresholds by chance, so that the servers of an ensemble do not snapshot together."""
        config = self._config
        half = config.snap_count // 2
        self._txn_limit = half + self._randint(0, half)
        half_bytes = config.snap_size_limit_kb * 1024 // 2
        self._byte_limit = half_bytes + self._randint(0, max(half_bytes, 0))

    def use(self, server: Server) -> None:
        """From now on, snapshots are of this server's tree."""
        self._server = server
        self._stats = server.stats

    def let_go(self) -> None:
        """The server is gone, and its tree must not be kept; a child goes on with its own."""
        self._server = None

    @property
    def under_way(self) -> bool:
        """Whether a child is writing one."""
        return self._child != 0

    def committed(self, txns: int, log_bytes: int) -> None:
        """Count transactions that were applied; take a snapshot when enough have gathered."""
        self._txns += txns
        too_large = self._config.snap_size_limit_kb > 0 and log_bytes > self._byte_limit
        if (self._txns > self._txn_limit or too_large) and not self._child:
            self._txns = 0
            self._draw()
            self._roll_log()
            self.take()

    def request(self) -> asyncio.Future[Saved]:
        """A snapshot of the tree as it is now or later; raises NoSnapshot if there is none."""
        future: asyncio.Future[Saved] = asyncio.get_running_loop().create_future()
        self._requested.append(future)
        self._take_requested()
        return future

    def _take_requested(self) -> None:
        if not self._requested or self._child:
            return
        self._awaited, self._requested = self._requested, []
        self.take()
        if not self._child:
            # It was written at once, which has settled them, or could not be begun.
            self._settle(None)

    def _settle(self, saved: Saved | None) -> None:
        awaited, self._awaited = self._awaited, []
        for each in awaited:
            if each.done():
                continue
            if saved is None:
                each.set_exception(NoSnapshot("no snapshot could be written now; see the log"))
            else:
                each.set_result(saved)

    def take(self) -> None:
        """Begin a snapshot of the tree as it is now, unless one is being written."""
        if self._child or self._server is None:
            return
        self._started_ms = self._precise_ms()
        self._verify = (
            self._config.digest_enabled
            and self._started_ms - self._verified_ms >= VERIFY_INTERVAL_MS
        )
        if self._verify:
            self._verified_ms = self._started_ms
        if not hasattr(os, "fork"):
            log.warn("no fork on this platform: clients wait while the snapshot is written")
            self._finish(self._save())
            return
        try:
            self._child, self._reader = child.start(self._write, _CHILD_NICENESS)
        except OSError as error:
            # No memory or process to be had. The log keeps everything until the next try.
            self._stats.snapshot_errors += 1
            log.warn("no snapshot now: cannot start a process for it", reason=str(error))
            return
        self._report = b""
        asyncio.get_running_loop().add_reader(self._reader, self._read_report, self._reader)

    def stop(self) -> None:
        """End a snapshot that is being written, and remove what there is of it."""
        self._awaited += self._requested
        self._requested = []
        self._settle(None)
        if self._child:
            asyncio.get_running_loop().remove_reader(self._reader)
            os.close(self._reader)
            with suppress(ProcessLookupError):
                os.kill(self._child, signal.SIGKILL)
            os.waitpid(self._child, 0)
            self._child = 0
            with suppress(OSError):
                snapshot.remove_unfinished(self._disk, self._layout)

    def _write(self, pipe: int) -> None:
        """In the child: write the snapshot, and report."""
        os.write(pipe, json.dumps(self._save()).encode())

    def _save(self) -> dict[str, object]:
        config, server = self._config, self._server
        if server is None:
            return {"error": "there is no server"}
        tree = server.tree
        if self._verify and tree.compute_digest() != tree.digest:
            return {"digest_differs": True}
        try:
            saved = snapshot.save(
                self._disk,
                self._layout,
                tree,
                server.sessions.timeouts(),
                compression=config.snapshot_compression_method,
                digest_enabled=config.digest_enabled,
                serialize_last_zxid=config.serialize_last_processed_zxid_enabled,
                mark=self._mark(),
            )
        except OSError as error:
            return {"error": str(error)}
        return {
            "path": saved.path,
            "zxid": saved.zxid,
            "bytes": saved.size_bytes,
        }

    def _mark(self) -> str:
        # The child of a server that was killed may be writing the same snapshot still.
        return str(os.getpid())

    def _read_report(self, reader: int) -> None:
        piece = os.read(reader, 65536)
        self._report += piece
        if piece:
            return
        asyncio.get_running_loop().remove_reader(reader)
        os.close(reader)
        _, status = os.waitpid(self._child, 0)
        self._child = 0
        if not self._report and os.WIFSIGNALED(status):
            # Killed from outside, perhaps for want of memory, which no disk is to blame for.
            # The log keeps everything until the next try.
            self._stats.snapshot_errors += 1
            log.warn("no snapshot now: its process was killed", signal=os.WTERMSIG(status))
            self._settle(None)
        else:
            self._finish(json.loads(self._report) if self._report else {"error": "the child died"})
        self._take_requested()

    def _finish(self, report: dict[str, object]) -> None:
        stats = self._stats
        took_ms = round(self._precise_ms() - self._started_ms)
        if "error" in report:
            stats.snapshot_errors += 1
            self._fail(
                f"cannot write a snapshot into {self._layout.snapshot_folder}: {report['error']}. "
                "Every acknowledged change is in the log; make room on that disk or repair it, "
                "and start again"
            )
            return
        if "digest_differs" in report:
            stats.digest_mismatches += 1
            self._fail(
                "the digests of the znodes do not sum to the tree's, so no snapshot was written. "
                "Every acknowledged change is in the log: start again"
            )
            return
        stats.snapshots += 1
        saved = Saved(str(report["path"]), int(str(report["zxid"])), int(str(report["bytes"])))
        stats.snapshot_time.record(1, took_ms)
        log.info(
            "snapshot written",
            path=saved.path,
            zxid="0x" + hex_zxid(saved.zxid),
            size_bytes=saved.size_bytes,
            took_ms=took_ms,
        )
        self._settle(saved)

    def _fail(self, message: str) -> None:
        self._settle(None)
        self._failed(FatalError(ExitCode.TXNLOG_ERROR_TAKING_SNAPSHOT, message))
