"""Completion for the shell: commands, options, paths of the tree, and what else can be known.

`candidates` looks at the line before the cursor and gives what may stand there; it asks the
server for the children of one znode at most, and gives up soon. Nothing of it is an error.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncGenerator, AsyncIterator
from typing import NamedTuple

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from zkserver.cli.shell_arguments import split_line
from zkserver.cli.shell_output import visible
from zkserver.cli.shell_registry import Command, load
from zkserver.cli.shell_session import Shell
from zkserver.client import AddWatchMode, errors
from zkserver.client.trees import join

PATIENCE_S = 2.0
MOST = 500
"""More children than these are no help."""
_ACLS = ("world:anyone:cdrwa", "world:anyone:r", "auth::cdrwa", "digest:", "ip:")
_FILE_WORDS = {"import": 0, "export": 1}
_ACL_WORDS = {"setAcl": 1, "create": 2}
_PATH_WORDS = {"import": 1}
_NO_PATH = ("connect", "history", "redo", "printwatches", "addauth", "version", "whoami",
            "config", "reconfig", "quit", "exit", "close", "help")  # fmt: skip


class Place(NamedTuple):
    """Where the cursor stands: the whole words before it, and the one it is in."""

    words: list[str]
    current: str
    quote: str


def place_of(text: str) -> Place:
    """Take the text before the cursor apart."""
    for quote in ('"', "'"):
        if text.count(quote) % 2:
            head, _, current = text.rpartition(quote)
            return Place(split_line(head), current, quote)
    head = text[: len(text) - len(text.split(" ")[-1])]
    return Place(split_line(head), text[len(head) :], "")


class ShellCompleter(Completer):
    """prompt_toolkit's view of `candidates`."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell

    def get_completions(self, *_: object) -> list[Completion]:
        """Nothing: completion needs the server, and so the loop."""
        return []

    async def get_completions_async(
        self,
        document: Document,
        complete_event: CompleteEvent,  # noqa: ARG002 the superclass has it
    ) -> AsyncGenerator[Completion, None]:
        """What may stand at the cursor."""
        place = place_of(document.text_before_cursor)
        async for word, about in candidates(self._shell, place):
            inserted = word
            if re.search(r"\s", word) and not place.quote:
                inserted = f'"{word}"'
            shown = word.rpartition("/")[2] if word.startswith("/") else word
            yield Completion(
                inserted, -len(place.current), display=visible(shown), display_meta=about
            )


async def candidates(shell: Shell, place: Place) -> AsyncIterator[tuple[str, str]]:
    """What may stand there, with a word about it."""
    commands = load()
    if not place.words:
        for name in sorted(commands, key=str.lower):
            if name.lower().startswith(place.current.lower()):
                yield name, commands[name].syntax.about
        return
    found = commands.get(place.words[0])
    if found is None:
        return
    async for one in _of_command(shell, found, place):
        yield one


async def _of_command(
    shell: Shell, command: Command, place: Place
) -> AsyncIterator[tuple[str, str]]:
    syntax, current = command.syntax, place.current
    before = place.words[-1]
    option = syntax.option(before[1:]) if before.startswith("-") else None
    if option is not None and option.takes_argument:
        if syntax.name == "addWatch":
            for mode in AddWatchMode:
                if mode.name.startswith(current.upper()):
                    yield mode.name, ""
        elif option.name == "file":
            for name in _files(current):
                yield name, ""
        return
    if current.startswith("-"):
        for one in syntax.options:
            if f"-{one.name}".startswith(current) and f"-{one.name}" not in place.words:
                yield f"-{one.name}", one.about
        return
    for word, about in _fixed(shell, command, place):
        if word.startswith(current):
            yield word, about
    if syntax.name not in _NO_PATH and _position(place) == _PATH_WORDS.get(syntax.name, 0):
        async for path in _paths(shell, current):
            yield path, ""


def _position(place: Place) -> int:
    """How many words stand between the command and the cursor, options apart."""
    return sum(not word.startswith("-") for word in place.words[1:])


def _fixed(shell: Shell, command: Command, place: Place) -> list[tuple[str, str]]:
    """Words that need no server."""
    name, position = command.syntax.name, _position(place)
    if name == "printwatches":
        return [("on", ""), ("off", "")]
    if name == "help":
        return [(one, found.syntax.about) for one, found in sorted(load().items())]
    if name == "redo":
        return [(str(number), line) for number, line in enumerate(shell.history)][-20:]
    if _ACL_WORDS.get(name) == position:
        return [(acl, "") for acl in _ACLS]
    if _FILE_WORDS.get(name) == position:
        return [(file, "") for file in _files(place.current)]
    return []


def _files(current: str) -> list[str]:
    """Files and folders whose names begin so."""
    folder, start = os.path.split(current)
    try:
        entries = sorted(os.scandir(folder or "."), key=lambda entry: entry.name)
    except OSError:
        return []
    return [
        os.path.join(folder, entry.name) + ("/" if entry.is_dir() else "")
        for entry in entries
        if entry.name.startswith(start)
    ]


async def _paths(shell: Shell, current: str) -> AsyncIterator[str]:
    """Paths that begin so."""
    if not current:
        current = "/"
    if not current.startswith("/") or shell.client is None:
        return
    parent, _, start = current.rpartition("/")
    try:
        async with asyncio.timeout(PATIENCE_S):
            names = await shell.ask(shell.client.get_children(parent or "/"), parent)
    except (errors.ZooKeeperError, TimeoutError):
        return
    for name in sorted(name for name in names if name.startswith(start))[:MOST]:
        yield join(parent or "/", name)
