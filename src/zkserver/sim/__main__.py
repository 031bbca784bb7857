"""`python -m zkserver.sim`: run seeds, say what broke, and how to see it again."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from zkserver.sim.bugs import SEEDS_TO_FIND
from zkserver.sim.run import Report, simulate


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m zkserver.sim", description=__doc__)
    parser.add_argument("--first", type=int, default=0, help="the first seed (0)")
    parser.add_argument("--seeds", type=int, default=100, help="how many seeds (100)")
    parser.add_argument("--bug", choices=list(SEEDS_TO_FIND), help="plant a bug")
    parser.add_argument("--story", action="store_true", help="print every event of every run")
    return parser.parse_args(words)


def _tell(report: Report) -> None:
    print(f"seed {report.seed}: digest {report.digest[:16]}, {report.options}")
    for verdict in report.broken:
        print(f"  {verdict.name} is {verdict.outcome}: {verdict.detail}")
    print(f"  again: python -m zkserver.sim --first {report.seed} --seeds 1 --story")


def main(words: Sequence[str]) -> int:
    """Run what the arguments say; 1 if a property broke or could not be judged."""
    asked = _arguments(words)
    started_s = time.monotonic()
    virtual_s = 0.0
    requests = faults = broken = 0
    for seed in range(asked.first, asked.first + asked.seeds):
        report = simulate(seed, asked.bug)
        virtual_s += report.virtual_s
        requests += report.requests
        faults += report.fault_count
        if asked.story:
            print("\n".join(report.events))
        if report.broken:
            broken += 1
            _tell(report)
    took_s = time.monotonic() - started_s
    print(
        f"{asked.seeds} seeds from {asked.first}: {broken} broken; {virtual_s / 3600:.2f} virtual "
        f"hours, {faults} faults and {requests} requests in {took_s:.0f} s "
        f"({virtual_s / 3600 / max(took_s, 0.001):.3f} virtual hours per second)"
    )
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
