"""How long servers of `zkserver.testing` take to be ready, and to be gone, as a table.

    python bench/testing.py [COUNT]

Each row is COUNT (50) lives one after another in this process, each with a fresh server or
ensemble; times are in milliseconds of the wall clock. The first life pays for imports, so it is
told apart. `advance` is a minute of the servers' clocks.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from zkserver.testing import ZooKeeper, ZooKeeperEnsemble

COUNT = 50
MINUTE_MS = 60_000


class Times:
    """What one kind of server took, life by life."""

    def __init__(self) -> None:
        self.start_ms: list[float] = []
        self.advance_ms: list[float] = []
        self.close_ms: list[float] = []

    def live(self, make: Callable[[], ZooKeeper | ZooKeeperEnsemble]) -> None:
        """One life."""
        began = time.perf_counter()
        server = make()
        server.start()
        serving = time.perf_counter()
        server.advance(MINUTE_MS)
        advanced = time.perf_counter()
        server.close()
        self.start_ms.append((serving - began) * 1000)
        self.advance_ms.append((advanced - serving) * 1000)
        self.close_ms.append((time.perf_counter() - advanced) * 1000)

    def row(self) -> str:
        """First, median and slowest start; median of the rest."""
        later = self.start_ms[1:] or self.start_ms
        return (
            f"{self.start_ms[0]:10.1f} {statistics.median(later):10.1f} {max(later):10.1f}"
            f" {statistics.median(self.advance_ms):10.1f} {statistics.median(self.close_ms):10.1f}"
        )


def main() -> None:
    """Print the table."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    titles = ("first", "median", "slowest", "advance", "close")
    print(f"{'':24}" + "".join(f"{title:>11}" for title in titles))
    with tempfile.TemporaryDirectory() as folder:
        folders = (Path(folder) / str(number) for number in range(10**9))
        kinds: dict[str, Callable[[], ZooKeeper | ZooKeeperEnsemble]] = {
            "one server, in memory": ZooKeeper,
            "one server, on disk": lambda: ZooKeeper(data_dir=next(folders)),
            "ensemble of 3, in memory": lambda: ZooKeeperEnsemble(3),
            "ensemble of 5, in memory": lambda: ZooKeeperEnsemble(5),
            "ensemble of 3, on disk": lambda: ZooKeeperEnsemble(3, data_dir=next(folders)),
        }
        for name, make in kinds.items():
            times = Times()
            for _ in range(count):
                times.live(make)
            print(f"{name:24} {times.row()}")


if __name__ == "__main__":
    main()
