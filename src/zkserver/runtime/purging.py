"""The purge on schedule: `autopurge.purgeInterval` hours apart, the first at start."""

from __future__ import annotations

import asyncio

from zkserver.base.config import Config
from zkserver.runtime.logs import get_log
from zkserver.storage import purge
from zkserver.storage.disk import Disk
from zkserver.storage.layout import Layout

log = get_log("purge")

_HOUR_S = 3600


class Purging:
    """Runs `storage.purge` now and then, in a thread beside the event loop; off by default."""

    def __init__(self, config: Config, layout: Layout, disk: Disk) -> None:
        self._interval_hours = config.autopurge_purge_interval_hours
        self._retain = config.autopurge_snap_retain_count
        self._layout = layout
        self._disk = disk
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Purge on schedule from now on, if the configuration says so.

        The first purge waits for the loop, which the restore holds: an old snapshot
        that is needed because the newest do not read must not go meanwhile.
        """
        if self._interval_hours > 0:
            asyncio.get_running_loop().call_soon(self._purge)

    def stop(self) -> None:
        """No further purge."""
        if self._timer is not None:
            self._timer.cancel()

    def _purge(self) -> None:
        loop = asyncio.get_running_loop()
        loop.run_in_executor(None, self._run)
        self._timer = loop.call_later(self._interval_hours * _HOUR_S, self._purge)

    def _run(self) -> None:
        try:
            removed = purge.run(self._disk, self._layout, self._retain)
        except OSError as error:
            log.warn("purge failed", reason=str(error))
            return
        log.info("purged", files=len(removed), retained_snapshots=self._retain)
