"""A server that cannot cut its history gives it up and comes back by itself; nobody empties it.

Where it crashes meanwhile it has no vote, and what the others have acknowledged is safe without it.
"""

from __future__ import annotations

from zkserver.sim.ensemble_bugs import options_of
from zkserver.sim.ensemble_run import EnsembleRun, simulate_ensemble
from zkserver.storage.emptying import MARK_NAME

SEED = 3
OPTIONS = options_of("emptied-server-votes", SEED)


def test_it_crashes_on_the_way_and_serves_in_the_end() -> None:
    runs: list[EnsembleRun] = []
    report = simulate_ensemble(SEED, OPTIONS, runs.append)
    assert report.broken == []
    assert any("without a database" in line for line in report.events)
    events = [line.split(maxsplit=2)[1:] for line in report.events]
    given_up = [host for host, what in events if f"{MARK_NAME}: this server has given up" in what]
    (name,) = set(given_up)
    # At the cut, and at a start without the leader's tree.
    assert len(given_up) > 1
    last = max(at for at, (host, what) in enumerate(events) if host == name and MARK_NAME in what)
    assert any(host == name and what.startswith("serves in epoch") for host, what in events[last:])
    assert not any("exit code 13" in what for _, what in events)
    assert not any(host.is_emptied for host in runs[0].hosts)
