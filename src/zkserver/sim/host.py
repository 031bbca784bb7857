"""A host of the simulated world with a real server's process on it, and its disk.

The process is the production one; `Simulated` puts the world in the place of what it would
do to the machine, and `SimHost` starts it, ends it, and keeps the disk from life to life.
"""

from __future__ import annotations

import asyncio
import signal
from typing import Generic, TypeVar

from zkserver.base.config import Config
from zkserver.base.errors import FatalError
from zkserver.runtime.process import Process
from zkserver.session.ids import signed
from zkserver.sim.disk import SimDisk
from zkserver.sim.loop import LifeEnded
from zkserver.sim.machine import DiskFaults, SimMachine
from zkserver.sim.world import World

CLIENT_PORT = 2181


class Simulated(Process):
    """Goes before a production process in a class's bases: where that ends, its life ends."""

    machine: SimMachine

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


P = TypeVar("P", bound=Simulated)


class SimHost(Generic[P]):
    """A host with the real server on it, and its disk over all its lives.

    `process_class` and `machine_class` are where planted bugs come in.
    """

    def __init__(
        self, world: World, config: Config, host: str, process_class: type[P]
    ) -> None:
        self.world = world
        self.config = config
        self.host = host
        self.disk = SimDisk()
        self.faults = DiskFaults()
        self.chance = world.chance(f"{host} crashes")
        self.process_class = process_class
        self.machine_class: type[SimMachine] = SimMachine
        self.process: P | None = None
        self.exit_codes: list[int] = []

    def start(self) -> None:
        """Boot the host and start the server; it serves when it has restored."""
        self.world.events.note(self.host, "starts")
        self.process = None
        life = self.world.network.boot(self.host)
        life.start(self._serve())

    async def _serve(self) -> None:
        machine = self.machine_class(self.world, self.host, self.disk, self.faults)
        try:
            self.process = process = self.make_process(machine)
            asyncio.get_running_loop().set_exception_handler(process.unexpected)
            await process.serve()
        except FatalError as error:
            self.world.events.note(self.host, f"fatal: {error}")
            self.world.process_ended(self.host, int(error.exit_code))
            return
        self.world.process_ended(self.host, process.exit_code)

    def make_process(self, machine: SimMachine) -> P:
        """The process of another life."""
        loop = asyncio.get_running_loop()
        return self.process_class(self.config, loop, machine.precise_ms(), machine)

    @property
    def is_up(self) -> bool:
        """Whether the process is alive."""
        life = self.world.network.lives.get(self.host)
        return life is not None and life.alive

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
