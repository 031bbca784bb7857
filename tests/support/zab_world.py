"""A leader and learners over FIFO links, each with a disk that syncs when told to.

What a server has written and not synced is lost when it crashes; what waits for the disk leaves
when it has synced. Nothing happens by itself: packets are delivered and disks synced by a script
or by a random walk. `story` collects one line for each thing that can be seen from outside.
"""

from __future__ import annotations

from collections import deque
from copy import deepcopy

from zkserver.base import opcodes
from zkserver.base.errors import FatalError
from zkserver.base.zxid import make_zxid
from zkserver.jute import quorum_packets as packets
from zkserver.jute.quorum_packets import Packet, PacketType, Request
from zkserver.zab.committed_log import CommittedLog
from zkserver.zab.effects import (
    LEADER_LINK,
    Append,
    CutLog,
    EpochFile,
    Phase,
    StoreEpoch,
    StoreSnapshot,
)
from zkserver.zab.epochs import recover
from zkserver.zab.leader import Leader, LeaderSettings
from zkserver.zab.learner import Learner, LearnerSettings

TICK_MS = 1000


class Majority:
    """More than half of the voters: a stand-in for `base.quorum`."""

    def __init__(self, voters):
        self.voters = tuple(voters)

    def is_quorum(self, ids):
        return 2 * sum(voter in ids for voter in self.voters) > len(self.voters)


class Disk:
    """What a crash leaves: history, the place it ends at, epoch files. Also a `LogOnDisk`."""

    def __init__(self, history=(), place=-1, accepted=None, current=None):
        self.history = list(history)
        self.place = max([place, *(zxid for zxid, _ in self.history)])
        self.files = {EpochFile.ACCEPTED: accepted, EpochFile.CURRENT: current}
        self.log_begins = 0
        self.size_of_snapshot = 1_000_000

    def do(self, write, tree):
        if isinstance(write, Append):
            self.history.append((write.zxid, write.entry))
            self.place = max(self.place, write.zxid)
        elif isinstance(write, CutLog):
            self.history = [entry for entry in self.history if entry[0] <= write.zxid]
            self.place = write.zxid
        elif isinstance(write, StoreSnapshot):
            self.history = list(tree)
            self.place = write.zxid
            self.log_begins = len(self.history)
        elif isinstance(write, StoreEpoch):
            self.files[write.file] = write.epoch
            if write.file is EpochFile.CURRENT:
                # The announcement is renamed into place.
                self.files.pop(EpochFile.CURRENT_TO_COME, None)

    def entries(self, zxid):
        kept = self.history[self.log_begins :]
        if kept and kept[0][0] <= zxid:
            yield from kept

    def bytes_from(self, zxid):
        return sum(len(data) for at, data in self.history if at >= zxid)

    def snapshot_bytes(self):
        return self.size_of_snapshot


class Tree(list):
    """The tree on a link, behind SNAP."""


class Server:
    """One server. `disk` is what a crash leaves, `written` what it was told to keep."""

    def __init__(self, server_id, disk, is_observer=False, memory=500):
        self.id = server_id
        self.name = f"n{server_id}"
        self.is_observer = is_observer
        self.memory = memory
        self.config_version = 0
        self.disk = disk
        self.is_up = False
        self.core = None
        self.phase = None
        self.boot()

    def boot(self):
        """Restore from disk. Raises FatalError where that cannot be."""
        files = self.disk.files
        epochs = recover(
            self.disk.place,
            files.get(EpochFile.ACCEPTED),
            files.get(EpochFile.CURRENT),
            files.get(EpochFile.CURRENT_TO_COME),
        )
        for write in epochs.writes:
            self.disk.do(write, ())
        self.accepted, self.current = epochs.accepted, epochs.current
        self.is_up = True
        self.reset()

    def reset(self):
        """Between two roles: memory is what the disk says."""
        self.core = self.phase = self.leader = None
        self.generation = getattr(self, "generation", 0)
        self.batches = deque()
        self.written = deepcopy(self.disk)
        self.accepted = self.disk.files[EpochFile.ACCEPTED]
        self.current = self.disk.files[EpochFile.CURRENT]
        self.applied = list(self.disk.history)
        self.received_tree = []
        self.committed = CommittedLog(self.memory)
        for entry in self.disk.history[self.disk.log_begins :]:
            self.committed.append(entry)

    def finish_role(self):
        """The disk finishes what was written; what waited for it is not sent any more."""
        for writes, _, tree in self.batches:
            for write in writes:
                self.disk.do(write, tree)
        self.reset()

    @property
    def vote(self):
        return (self.current, self.disk.place, self.id)


