"""What a server counts, for as long as its process lives: `ServerStats`.

Everything is counted where it happens and as coarsely as that allows: per chunk of requests, per
batch, per sync, per connection. Names are given to the figures by `server.monitor`.

* `begin_role` starts what Java keeps per server (packets, latencies, sizes of answers); the rest
  goes on from role to role, as Java's ServerMetrics does. `reset` (the word srst) starts all.
* Latencies are in whole ms. Reads of a chunk are one record: from the chunk's arrival to the hand
  over of its answers. Writes of a run are one: from the arrival of the first to their answers.
* Requests by namespace (the first name of the path) are sampled: at most once a ms one read and
  one write are looked at, and stand for all since the last one. Which one of a chunk or run is
  drawn by the golden ratio, so in the long run each place has its share. A server with a request
  a ms or less counts exactly, a busy one loses no time over it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from struct import Struct
from typing import TYPE_CHECKING

from zkserver.base import opcodes as op
from zkserver.base.stat import STAT
from zkserver.prep.prep import WRITES, Prepared
from zkserver.server.summaries import Percentiles, Summary, SummarySet, may_join
from zkserver.tree import watches

if TYPE_CHECKING:
    from zkserver.jute.txns import Txn
    from zkserver.tree.tree import DataTree

_unpack_int = Struct(">i").unpack_from
# Of a request, length and xid before it.
_KIND_AT = 8
_BODY_AT = 12
# 2**16 divided by the golden ratio: its multiples, without carry, are spread as evenly as can be.
_GOLDEN = 40503
_MASK16 = 0xFFFF
_READS = frozenset((op.GET_DATA, op.EXISTS, op.GET_CHILDREN, op.GET_CHILDREN2, op.GET_ACL))
_WRITES = frozenset(
    (
        *(op.CREATE, op.CREATE2, op.CREATE_CONTAINER, op.CREATE_TTL, op.SET_DATA),
        *(op.DELETE, op.DELETE_CONTAINER, op.SET_ACL),
    )
)
_WITH_DATA = frozenset((op.CREATE, op.CREATE2, op.CREATE_CONTAINER, op.CREATE_TTL, op.SET_DATA))


class Latency:
    """Minimum, maximum and mean of latencies in ms; zero before the first."""

    __slots__ = ("count", "max_ms", "min_ms", "total_ms")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.count = 0
        self.total_ms = 0
        self.max_ms = 0
        self.min_ms = 0

    def record(self, count: int, elapsed_ms: int) -> None:
        """`count` requests took `elapsed_ms` each."""
        if elapsed_ms > self.max_ms:
            self.max_ms = elapsed_ms
        if elapsed_ms < self.min_ms or not self.count:
            self.min_ms = elapsed_ms
        self.count += count
        self.total_ms += elapsed_ms * count

    def average_ms(self) -> float:
        """The mean, rounded to four digits as Java prints it."""
        return round(self.total_ms / self.count, 4) if self.count else 0.0


class ServerStats:
    """See the module's docstring. Attributes are plain counts, or summaries of ms unless named."""

    # The hot path writes here, and an object with so many attributes is slow without.
    __slots__ = (
        "_draws",
        "_reads_sampled",
        "auth_failures",
        "bytes_received",
        "commit_propagation",
        "commits",
        "connection_requests",
        "connection_revalidations",
        "connections_dropped",
        "connections_rejected",
        "connections_unserved",
        "database_load",
        "diffs_sent",
        "digest_mismatches",
        "elections",
        "follower_sync",
        "fsync",
        "fsync_threshold_exceeded",
        "large_rejected",
        "last_response_bytes",
        "latency",
        "leader_unavailable",
        "learner_ack",
        "learner_commits",
        "log_batch_size",
        "log_flush",
        "log_queue_and_flush",
        "logged",
        "lookings",
        "loop_lag",
        "max_response_bytes",
        "min_response_bytes",
        "observer_sync",
        "packets_received",
        "packets_sent",
        "pauses",
        "propagation",
        "proposal_ack",
        "proposal_latency",
        "proposals",
        "proposals_received",
        "quick_reads",
        "quorum_ack",
        "quota_refusals",
        "rate_limited",
        "reads",
        "reads_by_namespace",
        "reads_sampled_ms",
        "response_bytes",
        "restore_errors",
        "restores",
        "revalidations",
        "sessionless_expired",
        "sessions_expired",
        "snapshot_errors",
        "snapshot_time",
        "snapshots",
        "startup_txns",
        "token_deficit",
        "trees_sent",
        "unavailable",
        "unsampled_writes",
        "updates",
        "watch_bytes",
        "watches_fired",
        "writes_by_namespace",
        "writes_sampled_ms",
    )

    def __init__(self) -> None:
        self.latency = Latency()
        self.begin_role()
        self._begin_counters()
        self._begin_summaries()

    def begin_role(self) -> None:
        """Packets, latencies and response sizes start again."""
        self.latency.reset()
        self.packets_received = self.packets_sent = 0
        self.last_response_bytes = self.min_response_bytes = self.max_response_bytes = -1
        self.auth_failures = 0

    def reset(self) -> None:
        """All figures start again."""
        self.begin_role()
        self._begin_counters()
        self._begin_summaries()

    def _begin_counters(self) -> None:
        self.bytes_received = 0
        self.response_bytes = 0
        self.watch_bytes = 0
        self.large_rejected = 0
        self.connections_rejected = 0
        self.connections_dropped = 0
        self.connections_unserved = 0
        self.connection_requests = 0
        self.connection_revalidations = 0
        self.sessionless_expired = 0
        self.sessions_expired = 0
        self.fsync_threshold_exceeded = 0
        # Txns given to the log, proposed here, proposed by another server, applied: as a leader or
        # alone, and as a learner.
        self.logged = 0
        self.proposals = 0
        self.proposals_received = 0
        self.commits = 0
        self.learner_commits = 0
        # As a leader: learners brought up to date by either way, sessions asked for by learners.
        self.diffs_sent = 0
        self.trees_sent = 0
        self.revalidations = 0
        self.lookings = 0
        self.snapshots = 0
        self.snapshot_errors = 0
        self.digest_mismatches = 0
        # Databases that an operator gave and that could not be taken; commands that came too soon.
        self.restore_errors = 0
        self.rate_limited = {"snapshot": 0, "restore": 0}
        # Writes that a quota has refused, by namespace.
        self.quota_refusals: dict[bytes, int] = {}
        # Sampling: when it was last done, and what came since.
        self._draws = 0
        self.reads_sampled_ms = self.writes_sampled_ms = -1
        self.unsampled_writes = 0
        # Reads that took less than a ms, and are not in the summary yet.
        self.quick_reads = self._reads_sampled = 0

    def _begin_summaries(self) -> None:
        self.reads = Percentiles()
        self.updates = Percentiles()
        self.fsync = Summary()
        self.log_batch_size = Summary()
        self.log_flush = Percentiles()
        self.log_queue_and_flush = Percentiles()
        self.snapshot_time = Summary()
        self.restores = Summary()
        self.database_load = Summary()
        self.startup_txns = Summary()
        self.token_deficit = Summary()
        self.elections = Summary()
        self.unavailable = Summary()
        self.leader_unavailable = Summary()
        self.follower_sync = Summary()
        self.observer_sync = Summary()
        # From a txn's making to its arrival, its application, and its logging here.
        self.proposal_latency = Percentiles()
        self.propagation = Percentiles()
        self.commit_propagation = Percentiles()
        self.proposal_ack = Percentiles()
        self.quorum_ack = Percentiles()
        self.learner_ack = SummarySet(Percentiles)
        # How many were told of one change, by the type of event.
        self.watches_fired = {
            kind: Summary()
            for kind in (
                *(watches.NODE_CREATED, watches.NODE_DELETED),
                *(watches.NODE_DATA_CHANGED, watches.NODE_CHILDREN_CHANGED),
            )
        }
        # Bytes of path, data and Stat.
        self.reads_by_namespace = SummarySet()
        self.writes_by_namespace = SummarySet()
        # How late the loop was: every look at it, and the looks that found a pause.
        self.loop_lag = Percentiles()
        self.pauses = Percentiles()

    def record_response(self, size_bytes: int) -> None:
        """One write of joined replies left for a client; its size without length prefixes."""
        self.last_response_bytes = size_bytes
        self.response_bytes += size_bytes
        if size_bytes > self.max_response_bytes:
            self.max_response_bytes = size_bytes
        if size_bytes < self.min_response_bytes or self.min_response_bytes < 0:
            self.min_response_bytes = size_bytes

    def record_watches(self, told: Mapping[int, int], size_bytes: int) -> None:
        """A txn's events were put out: how many of each type, and their frames' size."""
        self.watch_bytes += size_bytes
        for kind, count in told.items():
            self.watches_fired[kind].record(1, count)

    def rejected_large(self) -> None:
        """A request is refused for its size."""
        self.large_rejected += 1

    def refused_by_quota(self, path: bytes) -> None:
        """A quota has refused a write."""
        name = namespace_of(path)
        if name in self.quota_refusals or may_join(self.quota_refusals, name):
            self.quota_refusals[name] = self.quota_refusals.get(name, 0) + 1

    def _draw(self, count: int) -> int:
        """A place from 0 up to `count`, all equally often."""
        self._draws = draw = (self._draws + _GOLDEN) & _MASK16
        return draw * count >> 16

    def settle(self) -> None:
        """Put what was counted by itself into the summaries; before somebody reads them."""
        count, self.quick_reads = self.quick_reads, 0
        if count:
            self.reads.record(count, 0)

    def sample_reads(self, chunk: bytes, count: int, tree: DataTree) -> None:
        """Of the `count` requests that `chunk` begins with, count one read by its namespace.

        It stands for all reads since the last one. A ping has no namespace, and stands for pings.
        """
        answered = self.reads.count + self.quick_reads
        weight, self._reads_sampled = answered - self._reads_sampled, answered
        position = 0
        skipped = self._draw(count) if count > 1 else 0
        for _ in range(skipped):
            position += 4 + _unpack_int(chunk, position)[0]
        kind = _unpack_int(chunk, position + _KIND_AT)[0]
        while kind in WRITES and skipped + 1 < count:
            skipped += 1
            position += 4 + _unpack_int(chunk, position)[0]
            kind = _unpack_int(chunk, position + _KIND_AT)[0]
        if kind not in _READS:
            return
        start = position + _BODY_AT + 4
        if start > len(chunk):
            return
        length = _unpack_int(chunk, start - 4)[0]
        path = chunk[start : start + length]
        node = tree.nodes.get(path)
        if node is None or length < 2:
            return
        size = length + STAT.size
        if kind == op.GET_DATA and node.data:
            size += len(node.data)
        end = path.find(b"/", 1)
        name = path[1:end] if end > 0 else path[1:]
        self.reads_by_namespace.record(name, weight, size)

    def sample_writes(self, writes: Sequence[Prepared]) -> None:
        """Of applied txns, count one by its namespace, for all since the last one."""
        count = len(writes)
        self.sample_write(writes[self._draw(count) if count > 1 else 0][0])

    def sample_write(self, txn: Txn) -> None:
        """Count this txn by its namespace, for all since the last one."""
        weight, self.unsampled_writes = self.unsampled_writes, 0
        self._record_write(txn[4], txn[5], weight)

    def _record_write(self, kind: int, body: object, count: int) -> None:
        if not isinstance(body, tuple):
            return
        if kind in _WRITES:
            path = body[0]
            size = len(path)
            if kind in _WITH_DATA and body[1]:
                size += len(body[1])
            self.writes_by_namespace.record(namespace_of(path), count, size)
        elif kind == op.MULTI and all(part[0] != op.ERROR for part in body):
            for part in body:
                self._record_write(part[0], part[1], count)


def namespace_of(path: bytes) -> bytes:
    """The first name of a path; empty for the root."""
    end = path.find(b"/", 1)
    return path[1:end] if end > 0 else path[1:]
