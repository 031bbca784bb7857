"""The command tree: a subtree as a drawing, with sizes. Apache's shell has no such thing.

The children of siblings are asked for together; what vanishes meanwhile is left out, what may not
be read is drawn without what is below it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from zkserver.cli.shell_arguments import Arguments, CommandError, Option, Syntax
from zkserver.cli.shell_output import size_text, visible
from zkserver.cli.shell_registry import command
from zkserver.cli.shell_session import Shell
from zkserver.cli.shell_subtree import windowed
from zkserver.client import Stat, errors
from zkserver.client.trees import join


@command(
    Syntax(
        "tree", "[-d depth] path", "a subtree, with sizes",
        (Option("d", "how many levels", takes_argument=True),),
    ),
    is_ours=True,
)  # fmt: skip
async def tree(shell: Shell, arguments: Arguments) -> None:
    """The subtree as a drawing, the sizes of data, and the sums."""
    path = arguments.words[0] if arguments.words else "/"
    depth = arguments.integer("d", 1 << 30)
    if depth < 0:
        raise CommandError("-d takes a number of levels, 0 or more")
    output, count, size_bytes, hidden = shell.output, 0, 0, 0
    names, stat = await _children(shell, path)
    waiting = [_Branch(path, "", "", names, stat)]
    while waiting:
        branch = waiting.pop()
        count += 1
        size_bytes += branch.stat.data_length
        level_hidden = 0
        below: Sequence[str] = branch.names
        if branch.level >= depth:
            level_hidden, below = len(below), ()
        hidden += level_hidden
        output.line(_branch_line(shell, branch, level_hidden))
        waiting += reversed(await _branches(shell, branch, below))
    total = f"{count} {'znode' if count == 1 else 'znodes'}, {size_text(size_bytes)}"
    if hidden:
        total += f"; not shown: what is below level {depth}"
    output.line(output.styled(total, "dim"))


class _Branch(NamedTuple):
    path: str
    lead: str
    below_lead: str
    names: list[str]
    stat: Stat
    level: int = 0


def _branch_line(shell: Shell, branch: _Branch, hidden: int) -> str:
    styled = shell.output.styled
    name = branch.path if not branch.level else branch.path[branch.path.rfind("/") + 1 :]
    parts = [branch.lead + styled(visible(name), "name")]
    if branch.stat.data_length:
        parts.append(styled(size_text(branch.stat.data_length), "dim"))
    if branch.stat.ephemeral_owner:
        parts.append(styled("ephemeral", "warning"))
    if hidden:
        parts.append(styled(f"({hidden} below)", "dim"))
    return "  ".join(parts)


async def _branches(shell: Shell, branch: _Branch, names: Sequence[str]) -> list[_Branch]:
    """What is below a branch, sorted; znodes that are gone meanwhile are left out."""
    found, ordered = [], sorted(names)
    paths = [join(branch.path, name) for name in ordered]
    async for path, reply in windowed(
        shell, paths, lambda one: shell.connected.get_children_with_stat(one)
    ):
        if isinstance(reply, errors.NoNode):
            continue
        if isinstance(reply, errors.NoAuth):
            found.append(_Branch(path, "", "", [], _UNREADABLE, branch.level + 1))
            continue
        if isinstance(reply, BaseException):
            raise reply
        children, stat = reply
        found.append(_Branch(path, "", "", children, stat, branch.level + 1))
    last = len(found) - 1
    return [
        one._replace(
            lead=branch.below_lead + ("└── " if position == last else "├── "),
            below_lead=branch.below_lead + ("    " if position == last else "│   "),
        )
        for position, one in enumerate(found)
    ]


_UNREADABLE = Stat(*[0] * len(Stat._fields))


async def _children(shell: Shell, path: str) -> tuple[list[str], Stat]:
    return await shell.ask(shell.connected.get_children_with_stat(path), path)
