"""What a server counts: packets, bytes and latencies, for the server and per connection."""

from __future__ import annotations


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
    """Counters of the whole server; `reset` is what the words srst and crst reset."""

    def __init__(self) -> None:
        self.latency = Latency()
        self.packets_received = 0
        self.packets_sent = 0
        self.bytes_received = 0
        self.response_bytes = 0
        self.connections_rejected = 0
        self.connections_dropped = 0
        self.connection_requests = 0
        self.connection_revalidations = 0
        self.sessions_expired = 0
        self.auth_failures = 0
        self.fsync_threshold_exceeded = 0
        self.fsync_count = 0
        self.fsync_total_ms = 0
        self.fsync_max_ms = 0
        self.commits = 0
        self.snapshots = 0
        self.snapshot_errors = 0
        self.last_snapshot_ms = 0
        self.digest_mismatches = 0
        self.large_requests_rejected = 0
        self.last_response_bytes = -1
        self.min_response_bytes = -1
        self.max_response_bytes = -1

    def reset(self) -> None:
        """Packets, latencies and response sizes start again."""
        self.latency.reset()
        self.packets_received = self.packets_sent = 0
        self.last_response_bytes = self.min_response_bytes = self.max_response_bytes = -1

    def record_response(self, size_bytes: int) -> None:
        """One write of joined replies left for a client; its size without length prefixes."""
        self.last_response_bytes = size_bytes
        self.response_bytes += size_bytes
        if size_bytes > self.max_response_bytes:
            self.max_response_bytes = size_bytes
        if size_bytes < self.min_response_bytes or self.min_response_bytes < 0:
            self.min_response_bytes = size_bytes

    def record_sync(self, elapsed_ms: int) -> None:
        """One fdatasync of the log took this long."""
        self.fsync_count += 1
        self.fsync_total_ms += elapsed_ms
        if elapsed_ms > self.fsync_max_ms:
            self.fsync_max_ms = elapsed_ms
