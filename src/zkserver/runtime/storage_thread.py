"""The thread that writes the log, so that the event loop does not wait for the disk.

It takes batches in order and reports each to the loop when `fdatasync` has
returned for it. Both calls release the interpreter lock. An error of the disk is
reported once, and nothing is written after it.

A hand-over to the thread and back costs as much as a sync of a quick disk takes.
While the disk is quick the caller may write a small batch itself, with `write_here`.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from queue import SimpleQueue

from zkserver.base.errors import ExitCode, FatalError
from zkserver.server.run import Batch
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
        # None: stop.
        self._queue: SimpleQueue[Batch | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="storage", daemon=True)

    def start(self) -> None:
        """Begin to take batches."""
        self._thread.start()

    def write(self, batch: Batch) -> None:
        """Log a batch; its turn comes after those before it."""
        self._queue.put(batch)

    def write_here(self, batch: Batch) -> float:
        """Log a batch on the calling thread and return what the sync took (ms).

        Only while no batch is with the thread. Raises what `TxnLogWriter.write` does.
        """
        self._writer.write(batch.entries)
        return self._writer.last_sync_ms

    def roll(self) -> None:
        """Begin a new log file with the next batch. Only while no batch is with the thread."""
        self._writer.roll()

    def stop(self) -> None:
        """Write what was given, close the file, and end the thread."""
        self._queue.put(None)
        self._thread.join()

    def bytes_since_snapshot(self) -> int:
        """Record bytes written since the last roll."""
        return self._writer.bytes_since_snapshot

    def _run(self) -> None:
        writer = self._writer
        call = self._loop.call_soon_threadsafe
        told = False
        try:
            while (batch := self._queue.get()) is not None:
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
