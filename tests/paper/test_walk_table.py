"""The table of the walk, in README.md, names what is there, and all of it."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
GOLDEN = ROOT / "tests" / "golden"
ROWS = re.findall(r"^\| (\d+) \| (.*?) \| (.*?) \|$", (HERE / "README.md").read_text("utf-8"), re.M)


def names() -> list[str]:
    return [name for _, _, told_by in ROWS for name in re.findall(r"`(.*?)`", told_by)]


def test_every_step_of_the_walk_is_told() -> None:
    assert sorted({int(step) for step, _, _ in ROWS}) == list(range(1, 19))
    assert all("`" in told_by for _, _, told_by in ROWS)


def test_every_name_exists() -> None:
    for name in names():
        place = ROOT / name if name.startswith("tests/") else GOLDEN / f"{name}.txt"
        assert place.exists(), name


def test_every_story_is_in_the_table() -> None:
    stories = {f"{story.parent.name}/{story.stem}" for story in GOLDEN.glob("*/walk_*.txt")}
    stories |= {f"zab/{story.stem}" for story in (GOLDEN / "zab").glob("*.txt")}
    stories |= {f"election/{story.stem}" for story in (GOLDEN / "election").glob("*.txt")}
    assert stories - set(names()) == set()
