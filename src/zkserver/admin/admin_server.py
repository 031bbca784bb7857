"""`AdminServer`: commands over HTTP of the server in this process."""

from __future__ import annotations

from zkserver.base.config import Config
from zkserver.runtime.process import Process


class AdminServer:
    """An attachment; see the module's docstring."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def start(self, process: Process) -> None:
        """Begin."""

    async def stop(self) -> None:
        """End."""
