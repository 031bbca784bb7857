"""`run`: start a server, serve until a signal or a fatal error, end the process."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack

from zkserver.base.config import Config
from zkserver.base.errors import FatalError
from zkserver.base.properties import ConfigWarning
from zkserver.runtime import clock, logs
from zkserver.runtime.attachment import Attachment
from zkserver.runtime.loop_watch import LoopWatch
from zkserver.runtime.peer import PeerProcess
from zkserver.runtime.standalone import StandaloneProcess

log = logs.get_log("server")

# How long (s) the storage thread waits for a busy loop to let it begin or report.
SWITCH_INTERVAL_S = 0.0002


async def _serve(config: Config, started_ms: float, attachments: Sequence[Attachment]) -> int:
    loop = asyncio.get_running_loop()
    kind = PeerProcess if config.is_distributed else StandaloneProcess
    process = kind(config, loop, started_ms)
    loop.set_exception_handler(process.unexpected)
    watch = LoopWatch(config, loop, process.stats)
    watch.start()
    async with AsyncExitStack() as started:
        started.callback(watch.stop)
        for each in attachments:
            each.start(process)
            started.push_async_callback(each.stop)
        try:
            await process.serve()
        except FatalError:
            process.start_failed()
            raise
    return process.exit_code


def run(
    config: Config,
    *,
    warnings: Sequence[ConfigWarning] = (),
    json_logs: bool = False,
    log_level: str = "INFO",
    started_ms: float | None = None,
    attachments: Sequence[Attachment] = (),
) -> int:
    """Run a server, standalone or a peer, until SIGTERM or SIGINT; the process's exit code.

    `attachments` run beside it.
    """
    logs.configure(json=json_logs, level=log_level)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    started_ms = clock.precise_ms() if started_ms is None else started_ms
    for warning in warnings:
        log.warn(str(warning))
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(_serve(config, started_ms, attachments))
    except FatalError as error:
        log.error(str(error), exit_code=int(error.exit_code))
        return int(error.exit_code)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """uvloop's where it is installed, else asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop
