"""The simulator of ensembles can fail: each planted bug is found within its bound of seeds.

`zkserver simulate --report` seeks all of them anew. A first seed that has shifted, because faults
or the server changed, is found again by `ensemble_bugs.hunt`.
"""

from __future__ import annotations

import pytest

from zkserver.sim import ensemble_bugs
from zkserver.sim.ensemble_bugs import BUGS, found_by, options_of
from zkserver.sim.ensemble_run import simulate_ensemble

FOUND = {name: bug.first_seed for name, bug in BUGS.items() if bug.first_seed is not None}
# Later seeds that find a bug by the same in a fraction of the first one's time.
QUICKER = {"observer-in-quorum": 17, "watch-lost-at-move": 8}
# Whose first seed is run without a bug too: those with options of their own, and a few others.
OTHERS = ("newleader-acked-unsynced", "moved-session-writes", "older-state-after-move")
CLEAN = {
    (FOUND[name], options_of(name, FOUND[name])): name
    for name in FOUND
    if BUGS[name].wish or name in OTHERS
}


@pytest.mark.parametrize("name", FOUND)
def test_a_planted_bug_is_found_by_what_it_breaks(name: str) -> None:
    bug = BUGS[name]
    seed = QUICKER.get(name, FOUND[name])
    assert seed < (bug.seeds_to_find or 0)
    assert bug.breaks in found_by(ensemble_bugs.run(name, seed))


@pytest.mark.parametrize("name", CLEAN.values())
def test_without_the_bug_the_same_run_finds_nothing(name: str) -> None:
    report = simulate_ensemble(FOUND[name], options_of(name, FOUND[name]))
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
