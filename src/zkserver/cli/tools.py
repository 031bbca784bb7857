"""The tools as commands of `zkserver`: what is done to files, and which options there are.

The work is in `cli.log_tool` and its like, imported when it is needed; `cli.java_names` has the
same tools under the names and with the arguments of Apache's scripts.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from zkserver.cli.output import guarded

if TYPE_CHECKING:
    from zkserver.cli.serve import Deployment


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


@click.group()
def snapshot() -> None:
    """View, sum up or compare snapshots: plain, gzip or snappy."""


@snapshot.command("view")
@click.argument("file")
@click.option("-d", "--data", is_flag=True, help="Print the data of each znode, in base64.")
@click.option("--json", "as_json", is_flag=True, help="Print names and sizes as JSON for ncdu.")
@click.pass_context
def view_snapshot(context: click.Context, file: str, data: bool, as_json: bool) -> None:
    """Print every znode of FILE."""
    from zkserver.cli import snapshot_tool

    if data and as_json:
        raise click.UsageError("--data and --json exclude each other.", context)
    if as_json:
        context.exit(guarded(lambda output: snapshot_tool.view_json(file, output)))
    context.exit(guarded(lambda output: snapshot_tool.view(file, output, data=data)))


@snapshot.command()
@click.argument("file")
@click.argument("znode", default="/")
@click.option("--depth", type=click.IntRange(0), default=0, help="Levels to print, 0 for all.")
@click.pass_context
def summary(context: click.Context, file: str, znode: str, depth: int) -> None:
    """Print how many znodes and bytes FILE has at ZNODE and below, level by level."""
    from zkserver.cli import snapshot_tool

    context.exit(guarded(lambda output: snapshot_tool.summary(file, znode, depth, output)))


@snapshot.command()
@click.argument("left")
@click.argument("right")
@click.option("-b", "--bytes", "size_bytes", type=int, default=0, help="Say nothing up to these.")
@click.option("-n", "--nodes", type=int, default=0, help="Say nothing up to so many znodes.")
@click.option("-d", "--debug", is_flag=True, help="Tell every step.")
@click.option("-i", "--interactive", is_flag=True, help="Look around by depth or by znode.")
@click.pass_context
def compare(
    context: click.Context,
    left: str,
    right: str,
    size_bytes: int,
    nodes: int,
    debug: bool,
    interactive: bool,
) -> None:
    """Print where two snapshots differ in size or number of znodes."""
    from zkserver.cli import snapshot_compare

    settings = snapshot_compare.Settings(size_bytes, nodes, debug, interactive)
    context.exit(
        guarded(lambda output: snapshot_compare.run(left, right, settings, output))
    )


@click.command()
@click.argument("cfg", required=False)
@click.option(
    "-n", "--retain", type=int, help="Snapshots to keep.  [default: autopurge.snapRetainCount]"
)
@click.option("--data-dir", metavar="DIR", help="Data directory, without a CFG.")
@click.option("--data-log-dir", metavar="DIR", help="Its logs.  [default: the data directory]")
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted.")
@click.pass_context
def purge(
    context: click.Context,
    cfg: str | None,
    retain: int | None,
    data_dir: str | None,
    data_log_dir: str | None,
    dry_run: bool,
) -> None:
    """Delete old snapshots and logs, as the configuration CFG says."""
    from zkserver.cli import purge_tool
    from zkserver.cli.output import Output

    if data_log_dir is not None and data_dir is None:
        raise click.UsageError("--data-log-dir needs --data-dir.", context)
    if cfg is not None and data_dir is not None:
        raise click.UsageError("--data-dir is for a purge without CFG.", context)

    def work(output: Output) -> int:
        if data_dir is not None:
            places = data_dir, data_log_dir or data_dir
            kept = purge_tool.DEFAULT_RETAINED
        else:
            deployment = locate(context, cfg)
            places = purge_tool.folders(deployment)
            kept = purge_tool.retained(deployment)
        if retain is not None:
            kept = purge_tool.count(str(retain), "--retain")
        return purge_tool.run(*places, kept, output, dry_run=dry_run)

    context.exit(guarded(work))


@click.command()
@click.argument("cfg", required=False)
@click.option("--myid", metavar="ID", help="Number of this server in its ensemble.")
@click.option("--force", is_flag=True, help="Delete the data that is there.")
@click.pass_context
def initialize(context: click.Context, cfg: str | None, myid: str | None, force: bool) -> None:
    """Make the empty data directory of a new server, as the configuration CFG says."""
    from zkserver.cli import initialize as initialize_tool

    context.exit(
        guarded(
            lambda output: initialize_tool.run(locate(context, cfg), myid, output, force=force)
        )
    )


def locate(context: click.Context, cfg: str | None) -> Deployment:
    """The configuration that `zkserver --config DIR TOOL CFG` means."""
    from zkserver.cli import serve

    return serve.locate(serve.Options(cfg=cfg, config_dir=context.obj), os.environ)


TOOLS: dict[str, click.Command] = {
    "initialize": initialize,
    "log": log,
    "purge": purge,
    "snapshot": snapshot,
}
"""What `zkserver` has of them, by name; `cli.main` knows the names without importing this."""
