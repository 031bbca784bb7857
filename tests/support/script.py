"""Golden scripts: files of commands and what they print, read as stories.

    # A sentence that says what the story shows.

    command word key=value
    ---
    what it printed

A block is commands, `---`, output, and ends at an empty line; comments stand between blocks. The
output is compared as a whole file. With ZKSERVER_REWRITE=1 in the environment the file is written
anew; read the change as a diff.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

SEPARATOR = "---"
REWRITE = "ZKSERVER_REWRITE"


class Command(NamedTuple):
    """`name word word key=value`, with a default for what is not given."""

    name: str
    words: tuple[str, ...]
    options: dict[str, str]

    def option(self, key: str, default: str = "") -> str:
        return self.options.get(key, default)


def parse_command(line: str) -> Command:
    name, *rest = line.split()
    options = dict(word.split("=", 1) for word in rest if "=" in word)
    return Command(name, tuple(word for word in rest if "=" not in word), options)


def blocks_of(text: str) -> Iterator[list[str]]:
    """The paragraphs of a script, as lines."""
    for paragraph in text.strip("\n").split("\n\n"):
        yield [line for line in paragraph.split("\n") if line]


def played(text: str, play: Callable[[list[str]], list[str]]) -> str:
    """The script as it should stand: each block with what its commands print now.

    `play` takes the command lines of a block and gives what they print.
    """
    paragraphs = []
    for block in blocks_of(text):
        if all(line.startswith("#") for line in block):
            paragraphs.append(block)
            continue
        commands = block[: block.index(SEPARATOR)] if SEPARATOR in block else block
        printed = play([command for command in commands if not command.startswith("#")])
        paragraphs.append([*commands, SEPARATOR, *printed])
    return "\n\n".join("\n".join(lines) for lines in paragraphs) + "\n"


def check_script(path: Path, play: Callable[[list[str]], list[str]]) -> None:
    """Plays a script and compares, or writes it anew."""
    text = path.read_text("utf-8")
    now = played(text, play)
    if os.environ.get(REWRITE):
        path.write_text(now, "utf-8")
        return
    assert now == text, f"{path.name} prints something else; {REWRITE}=1 writes it anew"
