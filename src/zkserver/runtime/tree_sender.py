"""The leader's tree on its way to a learner: made by a forked child, passed on as the link drains.

Between the SNAP and the end of the tree nothing else may be on the link, so `QuorumLink` holds
back what it is given meanwhile. A child that fails ends the link: the learner comes again.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress

from zkserver.runtime import child
from zkserver.runtime.logs import get_log
from zkserver.runtime.quorum_port import QuorumLink

log = get_log("peer")

PIECE_BYTES = 1 << 18
_NICENESS = 5

Pieces = Callable[[], Iterator[bytes]]


def send(loop: asyncio.AbstractEventLoop, link: QuorumLink, pieces: Pieces) -> None:
    """Send the tree as it is now; where no child can be had, all of it at once."""
    if hasattr(os, "fork"):
        try:
            TreeSender(loop, link, child.start(lambda pipe: _write(pipe, pieces), _NICENESS))
        except OSError as error:
            log.warn("cannot start a process that sends the tree", reason=str(error))
        else:
            return
    for piece in pieces():
        link.write(piece)


def _write(pipe: int, pieces: Pieces) -> None:
    """In the child. The signature at the end says that all is there."""
    for piece in pieces():
        view = memoryview(piece)
        while view:
            view = view[os.write(pipe, view) :]


class TreeSender:
    """Reads what the child makes, as fast as the link takes it."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, link: QuorumLink, maker: child.Child
    ) -> None:
        self._loop = loop
        self._link = link
        self._pid, self._pipe = maker
        link.begin_stream(self)
        self.resume()

    def pause(self) -> None:
        """The link has enough for now."""
        self._loop.remove_reader(self._pipe)

    def resume(self) -> None:
        """The link has room."""
        self._loop.add_reader(self._pipe, self._read)

    def stop(self) -> None:
        """The link is gone: so is the child."""
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        self._end()

    def _read(self) -> None:
        piece = os.read(self._pipe, PIECE_BYTES)
        if piece:
            self._link.stream(piece)
            return
        if self._end() == 0:
            self._link.end_stream()
        else:
            log.warn("the process that sent the tree has failed", link=self._link.number)
            self._link.end_stream()
            self._link.hang_up()

    def _end(self) -> int:
        self._loop.remove_reader(self._pipe)
        os.close(self._pipe)
        _, status = os.waitpid(self._pid, 0)
        return os.waitstatus_to_exitcode(status)
