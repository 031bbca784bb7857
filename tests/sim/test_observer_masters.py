"""Ensembles under faults whose observers are served by followers: every property holds."""

from __future__ import annotations

import pytest

from zkserver.sim.ensemble_run import simulate_ensemble
from zkserver.sim.seeds import Wish

WISH = Wish(observers=2, has_masters=True, duration_s=15.0)


@pytest.mark.parametrize("seed", range(3))
def test_every_property_holds_with_observers_behind_followers(seed: int) -> None:
    report = simulate_ensemble(seed, WISH.options_of(seed))
    assert report.broken == []
    lines = "\n".join(report.events)
    assert "synchronises observer" in lines
    assert report.answered > 50
