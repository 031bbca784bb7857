"""The tools under the names of Apache's scripts, with the arguments of Apache's programs.

One function for each name; each ends the process with the exit code. What they do is the same as
under `zkserver log`, `zkserver snapshot`, `zkserver purge` and `zkserver initialize`
(`cli.tools`): only the reading of arguments, the usage texts and their exit codes are here.
"""

from __future__ import annotations

import getopt
import os
import sys
from collections.abc import Callable, Sequence

from zkserver.base.errors import ExitCode
from zkserver.cli import log_tool
from zkserver.cli.output import Output, guarded
from zkserver.cli.serve import CommandError, Options, locate

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

SNAPSHOT_USAGE = """\
USAGE: SnapshotFormatter [-d|-json] snapshot_file
       -d dump the data for each znode
       -json dump znode info in json format"""

SUMMARY_USAGE = """\
USAGE:


SnapshotRecursiveSummary  <snapshot_file>  <starting_node>  <max_depth>


snapshot_file:    path to the zookeeper snapshot
starting_node:    the znode where to begin
max_depth:        how many levels below it are printed, 0 for all; sums are always of all levels"""

COMPARER_USAGE = """\
usage: zkSnapshotComparer.sh
 -b,--bytes <BYTETHRESHOLD>   (Required) The node data delta size threshold, in bytes, for \
printing the node.
 -d,--debug                   Use debug output.
 -i,--interactive             Enter interactive mode.
 -l,--left <LEFT>             (Required) The left snapshot file.
 -n,--nodes <NODETHRESHOLD>   (Required) The descendant node delta size threshold, in nodes, for \
printing the node.
 -r,--right <RIGHT>           (Required) The right snapshot file."""

PURGE_USAGE = """\
Usage:
PurgeTxnLog dataLogDir [snapDir] -n count
\tdataLogDir -- path to the txn log directory
\tsnapDir -- path to the snapshot directory
\tcount -- the number of old snaps/logs you want to keep, value should be greater than or equal \
to 3
zkCleanup.sh -n count
\tthe same with the directories of zoo.cfg"""

INITIALIZE_USAGE = """\
usage: zkServer-initialize.sh <parameters>
  Optional parameters:
     -h, --help           Display this message
     --configfile=FILE    ZooKeeper config file
     --myid=#             Set the myid to be used, if any
     --force              Force creation of the data/txnlog dirs"""

Arguments = Sequence[str] | None
Tool = Callable[[list[str], Output], int]


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
        raise CommandError(f"{reason}\n{usage}", exit_code) from error
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


def snapshot_toolkit(arguments: Arguments = None) -> None:
    """zkSnapShotToolkit.sh: print a snapshot."""
    _run(_snapshot_toolkit, arguments)


def _snapshot_toolkit(arguments: list[str], output: Output) -> int:
    from zkserver.cli import snapshot_tool

    options = arguments[:-1]
    if "-d" in options and "-json" in options:
        raise CommandError(
            "Cannot specify both data dump (-d) and json mode (-json) in same call"
        )
    if not 1 <= len(arguments) <= 2 or any(option not in ("-d", "-json") for option in options):
        raise CommandError(SNAPSHOT_USAGE)
    if "-json" in options:
        return snapshot_tool.view_json(arguments[-1], output)
    return snapshot_tool.view(arguments[-1], output, data="-d" in options)


def snapshot_recursive_summary(arguments: Arguments = None) -> None:
    """zkSnapshotRecursiveSummaryToolkit.sh: print sums of a snapshot by subtree."""
    _run(_snapshot_recursive_summary, arguments)


def _snapshot_recursive_summary(arguments: list[str], output: Output) -> int:
    from zkserver.cli import snapshot_tool

    if len(arguments) != 3:
        raise CommandError(SUMMARY_USAGE)
    path, start, depth = arguments
    try:
        levels = int(depth)
    except ValueError as error:
        raise CommandError(SUMMARY_USAGE) from error
    return snapshot_tool.summary(path, start, levels, output)


def snapshot_comparer(arguments: Arguments = None) -> None:
    """zkSnapshotComparer.sh: compare two snapshots."""
    _run(_snapshot_comparer, arguments)


def _snapshot_comparer(arguments: list[str], output: Output) -> int:
    from zkserver.cli import snapshot_compare

    options, _ = _parse(
        arguments,
        "b:dil:n:r:",
        ("bytes=", "debug", "interactive", "left=", "nodes=", "right="),
        COMPARER_USAGE,
        ExitCode.INVALID_INVOCATION,
    )
    missing = [letter for letter in "lrbn" if letter not in options]
    if missing:
        plural = "s" if len(missing) > 1 else ""
        names = ", ".join(missing)
        raise CommandError(f"Missing required option{plural}: {names}\n{COMPARER_USAGE}")
    output.line("Successfully parsed options!")
    settings = snapshot_compare.Settings(
        _number(options["b"]), _number(options["n"]), "d" in options, "i" in options
    )
    return snapshot_compare.run(options["l"], options["r"], settings, output)


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise CommandError(f"{text!r} is no number\n{COMPARER_USAGE}") from error


def cleanup(arguments: Arguments = None) -> None:
    """zkCleanup.sh: purge, with the directories of zoo.cfg or those that are named."""
    _run(_cleanup, arguments)


def _cleanup(arguments: list[str], output: Output) -> int:
    from zkserver.cli import purge_tool

    if len(arguments) < 2 or arguments[-2] != "-n" or len(arguments) > 4:
        raise CommandError(PURGE_USAGE, ExitCode.UNEXPECTED_ERROR)
    *named, _, text = arguments
    try:
        retain = purge_tool.count(text, "count")
    except CommandError as error:
        raise CommandError(f"{error}\n{PURGE_USAGE}", error.exit_code) from error
    if not named:
        data_dir, log_dir = purge_tool.folders(locate(Options(), os.environ))
    else:
        log_dir, data_dir = named[0], named[-1]
    return purge_tool.run(data_dir, log_dir, retain, output)


def server_initialize(arguments: Arguments = None) -> None:
    """zkServer-initialize.sh: make an empty data directory."""
    _run(_server_initialize, arguments)


def _server_initialize(arguments: list[str], output: Output) -> int:
    from zkserver.cli import initialize

    usage = INITIALIZE_USAGE
    options: dict[str, str] = {}
    left = list(arguments)
    while left:
        name, equals, value = left.pop(0).partition("=")
        if name in ("--configfile", "--myid"):
            if not equals and not left:
                raise CommandError(f"{name} needs a value\n{usage}", ExitCode.UNEXPECTED_ERROR)
            options[name] = value if equals else left.pop(0)
        elif name == "--force" and not equals:
            options[name] = ""
        elif name in ("-h", "--help") and not equals:
            output.line(usage)
            return ExitCode.UNEXPECTED_ERROR
        else:
            unknown = name + equals + value
            raise CommandError(f"Unknown option: {unknown}\n{usage}", ExitCode.UNEXPECTED_ERROR)
    deployment = locate(Options(cfg=_as_path(options.get("--configfile"))), os.environ)
    return initialize.run(
        deployment, options.get("--myid") or None, output, force="--force" in options
    )


def _as_path(name: str | None) -> str | None:
    """A file that is named from here, not from the configuration directory."""
    return name if name is None or os.sep in name else os.path.join(os.curdir, name)
