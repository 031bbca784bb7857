"""The commands of the shell that read, or that concern the shell itself.

Names, options and output: Apache's zkCli 3.9. What is shown to a person instead is in
`shell_output`.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable

from zkserver.cli.shell_arguments import Arguments, CommandError, Option, Syntax, number, path_fault
from zkserver.cli.shell_output import acl_lines, hex_dump
from zkserver.cli.shell_registry import COMMANDS, command, unknown
from zkserver.cli.shell_session import HISTORY_LINES, Shell
from zkserver.client import WatchEvent

Watcher = Callable[[WatchEvent], object]
NULL = b"null"
"""What Apache's shell takes null data for."""
STAT = Option("s", "stats")
WATCH = Option("w", "watch")


# The shell itself


@command(
    Syntax("help", "[command]", "what the commands do"), needs_session=False, is_ours=True
)
async def show_help(shell: Shell, arguments: Arguments) -> None:
    """All commands, or one with its options."""
    output = shell.output
    if arguments.words:
        found = COMMANDS.get(arguments.words[0])
        if found is None:
            raise unknown(shell, arguments.words[0])
        output.line(output.styled(found.syntax.usage, "title"))
        output.line(f"  {found.syntax.about}")
        for option in found.syntax.options:
            output.line(f"  {output.styled(f'{option.shown:<14}', 'name')} {option.about}")
        return
    width = max(map(len, COMMANDS)) + 2
    for name in sorted(COMMANDS, key=str.lower):
        output.line(f"{output.styled(f'{name:<{width}}', 'name')}{COMMANDS[name].syntax.about}")
    output.hint("`help COMMAND` has the options. Tab completes, Ctrl-C cancels, Ctrl-D leaves.")


async def leave(shell: Shell, _arguments: Arguments) -> None:
    """End the session and the shell."""
    await shell.close()
    shell.is_over = True


command(Syntax("quit", "", "end the session and leave", is_plain=True), needs_session=False)(leave)
command(
    Syntax("exit", "", "the same as quit", is_plain=True), needs_session=False, is_ours=True
)(leave)


@command(Syntax("close", "", "end the session, and stay", is_plain=True))
async def close(shell: Shell, _arguments: Arguments) -> None:
    """End the session."""
    await shell.close()


@command(
    Syntax("connect", "host:port", "begin a new session", is_plain=True), needs_session=False
)
async def connect(shell: Shell, arguments: Arguments) -> None:
    """A new session in place of the old one, with the same servers or others."""
    await shell.connect(arguments.words[0] if arguments.words else None)


@command(
    Syntax("history", "", "the last commands, with numbers for redo", is_plain=True),
    needs_session=False,
)
async def history(shell: Shell, _arguments: Arguments) -> None:
    """The last lines, this one included."""
    first = max(0, len(shell.history) - HISTORY_LINES)
    for position, line in enumerate(shell.history[first:], first):
        shell.output.line(f"{position} - {line}")


@command(
    Syntax("redo", "cmdno", "a command of the history again", is_plain=True),
    needs_session=False,
)
async def redo(shell: Shell, arguments: Arguments) -> None:
    """Carry out a line of the history again; it takes the place of the redo."""
    if not arguments.words:
        return
    position = number(arguments.words[0])
    if not 0 <= position < len(shell.history) - 1:
        raise CommandError("Command index out of range", hint="`history` shows the numbers.")
    line = shell.history[position]
    shell.history.pop()
    # What is done again may fail; that redo found it is no failure.
    await shell.execute_line(line)


@command(
    Syntax("printwatches", "on|off", "whether events are shown", is_plain=True),
    needs_session=False,
)
async def print_watches(shell: Shell, arguments: Arguments) -> None:
    """Show or change whether events are printed."""
    if arguments.words:
        shell.prints_watches = arguments.words[0] == "on"
    else:
        state = "on" if shell.prints_watches else "off"
        shell.output.line(f"printwatches is {state}")


@command(Syntax("version", "", "the version of this shell"))
async def version(shell: Shell, arguments: Arguments) -> None:
    """The version line."""
    if arguments.words:
        raise arguments.syntax.misused()
    from zkserver.server.four_letter import VERSION

    shell.output.line(f"ZooKeeper CLI version: {VERSION}")


# Reading


def old_form(shell: Shell, arguments: Arguments, name: str, old: str, new: str) -> bool:
    """Whether a word stands where `-w` or `-v` is meant today; warns of it."""
    if len(arguments.words) < 2:
        return False
    shell.output.error(
        f"'{name} path [{old}]' has been deprecated. Please use '{name} {new} path' instead."
    )
    return True


