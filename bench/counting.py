"""What the counting of metrics costs: CPU time per request with it and without, in pairs.

`counting.py` compares this source with `uncounted.py`; `counting.py --before DIR` with another
checkout, as one of a commit before a change. Two servers, one load each at a time, the other one
stopped; which of a pair goes first alternates. The figure is (CPU seconds per request with) /
(without) - 1 in per cent, each the mean of the least quarter of its runs: other work on the machine
changes throughput much and CPU time per request less, but always upwards.

`make bench` runs it under the key `counting`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from servers import Contender, Load, Server, build_load

HERE = Path(__file__).resolve().parent
BUILD = HERE / "build"
LOADS = {
    "get": ("getData 50 × 20", ("-o", "get", "-c", 50, "-w", 20)),
    "set": ("setData 50 × 20", ("-o", "set", "-c", 50, "-w", 20)),
}
PAIRS = 12
LIMIT_PERCENT = 3.0


def contender(name: str, python: str, source: Path, work_dir: Path, *, counts: bool) -> Contender:
    """A server of the checkout `source`, counting or not."""
    program = ("-m", "zkserver.cli.main", "start-foreground")
    words = program if counts else (str(HERE / "uncounted.py"),)
    command = ("/usr/bin/env", f"PYTHONPATH={source / 'src'}", python, *words)
    return Contender(name, command, work_dir)


def cpu_us(load: Load, server: Server, options: Sequence[object], seconds: float) -> float:
    """CPU time (µs) per request of one run."""
    result = load.run(server, *options, "-W", 1, "-d", seconds)
    server.prune()
    return 1e6 / float(result["ops_per_cpu_s"])


def compare(
    load: Load,
    pair: tuple[Server, Server],
    options: Sequence[object],
    pairs: int,
    seconds: float,
) -> Iterator[tuple[float, float]]:
    """(with, without) of each pair of runs, in µs of CPU per request."""
    for number in range(pairs):
        found: dict[str, float] = {}
        for server in pair if number % 2 else reversed(pair):
            server.resume()
            found[server.name] = cpu_us(load, server, options, seconds)
            server.pause()
        yield found[pair[0].name], found[pair[1].name]


def measure(
    load: Load,
    pair: tuple[Contender, Contender],
    work: str,
    *,
    pairs: int = PAIRS,
    seconds: float = 3.0,
    say: Callable[[str], None] = lambda _: None,
) -> list[tuple[float, float]]:
    """CPU time (µs) per request of a load, with counting and without, for each pair of runs."""
    _, options = LOADS[work]
    with ExitStack() as stack:
        servers = tuple(one.server(f"counting-{work}") for one in pair)
        for server in servers:
            stack.callback(server.remove_data)
            stack.callback(server.stop)
            server.start()
            server.first_reply()
            # Fills caches of the interpreter, and makes the znodes.
            load.run(server, *options, "-W", 0, "-d", 2)
            server.pause()
        found: list[tuple[float, float]] = []
        for one in compare(load, (servers[0], servers[1]), options, pairs, seconds):
            found.append(one)
            say(f"counting, {work}: {one[0]:.3f} and {one[1]:.3f} µs of CPU a request")
        return found


def added_percent(found: Sequence[tuple[float, float]]) -> float:
    """What counting adds, from the least quarter of each side's runs."""
    least = max(len(found) // 4, 1)
    counted, uncounted = (
        statistics.mean(sorted(side)[:least]) for side in zip(*found, strict=True)
    )
    return (counted / uncounted - 1) * 100


def contenders(python: str, work_dir: Path, before: Path | None) -> tuple[Contender, Contender]:
    """The one that counts and the one that does not, or an older one."""
    here = contender("counted", python, HERE.parent, work_dir, counts=True)
    if before is None:
        return here, contender("uncounted", python, HERE.parent, work_dir, counts=False)
    other = contender("before", python, before.resolve(), work_dir, counts=True)
    return here, other


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--before", type=Path, metavar="DIR", help="another checkout to compare to")
    parser.add_argument("--pairs", type=int, default=PAIRS, help=f"runs of each ({PAIRS})")
    parser.add_argument("--seconds", type=float, default=3.0, help="measured per run (3)")
    parser.add_argument("--only", default="get,set", help="get,set")
    parser.add_argument("--python", default=sys.executable, help="the interpreter of both")
    options = parser.parse_args()
    load = build_load(HERE / "zkload.c", BUILD / "zkload")
    work_dir = BUILD / "data"
    os.makedirs(work_dir, exist_ok=True)
    pair = contenders(options.python, work_dir, options.before)
    for work in options.only.split(","):
        found = measure(
            load, pair, work, pairs=options.pairs, seconds=options.seconds,
            say=lambda line: print(line, file=sys.stderr),
        )  # fmt: skip
        print(
            f"{LOADS[work][0]}: counting adds {added_percent(found):+.1f} % of CPU time "
            f"({len(found)} pairs of runs)"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
