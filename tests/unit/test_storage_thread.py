"""The storage thread: whatever ends it before its time, the event loop hears of it."""

from __future__ import annotations

import asyncio
from typing import cast

from zkserver.base.errors import ExitCode, FatalError
from zkserver.runtime.storage_thread import StorageThread
from zkserver.sim.disk import SimDisk
from zkserver.storage.txnlog import TxnLogWriter


class BrokenWriter:
    """Fails as only a fault of our own can."""

    last_sync_ms = 0.0
    bytes_since_snapshot = 0

    def write(self, _entries: object) -> None:
        raise ZeroDivisionError("ours")


async def failure_of(writer: BrokenWriter) -> FatalError:
    loop = asyncio.get_running_loop()
    failed: asyncio.Future[FatalError] = loop.create_future()
    thread = StorageThread(
        cast(TxnLogWriter, writer), SimDisk(), loop, lambda *_: None, failed.set_result
    )
    thread.start()
    thread.write(None, [])
    error = await asyncio.wait_for(failed, 10)
    # It has said so and is about to end; the hook for its error must outlive it.
    thread.stop()
    return error


def test_an_error_of_our_own_ends_the_server_too(monkeypatch) -> None:
    monkeypatch.setattr("threading.excepthook", lambda _: None)
    error = asyncio.run(failure_of(BrokenWriter()))
    assert error.exit_code == ExitCode.UNEXPECTED_ERROR
    assert "ZeroDivisionError('ours')" in str(error)
