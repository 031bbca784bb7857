"""The figures with many znodes: memory, restart, and latency while a snapshot is written.

Both servers take the same steps, in turn:

1. an empty server is filled (1,000 znodes below each parent), settles; its memory is read;
2. it is restarted with `snapCount=16000` and warmed by mixed load. Then requests come at a
   fixed rate, 90 % getData and 10 % setData, so it begins a snapshot every 8 to 16 s. A
   watcher sees from the data directory (and from forked children) when one is being written;
   the slices of zkload's histogram that overlap those times give the p99.9 of getData.
   Latency counts from the moment a request was due: a stall delays all that was due in it;
3. it is restarted with the default snapCount. Each round writes 40,000 setData, too few for
   a snapshot, ends the server and times start to first reply: a snapshot of all znodes and
   the same number of transactions are read back. A last round ends it by kill -9.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from servers import Load, Server, Unmeasured, children_of
from tables import Single, merge_slices, percentile

SNAP_COUNT = 16_000
RATE = 10_000
SLICE_MS = 250
LOGGED_WRITES = 40_000
WATCH_S = 0.02
NS = 1_000_000_000

Alternate = Callable[[Callable[[Server], None]], None]


@dataclass(frozen=True)
class Sizes:
    """How much of it: the full figures, or a trial of the tool."""

    znodes: int
    warm_up_s: float
    snapshot_run_s: float
    rounds: int


class SnapshotWatch(threading.Thread):
    """Notes when snapshots are being written: files grow, or a new child is at work."""

    def __init__(self, data_files: Path, pid: int) -> None:
        super().__init__(daemon=True)
        self._data_files = data_files
        self._pid = pid
        self._sizes = self._snapshot_sizes()
        self._old_children = children_of(pid)
        self._done = threading.Event()
        self.spans_ns: list[tuple[int, int]] = []

    def run(self) -> None:
        busy_since: int | None = None
        last_busy = 0
        while not self._done.wait(WATCH_S):
            now = time.monotonic_ns()
            sizes = self._snapshot_sizes()
            children = [pid for pid in children_of(self._pid) if pid not in self._old_children]
            if sizes != self._sizes or children:
                busy_since = now if busy_since is None else busy_since
                last_busy = now
            elif busy_since is not None and now - last_busy > NS // 2:
                self._add(busy_since, last_busy)
                busy_since = None
            self._sizes = sizes
        if busy_since is not None:
            self._add(busy_since, last_busy)

    def _add(self, since_ns: int, until_ns: int) -> None:
        # Whatever stalls at the fork or the log's roll comes just before the file appears.
        pad_ns = SLICE_MS * NS // 1000
        self.spans_ns.append((since_ns - pad_ns, until_ns + pad_ns))

    def _snapshot_sizes(self) -> dict[str, int]:
        sizes = {}
        for path in self._data_files.iterdir():
            if "snapshot" in path.name:
                try:
                    sizes[path.name] = path.stat().st_size
                except FileNotFoundError:
                    continue
        return sizes

    def stop(self) -> None:
        self._done.set()
        self.join()


class Figures:
    """The figures of this page, as far as they were measured."""

    def __init__(self, load: Load, sizes: Sizes, our_name: str) -> None:
        self._load = load
        self._sizes = sizes
        self._our_name = our_name
        self._last_path = f"/zkload/k{(sizes.znodes - 1) // 1000}/{(sizes.znodes - 1) % 1000}"
        count = "a million" if sizes.znodes == 1_000_000 else f"{sizes.znodes:,}"
        many = f"{count} 100-byte znodes"
        self.fill_rate = Single("million-fill", f"creating {many}, one session", "per s")
        self.memory = Single("million-memory", f"memory with {many}", "MB", at_most=2 / 3)
        self.p999 = Single(
            "million-snapshot-p999",
            f"p99.9 of getData while a snapshot is written ({RATE:,} requests/s, 10 % setData)",
            "ms", below=25, digits=2,
        )  # fmt: skip
        self.p50 = Single("million-snapshot-p50", "p50 of the same", "ms", digits=2)
        self.worst = Single("million-snapshot-max", "slowest of the same", "ms", digits=1)
        self.written = Single("million-snapshot-s", "time to write a snapshot then", "s", digits=1)
        self.first_reply = Single(
            "million-restart",
            f"restart to first reply ({LOGGED_WRITES:,} transactions to replay)",
            "s", at_most=1, digits=2,
        )  # fmt: skip
        self.after_kill = Single("million-kill", "the same after kill -9", "s", digits=2)
        self.memory_again = Single("million-memory-again", "memory after a restart", "MB")

    def all(self) -> list[Single]:
        return [
            self.memory, self.memory_again, self.fill_rate, self.first_reply, self.after_kill,
            self.p999, self.p50, self.worst, self.written,
        ]  # fmt: skip

    def measure(self, alternate: Alternate, say: Callable[[str], None]) -> None:
        """Takes all steps; `alternate` gives each server its turn, the other one paused."""
        say(f"{self._sizes.znodes:,} znodes: filling")
        alternate(self.fill)
        say(f"{self._sizes.znodes:,} znodes: reads while a snapshot is written")
        alternate(self.prepare_snapshots)
        for _ in range(self._sizes.rounds):
            alternate(self.read_beside_snapshot)
        say(f"{self._sizes.znodes:,} znodes: restarts")
        alternate(self.prepare_restarts)
        for _ in range(self._sizes.rounds):
            alternate(self.restart)
        alternate(self.restart_after_kill)

    def _note(self, single: Single, server: Server, value: float) -> None:
        side = single.zkserver if server.name == self._our_name else single.apache
        side.append(value)

    def _znodes(self) -> tuple[object, ...]:
        return ("-k", self._sizes.znodes, "-s", 100)

    def fill(self, server: Server) -> None:
        server.start()
        server.first_reply()
        filled = self._load.run(server, "-o", "fill", *self._znodes())
        server.settle()
        self._note(self.fill_rate, server, filled["ops_per_s"])
        self._note(self.memory, server, server.rss_mb())

    def prepare_snapshots(self, server: Server) -> None:
        server.stop()
        server.start({"snapCount": SNAP_COUNT})
        server.first_reply(self._last_path)
        self._load.run(server, "-S", *self._znodes(), "-o", "mixed:90", "-d", 0.1,
                       "-W", self._sizes.warm_up_s)  # fmt: skip
        server.settle()

    def read_beside_snapshot(self, server: Server) -> None:
        watch = SnapshotWatch(server.data_files, server.pid)
        watch.start()
        try:
            result = self._load.run(
                server, "-S", *self._znodes(), "-o", "mixed:90", "-c", 50, "-w", 1000,
                "-r", RATE, "-W", 1, "-d", self._sizes.snapshot_run_s, "-i", SLICE_MS,
            )  # fmt: skip
        finally:
            watch.stop()
        reads = merge_slices(result["slices"], SLICE_MS * NS // 1000, watch.spans_ns)
        if not reads:
            raise Unmeasured(f"{server.name} wrote no snapshot while it was watched")
        for single, share in ((self.p50, 0.5), (self.p999, 0.999), (self.worst, 1.0)):
            value_us = percentile(reads, share)
            if value_us is not None:
                self._note(single, server, value_us / 1000)
        pads_ns = 2 * SLICE_MS * NS // 1000
        for since, until in watch.spans_ns:
            self._note(self.written, server, (until - since - pads_ns) / NS)
        server.settle()

    def prepare_restarts(self, server: Server) -> None:
        server.stop()
        server.start()
        server.first_reply(self._last_path)

    def _write_then_restart(self, server: Server, how: signal.Signals) -> float:
        self._load.run(server, "-S", *self._znodes(), "-o", "set", "-W", 0, "-n", LOGGED_WRITES,
                       "-d", 600)  # fmt: skip
        server.settle()
        server.stop(how)
        server.start()
        return server.first_reply(self._last_path)

    def restart(self, server: Server) -> None:
        self._note(self.first_reply, server, self._write_then_restart(server, signal.SIGTERM))
        server.settle()
        self._note(self.memory_again, server, server.rss_mb())

    def restart_after_kill(self, server: Server) -> None:
        self._note(self.after_kill, server, self._write_then_restart(server, signal.SIGKILL))
