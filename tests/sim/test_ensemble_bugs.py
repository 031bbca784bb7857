"""The simulator of ensembles can fail: each planted bug is found by the seed that says so.

`ensemble_bugs.hunt` looks for the first seed of a bug, `report_lines` for that of all.
"""

from __future__ import annotations

import pytest

from zkserver.sim import ensemble_bugs
from zkserver.sim.ensemble_bugs import BUGS, found_by
from zkserver.sim.ensemble_run import simulate_ensemble

FOUND = {name: bug.first_seed for name, bug in BUGS.items() if bug.first_seed is not None}


@pytest.mark.parametrize("name", FOUND)
def test_a_planted_bug_is_found(name: str) -> None:
    assert FOUND[name] < (BUGS[name].seeds_to_find or 0)
    assert found_by(ensemble_bugs.run(name, FOUND[name])) != []


@pytest.mark.parametrize("seed", sorted(set(FOUND.values())))
def test_without_a_bug_the_same_seed_finds_nothing(seed: int) -> None:
    report = simulate_ensemble(seed)
    assert report.broken == []
    assert report.answered > 0


def test_there_are_enough_bugs() -> None:
    assert len(FOUND) >= 20


def test_a_hunt_ends_where_it_was_told_to() -> None:
    assert ensemble_bugs.hunt("serves-before-uptodate", 1) == 0
    assert ensemble_bugs.hunt("serves-before-uptodate", 0) is None


def test_an_unknown_bug_is_refused() -> None:
    with pytest.raises(KeyError):
        ensemble_bugs.run("no-such-bug", 0)
