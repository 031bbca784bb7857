"""One seed of either world, as somebody wished it: run, watched, summed up.

A `Wish` is what of a run is not left to the seed. The same wish and seed are the same run, in this
process or another; `Outcome` is what of it is worth carrying from process to process.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from zkserver.sim import ensemble_faults, ensemble_moments, faults
from zkserver.sim.bugs import SEEDS_TO_FIND
from zkserver.sim.checkers import Verdict
from zkserver.sim.ensemble_run import EnsembleOptions, EnsembleRun, simulate_ensemble
from zkserver.sim.prefix import Shown, shortest
from zkserver.sim.recorder import Recorder
from zkserver.sim.run import SERVER, Options, Report, Run, simulate
from zkserver.sim.story import Mark, Story

ENSEMBLE_BUGS = "zkserver.sim.ensemble_bugs"

@dataclass(frozen=True)
class Wish:
    """What the seed does not choose; None where it does. `think_s`: the longest pause of clients.

    `servers`, `observers` are for ensembles, and `has_masters`: followers serve the observers.
    `bug` is the name of a planted one; where nothing else is wished, it is sought where its own
    wish says (`ensemble_bugs.Bug`).
    """

    is_standalone: bool = False
    servers: int | None = None
    observers: int | None = None
    has_masters: bool | None = None
    clients: int | None = None
    duration_s: float | None = None
    think_s: float | None = None
    faults: tuple[str, ...] | None = None
    bug: str | None = None

    def options_of(self, seed: int) -> Any:
        """`Options` or `EnsembleOptions` of a run."""
        fields = "servers observers has_masters clients duration_s think_s faults"
        names = fields.split()
        given = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        if self.is_standalone:
            return replace(Options.of(seed), **given)
        sought = {} if self.bug is None else ensemble_bugs().BUGS[self.bug].wish
        return EnsembleOptions.of(seed).but({**sought, **given})

    def words(self) -> list[str]:
        """The command line that says the same."""
        said = ["--standalone"] if self.is_standalone else []
        said += ["--observer-masters"] if self.has_masters else []
        for option, value in (
            ("--servers", self.servers),
            ("--observers", self.observers),
            ("--clients", self.clients),
            ("--seconds", self.duration_s),
            ("--think", self.think_s),
            ("--bug", self.bug),
        ):
            if value is not None:
                said += [option, f"{value:g}" if isinstance(value, float) else str(value)]
        if self.faults is not None:
            said += ["--faults", ",".join(map(hyphened, self.faults)) or "none"]
        return said


@dataclass(frozen=True)
class Outcome:
    """What came of one run. `broken` are its verdicts that are not ok."""

    seed: int
    broken: tuple[Verdict, ...]
    virtual_s: float
    requests: int
    answered: int
    fault_count: int


def hyphened(kind: str) -> str:
    """A kind of fault as one word."""
    return kind.replace(" ", "-")


def fault_kinds(*, is_standalone: bool) -> dict[str, str]:
    """Kinds of faults of a world by their names in one word."""
    everywhere = ensemble_faults.KINDS + ensemble_moments.MOMENTS
    kinds = faults.KINDS if is_standalone else everywhere
    return {hyphened(kind): kind for kind in kinds}


def ensemble_bugs() -> Any:
    """The module of bugs for ensembles; None in an installation without it."""
    try:
        return importlib.import_module(ENSEMBLE_BUGS)
    except ModuleNotFoundError:
        return None


def report_lines(each: Callable[..., Iterable[str]]) -> Iterator[str]:
    """The table of planted bugs of ensembles, made anew; see `ensemble_bugs.report_lines`."""
    module = ensemble_bugs()
    if module is not None:
        yield from module.report_lines(each)


def bug_names(*, is_standalone: bool) -> list[str]:
    """Names of planted bugs of a world."""
    if is_standalone:
        return list(SEEDS_TO_FIND)
    module = ensemble_bugs()
    return [] if module is None else [str(name) for name in module.BUGS]


def outcome_of(wish: Wish, seed: int) -> Outcome:
    """Run a seed."""
    return summed_up(seed, _run(wish, seed, None))


def summed_up(seed: int, report: Report) -> Outcome:
    """What of a report goes into a summary."""
    return Outcome(
        seed,
        tuple(report.broken),
        report.virtual_s,
        report.requests,
        report.answered,
        report.fault_count,
    )


def watched(wish: Wish, seed: int) -> tuple[Report, Story, list[Shown]]:
    """Run a seed and write its story down; also, for what is broken, by when it is.

    Broken properties are marks of the story, at the moments that show them.
    """
    options = wish.options_of(seed)
    recorders: list[Recorder] = []

    def watch(run: Run | EnsembleRun) -> None:
        hosts = [SERVER] if isinstance(run, Run) else [host.host for host in run.hosts]
        recorders.append(Recorder(run.world, hosts, title_of(seed, options)))

    report = _run(wish, seed, watch)
    story = recorders[0].finish(
        [(verdict.name, verdict.outcome, verdict.detail) for verdict in report.verdicts],
        report.virtual_s,
    )
    shown = shortest(report)
    story.marks += [
        Mark(each.at_s, "", "broken", f"{each.name}: {each.breach}") for each in shown
    ]
    return report, story, shown


def title_of(seed: int, options: Options | EnsembleOptions) -> str:
    """What a run is, in a line."""
    who = "standalone server"
    if isinstance(options, EnsembleOptions):
        who = f"{options.servers} servers"
        if options.observers:
            first = options.servers + 1
            names = [f"n{first + number}" for number in range(options.observers)]
            who += f" and {counted(options.observers, 'observer')} ({', '.join(names)})"
            who += " behind followers" if options.has_masters else ""
        if options.is_grouped:
            who += " in 3 groups"
    return f"Seed {seed}: {who}, {counted(options.clients, 'client')}"


def counted(number: int, noun: str) -> str:
    """1 seed, 2 seeds, 12,000 seeds."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _run(
    wish: Wish, seed: int, watch: Callable[[Run | EnsembleRun], None] | None
) -> Report:
    options = wish.options_of(seed)
    if wish.is_standalone:
        return simulate(seed, wish.bug, options, watch)

    def prepare(run: EnsembleRun) -> None:
        if wish.bug is not None:
            ensemble_bugs().plant(wish.bug, run)
        if watch is not None:
            watch(run)

    return simulate_ensemble(seed, options, prepare)


def again(wish: Wish, seed: int, *more: str) -> str:
    """The command that shows a seed again."""
    words: Sequence[str] = ("zkserver", "simulate", "--seed", str(seed), *wish.words(), *more)
    return " ".join(words)
