"""Who torments an ensemble, and with what: one fault after another, each with its end.

Never more than a minority of disks is made to fail for good; everything else may hit everybody,
since nothing that was acknowledged may depend on who is hit.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from zkserver.sim import bad_disks, grudges
from zkserver.sim.grudges import Grudge

if TYPE_CHECKING:
    from zkserver.sim.ensemble import PeerHost
    from zkserver.sim.ensemble_run import EnsembleRun

KINDS = (
    "kill",
    "kill leader",
    "power",
    "power leader",
    "kill all",
    "power all",
    "stop",
    "pause server",
    "pause leader",
    "pause client",
    "partition halves",
    "partition one",
    "partition leader",
    "partition bridge",
    "partition ring",
    "one-way cut",
    "slow link",
    "reset",
    "half-open",
    "cut client",
    "clock jump",
    "slow disk",
    "failing sync",
    "full disk",
    "kill joining",
    "power joining",
    "hop",
    "depose",
    "bad disk",
)

# How long to wait for a learner that takes over a leader's history.
PATIENCE_MS = 4000
HOPS = 12


class Nemesis:
    """Acts on a run's servers, clients and network, by the run's seed."""

    def __init__(self, run: EnsembleRun) -> None:
        self._run = run
        self._chance = run.world.chance("nemesis")
        self._servers = [host.host for host in run.hosts]
        self._clients = [client.name for client in run.clients]

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
        run.fault_count += 1
        what, _, whom = kind.partition(" ")
        if whom == "joining":
            await self._end_joining(what)
        elif what in ("kill", "power", "stop"):
            await self._end(what, whom)
        elif what == "partition":
            await self._partition(whom)
        elif what == "pause":
            await self._pause(whom)
        elif kind == "clock jump":
            host = chance.choice(self._servers)
            jump_ms = chance.randint(-100_000, 100_000)
            self._note(kind, f"{host} by {jump_ms} ms")
            offsets = run.world.clock_offsets_ms
            offsets[host] = offsets.get(host, 0) + jump_ms
        elif kind == "hop":
            await self._hop()
        elif kind == "depose":
            await self._depose()
        elif kind == "bad disk":
            self._damage_disk(chance.choice(run.voters))
        elif kind in ("slow disk", "failing sync", "full disk"):
            self._spoil_disk(kind)
        else:
            await self._strike_links(kind)

    def _note(self, kind: str, detail: str) -> None:
        self._run.world.events.note("nemesis", f"fault: {kind}: {detail}")

    def _leader(self) -> PeerHost | None:
        leading = [host for host in self._run.hosts if host.is_leading and host.is_serving]
        return self._chance.choice(leading) if leading else None

    def _victim(self, whom: str) -> PeerHost | None:
        return self._leader() if whom == "leader" else self._chance.choice(self._run.hosts)

    async def _end(self, what: str, whom: str) -> None:
        """Ends, soon after something was written: a crash is worth most there."""
        chance = self._chance
        if whom == "all":
            self._note(f"{what} all", "")
            await self._wait_for_a_write(self._run.hosts)
            for each in self._run.hosts:
                self._end_one(what, each, chance.random() * 5)
            return
        victim = self._victim(whom)
        if victim is not None:
            await self._end_busy(what, victim)

    async def _end_busy(self, what: str, host: PeerHost) -> None:
        chance = self._chance
        await self._wait_for_a_write([host])
        self._note(what, host.host)
        self._end_one(what, host, chance.random() * 8)

    async def _wait_for_a_write(self, hosts: list[PeerHost]) -> None:
        """Until soon after one of them has written something, while slow disks sync it."""
        chance = self._chance
        before = [host.faults.slow_chance for host in hosts]
        for host in hosts:
            host.faults.slow_chance = chance.random()
        written = sum(len(host.disk.operations) for host in hosts)
        for _ in range(300):
            if sum(len(host.disk.operations) for host in hosts) != written:
                break
            await asyncio.sleep(0.001)
        await asyncio.sleep(chance.random() * 0.02)
        for host, slow_chance in zip(hosts, before, strict=True):
            host.faults.slow_chance = slow_chance

    async def _end_joining(self, what: str) -> None:
        """Ends one or all, while some that were away take over a leader's history.

        Either one is away, or all but the leader, which then has a tail of its own that becomes
        history in the next epoch. What is acknowledged too early is lost then, if ever.
        """
        run, chance = self._run, self._chance
        leader = self._leader()
        if leader is not None and chance.random() < 0.5:
            away = [host for host in run.voters if host is not leader]
            await self._wait_for_a_write([leader])
        else:
            away = [chance.choice(run.voters)]
        self._note(f"{what} joining", "+".join(host.host for host in away) + " away")
        for host in away:
            self._end_one("kill", host, 0.3 + chance.random() * 3)
        if len(away) == 1:
            await asyncio.sleep(chance.random() * 3)
            leader = self._leader()
            if leader is not None and chance.random() < 0.7:
                self._end_one("kill", leader, chance.random() * 4)
        for _ in range(PATIENCE_MS):
            joining = [host for host in run.hosts if host.is_joining]
            if joining:
                break
            await asyncio.sleep(0.001)
        else:
            return
        for host in joining:
            host.faults.slow_chance = 1.0
        await asyncio.sleep(chance.random() ** 2 * 0.02 * run.options.sync_ms)
        for host in joining:
            host.faults.slow_chance = 0.0
        victims = run.hosts if chance.random() < 0.5 else joining
        self._note(f"{what} joining", "+".join(host.host for host in victims))
        for host in victims:
            self._end_one(what, host, chance.random() * 5)

    async def _hop(self) -> None:
        """A client goes from server to server, of which one and the leader are far apart.

        What it asked there comes late to the leader, or what it saw elsewhere comes late there.
        """
        run, chance = self._run, self._chance
        leader = self._leader()
        if leader is None:
            return
        late = chance.choice([host for host in self._servers if host != leader.host])
        client = chance.choice(run.clients)
        pair = [leader.host, late]
        chance.shuffle(pair)
        self._note("hop", f"{client.name}, and {pair[1]} hears {pair[0]} late")
        run.world.network.slow(pair[0], pair[1], 50 + chance.random() * 450)
        for _ in range(HOPS):
            await asyncio.sleep(chance.random() * 0.5)
            client.hop()
        run.world.network.heal()

    async def _depose(self) -> None:
        """The leader and the observers are cut off, and the others have a new leader before the
        old one notices; clients go to and fro between the two.
        """
        run, chance = self._run, self._chance
        leader = self._leader()
        if leader is None:
            return
        others = [host for host in run.voters if host is not leader]
        names = [host.host for host in others]
        self._note("depose", leader.host)
        apart = [name for name in self._servers if name not in names]
        run.world.network.apply(grudges.components(apart, names))
        for host in others:
            self._end_one("kill", host, chance.random() * 0.3)
        for _ in range(2 * HOPS):
            await asyncio.sleep(chance.random() * 0.4)
            chance.choice(run.clients).hop()
        run.world.network.heal()

    def _end_one(self, what: str, host: PeerHost, down_s: float) -> None:
        if not host.is_up:
            return
        if what == "stop":
            host.ask_to_stop()
            return
        if what == "kill":
            host.kill()
        else:
            host.power_off()
        self._run.restart_later(host, down_s)

    async def _pause(self, whom: str) -> None:
        run, chance = self._run, self._chance
        if whom == "client":
            name = chance.choice(self._clients)
        else:
            host = self._victim(whom)
            if host is None:
                return
            name = host.host
        self._note("pause", name)
        life = run.world.network.lives[name]
        life.pause()
        await asyncio.sleep(chance.random() * 12)
        life.resume()
        run.world.events.note("nemesis", f"ends: pause: {name}")

    async def _partition(self, whom: str) -> None:
        chance = self._chance
        servers = list(self._servers)
        chance.shuffle(servers)
        grudge: Grudge
        if whom == "halves":
            grudge = grudges.halves(servers)
        elif whom == "bridge":
            grudge = grudges.bridge(servers)
        elif whom == "ring":
            grudge = grudges.majorities_ring(servers)
        else:
            host = self._victim(whom)
            if host is None:
                return
            grudge = grudges.isolated(servers, host.host)
        shown = ", ".join(
            f"{name} deaf to {'+'.join(deaf)}" for name, deaf in grudge.items() if deaf
        )
        await self._hold(f"partition {whom}", shown, grudge)

    async def _hold(self, kind: str, detail: str, grudge: Grudge) -> None:
        network = self._run.world.network
        self._note(kind, detail)
        network.apply(grudge)
        await asyncio.sleep(0.5 + self._chance.random() * 12)
        network.heal()
        self._run.world.events.note("nemesis", f"ends: {kind}")

    def _spoil_disk(self, kind: str) -> None:
        run, chance = self._run, self._chance
        host = chance.choice(run.hosts)
        self._note(kind, host.host)
        if kind == "slow disk":
            host.faults.slow_chance = chance.random()
            return
        if not host.is_serving:
            return
        run.excused[host.host] = None
        if kind == "failing sync":
            host.faults.fail_chance = 0.05
        else:
            host.disk.free_bytes = chance.randint(0, 20_000)

    def _damage_disk(self, host: PeerHost) -> None:
        """A voter's disk goes bad while it is down, and it comes back with an empty one.

        What it had acknowledged is lost with the disk, so the others must be a quorum, and it
        says that it has no database (db.autocreate=false): it gets one before it votes again.
        Recovery is asked what it makes of the bad disk.
        """
        run, chance = self._run, self._chance
        if not host.is_up or not run.may_lose_disk(host):
            return
        host.power_off()
        what = bad_disks.damage(host.disk, chance)
        self._note("bad disk", f"{host.host}: {what.detail}")
        if what.breach:
            run.audits.append(f"{host.host}: {what.breach}")
        run.empty_disk(host)
        run.restart_later(host, chance.random() * 5)

    async def _strike_links(self, kind: str) -> None:
        network, chance = self._run.world.network, self._chance
        one, other = chance.sample(self._servers, 2)
        client = chance.choice(self._clients)
        if kind == "reset":
            self._note(kind, one)
            network.reset(one)
        elif kind == "half-open":
            name = chance.choice((one, client))
            self._note(kind, name)
            network.forget(name)
        elif kind == "cut client":
            await self._hold(
                kind, client, grudges.isolated([client, *self._servers], client)
            )
        elif kind == "one-way cut":
            await self._hold(kind, f"{one} deaf to {other}", grudges.one_way([one], [other]))
        elif kind == "slow link":
            factor = 1 + chance.random() * 500
            self._note(kind, f"{one} and {other}, {factor:.0f} times")
            network.slow(one, other, factor)
            network.slow(other, one, factor)
            await asyncio.sleep(chance.random() * 8)
            network.heal()

    def _end_all(self) -> None:
        run = self._run
        run.world.network.heal()
        for name in (*self._servers, *self._clients):
            run.world.network.lives[name].resume()
        for host in run.hosts:
            host.faults.slow_chance = host.faults.fail_chance = 0.0
            host.disk.free_bytes = None
            if not host.is_up:
                run.restart_later(host)
