"""The real standalone server in the simulated world.

`runtime.main.Process` is the production one. In the place of its machine it gets
`SimMachine`: virtual clocks, a seeded disk, a storage thread that is two timers, and
snapshots whose child is a list of disk operations that are done one by one.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from zkserver.base.config import Config
from zkserver.base.errors import FatalError
from zkserver.runtime.machine import Machine
from zkserver.runtime.main import Process
from zkserver.runtime.snapshots import Snapshots
from zkserver.runtime.storage_thread import StorageThread
from zkserver.server.run import Batch
from zkserver.server.server import Server
from zkserver.session.ids import signed
from zkserver.sim.disk import SimDisk
from zkserver.sim.loop import LifeEnded, current_life
from zkserver.sim.recorded import RecordingDisk
from zkserver.sim.world import World
from zkserver.storage.layout import Layout
from zkserver.storage.txnlog import TxnLogWriter
from zkserver.tree.tree import DataTree

CLIENT_PORT = 2181
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
    """As `StorageThread`: the write happens at once, the sync when its time is over."""

    def __init__(
        self,
        machine: SimMachine,
        writer: TxnLogWriter,
        written: Callable[[Batch, float], None],
        failed: Callable[[FatalError], None],
    ) -> None:
        self.machine = machine
        self.writer = writer
        self.written = written
        self.failed = failed

    def start(self) -> None:
        """Begin to take batches."""

    def write(self, batch: Batch) -> None:
        """Write a batch, and report it when it is synced."""
        machine = self.machine
        disk, sync_ms = machine.sim_disk, machine.begin_sync()
        disk.hold_syncs()
        try:
            self.writer.write(batch.entries)
        except FatalError as error:
            disk.release_syncs()
            machine.later(sync_ms, self.failed, error)
            return
        machine.later(sync_ms, self._synced, batch, sync_ms, disk.release_syncs())

    def _synced(self, batch: Batch, sync_ms: float, syncs: list[Callable[[], None]]) -> None:
        for sync in syncs:
            sync()
        self.written(batch, sync_ms)

    def write_here(self, batch: Batch) -> float:
        """Write and sync at once; returns what the sync took (ms)."""
        sync_ms = self.machine.begin_sync()
        self.writer.write(batch.entries)
        return sync_ms

    def roll(self) -> None:
        """Begin a new file with the next batch."""
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

    def take(self) -> None:
        """Begin a snapshot, unless one is being written."""
        if self._child:
            return
        self._started_ms = self._precise_ms()
        self._verify = self._config.digest_enabled
        self._child = 1
        recording = RecordingDisk()
        real, self._disk = self._disk, recording
        report = self._save()
        self._disk = real
        self._step(recording.steps, report)

    def _step(self, steps: list[Callable[[Any], None]], report: dict[str, object]) -> None:
        machine = self.machine
        if not steps:
            self._child = 0
            machine.note("snapshot is done")
            self._finish(report)
            return
        try:
            steps[0](machine.sim_disk)
        except OSError as error:
            steps, report = [steps[0]], {"error": str(error)}
        machine.later(machine.begin_sync(), self._step, steps[1:], report)

    def _mark(self) -> str:
        return "sim"

    def stop(self) -> None:
        """End a snapshot that is being written; recovery removes what there is of it."""
        self._child = 0


class SimMachine(Machine):
    """One life's view of the world."""

    def __init__(self, world: World, host: str, disk: SimDisk, faults: DiskFaults) -> None:
        super().__init__()
        self.world = world
        self.host = host
        self.disk = self.sim_disk = disk
        self.faults = faults
        self.chance = world.chance(f"{host} machine {len(world.events.lines)}")
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
        written: Callable[[Batch, float], None],
        failed: Callable[[FatalError], None],
    ) -> StorageThread:
        """The log's writer on virtual time."""
        return cast(StorageThread, SimStorage(self, writer, written, failed))

    def snapshots(
        self,
        config: Config,
        layout: Layout,
        server: Server,
        roll_log: Callable[[], None],
        failed: Callable[[FatalError], None],
    ) -> Snapshots:
        """Snapshots on virtual time."""
        chance, disk = self.chance, self.disk
        snapshots = SimSnapshots(
            config, layout, server, roll_log, failed, self.precise_ms, chance.randint, disk
        )
        snapshots.machine = self
        return snapshots

    def hold_collector(self) -> None:
        """The collector is the test's own affair."""

    def settle_collector(self) -> None:
        """The collector is the test's own affair."""


