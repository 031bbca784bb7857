"""Purge by hand: delete snapshots and logs that no start will need (Apache's PurgeTxnLog).

Which files go is `storage.purge`'s rule, the same as for `autopurge`. It is safe beside a running
server. Each file that goes is named with its time, as by Apache's program.
"""

from __future__ import annotations

import os

from zkserver.base.errors import ExitCode
from zkserver.cli import java_time
from zkserver.cli.output import Output
from zkserver.cli.serve import CommandError, Deployment
from zkserver.runtime.disk import RealDisk
from zkserver.storage import layout, purge
from zkserver.storage.layout import Layout

DEFAULT_RETAINED = 3


def folders(deployment: Deployment) -> tuple[str, str]:
    """dataDir and dataLogDir of a configuration; CommandError without a zoo.cfg or dataDir."""
    data_dir = str(deployment.data_dir)
    return data_dir, deployment.keys().get("dataLogDir") or data_dir


def retained(deployment: Deployment) -> int:
    """How many snapshots a configuration says to keep, `autopurge.snapRetainCount`."""
    text = deployment.keys().get("autopurge.snapRetainCount", str(DEFAULT_RETAINED))
    return count(text, "autopurge.snapRetainCount")


def count(text: str, name: str) -> int:
    """A number of snapshots to keep; CommandError for what is none."""
    try:
        number = int(text)
    except ValueError as error:
        raise CommandError(
            f"{name}: {text!r} is no number of snapshots", ExitCode.UNEXPECTED_ERROR
        ) from error
    if number < purge.MIN_RETAINED:
        raise CommandError(
            f"{name}: {number}: at least {purge.MIN_RETAINED} snapshots must be kept",
            ExitCode.UNEXPECTED_ERROR,
        )
    return number


def run(
    data_dir: str, data_log_dir: str, retain: int, output: Output, *, dry_run: bool = False
) -> int:
    """Delete all but what the newest `retain` snapshots need; with `dry_run` only say it.

    Raises StorageError where the folders cannot be those of a server, OSError from the disk.
    """
    disk = RealDisk()
    for folder in (data_log_dir, data_dir):
        if not os.path.isdir(folder):
            raise CommandError(
                f"Path '{os.path.abspath(folder)}' does not exist.", ExitCode.UNEXPECTED_ERROR
            )
    place = Layout.of(data_dir, data_log_dir)
    layout.prepare(disk, place, autocreate=False)
    clock = java_time.Clock(java_time.medium_date)
    word = "Would remove" if dry_run else "Removing"
    for path in purge.paths_to_delete(disk, place, retain):
        try:
            when = clock.text(int(os.stat(path).st_mtime * 1000))
            if not dry_run:
                disk.remove(path)
        except FileNotFoundError:
            # The purge of a running server was faster.
            continue
        output.line(f"{word} file: {when}\t{path}")
    return ExitCode.EXECUTION_FINISHED
