"""Whole runs of the real standalone server under faults, in virtual time.

A failure names its seed; `zkserver simulate --standalone --seed SEED` shows it again, and with
--events event by event. That a seed is one run is tested here for both worlds.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from zkserver.sim import bugs
from zkserver.sim.checkers import CHECKERS
from zkserver.sim.run import Options, simulate

ROOT = Path(__file__).resolve().parents[2]
FIXED_SEEDS = range(30)
FRESH_SEEDS = 6
# By which property each planted bug is to be found, whatever else it breaks.
PROPERTY_OF = {
    bugs.ACK_BEFORE_FSYNC: "NoAckedWriteLost",
    bugs.TORN_TAIL_KEPT: "RestoreEqualsLive",
    bugs.READ_OVERTAKES_WRITE: "SessionOrder",
    bugs.EPHEMERAL_KEPT_AT_EXPIRY: "Ephemerals",
    bugs.EXPIRED_EARLY: "Ephemerals",
    bugs.EVENT_AFTER_REPLY: "WatchBeforeRead",
}


def calm(seed: int, *faults: str) -> Options:
    """A short run with these faults only."""
    return Options(
        clients=3,
        duration_s=15.0,
        think_s=0.3,
        session_timeout_ms=6000,
        snap_count=100,
        sync_ms=5.0 + seed,
        fault_every_s=2.0,
        faults=faults,
    )


@pytest.mark.parametrize("seed", FIXED_SEEDS)
def test_every_property_holds_in_a_fixed_run(seed: int) -> None:
    report = simulate(seed)
    assert report.broken == []
    assert [verdict.name for verdict in report.verdicts] == list(CHECKERS)
    assert report.answered > 100


def test_every_property_holds_in_fresh_runs() -> None:
    first = random.SystemRandom().randrange(1 << 30)
    print(f"fresh seeds from {first}")
    for seed in range(first, first + FRESH_SEEDS):
        assert simulate(seed).broken == [], f"seed {seed}"


@pytest.mark.parametrize("bug", bugs.SEEDS_TO_FIND)
def test_a_planted_bug_is_found_by_the_property_it_breaks(bug: str) -> None:
    for seed in range(bugs.SEEDS_TO_FIND[bug]):
        broken = {verdict.name: verdict.outcome for verdict in simulate(seed, bug).broken}
        if broken.get(PROPERTY_OF[bug]) == "invalid":
            print(f"{bug}: seed {seed}")
            return
    pytest.fail(f"{bug}: not found in {bugs.SEEDS_TO_FIND[bug]} seeds")


HARMLESS = (
    # Without a power cut, what was written is as good as synced, and no tail is torn.
    (bugs.ACK_BEFORE_FSYNC, ("kill", "reset")),
    (bugs.TORN_TAIL_KEPT, ("kill", "reset")),
)


@pytest.mark.parametrize(("bug", "faults"), HARMLESS)
def test_a_planted_bug_needs_the_fault_that_shows_it(bug: str, faults: tuple[str, ...]) -> None:
    for seed in range(3):
        assert simulate(seed, bug, calm(seed, *faults)).broken == []


# The verdicts too: what the garbage collector does must not be one of them.
DIGEST = """
from zkserver.sim.ensemble_run import simulate_ensemble
from zkserver.sim.run import simulate
print(simulate(4).digest)
for seed in (0, 5):
    report = simulate_ensemble(seed)
    print(report.digest, [(verdict.name, verdict.outcome) for verdict in report.broken])
"""


def interpreters() -> list[str]:
    """This one, and one of each other version that pyenv has; says which are not there."""
    home = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = [sys.executable]
    for version in ("3.11", "3.12", "3.13"):
        others = sorted(str(path) for path in home.glob(f"versions/{version}.*/bin/python"))
        found += others[-1:]
        if not others and sys.version_info[:2] != tuple(map(int, version.split("."))):
            print(f"skipped: there is no CPython {version} in {home}")
    return found


def digest(python: str, hash_seed: str) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [python, "-c", DIGEST], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.mark.timeout(300)
def test_a_seed_is_the_same_run_under_every_hash_seed_and_python() -> None:
    """Of a standalone server and of ensembles."""
    expected = digest(sys.executable, "7")
    assert expected.startswith(simulate(4).digest)
    assert len(set(expected.split())) >= 3
    for python in interpreters():
        for hash_seed in ("0", "random"):
            assert digest(python, hash_seed) == expected, f"{python} {hash_seed}"
