"""The code blocks of a documentation page, so that a test does what the page says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]

_FENCED = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A fenced block: the line it begins at, its language, its text."""

    line: int
    language: str
    text: str


class Command(NamedTuple):
    """A command of a console block, and what the page says it prints."""

    line: int
    command: str
    output: str


def pages() -> list[Path]:
    """README and everything in docs."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: str | Path, *languages: str) -> list[Block]:
    """The blocks of a page in these languages, in order; of any language if none is named."""
    text = (ROOT / page).read_text("utf-8")
    found = [
        Block(text.count("\n", 0, match.start()) + 1, match[1], match[2])
        for match in _FENCED.finditer(text)
    ]
    return [block for block in found if not languages or block.language in languages]


def commands(block: Block) -> list[Command]:
    """Commands behind `$ `, continued by lines behind `> `, and the lines printed by each."""
    found: list[Command] = []
    for number, line in enumerate(block.text.splitlines(), block.line + 1):
        if line.startswith("$ "):
            found.append(Command(number, line[2:], ""))
        elif found and line.startswith("> ") and not found[-1].output:
            found[-1] = found[-1]._replace(command=f"{found[-1].command}\n{line[2:]}")
        elif found:
            found[-1] = found[-1]._replace(output=f"{found[-1].output}{line}\n")
    return found
