"""A random walk through a world of ZAB servers, with the papers' properties checked at each step.

Deliveries, disk syncs, proposals, crashes, restarts, cuts and elections come in an order that a
seed decides. The election is its outcome only: some majority of servers that look for a leader
takes the best vote (epoch, zxid, id) among them; an old leader may not know of it yet. At the end
everything heals, and all servers must serve one history that begins with all that was committed.
"""

from __future__ import annotations

import random
from itertools import pairwise

from tests.support.zab_world import Disk, Server, World
from zkserver.zab.effects import Phase
from zkserver.zab.leader import Leader


class Broken(Exception):
    """A property does not hold: its name, and what was seen."""


class Checks:
    """What was committed, and who led."""

    def __init__(self):
        self.committed = []
        self.established = {}

    def __call__(self, server, out):
        if server.phase is not Phase.BROADCAST:
            return
        is_leader = isinstance(server.core, Leader)
        if is_leader and out.phase is Phase.BROADCAST:
            first = self.established.setdefault(server.core.epoch, server.id)
            if first != server.id:
                raise Broken(f"one leader per epoch: {first} and {server.id}")
        shorter, longer = sorted((self.committed, server.applied), key=len)
        if longer[: len(shorter)] != shorter:
            raise Broken(f"PrefixConsistency: {server.name} applied {server.applied[-3:]}")
        if is_leader and out.phase is Phase.BROADCAST and len(server.applied) < len(self.committed):
            raise Broken(f"Agreement: {server.name} leads without {self.committed[-1]}")
        if is_leader:
            self.committed = list(longer)
        elif len(server.applied) > len(self.committed):
            raise Broken(f"Integrity: {server.name} applied {server.applied[-1]}, not committed")
        zxids = [zxid for zxid, _ in server.applied]
        if any(a >= b for a, b in pairwise(zxids)):
            raise Broken(f"TotalOrder: {server.name} applied {zxids}")


class Walk:
    """One run from a seed. Raises `Broken`; `world.story` tells how it came.

    `servers` vote, `observers` come on top. `past` is what all voters have on disk at first, and
    `tails` what some of them have besides: uncommitted txns of the last epoch.
    """

    def __init__(self, seed, servers=None, observers=0, past=(), tails=()):
        self.random = random.Random(seed)
        count = servers or self.random.choice((3, 3, 5))
        self.world = World(range(1, count + 1))
        self.checks = self.world.on_effects = Checks()
        memory = self.random.choice((2, 4, 500))
        # Each run has its own mixture: much of one fault finds what a bit of each does not.
        self.crashes = self.random.choice((0.5, 1, 3, 6))
        self.syncs = self.random.choice((8, 25))
        self.bodies = 0
        for n in self.world.voters:
            tail = tails[n - 1] if n <= len(tails) else ()
            epoch = max((zxid >> 32 for zxid, _ in past), default=0)
            disk = Disk((*past, *tail), 0, epoch, epoch)
            self.world.servers[n] = Server(n, disk, memory=memory)
        for n in range(count + 1, count + 1 + observers):
            self.world.servers[n] = Server(n, Disk((), 0, 0, 0), is_observer=True, memory=memory)
        for server in self.servers():
            server.disk.size_of_snapshot = self.random.choice((0, 20, 1000))

    def servers(self):
        return list(self.world.servers.values())

    def run(self, steps):
        moves = (
            (self.deliver, 60),
            (self.sync_disk, self.syncs),
            (self.propose, 10),
            (self.look, 10),
            (self.crash, self.crashes),
            (self.restart, 3 + self.crashes),
            (self.cut, 1.0),
            (self.step_down, 0.3),
            (self.tick, 1.5),
        )
        names, weights = zip(*moves, strict=True)
        for move in self.random.choices(names, weights, k=steps):
            move()
            if self.world.panics:
                raise Broken("a server stopped")
        self.heal()

    # --- moves

    def deliver(self):
        pairs = [pair for pair, queue in sorted(self.world.queues.items()) if queue]
        if pairs:
            self.world.deliver(self.random.choice(pairs), self.random.randint(1, 4))

    def sync_disk(self):
        waiting = [server.id for server in self.servers() if server.is_up and server.batches]
        if waiting:
            self.world.sync_disk(self.random.choice(waiting), self.random.randint(1, 3))

    def propose(self):
        leading = [s.id for s in self.leaders() if s.phase is Phase.BROADCAST]
        if leading:
            self.bodies += 1
            more = range(self.random.randint(1, 2))
            self.world.propose(
                self.random.choice(leading), *(b"%d.%d" % (self.bodies, i) for i in more)
            )

    def crash(self):
        up = [server.id for server in self.servers() if server.is_up]
        if up:
            self.world.crash(self.random.choice(up))

    def restart(self):
        down = [server.id for server in self.servers() if not server.is_up]
        if down:
            self.world.restart(self.random.choice(down))

    def cut(self):
        if self.world.links:
            self.world.cut(*self.random.choice(list(self.world.links.values())))

    def step_down(self):
        if self.leaders():
            self.world.end_role(self.random.choice(self.leaders()))

    def tick(self):
        self.world.tick(self.random.choice((400, 1000, 4000)))

    def look(self):
        """A majority of those that look elects; or one of them finds a standing leader."""
        looking = [server for server in self.servers() if server.is_up and server.core is None]
        if not looking:
            return
        leaders = self.leaders()
        if leaders and self.random.random() < 0.6:
            leader = self.random.choice(leaders)
            self.world.follow(self.random.choice(looking).id, leader.id)
            return
        voting = [server for server in looking if not server.is_observer]
        if 2 * len(voting) > len(self.world.voters):
            least = len(self.world.voters) // 2 + 1
            some = self.random.sample(voting, self.random.randint(least, len(voting)))
            self.elect(some)

    def elect(self, some):
        best = max(
            (server for server in some if not server.is_observer), key=lambda server: server.vote
        )
        self.world.lead(best.id)
        for server in some:
            if server is not best:
                self.world.follow(server.id, best.id)

    def leaders(self):
        return [server for server in self.servers() if isinstance(server.core, Leader)]

    def heal(self):
        """All servers up, quiet: liveness.

        A server that promised a later epoch, to a leader that came to nothing, may not follow an
        older one, with us as with Apache's server; each election raises the epoch, so it gets in.
        """
        for server in self.servers():
            if not server.is_up:
                self.world.restart(server.id)
        for _ in range(3):
            for server in self.servers():
                self.world.end_role(server)
            self.elect(self.servers())
            self.world.stabilize()
            if all(self.world.is_serving(server) for server in self.servers()):
                break
        else:
            raise Broken("liveness: a server does not serve")
        (leader,) = self.leaders()
        self.world.propose(leader.id, b"last")
        self.world.stabilize()
        for server in self.servers():
            if server.applied != leader.applied or server.disk.history != leader.applied:
                raise Broken(f"liveness: {server.name} has another history than {leader.name}")
