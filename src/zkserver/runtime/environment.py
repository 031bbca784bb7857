"""Facts about the machine and the process, for those who ask the server about them."""

from __future__ import annotations

import getpass
import os
import platform
import resource
import socket
import sys

from zkserver.storage.layout import Layout


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
        "user.name": getpass.getuser(),
        "user.home": os.path.expanduser("~"),
        "user.dir": os.getcwd(),
    }


def directory_sizes(layout: Layout) -> tuple[int, int]:
    """Bytes of all files in the folder of snapshots and in that of logs."""
    return _size(layout.snapshot_folder), _size(layout.log_folder)


def _size(folder: str) -> int:
    return sum(entry.stat().st_size for entry in os.scandir(folder) if entry.is_file())


def descriptor_counts() -> tuple[int, int]:
    """Open file descriptors and how many there may be; -1 where the system does not tell."""
    try:
        count = len(os.listdir("/proc/self/fd"))
    except OSError:
        count = -1
    return count, resource.getrlimit(resource.RLIMIT_NOFILE)[0]
