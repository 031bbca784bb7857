"""Facts about the machine and the process, for those who ask the server about them.

A question must not hurt the server: a fact that cannot be had is `UNKNOWN`, a file that
vanishes while it is counted (purge, a finished snapshot) counts nothing.
"""

from __future__ import annotations

import getpass
import os
import platform
import resource
import socket
import sys
from collections.abc import Callable
from contextlib import suppress

from zkserver.storage.layout import Layout, snapshot_zxid

UNKNOWN = "?"
"""What Java says where it knows no name for the user."""


def facts() -> dict[str, str]:
    """What `envi` shows, by Java's names where a fact has one."""
    system = os.uname()
    return {
        "host.name": socket.gethostname(),
        "python.version": platform.python_version(),
        "python.implementation": platform.python_implementation(),
        "python.executable": sys.executable,
        "os.name": system.sysname,
        "os.arch": system.machine,
        "os.version": system.release,
        "user.name": _known(getpass.getuser),
        "user.home": os.path.expanduser("~"),
        "user.dir": _known(os.getcwd),
    }


def _known(fact: Callable[[], str]) -> str:
    """A fact, or `UNKNOWN`: a container's user may have no name, its folder may be gone."""
    try:
        return fact()
    except (KeyError, OSError):
        return UNKNOWN


def directory_sizes(layout: Layout) -> tuple[int, int]:
    """Bytes of all files in the folder of snapshots and in that of logs."""
    return _size(layout.snapshot_folder), _size(layout.log_folder)


def _size(folder: str) -> int:
    size_bytes = 0
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):
                if entry.is_file():
                    size_bytes += entry.stat().st_size
    return size_bytes


def last_snapshot(layout: Layout) -> tuple[int, int]:
    """The zxid of the newest snapshot and when it was written (s); -1 and -1 if there is none."""
    newest = (-1, -1)
    with suppress(OSError), os.scandir(layout.snapshot_folder) as entries:
        for entry in entries:
            zxid = snapshot_zxid(entry.name)
            if zxid is not None and zxid > newest[0]:
                with suppress(OSError):
                    newest = zxid, int(entry.stat().st_mtime)
    return newest


def descriptor_counts() -> tuple[int, int]:
    """Open file descriptors and how many there may be; -1 where the system does not tell."""
    try:
        count = len(os.listdir("/proc/self/fd"))
    except OSError:
        count = -1
    return count, resource.getrlimit(resource.RLIMIT_NOFILE)[0]
