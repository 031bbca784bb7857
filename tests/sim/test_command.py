"""The command `zkserver simulate`: which runs, what it prints, how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import zkserver
from zkserver.sim.__main__ import main
from zkserver.sim.ensemble_bugs import BUGS

SHORT = ["--seconds", "3", "--think", "1"]


def test_one_run_is_told(capsys) -> None:
    assert main(["--seed", "5", "--servers", "3", "--observers", "1", *SHORT]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Seed 5: 3 servers and 1 observer (n4), 2 clients, 3 s under faults\n")
    assert "n4 decides to observe n3" in out
    assert "properties hold" in out
    assert "nothing broke" in out
    assert "again: zkserver simulate --seed 5 --servers 3 --observers 1 --seconds 3 --think 1" in out


def test_the_same_run_is_the_same_text(capsys) -> None:
    texts = []
    for _ in range(2):
        main(["--seed", "2", *SHORT])
        texts.append(re.sub(r" in \d+ s\n", "", capsys.readouterr().out))
    assert texts[0] == texts[1]


def test_a_page_and_all_events(capsys, tmp_path: Path) -> None:
    page = tmp_path / "run.html"
    assert main(["--seed", "2", *SHORT, "--faults", "none", "--events", "--trace", str(page)]) == 0
    out = capsys.readouterr().out
    assert "n1       starts" in out
    assert "fault:" not in out
    found = re.search(r'id="story">(.*?)</script>', page.read_text("utf-8"), re.S)
    assert json.loads(found[1])["title"] == "Seed 2: 5 servers, 3 clients"


def test_a_broken_property_is_shown_by_a_prefix(capsys) -> None:
    wish = ["--standalone", "--seed", "2", "--bug", "event-after-reply"]
    assert main(wish) == 1
    out = capsys.readouterr().out
    assert re.search(r"^BROKEN WatchBeforeRead: c\d ", out, re.M)
    assert re.search(r"shown by the first \d+ of [\d,]+ events, \d\.\d+ s of virtual time", out)
    assert "the last events before that:" in out
    assert f"again: zkserver simulate --seed 2 {wish[0]} --bug {wish[-1]}" in out


def test_many_seeds_are_summed_up_in_their_order(capsys) -> None:
    bug = ["--standalone", "--bug", "event-after-reply", *SHORT]
    assert main(["--first", "3", "--seeds", "5", "--jobs", "2", *bug]) == 1
    out = capsys.readouterr().out
    assert "seeds 3 to 7" in out
    seeds = [int(number) for number in re.findall(r"^seed (\d+): Watch", out, re.M)]
    assert seeds == sorted(seeds)
    assert len(seeds) > 1
    assert f"broke: WatchBeforeRead ({len(seeds)})\n  in: {', '.join(map(str, seeds))}\n" in out
    assert "again: zkserver simulate --seed" in out


def test_fresh_seeds_are_named(capsys) -> None:
    assert main(["--standalone", "--fresh", "2", "--jobs", "1", *SHORT]) == 0
    out = capsys.readouterr().out
    first, last = re.search(r"fresh seeds (\d+) to (\d+)", out).groups()
    assert int(last) == int(first) + 1
    assert "2 seeds: " in out


def test_it_runs_for_as_long_as_told(capsys) -> None:
    assert main(["--standalone", "--minutes", "0.01", "--first", "7", "--jobs", "1", *SHORT]) == 0
    out = capsys.readouterr().out
    assert "seeds from 7," in out
    assert int(re.search(r"^(\d+) seeds?: ", out, re.M)[1]) >= 1


def test_minutes_are_the_bound_of_seeds(capsys) -> None:
    words = ["--standalone", "--seeds", "500", "--minutes", "0.01", "--jobs", "1", *SHORT]
    assert main(words) == 0
    out = capsys.readouterr().out
    done = int(re.search(r"^(\d+) seeds?: ", out, re.M)[1])
    assert f"time was up: {500 - done} seeds left out" in out


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--seed", "1", "--seeds", "2"], "--seed is one run"),
        (["--trace", "x.html"], "give its --seed"),
        (["--standalone", "--servers", "3"], "no --servers"),
        (["--standalone", "--observer-masters"], "no --observer-masters"),
        (["--hours", "1", "--seconds", "1"], "give one"),
        (["--clients", "1"], "at least 2"),
        (["--faults", "kill,flood"], "no fault is called flood; there are: kill, kill-leader"),
        (["--standalone", "--bug", "x"], "no bug is called x; there are: ack-before-fsync"),
    ],
)
def test_a_wrong_command_line(capsys, words: list[str], complaint: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert complaint in capsys.readouterr().err


def test_an_interrupt_ends_it_with_what_there_is_so_far() -> None:
    """The whole group is told, as by a terminal, once the first line is out."""
    environment = {**os.environ, "PYTHONPATH": str(Path(zkserver.__file__).parents[1])}
    process = subprocess.Popen(
        [sys.executable, "-m", "zkserver.sim", "--standalone", "--minutes", "5", "--jobs", "2"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert "seeds from" in process.stdout.readline()
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == "ends after the runs that are under way; Ctrl-C again: at once\n"
    assert "interrupted; so far:" in out
    assert re.search(r"^\d+ seeds?: ", out, re.M)


def test_a_bug_is_sought_under_its_own_options_unless_others_are_given(capsys) -> None:
    bug = BUGS["early-commit-dropped"]
    wish = ["--seed", str(bug.first_seed), "--bug", "early-commit-dropped"]
    assert main([*wish, "--events"]) == 1
    assert "broke: Liveness (1)" in capsys.readouterr().out
    assert main([*wish, "--faults", "none"]) == 0
    assert f"{bug.wish['duration_s']:g} s under faults" in capsys.readouterr().out
