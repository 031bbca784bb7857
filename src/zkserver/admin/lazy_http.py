"""An HTTP listener that costs nothing until somebody comes.

aiohttp takes 20 MB and 200 ms to import, which a server that nobody looks at should not pay. So
the sockets are bound and listening from the start (a port that is taken is found out then), and
the loop only watches them. When the first connection waits in the queue, the modules are imported
on a thread, `make_app` is called on the loop, and aiohttp takes the sockets over with the
connection still in their queue.

* The loop serves its clients during the import; it shares the interpreter lock with it.
* If a module is missing or the application cannot be made, the sockets are closed and one line
  says why: refused connections tell more than ones that hang.
* `stop` may be called at any moment, also during the import.

Left out: several applications on one socket, and taking the modules out of memory again.
"""

from __future__ import annotations

import asyncio
import importlib
import socket
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from zkserver.runtime.line_limit import LineLimit
from zkserver.runtime.logs import get_log

if TYPE_CHECKING:
    from aiohttp import web

log = get_log("http")

BACKLOG = 128
# How long (s) requests under way may take to end when the listener stops.
SHUTDOWN_LIMIT_S = 1.0
_AIOHTTP = "aiohttp.web"
_REASON_LIMIT = 200


def bind(address: str, port: int) -> list[socket.socket]:
    """Listening sockets for `LazyHttp`; with no address or 0.0.0.0, on IPv4 and IPv6.

    Port 0 takes a free one. Raises OSError if it cannot be had.
    """
    if address in ("", "0.0.0.0", "::") and socket.has_dualstack_ipv6():
        return [
            socket.create_server(
                ("::", port), family=socket.AF_INET6, backlog=BACKLOG, dualstack_ipv6=True
            )
        ]
    family = socket.getaddrinfo(address or "0.0.0.0", port, type=socket.SOCK_STREAM)[0][0]
    return [socket.create_server((address, port), family=family, backlog=BACKLOG)]


class Complaints:
    """What aiohttp says of requests that went wrong, as a logger for it.

    Anybody can send what does not read: that is a line without a traceback, and not many a second.
    """

    def __init__(self, name: str, now_ms: Callable[[], int]) -> None:
        self._name = name
        self._limit = LineLimit(now_ms)

    def debug(self, *_: object, **__: object) -> None:
        """Nothing that an operator would want to know."""

    def exception(self, message: str, *arguments: object, exc_info: object = None) -> None:
        """A request has failed."""
        from aiohttp.http import HttpProcessingError
        from aiohttp.web import RequestPayloadError

        error = exc_info if isinstance(exc_info, BaseException) else sys.exc_info()[1]
        is_theirs = isinstance(error, (HttpProcessingError, RequestPayloadError))
        left_out = self._limit.admit("theirs" if is_theirs else "ours")
        if left_out is None:
            return
        more = {"lines_left_out": left_out} if left_out else {}
        if is_theirs:
            reason = " ".join(str(error).split())[:_REASON_LIMIT]
            log.info(f"{self._name} was sent what does not read", reason=reason, **more)
        else:
            log.error(f"{self._name}: {message % arguments}", error=error, **more)


class LazyHttp:
    """See the module's docstring.

    `sockets` listen already and belong to this object from now on. `make_app` is called once, on
    the loop, when aiohttp and `modules` have been imported; it may import them itself. `name` is
    what the log calls the listener.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sockets: Sequence[socket.socket],
        make_app: Callable[[], web.Application],
        *,
        modules: Sequence[str] = (),
        name: str = "HTTP",
        shutdown_limit_s: float = SHUTDOWN_LIMIT_S,
    ) -> None:
        self._loop = loop
        self._sockets = list(sockets)
        self._make_app = make_app
        self._modules = (_AIOHTTP, *modules)
        self._name = name
        self._shutdown_limit_s = shutdown_limit_s
        self._watched: list[socket.socket] = []
        self._opening: asyncio.Task[None] | None = None
        self._runner: web.AppRunner | None = None

    @property
    def port(self) -> int:
        """The port of the first socket."""
        port: int = self._sockets[0].getsockname()[1]
        return port

    @property
    def is_open(self) -> bool:
        """Whether somebody has come, and aiohttp serves."""
        return self._runner is not None and self._opening is None

    def start(self) -> None:
        """Watch the sockets; the first connection makes the application."""
        for each in self._sockets:
            each.setblocking(False)
            self._loop.add_reader(each, self._somebody_came)
            self._watched.append(each)

    async def stop(self) -> None:
        """Close the sockets; requests under way get `shutdown_limit_s` to end."""
        self._unwatch()
        opening, self._opening = self._opening, None
        if opening is not None:
            opening.cancel()
            await asyncio.gather(opening, return_exceptions=True)
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()
        self._close()

    def _unwatch(self) -> None:
        watched, self._watched = self._watched, []
        for each in watched:
            self._loop.remove_reader(each)

    def _close(self) -> None:
        for each in self._sockets:
            each.close()

    def _somebody_came(self) -> None:
        self._unwatch()
        self._opening = self._loop.create_task(self._open())
        self._opening.add_done_callback(self._opened)

    def _opened(self, task: asyncio.Task[None]) -> None:
        if self._opening is task:
            self._opening = None
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error(f"{self._name} cannot be served", error=error, reason=str(error))
            self._close()

    async def _open(self) -> None:
        try:
            await self._loop.run_in_executor(None, self._import)
        except ImportError as error:
            log.error(f"{self._name} cannot be served: a library is missing", reason=str(error))
            self._close()
            return
        from aiohttp import web

        runner = web.AppRunner(
            self._make_app(),
            access_log=None,
            handle_signals=False,
            shutdown_timeout=self._shutdown_limit_s,
            logger=Complaints(self._name, lambda: int(self._loop.time() * 1000)),
        )
        self._runner = runner
        await runner.setup()
        await self._accept(runner)

    async def _accept(self, runner: web.AppRunner) -> None:
        """Give who comes to the application; the connections that wait already come first."""
        from aiohttp import web

        for each in self._sockets:
            await web.SockSite(runner, each, backlog=BACKLOG).start()

    def _import(self) -> None:
        for name in self._modules:
            importlib.import_module(name)
