"""The benchmark's arithmetic and tables: medians, ratios, verdicts, slices, printing."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench"


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"bench_{name}", BENCH / f"{name}.py")
    if spec is None or spec.loader is None:
        raise ImportError(name)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


tables = _load("tables")


def run(ops_per_s: float, ops_per_cpu_s: float, p50_us: float = 1000) -> dict[str, float]:
    return {
        "ops_per_s": ops_per_s,
        "ops_per_cpu_s": ops_per_cpu_s,
        "p50_us": p50_us,
        "p99_us": p50_us * 2,
    }


def row_of(ours: list[dict[str, float]], theirs: list[dict[str, float]]) -> Any:
    work = tables.Work("w", "get", ("-o", "get"), 2, 3)
    return tables.Row(work, ours, theirs)


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [(6.0, 3.0, 2.0), (None, 3.0, None), (6.0, None, None), (6.0, 0.0, None), (0.0, 3.0, 0.0)],
)
def test_ratio(ours: float | None, theirs: float | None, expected: float | None) -> None:
    assert tables.ratio(ours, theirs) == expected


def test_the_ratio_is_that_of_the_medians_and_not_of_the_rounds() -> None:
    row = row_of([run(10, 10), run(300, 10), run(20, 10)], [run(5, 5), run(10, 5), run(100, 5)])
    assert row.medians("ops_per_s") == (20, 10)
    assert row.ratio("ops_per_s") == 2
    assert tables.median_of([]) is None


@pytest.mark.parametrize(
    ("ours", "verdict"),
    [
        (run(200, 300), "pass"),
        (run(199, 300), "falls short"),
        (run(200, 299), "falls short"),
    ],
)
def test_a_row_passes_only_with_both_ratios(ours: dict[str, float], verdict: str) -> None:
    assert row_of([ours], [run(100, 100)]).verdict() == verdict


def test_what_was_not_measured_has_no_verdict() -> None:
    assert row_of([run(1, 1)], []).verdict() == ""
    assert tables.Single("k", "t", "MB", at_most=0.5, zkserver=[1]).verdict() == ""
    assert tables.Single("k", "t", "ms", below=25).verdict() == ""


@pytest.mark.parametrize(
    ("single", "target", "verdict"),
    [
        (tables.Single("k", "t", "MB", at_most=0.5, zkserver=[5], apache=[10]), "≤ 0.5", "pass"),
        (
            tables.Single("k", "t", "MB", at_most=2 / 3, zkserver=[7], apache=[10]),
            "≤ 0.67",
            "falls short",
        ),
        (tables.Single("k", "t", "ms", below=25, zkserver=[24, 26, 24]), "< 25 ms", "pass"),
        (tables.Single("k", "t", "ms", below=25, zkserver=[25]), "< 25 ms", "falls short"),
        (tables.Single("k", "t", "s", zkserver=[1], apache=[1]), "", ""),
    ],
)
def test_a_single_figure_against_its_target(single: Any, target: str, verdict: str) -> None:
    assert (single.target(), single.verdict()) == (target, verdict)


def test_slices_that_overlap_a_span_are_merged() -> None:
    slices = [{"start_ns": start, "reads": {"1.5": 1, f"{start}": 2}} for start in (0, 10, 20, 30)]
    assert tables.merge_slices(slices, 10, [(15, 21)]) == {1.5: 2, 10.0: 2, 20.0: 2}
    # Ends are open: a span that only touches a slice takes nothing of it.
    assert tables.merge_slices(slices, 10, [(10, 20)]) == {1.5: 1, 10.0: 2}
    # Two spans in one slice count it once.
    assert tables.merge_slices(slices, 10, [(31, 32), (33, 34)]) == {1.5: 1, 30.0: 2}
    assert tables.merge_slices(slices, 10, []) == {}


def test_percentile() -> None:
    histogram = {5.0: 1, 1.0: 989, 9.0: 10}
    assert tables.percentile(histogram, 0.5) == 1.0
    assert tables.percentile(histogram, 0.99) == 5.0
    assert tables.percentile(histogram, 0.999) == 9.0
    assert tables.percentile({}, 0.5) is None


def test_markdown() -> None:
    row = row_of([run(20, 3, 4000)], [run(10, 1, 8000)])
    single = tables.Single("k", "memory", "MB", at_most=0.5, zkserver=[30.4], apache=[80])
    assert tables.report([row], [single], markdown=True).splitlines() == [
        "| work | per second | ratio | per server CPU-second | ratio | p50 ms | p99 ms |  |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
        "| get | 20 : 10 | 2.00 (≥ 2) | 3 : 1 | 3.00 (≥ 3) "
        "| 4.00 : 8.00 | 8.00 : 16.00 | pass |",
        "",
        "| figure | zkserver : Apache | unit | ratio | target |  |",
        "| --- | ---: | ---: | ---: | ---: | --- |",
        "| memory | 30 : 80 | MB | 0.38 | ≤ 0.5 | pass |",
    ]


def test_a_heading_stands_above_what_was_measured_and_nothing_else() -> None:
    row = row_of([run(20, 3)], [run(10, 1)])
    plain = tables.report([row], [], markdown=False)
    assert tables.report([row], [], markdown=False, heading="Ensembles") == f"Ensembles:\n\n{plain}"
    marked = tables.report([row], [], markdown=True, heading="Ensembles")
    assert marked.splitlines()[:2] == ["### Ensembles", ""]
    assert tables.report([], [], markdown=True, heading="Ensembles") == ""


def test_text_columns_line_up_and_missing_figures_are_dashes() -> None:
    text = tables.report([row_of([run(1, 1)], []), row_of([], [])], [], markdown=False)
    head, rule, first, second = text.splitlines()
    column = head.index("ratio") + len("ratio")
    assert {line[column] for line in (head, rule, first, second)} == {" "}
    assert "1 : –" in first
    assert "– : –" in second


def test_json_keeps_every_round() -> None:
    row = row_of([run(4, 6), run(6, 6)], [run(2, 2)])
    found = tables.as_json([row], [tables.Single("k", "t", "s", at_most=1, zkserver=[2])])
    assert found["rows"][0]["throughput_ratio"] == 2.5
    assert found["rows"][0]["per_cpu_ratio"] == 3
    assert [one["ops_per_s"] for one in found["rows"][0]["zkserver"]] == [4, 6]
    assert found["singles"][0]["zkserver"] == [2]
    assert found["singles"][0]["ratio"] is None


def test_the_table_has_the_works_that_were_promised() -> None:
    targets = {work.key: (work.throughput_target, work.per_cpu_target) for work in tables.WORKS}
    assert targets == {
        "get": (3.5, 7),
        "exists": (3.5, 7),
        "set": (1.6, 3),
        "create": (1.8, 3),
        "mixed": (2, 3),
        "get-50x1": (1.5, 2.5),
        "set-50x1": (1.2, 1.7),
        "session": (1.3, 2),
    }


def test_the_table_of_ensembles_has_the_works_that_were_promised() -> None:
    works = tables.ENSEMBLE_WORKS
    targets = {work.key: (work.throughput_target, work.per_cpu_target) for work in works}
    assert targets == {
        "e-set": (1.5, 2),
        "e-create": (1.5, 2),
        "e-get": (3, 6),
        "e-mixed": (2, 3),
    }


def test_the_single_figures_of_ensembles_have_the_targets_that_were_promised() -> None:
    singles = tables.ensemble_singles(1_000_000, 100_000, 1_000)
    assert {key: one.target() for key, one in singles.items() if one.target()} == {
        "e-set-1x1": "≤ 1",
        "e-set-1x1-leader": "≤ 1",
        "e-idle": "≤ 0.5",
        "e-failover": "≤ 0.33",
        "e-diff": "≤ 1",
        "e-snap": "≤ 1",
        "e-snap-p99": "< 100 ms",
    }
    for key, one in singles.items():
        assert one.key == key
        assert key.startswith(tables.ENSEMBLE_SINGLE_KEYS)
    assert "a million znodes" in singles["e-snap"].title
    assert "50,000 znodes" in tables.ensemble_singles(50_000, 1, 1)["e-snap"].title


def test_figures_of_ensembles_do_not_share_their_values() -> None:
    first = tables.ensemble_singles(1, 1, 1)["e-idle"]
    first.zkserver.append(1.0)
    assert tables.ensemble_singles(1, 1, 1)["e-idle"].zkserver == []


def test_no_two_figures_have_one_key() -> None:
    works = [work.key for work in (*tables.WORKS, *tables.ENSEMBLE_WORKS)]
    keys = [*works, *tables.SINGLE_KEYS, *tables.ENSEMBLE_SINGLE_KEYS]
    assert len(keys) == len(set(keys))