def show(zxid):
    return "-1" if zxid == -1 else f"{zxid >> 32:x}:{zxid & 0xFFFFFFFF:x}"


def describe(packet):
    if isinstance(packet, Tree):
        return "the tree " + ",".join(show(zxid) for zxid, _ in packet)
    kind, zxid, data, _ = packet
    name = PacketType(kind).name
    words = [name, show(zxid)]
    if kind in (PacketType.PROPOSAL, PacketType.INFORM):
        words.append(data.decode())
    elif kind == PacketType.ACKEPOCH:
        words.append(f"current={packets.parse_int(data)}")
    elif kind == PacketType.PING and data:
        words += [f"{sid:x}={timeout}" for sid, timeout in packets.parse_touches(data)]
    elif kind == PacketType.REVALIDATE:
        words = [name, f"{packets.parse_revalidation(data + bytes(3))[0]:x}"]
        words += [["dead", "alive"][data[8]]] if len(data) == 9 else []
    elif kind == PacketType.REQUEST:
        request = packets.parse_request(data)
        words = [name, "sync" if request.type == opcodes.SYNC else request.body.decode()]
    elif kind in (PacketType.UPTODATE, PacketType.SYNC):
        words = [name]
    return " ".join(words)


class World:
    """Servers and links. Its methods are the commands of the scripts."""

    def __init__(self, voters=(1, 2, 3)):
        self.servers = {}
        self.voters = tuple(voters)
        self.links = {}
        self.queues = {}
        self.last_link = 0
        self.now_ms = 0
        self.sessions = {}
        self.story = []
        self.panics = 0
        self.on_effects = lambda _server, _out: None
        # For `zab_recorder`: a server started, a role ended (and what had been applied before),
        # a leader was handed txns.
        self.on_start = lambda _server: None
        self.on_role_end = lambda _server, _applied: None
        self.on_propose = lambda _server, _entries: None
        # As Apache's leader does it; ours has stories of its own.
        self.settings = {"holds_commits": False, "makes_way": False}

    def say(self, line):
        self.story.append(line)

    # --- roles

    def lead(self, n):
        server = self.servers[n]
        server.core = Leader(
            LeaderSettings(n, TICK_MS, 10, 5, server.config_version, **self.settings),
            Majority(self.voters),
            server.accepted,
            server.current,
            server.disk.place,
            server.committed,
            server.written,
            self.now_ms,
        )
        server.leader = n
        self.say(f"{server.name} leads")
        self.run(server, server.core.start)

    def follow(self, n, leader):
        server = self.servers[n]
        server.core = Learner(
            LearnerSettings(n, server.is_observer, TICK_MS, 10, 5, server.config_version),
            server.accepted,
            server.current,
            server.disk.place,
            server.committed,
            self.now_ms,
        )
        server.leader = leader
        self.last_link += 1
        self.links[self.last_link] = (leader, n)
        self.queues[leader, n] = deque()
        self.queues[n, leader] = deque()
        self.run(self.servers[leader], lambda: self.servers[leader].core.link_up(self.last_link))
        self.run(server, server.core.link_up)

    def link_of(self, leader, learner):
        return next((k for k, ends in self.links.items() if ends == (leader, learner)), None)

    def cut(self, a, b):
        """The link goes and all that is on it; both ends notice."""
        leader, learner = (a, b) if self.link_of(a, b) else (b, a)
        link = self.link_of(leader, learner)
        if link is None:
            return
        del self.links[link]
        for pair in ((a, b), (b, a)):
            for packet in self.queues.pop(pair, ()):
                self.say(f"n{pair[0]} ⇥ n{pair[1]} {describe(packet)} (lost)")
        for n in (leader, learner):
            server = self.servers[n]
            if isinstance(server.core, Leader):
                self.run(server, lambda core=server.core: core.link_down(link))
            elif isinstance(server.core, Learner):
                self.run(server, lambda core=server.core: core.link_down("the link broke"))

    def end_role(self, server):
        for leader, learner in list(self.links.values()):
            if server.id in (leader, learner):
                self.cut(leader, learner)
        applied = server.applied
        server.finish_role()
        self.on_role_end(server, applied)

    def crash(self, n):
        server = self.servers[n]
        lost = [write for writes, _, _ in server.batches for write in writes]
        server.is_up = False
        server.core = None
        self.say(f"{server.name} crashes, {len(lost)} writes are lost")
        for leader, learner in list(self.links.values()):
            if n in (leader, learner):
                self.cut(leader, learner)

    def restart(self, n):
        server = self.servers[n]
        server.boot()
        self.say(
            f"{server.name} starts at {show(server.disk.place)}"
            f" accepted={server.accepted} current={server.current}"
        )
        self.on_start(server)

    # --- effects

    def run(self, server, event):
        """Give a core an event and do what it wants."""
        if server.core is None:
            return
        try:
            out = event()
        except FatalError as error:
            self.say(f"{server.name} panic: exit {int(error.exit_code)}: {error}")
            self.panics += 1
            self.crash(server.id)
            return
        for note in out.notes:
            self.say(f"{server.name} notes: {note}")
        if out.phase is not None and out.phase is not server.phase:
            self.say(f"{server.name} ⇨ {out.phase.value}")
            server.phase = out.phase
        self.transmit(server, out.send)
        tree = list(server.received_tree)
        for write in out.writes:
            self.say(f"{server.name} {describe_write(write)}")
            server.written.do(write, tree)
            if isinstance(write, CutLog | StoreSnapshot):
                server.applied = list(server.written.history)
        if out.writes or (server.batches and out.send_synced):
            server.batches.append((out.writes, out.send_synced, tree))
        else:
            self.transmit(server, out.send_synced)
        for entry in out.apply:
            self.say(f"{server.name} apply {show(entry[0])} {entry[1].decode()}")
            server.applied.append(entry)
        self.on_effects(server, out)
        self.answer(server, out)
        for link, reason in out.closed:
            self.say(f"{server.name} closes the link of n{self.links[link][1]}: {reason}")
            self.cut(*self.links[link])
        if out.ended is not None:
            self.say(f"{server.name} ends its role: {out.ended}")
            self.end_role(server)

    def answer(self, server, out):
        """What the pipeline above the core does."""
        for session_id, timeout in out.touched:
            self.say(f"{server.name} touched {session_id:x}={timeout}")
        for session_id, is_alive in out.validities:
            self.say(f"{server.name} session {session_id:x} is {['dead', 'alive'][is_alive]}")
        for token in out.syncs_done:
            self.say(f"{server.name} sync {token} is done")
        for zxid, leader in out.activations:
            self.say(f"{server.name} activates the configuration of {show(zxid)}, leader n{leader}")
        for asked in out.revalidations:
            is_alive = asked.session_id in self.sessions
            self.run(
                server,
                lambda a=asked, v=is_alive: server.core.revalidated(a.link, a.session_id, v),
            )
        for asked in out.requests:
            if asked.type == opcodes.SYNC:
                self.run(server, lambda a=asked: server.core.sync(a.link))
            else:
                self.propose(server.id, asked.body)

    def transmit(self, server, queued):
        for link, items in queued.items():
            for packet in items:
                if link == LEADER_LINK:
                    other = server.leader
                elif link in self.links:
                    other = self.links[link][1]
                else:
                    continue
                if (server.id, other) not in self.queues:
                    continue
                self.say(f"{server.name} → n{other} {describe(packet)}")
                queue = self.queues[server.id, other]
                queue.append(packet)
                if packet.type == PacketType.SNAP:
                    queue.append(Tree(e for e in server.applied if e[0] <= packet.zxid))

    # --- steps

    def sync_disk(self, n, batches=None):
        server = self.servers[n]
        for _ in range(len(server.batches) if batches is None else batches):
            if not server.batches:
                return
            writes, send_synced, tree = server.batches.popleft()
            for write in writes:
                server.disk.do(write, tree)
            if writes:
                self.say(f"{server.name} synced")
            self.transmit(server, send_synced)
            if writes and server.core is not None:
                self.run(server, server.core.synced)

    def deliver(self, pair, count=None):
        queue = self.queues.get(pair)
        for _ in range(len(queue or ()) if count is None else count):
            if self.queues.get(pair) is not queue or not queue:
                return
            self.take(pair, queue.popleft())

    def take(self, pair, packet):
        source, target = pair
        server = self.servers[target]
        core = server.core
        if isinstance(packet, Tree):
            server.received_tree = list(packet)
            self.run(server, core.snapshot_received)
        elif isinstance(core, Leader):
            link = self.link_of(target, source)
            self.run(server, lambda: core.received(link, [packet]))
        elif core is not None:
            self.run(server, lambda: core.received([packet]))

    def inject(self, pair, packet, *, is_first=False):
        """A packet that no server of ours would send, last or first on its link."""
        self.say(f"n{pair[0]} → n{pair[1]} {describe(packet)} (forged)")
        if is_first:
            self.queues[pair].appendleft(packet)
        else:
            self.queues[pair].append(packet)

    def stabilize(self, *, disks=True):
        """Deliver and sync until nothing moves."""
        for _ in range(200):
            for pair in sorted(self.queues):
                self.deliver(pair)
            moved = any(self.queues.values())
            for n, server in sorted(self.servers.items()):
                if disks and server.is_up and server.batches:
                    self.sync_disk(n)
                    moved = True
            if not moved:
                return
        raise RuntimeError("the world does not come to rest")

    def tick(self, ms):
        self.now_ms += ms
        for server in self.servers.values():
            if server.core is not None:
                self.run(server, lambda core=server.core: core.tick(self.now_ms))

    def propose(self, n, *bodies):
        core = self.servers[n].core
        first = core.last_proposed + 1
        entries = [(first + i, body) for i, body in enumerate(bodies)]
        self.on_propose(self.servers[n], entries)
        self.run(self.servers[n], lambda: core.propose(entries))

    def submit(self, n, body):
        core = self.servers[n].core
        self.run(self.servers[n], lambda: core.submit(Request(7, 1, opcodes.SET_DATA, body)))

    def sync(self, n, token):
        core = self.servers[n].core
        self.run(self.servers[n], lambda: core.sync(token, Request(7, 1, opcodes.SYNC, b"/")))

    def revalidate(self, n, session_id):
        core = self.servers[n].core
        self.run(self.servers[n], lambda: core.revalidate(session_id, 4000))

    def is_serving(self, server):
        return server.core is not None and server.phase is Phase.BROADCAST


def describe_write(write):
    if isinstance(write, Append):
        return f"append {show(write.zxid)} {write.entry.decode()}"
    if isinstance(write, CutLog):
        return f"cut the log at {show(write.zxid)}"
    if isinstance(write, StoreSnapshot):
        return f"store the snapshot {show(write.zxid)}"
    return f"write {write.file.value} {write.epoch}"


def forged(words):
    """`COMMIT 3:1 [data]`; data `leader=2` is that of an activation, with the entry in front."""
    kind, zxid, *rest = [word for word in words if word != "first"]
    epoch, _, counter = zxid.partition(":")
    data = rest[0].encode() if rest else None
    if rest and rest[-1].startswith("leader="):
        entry = rest[0].encode() if len(rest) > 1 else b""
        data = packets.build_activation(int(rest[-1].removeprefix("leader=")), entry)
    return Packet(PacketType[kind], make_zxid(int(epoch, 16), int(counter, 16)), data)
