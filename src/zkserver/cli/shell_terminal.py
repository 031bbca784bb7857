"""The shell on a terminal: prompt, completion, history, and events that do not disturb.

Only here prompt_toolkit is imported. While the prompt is shown, what is printed (a watch event)
goes above it; while a command runs it has the terminal for itself. Ctrl-C takes back a line or
cancels a command, Ctrl-D leaves.

The history is a file that only its owner may read; lines with credentials are not kept there.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import FileHistory
from prompt_toolkit.patch_stdout import patch_stdout
from prompt_toolkit.shortcuts import CompleteStyle
from prompt_toolkit.styles import Style

from zkserver import __version__
from zkserver.cli.shell_arguments import CommandError
from zkserver.cli.shell_completion import ShellCompleter
from zkserver.cli.shell_session import Shell
from zkserver.client import errors

FIRST_WAIT_MS = 1000
"""So long the first prompt waits for the session, to begin with its good news."""
SECRET_COMMANDS = ("addauth",)
_STATE_STYLES = {"CONNECTED": "class:good", "CONNECTEDREADONLY": "class:warning"}
_STYLE = Style.from_dict(
    {
        "good": "ansigreen",
        "warning": "ansiyellow",
        "bad": "ansired",
        "frame": "ansibrightblack",
        "host": "ansicyan",
    }
)


class QuietHistory(FileHistory):
    """The file of lines, without those that hold credentials."""

    def store_string(self, string: str) -> None:
        """Keep a line, unless it is secret."""
        if string.split(maxsplit=1)[:1] and string.split()[0] not in SECRET_COMMANDS:
            with suppress(OSError):
                super().store_string(string)


def history_file(environment: Mapping[str, str]) -> Path:
    """Where the history is: below XDG_STATE_HOME if that is set, else in the home directory."""
    state = environment.get("XDG_STATE_HOME")
    if state:
        return Path(state) / "zkcli" / "history"
    return Path.home() / ".zkcli_history"


def open_history(environment: Mapping[str, str]) -> QuietHistory | None:
    """The history, its file made; None where it cannot be."""
    path = history_file(environment)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError:
        return None
    return QuietHistory(str(path))


async def session(shell: Shell) -> int:
    """Read commands and carry them out until the user leaves; the exit code."""
    output = shell.output
    output.line(
        output.styled(f"zkcli {__version__}", "title")
        + output.styled("  Tab completes, `help` lists the commands, Ctrl-D leaves", "dim")
    )
    try:
        await shell.connect()
        await wait_first(shell)
    except CommandError as error:
        shell.fail(error)
        return shell.exit_code
    prompt: PromptSession[str] = PromptSession(
        message=lambda: prompt_text(shell),
        history=open_history(os.environ),
        completer=ShellCompleter(shell),
        complete_style=CompleteStyle.MULTI_COLUMN,
        complete_while_typing=False,
        auto_suggest=AutoSuggestFromHistory(),
        style=_STYLE if output.has_colours else Style([]),
        include_default_pygments_style=False,
        reserve_space_for_menu=4,
    )
    while not shell.is_over:
        try:
            with patch_stdout(raw=True):
                line = await prompt.prompt_async()
        except KeyboardInterrupt:
            continue
        except EOFError:
            break
        await until_done(shell, line)
    await shell.close(quietly=True)
    return 0


async def wait_first(shell: Shell) -> None:
    """Give the session a moment; with -waitforconnection all the time it may take."""
    if shell.start.waits_for_connection:
        await shell.wait_until_connected()
        return
    try:
        await shell.connected.start(FIRST_WAIT_MS)
    except errors.ZooKeeperError:
        shell.output.error(f"No session on {shell.start.hosts} yet, still trying.")
        shell.output.hint(shell.unreachable())


async def until_done(shell: Shell, line: str) -> None:
    """Carry out a line; Ctrl-C cancels it."""
    loop = asyncio.get_running_loop()
    task = loop.create_task(shell.execute_line(line))
    loop.add_signal_handler(signal.SIGINT, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        shell.output.error("Cancelled.")
        shell.output.hint("What was sent to the server may still take effect.")
    finally:
        loop.remove_signal_handler(signal.SIGINT)


def prompt_text(shell: Shell) -> StyleAndTextTuples:
    """Apache's prompt: the servers, the state, the number that redo takes."""
    state = shell.state_name
    return [
        ("class:frame", "[zk: "),
        ("class:host", shell.start.hosts),
        ("class:frame", "("),
        (_STATE_STYLES.get(state, "class:bad"), state),
        ("class:frame", f") {len(shell.history)}] "),
    ]


