"""The thread that writes the log, so that the event loop never waits for the disk.

It takes batches in order and reports each to the loop when `fdatasync` has
returned for it. Both calls release the interpreter lock. An error of the disk is
reported once, and nothing is written after it.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from queue import SimpleQueue

from zkserver.base.errors import ExitCode, FatalError
from zkserver.server.pipeline import Batch
from zkserver.storage.txnlog import TxnLogWriter


class StorageThread:
    """`written(batch, sync_ms)` and `failed(error)` are called on the event loop."""

    def __init__(
        self,
        writer: TxnLogWriter,
        loop: asyncio.AbstractEventLoop,
        written: Callable[[Batch, float], None],
        failed: Callable[[FatalError], None],
    ) -> None:
        self._writer = writer
        self._loop = loop
        self._written = written
        self._failed = failed
        # None: roll the log. True: stop.
        self._queue: SimpleQueue[Batch | bool | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="storage", daemon=True)

    def start(self) -> None:
        """Begin to take batches."""
        self._thread.start()

    def write(self, batch: Batch) -> None:
        """Log a batch; its turn comes after those before it."""
        self._queue.put(batch)

    def roll(self) -> None:
        """Begin a new log file with the next batch."""
        self._queue.put(None)

    def stop(self) -> None:
        """Write what was given, close the file, and end the thread."""
        self._queue.put(True)
        self._thread.join()

    def bytes_since_snapshot(self) -> int:
        """Record bytes written since the last roll."""
        return self._writer.bytes_since_snapshot

    def _run(self) -> None:
        writer = self._writer
        call = self._loop.call_soon_threadsafe
        told = False
        try:
            while (batch := self._queue.get()) is not True:
                if batch is None or isinstance(batch, bool):
                    writer.roll()
                    continue
                writer.write(batch.entries)
                call(self._written, batch, writer.last_sync_ms)
            writer.close()
            told = True
        except FatalError as error:
            call(self._failed, error)
            told = True
        finally:
            if not told:
                # All writers would wait for this thread for good.
                reason = f"the storage thread ended: {sys.exc_info()[1]!r}"
                call(self._failed, FatalError(ExitCode.UNEXPECTED_ERROR, reason))
