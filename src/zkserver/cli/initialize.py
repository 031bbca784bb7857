"""An empty data directory for a new server (Apache's zkServer-initialize.sh).

Makes dataDir/version-2 and dataLogDir/version-2, writes myid if one is given, and leaves the file
`initialize`, by which the server knows that its emptiness is meant; without it a server that finds
its data gone must not vote for an empty history. What was there before goes, but only with --force.

Unlike the script, this refuses while a server runs there; and it leaves `initialize` in dataLogDir
too, where servers look for it, when that is another directory.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from zkserver.base.errors import ExitCode
from zkserver.cli import daemon
from zkserver.cli.output import Output
from zkserver.cli.serve import CommandError, Deployment
from zkserver.storage.layout import VERSION_FOLDER

_WAY_OUT = "(or use --force to force re-initialization)"


def run(deployment: Deployment, myid: str | None, output: Output, *, force: bool) -> int:
    """Make the directories of that configuration anew. CommandError if they are in use."""
    config_file = deployment.config_file
    if config_file is None or not config_file.is_file():
        raise CommandError(
            f"Unable to find config file at {config_file or 'zoo.cfg'}", ExitCode.UNEXPECTED_ERROR
        )
    keys = deployment.keys()
    data_dir = Path(_named(keys, "dataDir", config_file))
    log_dir = Path(keys["dataLogDir"]) if keys.get("dataLogDir") else None
    _check_myid(myid)
    running = daemon.read_pid(deployment.pid_file)
    if running is not None and daemon.is_running(running):
        raise CommandError(
            f"process {running} of {deployment.pid_file} is running: stop it first",
            ExitCode.UNEXPECTED_ERROR,
        )
    if force:
        output.line("Force enabled, data/txnlog directories will be re-initialized")
    else:
        _check_empty(data_dir, "data")
        if log_dir is not None:
            _check_empty(log_dir, "txnlog")
    for folder in (data_dir, log_dir):
        if folder is not None:
            _empty(folder)
    if myid is None:
        output.line(
            f"No myid provided, be sure to specify it in {data_dir}/myid if using non-standalone"
        )
    else:
        output.line(f"Using myid of {myid}")
        (data_dir / "myid").write_text(f"{myid}\n", "ascii")
    (data_dir / "initialize").touch()
    if log_dir is not None:
        (log_dir / "initialize").touch()
    return ExitCode.EXECUTION_FINISHED


def _named(keys: dict[str, str], key: str, config_file: Path) -> str:
    value = keys.get(key)
    if not value:
        raise CommandError(
            f"Unable to determine {key} from {config_file}", ExitCode.UNEXPECTED_ERROR
        )
    return value


def _check_myid(myid: str | None) -> None:
    if myid is not None and not (myid.isascii() and myid.isdigit()):
        raise CommandError(f"myid {myid!r} is no number", ExitCode.UNEXPECTED_ERROR)


def _check_empty(folder: Path, kind: str) -> None:
    if (folder / VERSION_FOLDER).is_dir():
        raise CommandError(
            f"ZooKeeper {kind} directory already exists at {folder} {_WAY_OUT}",
            ExitCode.UNEXPECTED_ERROR,
        )


def _empty(folder: Path) -> None:
    """Remove a server's files below `folder`, which stays with its owner and mode."""
    (folder / "myid").unlink(missing_ok=True)
    version_folder = folder / VERSION_FOLDER
    if os.path.lexists(version_folder):
        if version_folder.is_dir() and not version_folder.is_symlink():
            shutil.rmtree(version_folder)
        else:
            version_folder.unlink()
    version_folder.mkdir(parents=True)
