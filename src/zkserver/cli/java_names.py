"""The tools under the names of Apache's scripts, with the arguments of Apache's programs.

One function for each name; each ends the process with the exit code. What they do is the same as
under `zkserver log`, `zkserver snapshot`, `zkserver purge` and `zkserver initialize`
(`cli.tools`): only the reading of arguments, the usage texts and their exit codes are here.
"""

from __future__ import annotations

import getopt
import sys
from collections.abc import Callable, Sequence

from zkserver.base.errors import ExitCode
from zkserver.cli import log_tool
from zkserver.cli.output import Output, guarded
from zkserver.cli.serve import CommandError

TXN_LOG_USAGE = """\
usage: TxnLogToolkit [-dhrvc] <txn_log_file_name> (-z <zxid>)
 -c,--chop         Chop mode. Chop txn file to a zxid.
 -d,--dump         Dump mode. Dump all entries of the log file with printing the content of a \
nodepath (default)
 -h,--help         Print help message
 -r,--recover      Recovery mode. Re-calculate CRC for broken entries.
 -v,--verbose      Be verbose in recovery mode: print all entries, not just fixed ones.
 -y,--yes          Non-interactive mode: repair all CRC errors without asking
 -z,--zxid <arg>   Used with chop. Zxid to which to chop.
"""

Arguments = Sequence[str] | None
Tool = Callable[[list[str], Output], int]


class _UsageError(CommandError):
    """Arguments that are not understood: the message, then how the program is used."""


def _run(tool: Tool, arguments: Arguments) -> None:
    given = list(sys.argv[1:] if arguments is None else arguments)
    sys.exit(guarded(lambda output: tool(given, output)))


def _parse(
    arguments: list[str], short: str, long: Sequence[str], usage: str, exit_code: int
) -> tuple[dict[str, str], list[str]]:
    """Options by their short letter, and the other arguments; errors in commons-cli's words."""
    letters = {name.rstrip("="): name[0] for name in long}
    try:
        options, rest = getopt.gnu_getopt(arguments, short, list(long))
    except getopt.GetoptError as error:
        dashes = "--" if len(error.opt) > 1 else "-"
        if "requires argument" in error.msg:
            reason = f"Missing argument for option: {error.opt}"
        else:
            reason = f"Unrecognized option: {dashes}{error.opt}"
        raise _UsageError(f"{reason}\n{usage}", exit_code) from error
    return {letters.get(name.lstrip("-"), name.lstrip("-")): value for name, value in options}, rest


def parse_zxid(text: str) -> int:
    """A zxid in decimal, or in hexadecimal after 0x; CommandError for anything else."""
    try:
        zxid = int(text, 16 if text.lower().startswith("0x") else 10)
    except ValueError:
        zxid = -1
    if not 0 <= zxid < 1 << 63:
        raise CommandError(f"{text!r} is no zxid: write it in decimal, or as 0x… in hexadecimal")
    return zxid


def txn_log_toolkit(arguments: Arguments = None) -> None:
    """zkTxnLogToolkit.sh: dump, recover or chop a transaction log."""
    _run(_txn_log_toolkit, arguments)


def _txn_log_toolkit(arguments: list[str], output: Output) -> int:
    options, files = _parse(
        arguments,
        "cdhrvyz:",
        ("chop", "dump", "help", "recover", "verbose", "yes", "zxid="),
        TXN_LOG_USAGE,
        ExitCode.UNEXPECTED_ERROR,
    )
    if "h" in options or not files:
        output.write(TXN_LOG_USAGE.encode())
        return ExitCode.EXECUTION_FINISHED if "h" in options else ExitCode.UNEXPECTED_ERROR
    if "c" in options and "z" in options:
        return log_tool.chop(files[0], parse_zxid(options["z"]), output)
    if "r" in options:
        return log_tool.repair(files[0], output, yes="y" in options, verbose="v" in options)
    return log_tool.view(files[0], output)
