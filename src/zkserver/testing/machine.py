"""The machine of a server in a test, in the place of `runtime.machine.Machine`.

No process and no thread is begun for the server: the log is written by the loop itself, snapshots
and a leader's tree too, while clients wait. That is quick enough for what a test keeps, and nothing
is left running when a test ends. The interpreter's settings (collector, switch interval) are the
test's own affair and stay as they are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from zkserver.base.config import Config
from zkserver.base.errors import FatalError
from zkserver.runtime import tree_sender
from zkserver.runtime.machine import Machine
from zkserver.runtime.quorum_port import QuorumLink
from zkserver.runtime.snapshots import Snapshots
from zkserver.runtime.storage_thread import Job, StorageThread, carry_out
from zkserver.storage.disk import Disk
from zkserver.storage.layout import Layout
from zkserver.storage.txnlog import TxnLogWriter
from zkserver.testing.clock import Clock


class StorageOnLoop:
    """As `StorageThread`, without the thread: an order is done when it is given.

    It is reported in a later turn, as the thread would, and all reports come in order.
    """

    def __init__(
        self,
        writer: TxnLogWriter,
        disk: Disk,
        loop: asyncio.AbstractEventLoop,
        written: Callable[[list[object], float], None],
        failed: Callable[[FatalError], None],
    ) -> None:
        self._writer = writer
        self._disk = disk
        self._loop = loop
        self._written = written
        self._failed = failed
        self._given = 0

    def start(self) -> None:
        """Nothing is to be begun."""

    def write(self, token: object, entries: list[bytes]) -> None:
        """Log entries."""
        try:
            self._writer.write(entries)
        except FatalError as error:
            self._failed(error)
            return
        self._report_soon(token)

    def carry_out(self, token: object, job: Job, *, closes_log: bool) -> None:
        """Do a job; the log goes on in a new file if the job `closes_log`."""
        try:
            carry_out(job, self._disk, self._disk, self._writer if closes_log else None)
        except FatalError as error:
            self._failed(error)
            return
        self._report_soon(token)

    def _report_soon(self, token: object) -> None:
        self._given += 1
        self._loop.call_soon(self._report, token, self._writer.last_sync_ms)

    def _report(self, token: object, sync_ms: float) -> None:
        self._given -= 1
        self._written([token], sync_ms)

    @property
    def is_free(self) -> bool:
        """Whether every order has been reported."""
        return not self._given

    def write_here(self, entries: list[bytes]) -> float:
        """Log entries; returns what the sync took (ms)."""
        self._writer.write(entries)
        return self._writer.last_sync_ms

    def roll(self) -> None:
        """Begin a new log file with the next entries."""
        self._writer.roll()

    def stop(self) -> None:
        """Close the file."""
        self._writer.close()

    def bytes_since_snapshot(self) -> int:
        """Record bytes written since the last roll."""
        return self._writer.bytes_since_snapshot


class SnapshotsOnLoop(Snapshots):
    """A snapshot is written when it is due, and complete when the call returns."""

    def take(self) -> None:
        """Write a snapshot of the tree as it is now."""
        if self._server is None:
            return
        self._started_ms = self._precise_ms()
        self._verify = self._config.digest_enabled
        self._finish(self._save())


class TestingMachine(Machine):
    """What one server takes from the test it runs in."""

    # pytest looks for classes of this name.
    __test__ = False

    def __init__(self, clock: Clock, disk: Disk) -> None:
        super().__init__()
        self.disk = disk
        self.now_ms = clock.now_ms
        self.precise_ms = clock.precise_ms
        self.wall_ms = clock.wall_ms

    def storage(
        self,
        writer: TxnLogWriter,
        loop: asyncio.AbstractEventLoop,
        written: Callable[[list[object], float], None],
        failed: Callable[[FatalError], None],
    ) -> StorageThread:
        """The log's writer, on the loop."""
        return cast(StorageThread, StorageOnLoop(writer, self.disk, loop, written, failed))

    def snapshots(
        self,
        config: Config,
        layout: Layout,
        roll_log: Callable[[], None],
        failed: Callable[[FatalError], None],
    ) -> Snapshots:
        """The writer of snapshots, on the loop."""
        return SnapshotsOnLoop(
            config, layout, roll_log, failed, precise_ms=self.precise_ms, disk=self.disk
        )

    def send_tree(
        self,
        loop: asyncio.AbstractEventLoop,  # noqa: ARG002
        link: QuorumLink,
        pieces: tree_sender.Pieces,
    ) -> None:
        """All at once; the link keeps what it cannot send yet."""
        for piece in pieces():
            link.write(piece)

    def hold_collector(self) -> None:
        """The collector is the test's own affair."""

    def settle_collector(self) -> None:
        """The collector is the test's own affair."""
