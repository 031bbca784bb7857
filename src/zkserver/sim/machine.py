"""The machine of a simulated host, in the place of `runtime.machine.Machine`.

Virtual clocks, a seeded disk, a storage thread that is two timers, and snapshots whose
child is a list of disk operations that are done one by one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from zkserver.base.config import Config
from zkserver.base.errors import ExitCode, FatalError
from zkserver.runtime import tree_sender
from zkserver.runtime.machine import Machine
from zkserver.runtime.quorum_port import QuorumLink
from zkserver.runtime.snapshots import Snapshots
from zkserver.runtime.storage_thread import Job, Order, StorageThread, carry_out
from zkserver.sim.disk import SimDisk
from zkserver.sim.loop import LifeEnded, current_life
from zkserver.sim.recorded import RecordingDisk
from zkserver.sim.world import World
from zkserver.storage.layout import Layout
from zkserver.storage.txnlog import TxnLogWriter

# The calendar when the world begins, in ms since 1970.
EPOCH_MS = 1_700_000_000_000
QUICK_DISK_MS = 2.0
FIRST_UPTIME_MS = 1_000_000


@dataclass
class DiskFaults:
    """What a server's disk does besides forgetting. Times in ms.

    A sync takes up to `sync_ms`, of every sync a share of `slow_chance` ten times as
    long; a share of `fail_chance` fails.
    """

    sync_ms: float = QUICK_DISK_MS
    slow_chance: float = 0.0
    fail_chance: float = 0.0


class SimStorage:
    """As `StorageThread`: writes happen at once, syncs when their time is over.

    A job is done step by step, each step with the time of a sync.
    """

    def __init__(
        self,
        machine: SimMachine,
        writer: TxnLogWriter,
        written: Callable[[list[object], float], None],
        failed: Callable[[FatalError], None],
    ) -> None:
        self.machine = machine
        self.writer = writer
        self.written = written
        self.failed = failed
        self._orders: deque[Order] = deque()
        self._is_busy = False

    def start(self) -> None:
        """Begin to take orders."""

    def write(self, token: object, entries: list[bytes]) -> None:
        """Write entries in their turn, and report them when they are synced."""
        self._orders.append(Order(token, entries))
        self.next()

    def carry_out(self, token: object, job: Job, *, closes_log: bool) -> None:
        """Do a job in its turn."""
        self._orders.append(Order(token, [], job, closes_log))
        self.next()

    def next(self) -> None:
        """Begin with the next order, and with the entries that wait behind it."""
        if self._is_busy or not self._orders:
            return
        self._is_busy = True
        order = self._orders.popleft()
        if order.job is not None:
            self._begin(order.token, order.job, closes_log=order.closes_log)
            return
        tokens, entries = [order.token], order.entries
        while self._orders and self._orders[0].job is None:
            more = self._orders.popleft()
            tokens.append(more.token)
            entries = entries + more.entries
        self.log(tokens, entries)

    def log(self, tokens: list[object], entries: list[bytes]) -> None:
        """Write entries now; they are synced later."""
        machine = self.machine
        disk, sync_ms = machine.sim_disk, machine.begin_sync()
        disk.hold_syncs()
        try:
            self.writer.write(entries)
        except FatalError as error:
            disk.release_syncs()
            machine.later(sync_ms, self.failed, error)
            return
        machine.later(sync_ms, self._synced, tokens, sync_ms, disk.release_syncs())

    def _synced(
        self, tokens: list[object], sync_ms: float, syncs: list[Callable[[], None]]
    ) -> None:
        for sync in syncs:
            sync()
        self.done(tokens, sync_ms)

    def done(self, tokens: list[object], sync_ms: float) -> None:
        """Report orders, and go on with the next one."""
        self._is_busy = False
        self.written(tokens, sync_ms)
        self.next()

    def _begin(self, token: object, job: Job, *, closes_log: bool) -> None:
        recording = RecordingDisk()
        writer = self.writer if closes_log else None
        try:
            carry_out(job, self.machine.sim_disk, recording, writer)
        except FatalError as error:
            self.failed(error)
            return
        self._step(token, recording.steps)

    def _step(self, token: object, steps: list[Callable[[Any], None]]) -> None:
        machine = self.machine
        if not steps:
            self.done([token], 0.0)
            return
        try:
            steps[0](machine.sim_disk)
        except OSError as error:
            self.failed(FatalError(ExitCode.TXNLOG_ERROR_TAKING_SNAPSHOT, f"disk: {error}"))
            return
        machine.later(machine.begin_sync(), self._step, token, steps[1:])

    def write_here(self, entries: list[bytes]) -> float:
        """Write and sync at once; returns what the sync took (ms)."""
        sync_ms = self.machine.begin_sync()
        self.writer.write(entries)
        return sync_ms

    def roll(self) -> None:
        """Begin a new file with the next entries."""
        self.writer.roll()

    def stop(self) -> None:
        """Close the file."""
        self.writer.close()

    def bytes_since_snapshot(self) -> int:
        """Record bytes written since the last roll."""
        return self.writer.bytes_since_snapshot


class SimSnapshots(Snapshots):
    """The snapshot is of this moment; its bytes reach the disk over time, as a child's do."""

    machine: SimMachine
    # Counts snapshots, so that one that was stopped is written no further.
    _number = 0

    def take(self) -> None:
        """Begin a snapshot, unless one is being written."""
        if self._child:
            return
        self._started_ms = self._precise_ms()
        self._verify = self._config.digest_enabled
        self._child = 1
        self._number += 1
        recording = RecordingDisk()
        real, self._disk = self._disk, recording
        report = self._save()
        self._disk = real
        self._step(self._number, recording.steps, report)

    def _step(
        self, number: int, steps: list[Callable[[Any], None]], report: dict[str, object]
    ) -> None:
        machine = self.machine
        if number != self._number:
            return
        if not steps:
            self._child = 0
            machine.note("snapshot is done")
            self._finish(report)
            return
        try:
            steps[0](machine.sim_disk)
        except OSError as error:
            steps, report = [steps[0]], {"error": str(error)}
        machine.later(machine.begin_sync(), self._step, number, steps[1:], report)

    def _mark(self) -> str:
        return "sim"

    def stop(self) -> None:
        """End a snapshot that is being written; recovery removes what there is of it."""
        self._child = 0
        self._number += 1


