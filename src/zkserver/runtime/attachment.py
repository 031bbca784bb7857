"""`Attachment`: what runs beside a server in its process and looks at it, as the admin server.

The runtime knows it by this face alone. It is started before the server is (so that a port that
cannot be had is known at once, and whoever comes early waits in the listen queue) and stopped
after it.
"""

from __future__ import annotations

from typing import Protocol

from zkserver.runtime.process import Process


class Attachment(Protocol):
    """Something with a life beside a process."""

    def start(self, process: Process) -> None:
        """Begin. Raises FatalError if the process must not run without it."""

    async def stop(self) -> None:
        """End; only what was started is stopped."""
