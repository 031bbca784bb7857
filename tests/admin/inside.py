"""A server with its admin server, on the loop of the test; and an HTTP client."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp

from zkserver.admin.admin_server import AdminServer
from zkserver.base.config import ConfigSource, load
from zkserver.cli.serve import read_text
from zkserver.runtime.machine import Machine
from zkserver.runtime.main import _loop_factory
from zkserver.runtime.peer import PeerProcess
from zkserver.runtime.standalone import StandaloneProcess

ROOT = {"Authorization": "digest root:pw"}


class Clock:
    """Time that moves when a test says so; at first the machine's."""

    def __init__(self) -> None:
        self.ahead_ms = 0.0


class _Machine(Machine):
    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.precise_ms = lambda: Machine.precise_ms() + clock.ahead_ms  # type: ignore[method-assign]


class _Standalone(StandaloneProcess):
    def _exit_now(self, exit_code: int) -> None:
        self._finish(exit_code)


class _Peer(PeerProcess):
    def _exit_now(self, exit_code: int) -> None:
        self._finish(exit_code)


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def report(self) -> dict[str, Any]:
        return json.loads(self.body)


class Inside:
    """`async with Inside(folder, lines) as inside`; `lines` of zoo.cfg beyond the necessary.

    With lines of members it is a peer, else it is standalone.
    """

    def __init__(self, folder: Path, *lines: str, **attachment: Any) -> None:
        self.folder = folder
        text = "".join(
            f"{line}\n"
            for line in (
                f"dataDir={folder}",
                "clientPort=0",
                "clientPortAddress=127.0.0.1",
                "admin.serverPort=0",
                "4lw.commands.whitelist=*",
                *lines,
            )
        )
        source = ConfigSource(file_name="zoo.cfg", text=text, read_text=read_text)
        self.config, self.warnings = load(source)
        self.clock = Clock()
        self.admin = AdminServer(self.config, **attachment)
        self.tls: ssl.SSLContext | None = None

    async def __aenter__(self) -> Inside:
        loop = asyncio.get_running_loop()
        kind = _Peer if self.config.is_distributed else _Standalone
        self.process: Any = kind(self.config, loop, 0.0, _Machine(self.clock))
        loop.set_exception_handler(self.process.unexpected)
        self.admin.start(self.process)
        self._serving = loop.create_task(self.process.serve())
        while not hasattr(self.process, "_acceptors"):
            await asyncio.sleep(0.001)  # a handful of turns
            if self._serving.done():
                await self._serving
        self.session = aiohttp.ClientSession()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.session.close()
        self.process._finish(0)
        with suppress(asyncio.CancelledError):
            await self._serving
        await self.admin.stop()
        asyncio.get_running_loop().set_exception_handler(None)
        assert self.process.exit_code == 0

    @property
    def server(self) -> Any:
        return self.process.active_server()

    @property
    def client_port(self) -> int:
        return self.process.client_port()

    def url(self, path: str) -> str:
        scheme = "http" if self.tls is None else "https"
        return f"{scheme}://127.0.0.1:{self.admin.port}{path}"

    async def ask(self, path: str, method: str = "GET", **options: Any) -> Answer:
        """`path` begins with / or is a command's name."""
        path = path if path.startswith("/") else f"/commands/{path}"
        if self.tls is not None:
            options.setdefault("ssl", self.tls)
        async with self.session.request(
            method, self.url(path), allow_redirects=False, **options
        ) as response:
            return Answer(response.status, dict(response.headers), await response.read())

    async def word(self, word: str) -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.client_port)
        writer.write(word.encode())
        text = await reader.read()
        writer.close()
        return text.decode()


def run(check: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a test on the kind of loop that servers run on."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(check())


async def raw(port: int, data: bytes, limit_s: float = 5.0) -> bytes:
    """All that the port answers to these bytes until it closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        async with asyncio.timeout(limit_s):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()
