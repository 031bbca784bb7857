"""The shell `zkcli`, and under the name scripts know `zkCli.sh`: the way in, and its loops.

Three ways to use it. With a command on the command line it carries that out and ends with its
exit code. With standard input from a pipe or a file it carries out each line, prints what
Apache's shell prints, and ends with the exit code of the last. On a terminal `shell_terminal`
takes over, with completion, history and colours.

Nothing that only a terminal needs is imported before there is one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import Coroutine, Sequence

from zkserver.cli.shell_arguments import CommandError, number
from zkserver.cli.shell_output import Output
from zkserver.cli.shell_session import Shell, Start

INTERRUPTED = 130
USAGE = """\
usage: zkcli [options] [command [arguments]]

  -server HOST:PORT[,HOST:PORT...][/CHROOT]   the servers (localhost:2181)
  -timeout MS                                 the session timeout to ask for (30000)
  -r                                          a server without a quorum will do, for reads
  -waitforconnection                          wait for the session before the first command
  -client-configuration FILE                  properties for TLS
  -h, --help                                  this text

Without a command it reads commands: from the terminal with completion and history, or from a
pipe. `help` on a terminal lists them."""


def main(words: Sequence[str] | None = None) -> None:
    """Run the shell and exit with its code."""
    try:
        code = run(list(sys.argv[1:] if words is None else words))
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        # Who read our output has gone; the interpreter must not flush into it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = 1
    sys.exit(code)


def run(words: list[str]) -> int:
    """Take the command line apart and do what it says; the exit code."""
    is_terminal = sys.stdout.isatty()
    output = Output(is_terminal)
    if any(word in ("-h", "-help", "--help") for word in words[:1]):
        output.line(USAGE)
        return 0
    try:
        start, command = parse_start(words, output)
    except CommandError as error:
        output.error(error.message)
        output.hint(error.hint)
        return error.exit_code
    if command:
        return asyncio.run(one_shot(Shell(start, output), command))
    if is_terminal and sys.stdin.isatty():
        from zkserver.cli import shell_terminal

        return asyncio.run(shell_terminal.session(Shell(start, output)))
    return asyncio.run(piped(Shell(start, output)))


def parse_start(words: Sequence[str], output: Output) -> tuple[Start, list[str]]:
    """The options before the command, and the command. Raises CommandError."""
    start, rest = Start(), list(words)
    configuration = None
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        if option in ("-server", "-timeout", "-client-configuration"):
            if not rest:
                raise CommandError(f"Error: no argument found for option {option}", 2, USAGE)
            value = rest.pop(0)
            if option == "-server":
                start.hosts = value
            elif option == "-timeout":
                start.timeout_ms = number(value)
            else:
                configuration = value
        elif option == "-r":
            start.is_read_only = True
        elif option == "-waitforconnection":
            start.waits_for_connection = True
        else:
            output.error(f"Unknown option {option} is ignored: zkcli -h lists the options")
    if start.timeout_ms <= 0:
        raise CommandError("-timeout needs a positive number of milliseconds", 2)
    from zkserver.cli.shell_tls import context_for

    start.tls = context_for(configuration, os.environ)
    return start, rest


async def begin(shell: Shell) -> None:
    """Connect, and wait for that if it was asked for. Raises CommandError."""
    if not shell.output.is_terminal:
        shell.output.line(f"Connecting to {shell.start.hosts}")
    await shell.connect()
    if shell.start.waits_for_connection:
        await shell.wait_until_connected()


async def one_shot(shell: Shell, command: Sequence[str]) -> int:
    """Carry out one command; its exit code."""
    shell.history.append(" ".join(command))
    shell.prints_watches = not shell.output.is_terminal
    try:
        await begin(shell)
    except CommandError as error:
        shell.fail(error)
    else:
        await shell.execute(command)
    await shell.close(quietly=True)
    return shell.exit_code


async def piped(shell: Shell) -> int:
    """Carry out the lines of standard input; the exit code of the last command."""
    try:
        await begin(shell)
    except CommandError as error:
        shell.fail(error)
        return shell.exit_code
    shell.output.line("Welcome to ZooKeeper!")
    shell.output.line("JLine support is disabled")
    shell.output.flush()
    lines: asyncio.Queue[str | None] = asyncio.Queue(maxsize=1000)
    loop = asyncio.get_running_loop()
    # A daemon: a read from a terminal or a pipe cannot be ended from outside.
    threading.Thread(target=_read_lines, args=(lines, loop), daemon=True).start()
    while not shell.is_over and (line := await lines.get()) is not None:
        await shell.execute_line(line)
    await shell.close(quietly=True)
    return shell.exit_code


def _read_lines(lines: asyncio.Queue[str | None], loop: asyncio.AbstractEventLoop) -> None:
    """Put each line of standard input into the queue, then None."""

    def put(line: str | None) -> None:
        putting: Coroutine[object, object, None] = lines.put(line)
        asyncio.run_coroutine_threadsafe(putting, loop).result()

    # The loop is closed when the shell ends before its input does.
    with contextlib.suppress(RuntimeError, OSError, asyncio.CancelledError):
        for raw in sys.stdin.buffer:
            put(raw.decode("utf-8", "surrogateescape").rstrip("\r\n"))
        put(None)


if __name__ == "__main__":
    main()