@command(
    Syntax(
        "ls", "[-s] [-w] [-R] path", "the children of a znode",
        (STAT, WATCH, Option("R", "recurse")), 1,
    )
)  # fmt: skip
async def ls(shell: Shell, arguments: Arguments) -> None:
    """The children, sorted; with -R all paths below."""
    path, client = arguments.words[0], shell.connected
    watches = old_form(shell, arguments, "ls", "watch", "[-w]") or "w" in arguments
    watcher = shell.watcher if watches else None
    if "R" in arguments:
        async for below in paths_below(shell, path, watcher):
            shell.output.line(below)
        return
    names, stat = await shell.ask(client.get_children_with_stat(path, watcher), path)
    shell.output.names(sorted(names))
    if "s" in arguments:
        shell.output.stat(stat)


async def paths_below(
    shell: Shell, path: str, watcher: Watcher | None = None
) -> AsyncIterator[str]:
    """Paths of a subtree: a znode's children, then what is below each of them.

    The children of all siblings are asked for at once. Raises NoNode and NoAuth.
    """
    client = shell.connected
    waiting = [(path, client.get_children(path, watcher))]
    try:
        while waiting:
            above, future = waiting[-1]
            names = sorted(await shell.ask(future, above))
            waiting.pop()
            if above == path:
                yield path
            prefix = above.rstrip("/") + "/"
            for name in names:
                yield prefix + name
            waiting += [
                (prefix + name, client.get_children(prefix + name, watcher))
                for name in reversed(names)
            ]
    finally:
        for _, future in waiting:
            future.cancel()


@command(
    Syntax(
        "get", "[-s] [-w] [-b] [-x] path", "the data of a znode",
        (
            Option("s", "Print znode stats additionally"),
            Option("w", "Watch for changes on the znode"),
            Option("b", "Output data in base64 format"),
            Option("x", "Output data in hexdump format"),
        ),
        1, has_long_usage=True,
    )
)  # fmt: skip
async def get(shell: Shell, arguments: Arguments) -> None:
    """The data: as it is, in base64, or as a hex dump."""
    path = arguments.words[0]
    if len(arguments.words) > 1:
        shell.output.error(
            "'get path [watch]' has been deprecated. Please use 'get [-s] [-w] path' instead."
        )
    watches = len(arguments.words) > 1 or "w" in arguments
    watcher = shell.watcher if watches else None
    data, stat = await shell.ask(shell.connected.get_or_null(path, watcher), path)
    if "x" in arguments:
        shell.output.line(hex_dump(NULL if data is None else data))
    elif "b" in arguments:
        shell.output.line(base64.b64encode(NULL if data is None else data).decode())
    else:
        shell.output.znode_data(data)
    if "s" in arguments:
        shell.output.stat(stat)


@command(Syntax("stat", "[-w] path", "the Stat of a znode", (WATCH,), 1))
async def stat_of(shell: Shell, arguments: Arguments) -> None:
    """The Stat; -w also waits for a znode that is not there yet."""
    path = arguments.words[0]
    watches = old_form(shell, arguments, "stat", "watch", "[-w]") or "w" in arguments
    watcher = shell.watcher if watches else None
    stat = await shell.ask(shell.connected.exists(path, watcher), path)
    if stat is None:
        raise CommandError(f"Node does not exist: {path}")
    shell.output.stat(stat)


@command(Syntax("getAcl", "[-s] path", "who may do what to a znode", (STAT,), 1))
async def get_acl(shell: Shell, arguments: Arguments) -> None:
    """The ACL, two lines for an entry."""
    path = arguments.words[0]
    acl, stat = await shell.ask(shell.connected.get_acl(path), path)
    for line in acl_lines(acl):
        shell.output.line(line)
    if "s" in arguments:
        shell.output.stat(stat)


@command(Syntax("getAllChildrenNumber", "path", "how many znodes are below", (), 1))
async def count_below(shell: Shell, arguments: Arguments) -> None:
    """A number."""
    path = arguments.words[0]
    count = await shell.ask(shell.connected.get_all_children_number(path), path)
    shell.output.line(str(count))


@command(Syntax("getEphemerals", "path", "this session's ephemeral znodes"))
async def get_ephemerals(shell: Shell, arguments: Arguments) -> None:
    """Paths of this session's ephemeral znodes, all or those that begin so."""
    prefix = arguments.words[0] if arguments.words else "/"
    if fault := path_fault(prefix):
        raise CommandError(fault)
    paths = await shell.ask(shell.connected.get_ephemerals(prefix), prefix)
    shell.output.names(sorted(paths))


@command(Syntax("sync", "path", "catch up with the leader", (), 1))
async def sync(shell: Shell, arguments: Arguments) -> None:
    """Reads behind this see all that was done before it."""
    path = arguments.words[0]
    await shell.ask(shell.connected.sync(path), path)
    shell.output.line("Sync is OK")


@command(Syntax("whoami", "", "this connection's identities", is_plain=True))
async def who_am_i(shell: Shell, _arguments: Arguments) -> None:
    """Scheme and name of each identity."""
    identities = await shell.ask(shell.connected.who_am_i())
    shell.output.line("Auth scheme: User")
    for scheme, name in identities:
        shell.output.line(f"{scheme}: {name}")
