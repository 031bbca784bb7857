"""A seeded source of request sequences: mostly sensible, some odd, some broken.

Everything is drawn from small pools, so that requests meet: the same few paths are
created, watched, guarded and deleted by several sessions. `RandomRequests.next_step`
gives the next step of `lockstep`; `learn` tells it what came of the last one.

Left out, because two runs of Apache ZooKeeper itself differ there or it breaks:
ill-formed text in quota nodes (it kills the server), expiry of sessions and TTL nodes
(a matter of clocks), order between unanswered requests of two sessions, and in one write
what looks at the tree instead of at writes in flight. So seeds with an even number pipeline,
and those with an odd one have hard quotas.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from tests.support import wire
from tests.support.lockstep import Burst, Connect, Outcome, Pair, Raw, Request, Step
from tests.support.normalise import differs
from tests.support.random_quotas import quota_request, quota_write
from tests.support.random_values import (
    ACLS,
    BAD_ACLS,
    BAD_FRAMES,
    BASE_PATHS,
    DATA,
    HARD_LIMITS,
    IPV6_ACLS,
    ODD_PATHS,
    SOFT_LIMITS,
    SUPERUSER,
    TTLS_MS,
    UNKNOWN_OPCODES,
    USERS,
    VERSIONS,
    WRITES,
    readable_by_all,
)

Operation = tuple[int, bytes]


class RandomRequests:
    """The steps of one seed. `learn` remembers names that servers made up."""

    def __init__(self, seed: int, pair: Pair, slots: int = 3) -> None:
        self.random = random.Random(seed)
        self.pair = pair
        self.slots = slots
        self.slot = 0
        self.made: list[bytes] = []
        self.watched: dict[int, list[wire.Text]] = {}
        self.zxids = [0]
        version = pair.oldest_version
        self.plain_multi = differs("create in multi", version)
        self.delete_container = not differs("deleteContainer", version)
        self.damage_writes = not differs("unreadable write", version)
        # A hard quota looks at what is applied, so right behind other writes it is a matter of time.
        self.soft_quotas = differs("hard quotas", version) or seed % 2 == 0
        self.odd_paths = ODD_PATHS[1:] if differs("null paths", version) else ODD_PATHS
        self.watch_modes = not differs("watch modes", version)
        self.acls = ACLS
        if differs("unreadable nodes", version):
            self.acls = tuple(acl for acl in ACLS if readable_by_all(acl))
        self.bad_acls = BAD_ACLS + (() if differs("IPv6 in ACLs", version) else IPV6_ACLS)
        self.check_alone = not differs("check alone", version)

    # -- values

    def path(self) -> wire.Text:
        """A path: usual, lately created, or odd."""
        draw = self.random.random()
        if draw < 0.07:
            return self.random.choice(self.odd_paths)
        if draw < 0.35 and self.made:
            return self.random.choice(self.made[-12:])
        return self.random.choice(BASE_PATHS)

    def new_path(self) -> wire.Text:
        """A path to create, sometimes below a node made lately."""
        if self.random.random() < 0.2 and self.made:
            return self.random.choice(self.made[-12:]) + b"/" + self.random.choice([b"k", b"seq-"])
        return self.path()

    def paths(self) -> list[wire.Text]:
        """A few paths."""
        return [self.path() for _ in range(self.random.randrange(4))]

    def acl(self) -> wire.AclEntries:
        """An ACL list, seldom a bad one."""
        return self.random.choice(self.bad_acls if self.random.random() < 0.08 else self.acls)

    def data(self) -> bytes | None:
        """Data of a znode."""
        return self.random.choice(DATA)

    def version(self) -> int:
        """An expected version."""
        return self.random.choice(VERSIONS)

    def watch(self) -> bool:
        """Whether a read sets a watch."""
        return self.standard_watches and self.random.random() < 0.4

    @property
    def standard_watches(self) -> bool:
        """Whether this slot may set one-shot watches: with an old peer no slot mixes kinds."""
        return self.watch_modes or self.slot != 2

    # -- requests

    def create(self) -> Operation:
        """create or create2, in every mode."""
        mode = self.random.choice((*[0] * 9, 1, 1, 1, 2, 2, 3, 3, 4, 5, 6, 7, -1, 100))
        opcode = self.random.choice((wire.CREATE, wire.CREATE2))
        return opcode, wire.create_request(self.new_path(), self.data(), self.acl(), mode)

    def create_plainly(self) -> Operation:
        """A create that servers before 3.9 take in a multi as later ones do."""
        mode = self.random.choice((0, 0, 0, 1, 2, 3))
        acl = self.random.choice(self.acls)
        return wire.CREATE, wire.create_request(self.new_path(), self.data(), acl, mode)

    def create_container(self, modes: Sequence[int] = (4, 4, 4, 0, 1, 2, 3, 5, 7)) -> Operation:
        """createContainer, mostly with the flag that clients give."""
        mode = self.random.choice(modes)
        record = wire.create_request(self.new_path(), self.data(), self.acl(), mode)
        return wire.CREATE_CONTAINER, record

    def create_ttl(self) -> Operation:
        """createTTL with good and bad modes and times.

        Apache 3.9.5 dies of a negative time with a mode that takes none.
        """
        mode = self.random.choice((0, 1, 2, 4, 7))
        ttl_ms = abs(self.random.choice(TTLS_MS))
        if self.random.random() < 0.6:
            return self.create_ttl_only()
        record = wire.create_ttl_request(self.new_path(), self.data(), self.acl(), mode, ttl_ms)
        return wire.CREATE_TTL, record

    def create_ttl_only(self) -> Operation:
        """createTTL with a mode that takes a time."""
        mode = self.random.choice((5, 6))
        ttl_ms = self.random.choice(TTLS_MS)
        record = wire.create_ttl_request(self.new_path(), self.data(), self.acl(), mode, ttl_ms)
        return wire.CREATE_TTL, record

    def delete(self) -> Operation:
        """delete, seldom deleteContainer."""
        if self.delete_container and self.random.random() < 0.1:
            return wire.DELETE_CONTAINER, wire.path_request(self.path())
        return wire.DELETE, wire.version_request(self.path(), self.version())

    def set_data(self) -> Operation:
        """setData."""
        return wire.SET_DATA, wire.set_data_request(self.path(), self.data(), self.version())

    def set_acl(self) -> Operation:
        """setACL; the version is the aversion."""
        return wire.SET_ACL, wire.set_acl_request(self.path(), self.acl(), self.version())

    def check(self) -> Operation:
        """check, only meant for transactions."""
        return wire.CHECK, wire.version_request(self.path(), self.version())

    def read(self) -> Operation:
        """A read that may set a watch."""
        reads = (wire.EXISTS, wire.GET_DATA, wire.GET_CHILDREN, wire.GET_CHILDREN2)
        path, watch = self.path(), self.watch()
        return self.random.choice(reads), wire.read_request(self.watching(path, watch), watch)

    def read_path(self) -> Operation:
        """A read that is one path."""
        reads = (wire.GET_ACL, wire.SYNC, wire.GET_EPHEMERALS, wire.GET_ALL_CHILDREN_NUMBER)
        return self.random.choice(reads), wire.path_request(self.path())

    def who_am_i(self) -> Operation:
        """whoAmI."""
        return wire.WHO_AM_I, b""

    def ping(self) -> Operation:
        """A ping with an ordinary xid."""
        return wire.PING, b""

    def multi(self) -> Operation:
        """A transaction; seldom one that mixes kinds or holds what it may not."""
        makers = [self.create, self.delete, self.set_data, self.check, self.create_container]
        if self.plain_multi:
            makers[0] = makers[-1] = self.create_plainly
        elif self.random.random() < 0.4:
            makers.append(self.create_ttl_only)
            if not self.soft_quotas:
                makers.append(lambda: quota_write(self.random, self.data()))
        if self.random.random() < 0.1:
            makers += [self.read, self.create_ttl_only, self.set_acl, self.multi_read]
        count = self.random.choice((0, 1, 2, 2, 3, 4, 8))
        return wire.MULTI, wire.multi_request(self._some(makers, count))

    def multi_read(self) -> Operation:
        """getData and getChildren in one request; seldom others, seldom only writes."""
        count = self.random.randrange(4)
        if not self.plain_multi and self.random.random() < 0.1:
            writes = self._some([self.create, self.delete, self.check], count)
            return wire.MULTI_READ, wire.multi_request(writes)
        operations = self._some([self.read], count)
        if self.random.random() < 0.85:
            operations = [
                (self.random.choice((wire.GET_DATA, wire.GET_CHILDREN)), record)
                for _, record in operations
            ]
        return wire.MULTI_READ, wire.multi_request(operations)

    def _some(self, makers: Sequence[Callable[[], Operation]], count: int) -> list[Operation]:
        return [self.random.choice(makers)() for _ in range(count)]

    def add_watch(self) -> Operation:
        """addWatch."""
        modes = (0, 0, 1, 1, 2, -1)
        if not self.watch_modes:
            modes = (2, -1) if self.standard_watches else (0,)
        mode = self.random.choice(modes)
        return wire.ADD_WATCH, wire.typed_path_request(self.watching(self.path()), mode)

    def remove_watches(self) -> Operation:
        """removeWatches and checkWatches, of all kinds and none."""
        opcode = self.random.choice((wire.REMOVE_WATCHES, wire.CHECK_WATCHES))
        kinds = (1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 0, 6, -1)
        if not self.watch_modes:
            opcode = wire.REMOVE_WATCHES
            kinds = (1, 2, 3, 0, -1) if self.standard_watches else (0, -1)
        kind = self.random.choice(kinds)
        watched = self.watched.get(self.slot)
        path = self.random.choice(watched[-8:]) if watched else self.path()
        return opcode, wire.typed_path_request(path, kind)

    def watching(self, path: wire.Text, watch: bool = True) -> wire.Text:
        """Note that this slot watches `path`."""
        if watch:
            self.watched.setdefault(self.slot, []).append(path)
        return path

    def set_watches(self) -> Operation:
        """setWatches and setWatches2, as a client sends after a reconnect."""
        zxid = self.random.choice((0, self.random.choice(self.zxids), 2**62))
        parts = [self.paths() for _ in range(self.random.choice((3, 5)))]
        if not self.watch_modes:
            parts = parts[:3] if self.standard_watches else [[], [], [], self.paths(), []]
        opcode = wire.SET_WATCHES if len(parts) == 3 else wire.SET_WATCHES2
        return opcode, wire.set_watches_request(zxid, *parts)

    def auth(self) -> Operation:
        """auth, mostly good."""
        if self.random.random() < 0.9:
            users = (*USERS, *USERS, SUPERUSER)
            return wire.AUTH, wire.auth_request("digest", self.random.choice(users).encode())
        scheme, token = self.random.choice(
            [
                ("digest", b"nocolon"),
                ("digest", b""),
                ("digest", b":"),
                ("digest", b"super:wrong"),
                ("digest", b"\xff:\xfe"),
                ("ip", b"10.0.0.1"),
                ("ip", b""),
                ("world", b"anyone"),
                ("nosuchscheme", b"x"),
                ("", b""),
            ]
        )
        return wire.AUTH, wire.auth_request(scheme, token)

    def reconfig(self) -> Operation:
        """reconfig, which a standalone server refuses."""
        members = self.random.choice((None, "server.1=localhost:1:2;3"))
        return wire.RECONFIG, wire.reconfig_request("x", None, members, -1)

    def quota(self) -> Operation:
        """Quotas on /q and others: limits set, changed, removed, and the usage read."""
        if not self.soft_quotas and self.random.random() < 0.6:
            return quota_request(self.random, self.data())
        limits = "/zookeeper/quota/q/zookeeper_limits"
        text = self.random.choice(SOFT_LIMITS if self.soft_quotas else SOFT_LIMITS + HARD_LIMITS)
        return self.random.choice(
            (
                (wire.CREATE, wire.create_request("/zookeeper/quota/q")),
                (wire.CREATE, wire.create_request(limits, text)),
                (wire.CREATE, wire.create_request("/zookeeper/quota/q/zookeeper_stats", text)),
                (wire.SET_DATA, wire.set_data_request(limits, text)),
                (wire.GET_DATA, wire.read_request("/zookeeper/quota/q/zookeeper_stats")),
                (wire.GET_DATA, wire.read_request(limits)),
                (wire.DELETE, wire.version_request(limits)),
                (wire.CREATE, wire.create_request("/q")),
                (wire.CREATE, wire.create_request("/q/", b"four", flags=2)),
                (wire.CREATE, wire.create_request("/q/s", b"four", flags=2)),
                (wire.SET_DATA, wire.set_data_request("/q", self.data())),
            )
        )

    def unknown(self) -> Operation:
        """An opcode that no server knows, or only inside a multi."""
        if self.check_alone and self.random.random() < 0.5:
            return self.check()
        return self.random.choice(UNKNOWN_OPCODES), wire.read_request(self.path())

    # -- steps

    def operation(self) -> Operation:
        """The next request, with its chance of being damaged."""
        makers: tuple[tuple[int, Callable[[], Operation]], ...] = (
            (22, self.create),
            (14, self.read),
            (9, self.delete),
            (8, self.set_data),
            (6, self.multi),
            (6, self.add_watch),
            (5, self.read_path),
            (5, self.quota),
            (4, self.set_watches),
            (4, self.remove_watches),
            (3, self.set_acl),
            (3, self.create_container),
            (3, self.create_ttl),
            (3, self.multi_read),
            (2, self.auth),
            (1, self.who_am_i),
            (1, self.ping),
            (1, self.reconfig),
            (1, self.unknown),
        )
        weights = [weight for weight, _ in makers]
        opcode, record = self.random.choices([maker for _, maker in makers], weights)[0]()
        may_damage = self.damage_writes or opcode not in WRITES
        if may_damage and self.random.random() < 0.03:
            record = self.damaged(record, ways=2 if opcode == wire.CREATE_TTL else 4)
        return opcode, record

    def damaged(self, record: bytes, ways: int = 4) -> bytes:
        """A record cut short, with bytes behind it, or with a length spoilt."""
        way = self.random.randrange(ways)
        if way == 0 and record:
            return record[: self.random.randrange(len(record))]
        if way == 1:
            return record + bytes(self.random.randrange(256) for _ in range(5))
        length = self.random.choice((-1, -2, -(2**31), 2**31 - 1, 1048576, 4000000, 100))
        offset = 0 if way == 2 else self.random.randrange(max(1, len(record) - 3))
        return record[:offset] + wire.int32(length) + record[offset + 4 :]

    def next_step(self) -> Step:
        """The next step: a closed slot is connected first, so that no session idles."""
        for slot in range(self.slots):
            if slot not in self.pair.live_slots:
                return self.connect(slot)
        slot = self.slot = self.random.randrange(self.slots)
        draw = self.random.random()
        if draw < 0.01:
            return Request(slot, wire.CLOSE_SESSION)
        if draw < 0.018:
            return Connect(slot, session=True)
        if draw < 0.021:
            return Raw(slot, self.random.choice(BAD_FRAMES))
        if draw < 0.08 and self.soft_quotas:
            return self.burst(slot)
        opcode, record = self.operation()
        xid = None
        if self.random.random() < 0.02:
            xid = self.random.choice((0, -2, -3, -4, -8, 2**31 - 1, -(2**31)))
        return Request(slot, opcode, record, xid)

    def connect(self, slot: int) -> Connect:
        """A session for `slot`: the one it had if that still lives, else a new one."""
        self.watched.pop(slot, None)
        lives = slot in self.pair.subject.credentials
        read_only = self.random.choice((False, True, None))
        timeout_ms = self.random.choice((40000, 40000, 100000, 2**31 - 1))
        return Connect(slot, session=lives, read_only=read_only, timeout_ms=timeout_ms)

    def burst(self, slot: int) -> Burst:
        """Requests in one go, none of which closes the connection.

        Not setACL, nor createContainer of an ephemeral mode: what Apache makes of a write right
        behind them is a matter of time.
        """
        makers = [self.create, self.set_data, self.delete, self.multi, self.read, self.read_path]
        makers += [self.create_ttl_only, self.multi_read, self.who_am_i]
        makers.append(lambda: self.create_container((4, 4, 0, 2, 5, 7)))
        if self.watch_modes:
            makers += [self.add_watch, self.remove_watches, self.set_watches]
        return Burst(slot, tuple(self._some(makers, self.random.randrange(2, 14))))

    def learn(self, step: Step, outcome: Outcome) -> None:
        """Remember created names and seen zxids; forget sessions that are over."""
        if isinstance(step, Request) and step.opcode == wire.CLOSE_SESSION:
            for side in self.pair.sides:
                side.credentials.pop(step.slot, None)
        for reply in outcome.replies(step.slot):
            if 0 < reply.get("zxid", 0) < 2**62:
                self.zxids.append(reply["zxid"])
            body = reply.get("body")
            path = body.get("path") if isinstance(body, dict) else None
            if path and not path.startswith(b"/zookeeper/quota"):
                self.made.append(path)
