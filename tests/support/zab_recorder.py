"""Writes what a world of ZAB servers does into a `ZabHistory`, as the ensemble's runner does.

The tree is the list of applied txns, its digest a hash of that list. Recording starts with the
servers that the world has then.
"""

from __future__ import annotations

from hashlib import blake2b

from zkserver.sim.zab_history import ZabHistory
from zkserver.zab.effects import CutLog, Phase, StoreSnapshot
from zkserver.zab.leader import Leader


def digest_of(applied):
    digest = blake2b(digest_size=7)
    for zxid, data in applied:
        digest.update(b"%d %b\n" % (zxid, data))
    return int.from_bytes(digest.digest(), "big")


class Recorder:
    """`history` is filled while the world moves; `on_effects` of the world still gets its turn."""

    def __init__(self, world):
        self.world = world
        self.history = ZabHistory()
        self.number = 0
        self._then = world.on_effects
        world.on_effects = self.effects
        world.on_start = self.start
        world.on_role_end = self.role_end
        world.on_propose = self.propose
        for server in world.servers.values():
            self.start(server)

    def note(self):
        self.number += 1
        return self.number

    def start(self, server):
        self.history.begins(self.note(), server.id, server.disk.place)

    def role_end(self, server, applied):
        """The peer applies what is logged; a memory that was replaced on disk is read again."""
        after = server.applied
        if after[: len(applied)] != applied:
            self.start(server)
            return
        for zxid, data in after[len(applied) :]:
            self.history.kept(self.note(), server.id, zxid, data)

    def propose(self, server, entries):
        for zxid, data in entries:
            epoch = server.core.epoch
            self.history.proposed(self.note(), server.id, epoch, zxid, data)

    def effects(self, server, out):
        for write in out.writes:
            if isinstance(write, CutLog):
                self.history.begins(self.note(), server.id, write.zxid)
            elif isinstance(write, StoreSnapshot):
                digest = digest_of(server.received_tree)
                self.history.received_tree(self.note(), server.id, write.zxid, digest)
        first = len(server.applied) - len(out.apply)
        # Of the batch with UPTODATE in it some may have been applied before, some behind it.
        is_serving = server.phase is Phase.BROADCAST and out.phase is not Phase.BROADCAST
        note = self.history.delivered if is_serving else self.history.adopted
        for count, (zxid, data) in enumerate(out.apply, first + 1):
            note(self.note(), server.id, zxid, data, digest_of(server.applied[:count]))
        if out.phase is Phase.BROADCAST:
            core = server.core
            if isinstance(core, Leader):
                last = server.written.place
                self.history.established(self.note(), server.id, core.epoch, last)
            else:
                last = core.last_applied
                self.history.serves(self.note(), server.id, core.leader_epoch, last)
        self._then(server, out)
