"""`zkserver simulate`: replay a seed as a story, or run many and say what broke.

A run is made of its seed: the same seed, options and bug are the same run, event by event. With
--seed, one run is told as a story; what is broken comes with the shortest beginning of the run
that shows it. Without, many seeds run, one process for each core, and are summed up.

Exit code: 0 every property holds; 1 one is broken or could not be judged; 2 the command line is
wrong; 130 interrupted before anything broke, or nobody reads any more.
"""

from __future__ import annotations

import argparse
import itertools
import os
import re
import secrets
import signal
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from functools import partial
from pathlib import Path

from zkserver.sim import seeds, telling, trace
from zkserver.sim.seeds import Outcome, Wish, again, counted, outcome_of, summed_up, watched

LAST_LINES = 40
LAST_EVENTS = 12
BARE_BYTES = re.compile(r" port \d+ gets \d+ bytes,")
DEFAULT_SEEDS = 100
FRESH_BELOW = 10**9
PROGRESS_S = 60.0
INTERRUPTED = 130

EPILOG = """\
examples:
  zkserver simulate --seed 7                          one run, as a story
  zkserver simulate --seed 7 --trace run.html         the same, also as a page to look at
  zkserver simulate --seed 7 --servers 5 --hours 2    a long one of five servers
  zkserver simulate --seeds 1000                      seeds 0 to 999, summed up
  zkserver simulate --minutes 60                      fresh seeds, for an hour
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "zkserver simulate",
        description="Run ensembles of real servers in a simulated world, under faults.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    which = parser.add_argument_group("which runs")
    which.add_argument("--seed", type=int, metavar="N", help="one run, told as a story")
    which.add_argument("--first", type=int, metavar="N", help="run from this seed on (0)")
    which.add_argument(
        "--seeds", type=int, metavar="K", help=f"run so many seeds ({DEFAULT_SEEDS})"
    )
    which.add_argument(
        "--fresh", type=int, default=0, metavar="K", help="also K seeds by chance; says which"
    )
    which.add_argument(
        "--minutes",
        "--until",
        type=float,
        metavar="M",
        help="run for so long, fresh seeds unless --first is given; "
        "with --seeds or --fresh: no longer than that",
    )
    which.add_argument(
        "--jobs", type=int, metavar="J", help="how many processes run (one for each core)"
    )
    how = parser.add_argument_group("how a run is, where the seed shall not choose")
    how.add_argument("--standalone", action="store_true", help="one standalone server")
    how.add_argument("--servers", type=int, metavar="K", help="servers that vote")
    how.add_argument("--observers", type=int, metavar="K", help="servers that do not")
    how.add_argument(
        "--observer-masters", action="store_true", help="followers serve them, not the leader"
    )
    how.add_argument("--clients", type=int, metavar="K")
    how.add_argument("--seconds", type=float, metavar="S", help="virtual time under faults")
    how.add_argument("--hours", type=float, metavar="H", help="the same, in hours")
    how.add_argument(
        "--think", type=float, metavar="S", help="longest pause between a client's requests"
    )
    how.add_argument(
        "--faults", metavar="A,B,…", help="kinds of faults, or none; a wrong one lists all"
    )
    how.add_argument("--bug", metavar="NAME", help="plant a bug; a wrong name lists all")
    what = parser.add_argument_group("what is told of --seed")
    what.add_argument("--trace", metavar="FILE.html", help="also write the story as a page")
    what.add_argument("--events", action="store_true", help="print every event, not the story")
    what.add_argument(
        "--full",
        action="store_true",
        help=f"on failure the whole story up to there, not its last {LAST_LINES} lines",
    )
    parser.add_argument(
        "--report",
        action="store_true",
        help="only: seek all planted bugs of ensembles, in minutes, and print what finds them",
    )
    return parser


def _check(parser: argparse.ArgumentParser, asked: argparse.Namespace) -> None:
    """End with exit code 2 where the command line contradicts itself."""
    many = ("first", "seeds", "minutes", "jobs")
    if asked.seed is not None and (asked.fresh or any(getattr(asked, n) is not None for n in many)):
        parser.error("--seed is one run: no --first, --seeds, --fresh, --minutes or --jobs with it")
    if asked.seed is None and (asked.trace or asked.events or asked.full):
        parser.error("--trace, --events and --full are of one run: give its --seed")
    if asked.standalone and (asked.servers is not None or asked.observers is not None):
        parser.error("a standalone server has no --servers and no --observers")
    if asked.standalone and asked.observer_masters:
        parser.error("a standalone server has no --observer-masters")
    if asked.seconds is not None and asked.hours is not None:
        parser.error("--seconds and --hours are the same: give one")
    for name, least in (
        *(("servers", 1), ("observers", 0), ("clients", 2), ("fresh", 0), ("seeds", 1)),
        *(("jobs", 1), ("seconds", 0), ("hours", 0), ("think", 0), ("minutes", 0)),
    ):
        value = getattr(asked, name)
        if value is not None and value < least:
            parser.error(f"--{name} must be at least {least}")
    if asked.bug is None:
        return
    bugs = seeds.bug_names(is_standalone=asked.standalone)
    if asked.bug not in bugs:
        parser.error(f"no bug is called {asked.bug}; there are: {', '.join(bugs) or 'none'}")


def _fault_kinds(parser: argparse.ArgumentParser, asked: argparse.Namespace) -> Iterator[str]:
    known = seeds.fault_kinds(is_standalone=asked.standalone)
    for word in [] if asked.faults == "none" else asked.faults.split(","):
        name = seeds.hyphened(word.strip())
        if name not in known:
            parser.error(f"no fault is called {name}; there are: {', '.join(known)}")
        yield known[name]


def _wish(parser: argparse.ArgumentParser, asked: argparse.Namespace) -> Wish:
    return Wish(
        is_standalone=asked.standalone,
        servers=asked.servers,
        observers=asked.observers,
        has_masters=asked.observer_masters or None,
        clients=asked.clients,
        duration_s=asked.seconds if asked.hours is None else asked.hours * 3600,
        think_s=asked.think,
        faults=None if asked.faults is None else tuple(_fault_kinds(parser, asked)),
        bug=asked.bug,
    )


# One run


def _tell_one(wish: Wish, asked: argparse.Namespace) -> int:
    """Run one seed and tell its story; 1 if a property broke or could not be judged."""
    seed = asked.seed
    started_s = time.monotonic()
    report, story, shown = watched(wish, seed)
    took_s = time.monotonic() - started_s
    if asked.trace:
        Path(asked.trace).write_text(trace.render(story), "utf-8")
    if asked.events:
        print("\n".join(report.events))
    else:
        options = wish.options_of(seed)
        print(f"{story.title}, {options.duration_s:g} s under faults")
        print(*telling.flowed(f"faults: {', '.join(options.faults) or 'none'}"), sep="\n")
        print("Times are virtual seconds, zxids epoch:counter in hex.\n")
        cut = story if not shown else telling.until(story, shown[0].at_s + 1e-6)
        lines = telling.tell(cut)
        left_out = len(lines) - LAST_LINES if shown and not asked.full else 0
        if left_out > 0:
            print(f"     … {counted(left_out, 'line')} before; --full shows all")
        print("\n".join(lines[max(left_out, 0) :]))
    print()
    if shown and not asked.events:
        print("the last events before that:")
        print("\n".join(_last_events(report.events[: shown[0].event + 1])), end="\n\n")
    for each in shown:
        print(*telling.flowed(f"BROKEN {each.name}: {each.breach}"), sep="\n")
        print(
            f"  shown by the first {each.event + 1:,} of {counted(len(report.events), 'event')}, "
            f"{each.at_s:.3f} s of virtual time"
        )
    for verdict in report.broken:
        if verdict.outcome == "unknown":
            print(*telling.flowed(f"UNKNOWN {verdict.name}: {verdict.detail}"), sep="\n")
    if not report.broken:
        print(f"All {len(report.verdicts)} properties hold.")
    if asked.trace:
        print(f"The page: {asked.trace}")
    _sum_up(f"seed {seed}", [summed_up(seed, report)], took_s)
    print(f"again: {again(wish, seed)}")
    return 1 if report.broken else 0


def _last_events(events: list[str]) -> list[str]:
    """The last ones, without those of bare bytes; cut to the width of the story."""
    told = [line for line in events[-20 * LAST_EVENTS :] if not BARE_BYTES.search(line)]
    return [line[: telling.WIDTH] for line in told[-LAST_EVENTS:]]


# Many runs


def _seeds_of(asked: argparse.Namespace) -> tuple[str, Iterator[int]]:
    """Which seeds, in words and one by one."""
    chance = secrets.randbelow(FRESH_BELOW)
    if asked.minutes is not None and asked.seeds is None and not asked.fresh:
        first = chance if asked.first is None else asked.first
        return f"seeds from {first}", itertools.count(first)
    first = asked.first or 0
    count = asked.seeds
    if count is None:
        count = 0 if asked.fresh and asked.first is None else DEFAULT_SEEDS
    fixed, fresh = range(first, first + count), range(chance, chance + asked.fresh)
    said = [f"seeds {first} to {fixed[-1]}"] if fixed else []
    said += [f"fresh seeds {chance} to {fresh[-1]}"] if fresh else []
    return " and ".join(said), itertools.chain(fixed, fresh)


class _Interrupt:
    """What SIGINT does here: the first one ends it after the runs under way, a second at once.

    Ctrl-C reaches the whole group; the processes of the pool heed the second one only.
    """

    def __init__(self) -> None:
        self.is_asked = False
        self._pid = os.getpid()
        self._before = signal.signal(signal.SIGINT, self._heed)

    def _heed(self, number: int, _frame: object) -> None:
        self.is_asked = True
        signal.signal(number, signal.SIG_DFL)
        if os.getpid() == self._pid:
            os.write(2, b"ends after the runs that are under way; Ctrl-C again: at once\n")

    def restore(self) -> None:
        """What SIGINT did before."""
        signal.signal(signal.SIGINT, self._before)


def _outcomes(wish: Wish, which: Iterator[int], jobs: int, stop: _Interrupt) -> Iterator[Outcome]:
    """Run seeds, and give what came of them in their order."""
    which = itertools.takewhile(lambda _: not stop.is_asked, which)
    if jobs == 1:
        for seed in which:
            yield _finished(partial(outcome_of, wish, seed), seed)
        return
    pool = ProcessPoolExecutor(jobs)
    try:
        window: deque[tuple[int, Future[Outcome]]] = deque()
        for seed in which:
            window.append((seed, pool.submit(outcome_of, wish, seed)))
            if len(window) > 2 * jobs:
                seed, future = window.popleft()
                yield _finished(future.result, seed)
        if stop.is_asked:
            window = deque(each for each in window if not each[1].cancel())
        for seed, future in window:
            yield _finished(future.result, seed)
    finally:
        pool.shutdown(cancel_futures=True)


def _finished(get: Callable[[], Outcome], seed: int) -> Outcome:
    """What came of a seed; where nothing did, say which one it was."""
    outcome = None
    try:
        outcome = get()
    finally:
        if outcome is None:
            print(f"seed {seed} did not come to its end", file=sys.stderr)
    return outcome


def _run_many(wish: Wish, asked: argparse.Namespace) -> int:
    words, seeds_left = _seeds_of(asked)
    which = seeds_left
    if asked.minutes is not None:
        end_s = time.monotonic() + asked.minutes * 60
        which = itertools.takewhile(lambda _: time.monotonic() < end_s, seeds_left)
    jobs = asked.jobs or len(os.sched_getaffinity(0))
    world = "standalone server" if wish.is_standalone else "ensembles"
    started_s = told_s = time.monotonic()
    done: list[Outcome] = []
    exit_code = 0
    stop = _Interrupt()
    try:
        print(f"{world}: {words}, {jobs} at a time", flush=True)
        for outcome in _outcomes(wish, which, jobs, stop):
            done.append(outcome)
            if outcome.broken:
                exit_code = 1
                _tell_broken(wish, outcome)
            if time.monotonic() - told_s > PROGRESS_S:
                told_s = time.monotonic()
                broken = sum(bool(each.broken) for each in done)
                print(f"  … {counted(len(done), 'seed')}, {broken} broken", flush=True)
    finally:
        stop.restore()
    if stop.is_asked:
        print("interrupted; so far:")
    elif asked.seeds is not None:
        _tell_left_out(asked, len(done))
    _sum_up(counted(len(done), "seed"), done, time.monotonic() - started_s)
    return exit_code or (INTERRUPTED if stop.is_asked else 0)


def _tell_left_out(asked: argparse.Namespace, done: int) -> None:
    left_out = asked.seeds + asked.fresh - done
    if left_out:
        print(f"time was up: {counted(left_out, 'seed')} left out")


def _tell_broken(wish: Wish, outcome: Outcome) -> None:
    for verdict in outcome.broken:
        said = f"seed {outcome.seed}: {verdict.name} is {verdict.outcome}: {verdict.detail}"
        print(*telling.flowed(said), sep="\n")
    print(f"  again: {again(wish, outcome.seed)}", flush=True)


def _sum_up(what: str, done: Sequence[Outcome], took_s: float) -> None:
    virtual_s = sum(each.virtual_s for each in done)
    print(
        f"{what}: {virtual_s / 3600:.2f} virtual hours, "
        f"{counted(sum(each.fault_count for each in done), 'fault')}, "
        f"{counted(sum(each.requests for each in done), 'request')} "
        f"({sum(each.answered for each in done):,} answered) in {took_s:.0f} s"
    )
    names = Counter(verdict.name for each in done for verdict in each.broken)
    if not names:
        print("nothing broke")
        return
    print("broke: " + ", ".join(f"{name} ({count})" for name, count in sorted(names.items())))
    print("  in: " + ", ".join(str(each.seed) for each in done if each.broken))


def _report(jobs: int) -> int:
    """Seek the planted bugs anew, and print the table line by line."""
    with ProcessPoolExecutor(jobs) as pool:
        try:
            for line in seeds.report_lines(pool.map):
                print(line, flush=True)
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)
            return INTERRUPTED
    return 0


def main(words: Sequence[str]) -> int:
    """Run what the arguments say; the exit code."""
    parser = _parser()
    asked = parser.parse_args(words)
    _check(parser, asked)
    if asked.report:
        return _report(asked.jobs or len(os.sched_getaffinity(0)))
    wish = _wish(parser, asked)
    try:
        return _run_many(wish, asked) if asked.seed is None else _tell_one(wish, asked)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read this has seen enough; what is still buffered goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
