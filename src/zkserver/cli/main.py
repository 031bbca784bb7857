"""The command line of `zkserver` and `zkServer.sh`.

Exit codes: 0 done; 1 the server did not start, is not running, or failed; 2 the
command line or the configuration is wrong; what else the server ends with is in
`zkserver.base.errors.ExitCode`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from zkserver import __version__
from zkserver.base.errors import FatalError
from zkserver.cli.serve import CommandError, Deployment, Options, locate

Command = TypeVar("Command", bound=Callable[..., None])

LEVEL_NAMES = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR")
# Those of `cli.tools`.
TOOL_NAMES = ("initialize", "log", "purge", "snapshot")


class Commands(click.Group):
    """The commands here, and the tools, which are imported when one of them is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, sorted."""
        return sorted((*super().list_commands(ctx), *TOOL_NAMES))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command by its name."""
        if cmd_name not in TOOL_NAMES:
            return super().get_command(ctx, cmd_name)
        from zkserver.cli import tools

        return tools.TOOLS[cmd_name]


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
)
@click.option("--config", "config_dir", metavar="DIR", help="Configuration directory.")
@click.pass_context
def cli(context: click.Context, config_dir: str | None) -> None:
    """A ZooKeeper server: run it here, or manage one in the background.

    CFG is a zoo.cfg: a path, or a bare name in the configuration directory
    (--config, ZOOCFGDIR) or else in the current directory.
    """
    context.obj = config_dir


def server_options(command: Command) -> Command:
    """Give a command the argument CFG and the options that describe a server."""
    options = (
        click.argument("cfg", required=False),
        click.option("--config", "config_dir", metavar="DIR", help="Configuration directory."),
        click.option(
            "-D",
            "defines",
            metavar="NAME=VALUE",
            multiple=True,
            help="Set a property as for a JVM, for example -Dzookeeper.snapCount=5000.",
        ),
        click.option(
            "--port",
            metavar="PORT",
            type=click.IntRange(0, 65535),
            help="Client port, without a CFG.  [default: 2181]",
        ),
        click.option(
            "--data-dir", metavar="DIR", help="Data directory, without a CFG.  [default: data]"
        ),
        click.option("--json-logs", is_flag=True, help="Log one JSON object a line."),
        click.option(
            "--log-level",
            type=click.Choice(LEVEL_NAMES, case_sensitive=False),
            default="INFO",
            help="Least severe level that is logged.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def read_options(context: click.Context, values: dict[str, Any]) -> Deployment:
    """What the server's options mean here; says which configuration is used."""
    if values["config_dir"] is None:
        values["config_dir"] = context.obj
    deployment = locate(Options(**values), os.environ)
    if not deployment.options.json_logs:
        click.echo(f"Using config: {deployment.config_name}", err=True)
    return deployment


def say(words: str) -> None:
    """Write to standard output at once, without a line end of its own."""
    click.echo(words, nl=False)


@cli.command("start-foreground")
@server_options
@click.pass_context
def start_foreground(context: click.Context, /, **values: Any) -> None:
    """Run a server until it is told to stop (SIGTERM, Ctrl-C)."""
    from zkserver.cli import serve

    context.exit(serve.run_foreground(read_options(context, values)))


@cli.command()
@server_options
@click.pass_context
def start(context: click.Context, /, **values: Any) -> None:
    """Start a server in the background."""
    context.exit(_start(read_options(context, values)))


@cli.command()
@server_options
@click.pass_context
def stop(context: click.Context, /, **values: Any) -> None:
    """Stop the server in the background."""
    from zkserver.cli import daemon

    context.exit(daemon.stop(read_options(context, values).pid_file, say))


@cli.command()
@server_options
@click.pass_context
def restart(context: click.Context, /, **values: Any) -> None:
    """Stop the server in the background, then start it."""
    from zkserver.cli import daemon

    deployment = read_options(context, values)
    context.exit(daemon.stop(deployment.pid_file, say) or _start(deployment))


@cli.command()
@server_options
@click.pass_context
def status(context: click.Context, /, **values: Any) -> None:
    """Print the mode of the server, with exit code 1 if it is not running."""
    from zkserver.cli import daemon, serve

    endpoint = serve.client_endpoint(read_options(context, values), say)
    context.exit(1 if endpoint is None else daemon.status(*endpoint, say))


@cli.command("print-cmd")
@server_options
@click.pass_context
def print_cmd(context: click.Context, /, **values: Any) -> None:
    """Print the command line that `start` runs."""
    import shlex

    from zkserver.cli import serve

    deployment = read_options(context, values)
    command = shlex.join(serve.foreground_command(deployment.options))
    say(f"{command} >> {shlex.quote(str(deployment.out_file))} 2>&1 < /dev/null\n")


@cli.command(
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def simulate(words: tuple[str, ...]) -> None:
    """Run servers in a simulated world: simulate --help says how."""
    # The simulated world is imported by none; it takes the place of this process.
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-P", "-m", "zkserver.sim", *words])


@cli.command()
@click.argument("count", type=click.IntRange(1, 9), default=3)
@click.option(
    "--data-dir", metavar="DIR", default="ensemble", help="Directory of the servers' directories."
)
@click.option(
    "--port",
    metavar="PORT",
    type=click.IntRange(1, 65000),
    default=2181,
    help="First client port to try.",
)
@click.pass_context
def ensemble(context: click.Context, count: int, data_dir: str, port: int) -> None:
    """Run COUNT servers as an ensemble here, watch them, and kill them by key."""
    from pathlib import Path

    from zkserver.cli import ensemble as local_ensemble

    context.exit(local_ensemble.run(count, Path(data_dir), port, say))


@cli.command()
def version() -> None:
    """Print the version."""
    say(f"zkserver, version {__version__}, compatible with Apache ZooKeeper 3.9\n")


def _start(deployment: Deployment) -> int:
    from zkserver.cli import daemon, serve

    serve.check_data_directories(deployment)
    endpoint = serve.client_endpoint(deployment, lambda _: None)
    return daemon.start(
        serve.foreground_command(deployment.options),
        deployment.pid_file,
        deployment.out_file,
        say,
        lambda: endpoint is not None and daemon.is_serving(*endpoint),
    )


def main(args: Sequence[str] | None = None) -> None:
    """Run a command and end the process with its exit code."""
    try:
        cli.main(args=args)
    except (CommandError, FatalError) as error:
        click.echo(str(error), err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
