"""Who torments a run, and with what: one fault after another, each with its end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from zkserver.sim import grudges

if TYPE_CHECKING:
    from zkserver.sim.run import Run

KINDS = (
    "kill",
    "power",
    "stop",
    "reset",
    "half-open",
    "cut",
    "one-way cut",
    "slow link",
    "refuse",
    "pause client",
    "pause server",
    "clock jump",
    "slow disk",
    "failing sync",
    "full disk",
    "audit",
)


# How many milliseconds to wait for a busy moment.
PATIENCE = 1000


class Nemesis:
    """Acts on a run's server, clients and network, by the run's seed."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._chance = run.world.chance("nemesis")
        self._hosts = ["server", *(client.name for client in run.clients)]

    async def torment(self) -> None:
        """Act one; when it ends, so do all faults."""
        run = self._run
        options, loop = run.options, run.world.loop
        own = run.world.network.lives["nemesis"]
        while True:
            await asyncio.sleep(self._chance.random() * 2 * options.fault_every_s)
            if loop.time() > options.duration_s:
                break
            if options.faults:
                # Faults that last overlap with those that come meanwhile.
                own.start(self._strike(self._chance.choice(options.faults)))
        self._end_all()

    async def _strike(self, kind: str) -> None:
        run, chance = self._run, self._chance
        run.world.events.note("nemesis", f"fault: {kind}")
        run.fault_count += 1
        if kind in ("kill", "power", "stop"):
            await self._wait_for_a_write()
            self._end_server(kind)
        elif kind in ("slow disk", "failing sync", "full disk"):
            self._spoil_disk(kind)
        elif kind.startswith("pause"):
            host = "server" if kind == "pause server" else chance.choice(self._hosts[1:])
            life = run.world.network.lives[host]
            life.pause()
            await asyncio.sleep(chance.random() * 8)
            life.resume()
        elif kind == "clock jump":
            offsets = run.world.clock_offsets_ms
            offsets["server"] = offsets.get("server", 0) + chance.randint(-100_000, 100_000)
        elif kind == "audit":
            run.audit()
        else:
            await self._strike_links(kind)

    async def _wait_for_a_write(self) -> None:
        """An end is worth most soon after a write, while a slow disk syncs it."""
        server, chance = self._run.server, self._chance
        slow_chance, server.faults.slow_chance = server.faults.slow_chance, chance.random()
        await asyncio.sleep(chance.random())
        written = len(server.disk.operations)
        for _ in range(PATIENCE):
            if len(server.disk.operations) != written:
                break
            await asyncio.sleep(0.001)
        await asyncio.sleep(chance.random() * 0.02)
        server.faults.slow_chance = slow_chance

    def _end_server(self, kind: str) -> None:
        run = self._run
        server = run.server
        if not server.is_up:
            return
        if kind == "stop":
            server.ask_to_stop()
            return
        if kind == "kill":
            server.kill()
        else:
            server.power_off()
        run.restart_later()

    def _spoil_disk(self, kind: str) -> None:
        run, chance = self._run, self._chance
        server = run.server
        if kind == "slow disk":
            server.faults.slow_chance = chance.random()
            return
        if not server.is_serving:
            return
        run.spoil_disk()
        if kind == "failing sync":
            server.faults.fail_chance = 0.05
        else:
            server.disk.free_bytes = chance.randint(0, 20_000)

    async def _strike_links(self, kind: str) -> None:
        network, chance = self._run.world.network, self._chance
        client = chance.choice(self._hosts[1:])
        if kind == "reset":
            network.reset(client)
            return
        if kind == "half-open":
            network.forget(chance.choice(("server", client)))
            return
        if kind == "cut":
            network.apply(grudges.isolated(self._hosts, client))
        elif kind == "one-way cut":
            sender, receiver = ("server", client) if chance.random() < 0.5 else (client, "server")
            network.apply(grudges.one_way([receiver], [sender]))
        elif kind == "slow link":
            for sender, receiver in (("server", client), (client, "server")):
                network.slow(sender, receiver, 1 + chance.random() * 500)
        elif kind == "refuse":
            network.refuse("server")
        await asyncio.sleep(chance.random() * 8)
        network.heal()

    def _end_all(self) -> None:
        run = self._run
        run.world.network.heal()
        for host in self._hosts:
            run.world.network.lives[host].resume()
        faults = run.server.faults
        faults.slow_chance = faults.fail_chance = 0.0
        run.server.disk.free_bytes = None
        if not run.server.is_up:
            run.restart_later()
