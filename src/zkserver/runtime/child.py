"""A forked child that does one thing with the memory as it is now, and tells it through a pipe.

It has the parent's memory as of the fork, so a tree is still for it. It closes every inherited
descriptor first: a client whose connection the parent closes must see that at once.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import NamedTuple

_FIRST_INHERITED_DESCRIPTOR = 3


class Child(NamedTuple):
    """Its process id, and the end of the pipe to read from, which ends when the child does."""

    pid: int
    reader: int


def start(work: Callable[[int], None], niceness: int) -> Child:
    """Fork; in the child `work` is called with the pipe to write to.

    Raises OSError where there is no memory or process to be had.
    """
    reader, writer = os.pipe()
    try:
        pid = os.fork()
    except OSError:
        os.close(reader)
        os.close(writer)
        raise
    if pid == 0:
        _run(work, writer, niceness)
    os.close(writer)
    return Child(pid, reader)


def _run(work: Callable[[int], None], writer: int, niceness: int) -> None:
    """In the child: work, and end without any clean-up."""
    exit_code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.closerange(_FIRST_INHERITED_DESCRIPTOR, writer)
        os.closerange(writer + 1, os.sysconf("SC_OPEN_MAX"))
        os.nice(niceness)
        work(writer)
        exit_code = 0
    finally:
        os._exit(exit_code)
