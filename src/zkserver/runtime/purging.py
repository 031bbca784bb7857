"""The purge on schedule: `autopurge.purgeInterval` hours apart, the first at start.

A purge goes by which snapshots are newest. Who cuts a history back, or puts another one in its
place, has other files go for other reasons, and may be about to keep one of the oldest: such a job
and a purge wait for each other (`apart`).
"""

from __future__ import annotations

import asyncio
import threading

from zkserver.base.config import Config
from zkserver.runtime.logs import get_log
from zkserver.runtime.storage_thread import Job
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
        self._lock = threading.Lock()

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

    def apart(self, job: Job) -> Job:
        """`job`, with no purge meanwhile."""

        def run(reading: Disk, writing: Disk) -> None:
            with self._lock:
                job(reading, writing)

        return run

    def _purge(self) -> None:
        loop = asyncio.get_running_loop()
        loop.run_in_executor(None, self._run)
        self._timer = loop.call_later(self._interval_hours * _HOUR_S, self._purge)

    def _run(self) -> None:
        try:
            with self._lock:
                removed = purge.run(self._disk, self._layout, self._retain)
        except OSError as error:
            log.warn("purge failed", reason=str(error))
            return
        log.info("purged", files=len(removed), retained_snapshots=self._retain)
