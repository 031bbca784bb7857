"""What is measured, what to reach, and how it is printed. Pure: no I/O.

A figure is a pair of lists, one value per round and server; what is quoted is the ratio
zkserver : Apache of the two medians. A ratio that is missing (nothing measured) has no verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

PASS, FALLS_SHORT = "pass", "falls short"


@dataclass(frozen=True)
class Work:
    """A row of the table: the load, and the least ratios of throughput."""

    key: str
    title: str
    load: tuple[str, ...]
    throughput_target: float
    per_cpu_target: float


def closed_loop(op: str, connections: int, outstanding: int) -> tuple[str, ...]:
    return ("-o", op, "-c", str(connections), "-w", str(outstanding), "-s", "100")


WORKS = (
    Work("get", "getData, 50 × 20", closed_loop("get", 50, 20), 3.5, 7),
    Work("exists", "exists, 50 × 20", closed_loop("exists", 50, 20), 3.5, 7),
    Work("set", "setData 100 B, 50 × 20", closed_loop("set", 50, 20), 1.6, 3),
    Work("create", "create 100 B, 50 × 20", closed_loop("create", 50, 20), 1.8, 3),
    Work("mixed", "90 % getData, 10 % setData, 50 × 20", closed_loop("mixed:90", 50, 20), 2, 3),
    Work("get-50x1", "getData, 50 × 1", closed_loop("get", 50, 1), 1.5, 2.5),
    Work("set-50x1", "setData 100 B, 50 × 1", closed_loop("set", 50, 1), 1.2, 1.7),
    Work("session", "session open + close, one after another", ("-o", "connect"), 1.3, 2),
)
SINGLE_KEYS = ("get-1x1", "set-1x1", "idle", "million")

# Ensembles of three; the connections are spread over all servers.
ENSEMBLE_WORKS = (
    Work("e-set", "setData 100 B, 50 × 20", closed_loop("set", 50, 20), 1.5, 2),
    Work("e-create", "create 100 B, 50 × 20", closed_loop("create", 50, 20), 1.5, 2),
    Work("e-get", "getData, 50 × 20", closed_loop("get", 50, 20), 3, 6),
    Work("e-mixed", "90 % getData, 10 % setData, 50 × 20", closed_loop("mixed:90", 50, 20), 2, 3),
)
ENSEMBLE_SINGLE_KEYS = ("e-set-1x1", "e-idle", "e-failover", "e-diff", "e-snap")
ENSEMBLE_HEADING = "Ensembles of three servers"


@dataclass
class Row:
    """A work and its runs: zkload's JSON objects, one per round."""

    work: Work
    zkserver: list[dict[str, Any]] = field(default_factory=list)
    apache: list[dict[str, Any]] = field(default_factory=list)

    def medians(self, name: str) -> tuple[float | None, float | None]:
        return (
            median_of(run[name] for run in self.zkserver),
            median_of(run[name] for run in self.apache),
        )

    def ratio(self, name: str) -> float | None:
        return ratio(*self.medians(name))

    def verdict(self) -> str:
        verdicts = (
            at_least(self.ratio("ops_per_s"), self.work.throughput_target),
            at_least(self.ratio("ops_per_cpu_s"), self.work.per_cpu_target),
        )
        if "" in verdicts:
            return ""
        return PASS if verdicts == (PASS, PASS) else FALLS_SHORT


@dataclass
class Single:
    """A figure of its own: `at_most` bounds the ratio, `below` zkserver's value itself."""

    key: str
    title: str
    unit: str
    at_most: float | None = None
    below: float | None = None
    digits: int = 0
    zkserver: list[float] = field(default_factory=list)
    apache: list[float] = field(default_factory=list)

    def medians(self) -> tuple[float | None, float | None]:
        return median_of(self.zkserver), median_of(self.apache)

    def ratio(self) -> float | None:
        return ratio(*self.medians())

    def target(self) -> str:
        if self.at_most is not None:
            return f"≤ {self.at_most:.2g}"
        return f"< {self.below:g} {self.unit}" if self.below is not None else ""

    def verdict(self) -> str:
        if self.at_most is not None:
            found = self.ratio()
            return "" if found is None else _passes(found <= self.at_most)
        ours = median_of(self.zkserver)
        if self.below is None or ours is None:
            return ""
        return _passes(ours < self.below)


def ensemble_singles(znodes: int, behind: int, rate: int) -> dict[str, Single]:
    """The single figures of ensembles by key. Sizes: znodes of the tree that is sent, transactions
    that a learner is behind, setData a second at the leader meanwhile."""
    count = "a million" if znodes == 1_000_000 else f"{znodes:,}"
    one = "of setData 100 B, 1 × 1, through"
    found = (
        Single("e-set-1x1", f"p50 {one} a follower", "µs", at_most=1.0),
        Single("e-set-1x1-p99", f"p99 {one} a follower", "µs"),
        Single("e-set-1x1-leader", f"p50 {one} the leader", "µs", at_most=1.0),
        Single("e-set-1x1-leader-p99", f"p99 {one} the leader", "µs"),
        Single("e-idle", "idle memory of the three, empty", "MB", at_most=0.5),
        Single("e-idle-start", "start to all three serving, empty", "s", digits=2),
        Single("e-failover", "kill -9 of the leader to the next acknowledged write", "ms",
               at_most=1 / 3),
        Single("e-diff", f"start of a learner {behind:,} transactions behind (DIFF) to service",
               "s", at_most=1.0, digits=2),
        Single("e-snap", f"start of an empty learner of {count} znodes (SNAP) to service",
               "s", at_most=1.0, digits=2),
        Single("e-snap-p99", f"p99 of the leader's setData meanwhile ({rate:,} requests/s)",
               "ms", below=100, digits=2),
        Single("e-snap-max", "slowest of the same", "ms", digits=1),
        Single("e-snap-fill", f"creating {count} 100-byte znodes, one session", "per s"),
        Single("e-snap-memory", "memory of the three after that", "MB"),
    )  # fmt: skip
    return {single.key: single for single in found}