class SimProcess(Process):
    """The production process; where that would end the real one, its life ends."""

    machine: SimMachine
    server_is_up = False

    def _start_storage(self, restored: Any) -> None:
        super()._start_storage(restored)
        self.server_is_up = True

    def environment(self) -> dict[str, str]:
        """Nothing of the machine that the simulation runs on."""
        return {}

    def directory_sizes(self) -> tuple[int, int]:
        """Not measured here."""
        return 0, 0

    def descriptor_counts(self) -> tuple[int, int]:
        """Not counted here."""
        return 0, 0

    def report(self, event: str, **facts: object) -> None:
        """A line of the server's log is an event of the run; expiries are told to the world."""
        world = self.machine.world
        if event == "session expired" and world.expired is not None:
            world.expired(signed(int(str(facts["session"]), 16)), world.loop.time())
        self.machine.note(event + "".join(f" {name}={fact}" for name, fact in facts.items()))

    def _exit_now(self, exit_code: int) -> None:
        self.machine.world.process_ended(self.machine.host, int(exit_code))
        raise LifeEnded


class Standalone:
    """A host with the real server on it, and its disk over all its lives.

    `process_class` and `machine_class` are where planted bugs come in.
    """

    def __init__(self, world: World, config: Config, host: str = "server") -> None:
        self.world = world
        self.config = config
        self.host = host
        self.disk = SimDisk()
        self.faults = DiskFaults()
        self.chance = world.chance(f"{host} crashes")
        self.process_class: type[SimProcess] = SimProcess
        self.machine_class: type[SimMachine] = SimMachine
        self.process: SimProcess | None = None
        self.exit_codes: list[int] = []

    def start(self) -> None:
        """Boot the host and start the server; it serves when it has restored."""
        self.world.events.note(self.host, "starts")
        self.process = None
        life = self.world.network.boot(self.host)
        life.start(self._serve())

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        machine = self.machine_class(self.world, self.host, self.disk, self.faults)
        self.process = process = self.process_class(
            self.config, loop, machine.precise_ms(), machine
        )
        loop.set_exception_handler(process.unexpected)
        try:
            await process.serve()
        except FatalError as error:
            self.world.events.note(self.host, f"fatal: {error}")
            self.world.process_ended(self.host, int(error.exit_code))
            return
        self.world.process_ended(self.host, process.exit_code)

    @property
    def is_up(self) -> bool:
        """Whether the process is alive."""
        life = self.world.network.lives.get(self.host)
        return life is not None and life.alive

    @property
    def is_serving(self) -> bool:
        """Whether it has restored and takes requests."""
        return self.is_up and self.process is not None and self.process.server_is_up

    @property
    def tree(self) -> DataTree:
        """The tree of the process; it has one once it has restored."""
        if self.process is None or not self.process.server_is_up:
            raise RuntimeError("the server has no tree yet")
        return self.process.server.tree

    def kill(self) -> None:
        """kill -9: what was written stays, what was not synced too."""
        self.world.events.note(self.host, "is killed")
        self.world.network.kill(self.host)
        self.disk = self.disk.kill()

    def power_off(self) -> None:
        """The machine stops: unsynced bytes and names are there or not, nobody is told."""
        self.world.events.note(self.host, "loses power")
        self.world.network.power_off(self.host)
        self.disk = self.disk.crash(self.chance)
        # The clock that only goes forward begins anew with the machine.
        uptime_ms = self.chance.randint(10_000, 90_000) - int(self.world.loop.time() * 1000)
        self.world.uptimes_ms[self.host] = uptime_ms

    def ask_to_stop(self) -> None:
        """SIGTERM."""
        self.world.events.note(self.host, "is asked to stop")
        self.world.network.lives[self.host].signal(signal.SIGTERM)
