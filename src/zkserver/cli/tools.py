"""The tools as commands of `zkserver`: what is done to files, and which options there are.

The work is in `cli.log_tool` and its like, imported when it is needed; `cli.java_names` has the
same tools under the names and with the arguments of Apache's scripts.
"""

from __future__ import annotations

import click

from zkserver.cli.output import guarded


@click.group()
def log() -> None:
    """View, verify, repair or chop a transaction log. The file itself is never changed."""


@log.command()
@click.argument("file")
@click.pass_context
def view(context: click.Context, file: str) -> None:
    """Print every transaction of FILE."""
    from zkserver.cli import log_tool

    context.exit(guarded(lambda output: log_tool.view(file, output)))


@log.command()
@click.argument("file")
@click.pass_context
def verify(context: click.Context, file: str) -> None:
    """Say whether a server would take FILE as it is; exit code 1 if not."""
    from zkserver.cli import log_tool

    context.exit(guarded(lambda output: log_tool.verify(file, output)))


@log.command()
@click.argument("file")
@click.option("-o", "--output", "target", metavar="NEW", help="[default: FILE.fixed]")
@click.option("-y", "--yes", is_flag=True, help="Give wrong checksums new ones without asking.")
@click.option("-v", "--verbose", is_flag=True, help="Print all transactions, not only bad ones.")
@click.pass_context
def repair(
    context: click.Context, file: str, target: str | None, yes: bool, verbose: bool
) -> None:
    """Write a new log with all that can be read of FILE.

    A transaction whose checksum is wrong is shown, and kept with a new checksum if you say so. What
    does not read at all is left out; the exit code is 1 then.
    """
    from zkserver.cli import log_tool

    context.exit(
        guarded(
            lambda output: log_tool.repair(
                file, output, yes=yes, verbose=verbose, target=target or ""
            )
        )
    )


@log.command()
@click.argument("file")
@click.argument("zxid")
@click.option("-o", "--output", "target", metavar="NEW", help="[default: FILE.chopped<zxid>]")
@click.pass_context
def chop(context: click.Context, file: str, zxid: str, target: str | None) -> None:
    """Write a new log with the transactions of FILE up to ZXID (decimal, or 0x…)."""
    from zkserver.cli import java_names, log_tool

    context.exit(
        guarded(
            lambda output: log_tool.chop(
                file, java_names.parse_zxid(zxid), output, target=target or ""
            )
        )
    )