def _passes(yes: bool) -> str:
    return PASS if yes else FALLS_SHORT


def median_of(values: Iterable[float]) -> float | None:
    found = list(values)
    return median(found) if found else None


def ratio(ours: float | None, theirs: float | None) -> float | None:
    """zkserver's figure by Apache's; None where one is missing or Apache's is zero."""
    if ours is None or not theirs:
        return None
    return ours / theirs


def at_least(found: float | None, target: float) -> str:
    return "" if found is None else _passes(found >= target)


# --- histograms by slices of time --------------------------------------------------------


def merge_slices(
    slices: Sequence[dict[str, Any]], slice_ns: int, spans: Sequence[tuple[int, int]]
) -> dict[float, int]:
    """Adds up the histograms (µs: count) of the slices that overlap one of `spans` (ns)."""
    merged: dict[float, int] = {}
    for one in slices:
        start = one["start_ns"]
        if any(start < end and begin < start + slice_ns for begin, end in spans):
            for value, count in one["reads"].items():
                merged[float(value)] = merged.get(float(value), 0) + count
    return merged


def percentile(histogram: dict[float, int], share: float) -> float | None:
    """The smallest value that at least `share` of all do not exceed."""
    wanted = share * sum(histogram.values())
    seen = 0
    for value in sorted(histogram):
        seen += histogram[value]
        if seen >= wanted:
            return value
    return None


# --- printing -----------------------------------------------------------------------------

# "a : b" is zkserver : Apache throughout.
ROW_HEAD = (
    "work", "per second", "ratio", "per server CPU-second", "ratio", "p50 ms", "p99 ms", "",
)  # fmt: skip
SINGLE_HEAD = ("figure", "zkserver : Apache", "unit", "ratio", "target", "")


def number(value: float | None, digits: int = 0) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def pair(values: tuple[float | None, float | None], digits: int = 0) -> str:
    return " : ".join(number(value, digits) for value in values)


def milliseconds(values_us: tuple[float | None, float | None]) -> str:
    ours, theirs = (None if value is None else value / 1000 for value in values_us)
    return pair((ours, theirs), 2)


def row_cells(row: Row) -> list[str]:
    return [
        row.work.title,
        pair(row.medians("ops_per_s")),
        f"{number(row.ratio('ops_per_s'), 2)} (≥ {row.work.throughput_target:g})",
        pair(row.medians("ops_per_cpu_s")),
        f"{number(row.ratio('ops_per_cpu_s'), 2)} (≥ {row.work.per_cpu_target:g})",
        milliseconds(row.medians("p50_us")),
        milliseconds(row.medians("p99_us")),
        row.verdict(),
    ]


def single_cells(single: Single) -> list[str]:
    return [
        single.title,
        pair(single.medians(), single.digits),
        single.unit,
        number(single.ratio(), 2),
        single.target(),
        single.verdict(),
    ]


def text_table(head: Sequence[str], lines: Sequence[Sequence[str]], left: int = 1) -> str:
    """Columns padded to their widest cell; the first `left` and the last are left-aligned."""
    table = [head, *lines]
    widths = [max(len(line[i]) for line in table) for i in range(len(head))]

    def padded(i: int, cell: str) -> str:
        if i < left or i == len(head) - 1:
            return cell.ljust(widths[i])
        return cell.rjust(widths[i])

    rendered = ["  ".join(padded(i, cell) for i, cell in enumerate(line)) for line in table]
    rendered.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(line.rstrip() for line in rendered)


def markdown_table(head: Sequence[str], lines: Sequence[Sequence[str]], left: int = 1) -> str:
    rule = ["---" if i < left or i == len(head) - 1 else "---:" for i in range(len(head))]
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, rule, *lines])


def report(
    rows: Sequence[Row], singles: Sequence[Single], markdown: bool, heading: str = ""
) -> str:
    """The tables of what was measured, below `heading`; "" if nothing was."""
    render = markdown_table if markdown else text_table
    parts = []
    if heading and (rows or singles):
        parts.append(f"### {heading}" if markdown else f"{heading}:")
    if rows:
        parts.append(render(ROW_HEAD, [row_cells(row) for row in rows]))
    if singles:
        parts.append(render(SINGLE_HEAD, [single_cells(one) for one in singles]))
    return "\n\n".join(parts)


def as_json(rows: Sequence[Row], singles: Sequence[Single]) -> dict[str, Any]:
    """The same figures with every round's values, for `--json`."""
    return {
        "rows": [
            {
                "key": row.work.key,
                "work": row.work.title,
                "throughput_ratio": row.ratio("ops_per_s"),
                "throughput_target": row.work.throughput_target,
                "per_cpu_ratio": row.ratio("ops_per_cpu_s"),
                "per_cpu_target": row.work.per_cpu_target,
                "verdict": row.verdict(),
                "zkserver": row.zkserver,
                "apache": row.apache,
            }
            for row in rows
        ],
        "singles": [
            {
                "key": one.key,
                "figure": one.title,
                "unit": one.unit,
                "ratio": one.ratio(),
                "target": one.target(),
                "verdict": one.verdict(),
                "zkserver": one.zkserver,
                "apache": one.apache,
            }
            for one in singles
        ],
    }
