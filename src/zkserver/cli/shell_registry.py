"""The registry of the shell's commands, and how one is found and run.

`COMMANDS` has each command by name: its `Syntax`, and one small function that takes the shell
and the parsed arguments. The modules of commands enter theirs: `shell_commands` what reads,
`shell_changes` what writes, `shell_watching` watches and quotas, `shell_tree` and
`shell_subtree` whole subtrees. `load` imports them.

`is_ours` marks commands that Apache's shell does not have: its usage text leaves them out,
because a script may read it. (So `help`, which is no command there, is one on a terminal only.)
"""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from zkserver.cli.shell_arguments import Arguments, CommandError, Syntax, parse
from zkserver.cli.shell_session import NOT_FOUND, Shell

Function = Callable[[Shell, Arguments], Awaitable[None]]
USAGE_HEAD = "ZooKeeper -server host:port -client-configuration properties-file cmd args"
_MODULES = ("shell_commands", "shell_changes", "shell_watching", "shell_subtree", "shell_tree")


@dataclass(frozen=True)
class Command:
    """A command. `needs_session`: it is refused when the session was closed."""

    syntax: Syntax
    function: Function
    needs_session: bool = True
    is_ours: bool = False


COMMANDS: dict[str, Command] = {}


def command(
    syntax: Syntax, *, needs_session: bool = True, is_ours: bool = False
) -> Callable[[Function], Function]:
    """Enter a function into `COMMANDS`."""

    def enter(function: Function) -> Function:
        COMMANDS[syntax.name] = Command(syntax, function, needs_session, is_ours)
        return function

    return enter


def load() -> dict[str, Command]:
    """All commands, their modules imported."""
    for name in _MODULES:
        importlib.import_module(f"zkserver.cli.{name}")
    return COMMANDS


async def run(shell: Shell, words: Sequence[str]) -> None:
    """Carry out a command. Raises CommandError and ZooKeeperError."""
    found = load().get(words[0])
    if found is None or (words[0] == "help" and not shell.output.is_terminal):
        raise unknown(shell, words[0])
    if found.needs_session and shell.client is None:
        raise CommandError("Not connected", 0, "`connect` begins a new session.")
    await found.function(shell, parse(found.syntax, words[1:]))


def unknown(shell: Shell, name: str) -> CommandError:
    """What answers a name that is no command."""
    if not shell.output.is_terminal:
        usage = "\n".join(usage_lines())
        return CommandError(f"{usage}\nCommand not found: Command not found {name}", NOT_FOUND)
    import difflib

    near = difflib.get_close_matches(name, COMMANDS, 3, 0.5)
    near += [other for other in COMMANDS if other.lower() == name.lower() and other not in near]
    meant = f"Did you mean {' or '.join(near)}? " if near else ""
    return CommandError(
        f"Command not found: {name}", NOT_FOUND, f"{meant}`help` lists the commands."
    )


def usage_lines() -> list[str]:
    """The usage text of Apache's shell."""
    named = sorted(name for name, found in COMMANDS.items() if not found.is_ours)
    return [USAGE_HEAD, *(f"\t{COMMANDS[name].syntax.usage}" for name in named)]
