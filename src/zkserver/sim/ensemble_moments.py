"""Moments that come too rarely by chance: each is a fault of several steps, in one go.

The seeds' own faults (`ensemble_faults.KINDS`) meet in any way; what needs four of them in one
order they bring about too rarely. No seed chooses a kind of `MOMENTS`: they are
for a bug whose wish names them (`ensemble_bugs`), and for `zkserver simulate --faults`. They ask
nothing of a correct server that other faults do not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from zkserver.sim import grudges
from zkserver.sim.ensemble_faults import PATIENCE_MS, Nemesis

if TYPE_CHECKING:
    from zkserver.sim.ensemble import PeerHost

MOMENTS = ("leave joining", "strand", "lose disk", "overtake", "half history", "dead reign")
# A link that is so much slower than others takes a second, and no other link a fraction of it.
HOLDS_BACK = 1000


class Choreographer(Nemesis):
    """A nemesis that also knows these."""

    async def _strike(self, kind: str) -> None:
        moments = {
            "leave joining": self._leave_joining,
            "strand": self._strand,
            "lose disk": self._lose_disk,
            "overtake": self._overtake,
            "half history": self._half_history,
            "dead reign": self._dead_reign,
        }
        if kind not in moments:
            await super()._strike(kind)
            return
        self._run.fault_count += 1
        await moments[kind]()

    async def _leave_joining(self) -> None:
        """One was away, and while a history comes to it slowly, the leader goes."""
        run, chance = self._run, self._chance
        leader = self._leader()
        if leader is None:
            return
        late = chance.choice([host for host in run.hosts if host is not leader])
        self._note("leave joining", f"{late.host} hears {leader.host} late")
        run.world.network.slow(leader.host, late.host, 20 + chance.random() * 200)
        self._end_one("kill", late, 1 + chance.random() * 3)
        for _ in range(2 * PATIENCE_MS):
            if late.is_joining:
                break
            await asyncio.sleep(0.001)
        await asyncio.sleep(chance.random() ** 2 * 0.1)
        self._note("leave joining", f"{leader.host} goes, and what it has sent is lost")
        run.world.network.reset(late.host)
        self._end_one("kill", leader, chance.random() * 8)
        run.world.network.heal()

    async def _strand(self) -> None:
        """The leader is cut off with the clients, and has a tail of its own by the time that the
        others have a leader, in whose epoch nothing is written. Then all meet, newly started.
        """
        run, chance = self._run, self._chance
        leader = self._leader()
        if leader is None:
            return
        others = [host for host in run.voters if host is not leader]
        names = [host.host for host in others]
        self._note("strand", leader.host)
        apart = [name for name in (*self._servers, *self._clients) if name not in names]
        run.world.network.apply(grudges.components(apart, names))
        for host in others:
            self._end_one("kill", host, chance.random() * 0.3)
        await asyncio.sleep(1 + chance.random() * 2)
        self._note("strand", "all are killed")
        for host in run.hosts:
            self._end_one("kill", host, chance.random() * 0.1)
        run.world.network.heal()

    async def _lose_disk(self) -> None:
        """One voter is cut off, another's disk goes bad, and the leader is away for long when
        those two meet: what only these had acknowledged is on the leader's disk alone.
        """
        run, chance = self._run, self._chance
        leader = self._leader()
        if leader is None or run.wiped is not None:
            return
        late, wiped = chance.sample([host for host in run.voters if host is not leader], 2)
        self._note("lose disk", f"{late.host} is cut off")
        run.world.network.apply(grudges.isolated(self._servers, late.host))
        await asyncio.sleep(0.5 + chance.random() * 2)
        self._damage_disk(wiped)
        self._note("lose disk", f"{leader.host} goes")
        self._end_one("kill", leader, 6 + chance.random() * 4)
        run.world.network.heal()

    async def _overtake(self) -> None:
        """Two of five go at once. One comes back for the next epoch, so late that it is sent the
        leader's tree; soon it leads itself, if it can, and the other comes back to it.
        """
        run, chance = self._run, self._chance
        leader = self._leader()
        rest = [host for host in run.voters if host is not leader]
        if leader is None or len(rest) < 4 or not all(host.is_up for host in rest):
            return
        early, late = rest.pop(), rest.pop(chance.randrange(len(rest) - 1))
        self._note("overtake", f"{early.host} and {late.host} go")
        early.kill()
        late.kill()
        await asyncio.sleep(2 + chance.random() * 2)
        self._note("overtake", f"{leader.host} goes, {early.host} comes back")
        self._end_one("kill", leader, 1.0)
        run.restart_later(early, 0.0)
        for _ in range(PATIENCE_MS):
            if early.is_serving:
                break
            await asyncio.sleep(0.001)
        await asyncio.sleep(chance.random() * 0.5)
        self._note("overtake", f"all go but {early.host}, and {late.host} comes back")
        for host in (leader, *rest):
            self._end_one("kill", host, chance.random() * 0.3)
        run.restart_later(late, 0.5)

    async def _half_history(self) -> None:
        """One of three was cut off, and takes over the history of a new epoch from the leader
        alone. Both lose their power then; it meets the third, which has all and knows no epoch.
        """
        run, chance = self._run, self._chance
        leader = self._leader()
        if leader is None or len(run.voters) != 3:
            return
        late, third = chance.sample([host for host in run.voters if host is not leader], 2)
        self._note("half history", f"{late.host} is cut off")
        run.world.network.apply(grudges.isolated(self._servers, late.host))
        await asyncio.sleep(0.5 + chance.random() * 2)
        self._note("half history", f"{third.host} goes, {leader.host} begins anew")
        third.kill()
        self._end_one("kill", leader, 0.0)
        run.world.network.heal()
        for _ in range(2 * PATIENCE_MS):
            if late.is_joining:
                break
            await asyncio.sleep(0.001)
        late.faults.slow_chance = 1.0
        await asyncio.sleep(chance.random() * 0.06 * run.options.sync_ms)
        late.faults.slow_chance = 0.0
        self._note("half history", f"{leader.host} and {late.host} have no power")
        self._end_one("power", leader, 6 + chance.random() * 4)
        self._end_one("power", late, 0.0)
        run.restart_later(third, 0.0)

    async def _dead_reign(self) -> None:
        """Of five, one stores the tree of a leader that is never established. The next leader is
        not established either when it has that one cut what cannot be cut, which is then without
        a database. Both leaders go, and it meets the two that have nothing of either reign.
        """
        run, chance = self._run, self._chance
        leader = self._leader()
        rest = [host for host in run.voters if host is not leader]
        if leader is None or len(rest) != 4 or not all(host.is_serving for host in rest):
            return
        chance.shuffle(rest)
        late, *others = rest
        try:
            if await self._store_a_dead_tree(leader, late, others):
                await self._cut_a_dead_tree(late, others)
        finally:
            run.world.network.heal()
            for host in run.voters:
                run.restart_later(host, 6 + chance.random() * 4)

    async def _store_a_dead_tree(
        self, leader: PeerHost, late: PeerHost, others: list[PeerHost]
    ) -> bool:
        """The leader has a tail of its own, and only `late` takes that over; both are down then."""
        run, chance, network = self._run, self._chance, self._run.world.network
        self._note("dead reign", f"{late.host} lags, and {leader.host} is left alone")
        self._kill(late)
        await asyncio.sleep(1 + chance.random())
        self._kill(*others)
        await asyncio.sleep(0.1 + chance.random() * 0.6)
        self._kill(leader)
        helper = others[0]
        for host in (leader, late, helper):
            run.restart_later(host, 0.0)
        if not await self._comes(lambda: leader.is_leading):
            return False
        self._note("dead reign", f"{helper.host} is to promise and no more")
        network.slow(leader.host, helper.host, HOLDS_BACK)
        if not await self._comes(lambda: leader.is_handing_over):
            return False
        network.cut(leader.host, helper.host)
        is_stored = await self._comes(lambda: late.has_taken_over)
        self._note("dead reign", f"{leader.host} goes, and {late.host} and {helper.host}")
        self._kill(leader, late, helper)
        network.heal()
        return is_stored

    async def _cut_a_dead_tree(self, late: PeerHost, others: list[PeerHost]) -> None:
        """A new leader waits for the disks of its followers when `late` comes to it."""
        run, chance, network = self._run, self._chance, self._run.world.network
        for host in others:
            run.restart_later(host, 0.0)
        if not await self._comes(lambda: any(host.is_leading for host in others)):
            return
        second = next(host for host in others if host.is_leading)
        followers = [host for host in others if host is not second]
        for host in followers:
            network.slow(second.host, host.host, HOLDS_BACK)
        if not await self._comes(lambda: second.is_handing_over):
            return
        for host in followers:
            network.cut(second.host, host.host)
        self._note("dead reign", f"{late.host} comes to {second.host}")
        run.restart_later(late, 0.0)
        if not await self._comes(lambda: late.is_emptied):
            return
        await asyncio.sleep(chance.random() * 0.02 * run.options.sync_ms)
        self._note("dead reign", f"{late.host} is without a database; {second.host} goes")
        if late.is_up:
            late.power_off()
        self._kill(*others)
        network.heal()
        for host in (late, *followers):
            run.restart_later(host, 0.0)

    def _kill(self, *hosts: PeerHost) -> None:
        for host in hosts:
            if host.is_up:
                host.kill()

    async def _comes(self, condition: Callable[[], bool]) -> bool:
        """Wait for something, with patience; whether it came."""
        for _ in range(2 * PATIENCE_MS):
            if condition():
                return True
            await asyncio.sleep(0.001)
        return False
