"""The commands that move a whole database: `snapshot` out of the server, `restore` into it.

A snapshot is written by a forked child into the data directory, as every snapshot, and streamed
from that file: clients are served meanwhile, and a slow reader holds up nobody but itself. What is
restored comes in the other way (`runtime.restoring`): a body that does not read changes nothing.

Neither goes without the last zxid in snapshots (serializeLastProcessedZxid.enabled), and each has
a rate of its own. That of snapshots is a thousandth of the setting's: Apache's server takes the
number for microseconds.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from aiohttp import web

from zkserver.admin.rate import RateLimiter
from zkserver.admin.view import View
from zkserver.runtime import restoring
from zkserver.runtime.logs import get_log
from zkserver.runtime.restoring import Incoming, RestoreError
from zkserver.runtime.snapshots import NoSnapshot
from zkserver.server.reports import Report

log = get_log("admin")

PIECE_BYTES = 1 << 18
_WITHOUT_ZXID = (
    "snapshots do not say which zxid they are of: serializeLastProcessedZxid.enabled is false"
)

Answer = Callable[[int, Report, dict[str, str]], web.StreamResponse]
"""Makes the response of a status, a report and headers."""


class Transfers:
    """See the module's docstring. `now_ms` is the monotonic clock, for the rates."""

    def __init__(self, view: View, now_ms: Callable[[], float]) -> None:
        config = view.process.config
        self._view = view
        self._config = config
        interval_ms = config.admin_rate_limiter_interval_ms
        self._restore_rate = RateLimiter(interval_ms, now_ms)
        self._snapshot_rate = RateLimiter(interval_ms / 1000, now_ms)
        self._is_restoring = False

    def _refusal(self, rate: RateLimiter, is_enabled: bool, name: str) -> tuple[int, str] | None:
        if not is_enabled:
            return 503, f"{name} is disabled: admin.{name}.enabled is false"
        if not self._config.serialize_last_processed_zxid_enabled:
            return 500, _WITHOUT_ZXID
        if not rate.allow():
            self._view.process.stats.rate_limited[name] += 1
            return 429, f"{name} was asked for a moment ago: admin.rateLimiterIntervalInMS"
        return None

    async def snapshot(self, request: web.Request, answer: Answer) -> web.StreamResponse:
        """Write a snapshot and, unless `streaming` says false, send it."""
        refusal = self._refusal(
            self._snapshot_rate, self._config.admin_snapshot_enabled, "snapshot"
        )
        if refusal is not None:
            return answer(refusal[0], {"error": refusal[1]}, {})
        if not self._has_room():
            folder = self._view.process.layout.snapshot_folder
            return answer(500, {"error": f"the disk of {folder} has no room for a snapshot"}, {})
        try:
            saved = await self._view.process.take_snapshot()
            file = os.open(saved.path, os.O_RDONLY)
        except (NoSnapshot, OSError) as error:
            return answer(500, {"error": str(error)}, {})
        try:
            size_bytes = os.fstat(file).st_size
            headers = {"last_zxid": f"0x{saved.zxid:x}", "snapshot_size": str(size_bytes)}
            if request.query.get("streaming", "true").lower() != "true":
                return answer(200, {}, headers)
            return await self._stream(request, file, size_bytes, headers)
        finally:
            os.close(file)

    def _has_room(self) -> bool:
        """Whether a snapshot leaves the log its room; a full disk would end the server."""
        server = self._view.server
        size_bytes = 0 if server is None else server.tree.data_size_bytes
        folder = self._view.process.layout.snapshot_folder
        return restoring.free_bytes(folder) >= restoring.RESERVE_BYTES + size_bytes

    async def _stream(
        self, request: web.Request, file: int, size_bytes: int, headers: dict[str, str]
    ) -> web.StreamResponse:
        loop = asyncio.get_running_loop()
        response = web.StreamResponse(headers=headers)
        response.content_type = "application/octet-stream"
        response.content_length = size_bytes
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        offset = 0
        while offset < size_bytes:
            piece = await loop.run_in_executor(None, os.pread, file, PIECE_BYTES, offset)
            if not piece:
                break
            offset += len(piece)
            await response.write(piece)
        await response.write_eof()
        return response

    async def restore(self, request: web.Request, answer: Answer) -> web.StreamResponse:
        """Take the body for the database."""
        process = self._view.process
        refusal: tuple[int, str] | None = None
        if process.why_not_restore:
            refusal = 503, process.why_not_restore
        elif not request.can_read_body or request.content_length == 0:
            refusal = 400, "the body is to be a snapshot, and there is none"
        elif self._is_restoring:
            refusal = 429, "another restore is under way"
        if refusal is None:
            refusal = self._refusal(
                self._restore_rate, self._config.admin_restore_enabled, "restore"
            )
        if refusal is not None:
            return answer(refusal[0], {"error": refusal[1]}, {})
        self._is_restoring = True
        # Whoever asked may go away; what has begun is finished or undone.
        return await asyncio.shield(asyncio.ensure_future(self._restore(request, answer)))

    async def _restore(self, request: web.Request, answer: Answer) -> web.StreamResponse:
        process = self._view.process
        stats, began_ms = process.stats, process.machine.precise_ms()
        incoming = None
        try:
            incoming = Incoming(process.machine, process.layout, process.loop)
            await self._receive(request, incoming)
            tree = process.make_tree()
            await incoming.load(tree)
            await process.replace_database(incoming, tree)
        except RestoreError as error:
            stats.restore_errors += 1
            log.warn("restore refused", reason=str(error), client=str(request.remote))
            return answer(500, {"error": str(error)}, {})
        except OSError as error:
            stats.restore_errors += 1
            log.warn("restore broke off", reason=str(error), client=str(request.remote))
            return answer(500, {"error": f"the restore broke off: {error}"}, {})
        finally:
            self._is_restoring = False
            if incoming is not None:
                incoming.discard()
        stats.restores.record(1, round(process.machine.precise_ms() - began_ms))
        return answer(200, {"last_zxid": incoming.last_zxid}, {})

    async def _receive(self, request: web.Request, incoming: Incoming) -> None:
        """The whole body; each piece within the idle time."""
        limit_ms = self._config.admin_idle_timeout_ms
        limit_s = limit_ms / 1000 if limit_ms > 0 else None
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        pieces = request.content.iter_chunked(PIECE_BYTES)
        while True:
            try:
                async with asyncio.timeout(limit_s):
                    piece = await anext(pieces, b"")
            except TimeoutError as error:
                raise RestoreError(f"nothing came for {limit_ms} ms") from error
            except (web.PayloadAccessError, web.RequestPayloadError) as error:
                raise RestoreError("the body broke off") from error
            if not piece:
                return
            await incoming.write(piece)