class SimMachine(Machine):
    """One life's view of the world."""

    def __init__(self, world: World, host: str, disk: SimDisk, faults: DiskFaults) -> None:
        super().__init__()
        self.world = world
        self.host = host
        self.disk = self.sim_disk = disk
        self.faults = faults
        self.chance = world.chance(f"{host} machine {world.next_machine()}")
        self.random = self.chance.random
        loop = world.loop
        uptime_ms = world.uptimes_ms.get(host, FIRST_UPTIME_MS)
        self.now_ms = lambda: int(loop.time() * 1000) + uptime_ms
        self.precise_ms = lambda: loop.time() * 1000 + uptime_ms
        self.wall_ms = lambda: (
            EPOCH_MS + int(loop.time() * 1000) + world.clock_offsets_ms.get(host, 0)
        )

    def note(self, what: str) -> None:
        """An event of this host."""
        self.world.events.note(self.host, what)

    def later(self, delay_ms: float, callback: Callable[..., object], *args: object) -> None:
        """Call in this life when the disk is done."""
        self.world.loop.call_later(delay_ms / 1000, callback, *args)

    def begin_sync(self) -> float:
        """Draw what the next sync does; how long it takes (ms)."""
        faults, chance = self.faults, self.chance
        self.sim_disk.failing_sync = chance.random() < faults.fail_chance
        sync_ms = chance.random() * faults.sync_ms
        return sync_ms * 10 if chance.random() < faults.slow_chance else sync_ms

    def listen(self, address: str, port: int, backlog: int) -> list[Any]:  # noqa: ARG002
        """A listener of the simulated network."""
        life = current_life()
        if life is None:
            raise LifeEnded
        return [self.world.network.listen(life, port)]

    def storage(
        self,
        writer: TxnLogWriter,
        loop: asyncio.AbstractEventLoop,  # noqa: ARG002
        written: Callable[[list[object], float], None],
        failed: Callable[[FatalError], None],
    ) -> StorageThread:
        """The log's writer on virtual time."""
        return cast(StorageThread, SimStorage(self, writer, written, failed))

    def snapshots(
        self,
        config: Config,
        layout: Layout,
        roll_log: Callable[[], None],
        failed: Callable[[FatalError], None],
    ) -> Snapshots:
        """Snapshots on virtual time."""
        chance, disk = self.chance, self.disk
        snapshots = SimSnapshots(
            config, layout, roll_log, failed, self.precise_ms, chance.randint, disk
        )
        snapshots.machine = self
        return snapshots

    def send_tree(
        self,
        loop: asyncio.AbstractEventLoop,  # noqa: ARG002
        link: QuorumLink,
        pieces: tree_sender.Pieces,
    ) -> None:
        """All at once, in no virtual time; the network has it then."""
        for piece in pieces():
            link.write(piece)

    def hold_collector(self) -> None:
        """The collector is the test's own affair."""

    def settle_collector(self) -> None:
        """The collector is the test's own affair."""
