"""The thread that writes the log, so that the event loop does not wait for the disk.

It takes orders in turn: entries to log, or a job that changes other files. Entries that wait
together are written together, with one sync. Each order's token is reported to the loop when the
order is durable; both calls release the interpreter lock meanwhile. An error of the disk is
reported once, and nothing is written after it.

A hand-over to the thread and back costs as much as a sync of a quick disk takes.
While the disk is quick the caller may write a small batch itself, with `write_here`.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import NamedTuple

from zkserver.base.errors import ExitCode, FatalError
from zkserver.storage.disk import Disk
from zkserver.storage.txnlog import TxnLogWriter

Job = Callable[[Disk, Disk], None]
"""Reads the first disk, and changes the second one: the same, but in the simulated world."""


class Order(NamedTuple):
    """`job` is None for entries to log. `closes_log`: the job may change the log's files."""

    token: object
    entries: list[bytes]
    job: Job | None = None
    closes_log: bool = False


class StorageThread:
    """`written(tokens, sync_ms)` and `failed(error)` are called on the event loop."""

    def __init__(
        self,
        writer: TxnLogWriter,
        disk: Disk,
        loop: asyncio.AbstractEventLoop,
        written: Callable[[list[object], float], None],
        failed: Callable[[FatalError], None],
    ) -> None:
        self._writer = writer
        self._disk = disk
        self._loop = loop
        self._written = written
        self._failed = failed
        # Orders that were given and not reported yet.
        self._given = 0
        # None: stop.
        self._queue: SimpleQueue[Order | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="storage", daemon=True)

    def start(self) -> None:
        """Begin to take orders."""
        self._thread.start()

    def write(self, token: object, entries: list[bytes]) -> None:
        """Log entries; their turn comes after all orders before."""
        self._given += 1
        self._queue.put(Order(token, entries))

    def carry_out(self, token: object, job: Job, *, closes_log: bool) -> None:
        """Do a job in its turn; the log goes on in a new file if the job `closes_log`."""
        self._given += 1
        self._queue.put(Order(token, [], job, closes_log))

    @property
    def is_free(self) -> bool:
        """Whether every order has been reported."""
        return not self._given

    def _report(self, tokens: list[object], sync_ms: float) -> None:
        self._given -= len(tokens)
        self._written(tokens, sync_ms)

    def write_here(self, entries: list[bytes]) -> float:
        """Log entries on the calling thread and return what the sync took (ms).

        Only while no order is with the thread. Raises what `TxnLogWriter.write` does.
        """
        self._writer.write(entries)
        return self._writer.last_sync_ms

    def roll(self) -> None:
        """Begin a new log file with the next entries. Only while no order is with the thread."""
        self._writer.roll()

    def stop(self) -> None:
        """Do what was ordered, close the file, and end the thread."""
        self._queue.put(None)
        self._thread.join()

    def bytes_since_snapshot(self) -> int:
        """Record bytes written since the last roll."""
        return self._writer.bytes_since_snapshot

    def _run(self) -> None:
        told = False
        try:
            self._work()
            self._writer.close()
            told = True
        except FatalError as error:
            self._loop.call_soon_threadsafe(self._failed, error)
            told = True
        finally:
            if not told:
                # All writers would wait for this thread for good.
                reason = f"the storage thread ended: {sys.exc_info()[1]!r}"
                failure = FatalError(ExitCode.UNEXPECTED_ERROR, reason)
                self._loop.call_soon_threadsafe(self._failed, failure)

    def _work(self) -> None:
        writer, disk, queue = self._writer, self._disk, self._queue
        waiting: deque[Order | None] = deque()
        while True:
            if not waiting:
                waiting.append(queue.get())
            while not queue.empty():
                waiting.append(queue.get())
            order = waiting.popleft()
            if order is None:
                return
            tokens = [order.token]
            if order.job is not None:
                carry_out(order.job, disk, disk, writer if order.closes_log else None)
            else:
                entries = order.entries
                while waiting and (more := waiting[0]) is not None and more.job is None:
                    waiting.popleft()
                    entries = entries + more.entries
                    tokens.append(more.token)
                writer.write(entries)
            self._loop.call_soon_threadsafe(self._report, tokens, writer.last_sync_ms)


def carry_out(job: Job, reading: Disk, writing: Disk, writer: TxnLogWriter | None) -> None:
    """Do a job; `writer` is closed first if it is given. Raises `FatalError` if the disk fails."""
    try:
        if writer is not None:
            writer.roll()
        job(reading, writing)
    except OSError as error:
        raise FatalError(
            ExitCode.TXNLOG_ERROR_TAKING_SNAPSHOT,
            f"the disk of the data directory fails: {error}. Everything that was acknowledged "
            "is kept; make room on that disk or repair it, then start again",
        ) from error
