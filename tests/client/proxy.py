"""A client's link to its server in the hands of a test; it lives on the test's own loop."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import cast


class _Side(asyncio.Protocol):
    """One end of a connection through the proxy: what comes in here goes out at `other`."""

    def __init__(self, proxy: Proxy, is_client: bool) -> None:
        self.proxy = proxy
        self.is_client = is_client
        self.transport: asyncio.Transport | None = None
        self.other: _Side | None = None
        self.waiting = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.proxy.sides[self] = None
        if self.is_client:
            self.proxy.accepted += 1
            self.proxy.tasks.append(asyncio.ensure_future(self._reach()))
        self.settle()

    async def _reach(self) -> None:
        loop = asyncio.get_running_loop()
        far = _Side(self.proxy, False)
        far.other = self
        await loop.create_connection(lambda: far, "127.0.0.1", self.proxy.target)
        self.other = far
        self.settle()

    def data_received(self, data: bytes) -> None:
        if self.is_client:
            self.proxy.sent += data
        elif self.proxy.spoil is not None:
            data = self.proxy.spoil(data)
        self.waiting += data
        self.settle()

    def settle(self) -> None:
        """Pass on what may pass."""
        is_held = self.proxy.holds_requests if self.is_client else self.proxy.holds_replies
        there = self.other.transport if self.other is not None else None
        if not is_held and there is not None and self.waiting:
            data, self.waiting = self.waiting, b""
            if not there.is_closing():
                there.write(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self.proxy.sides.pop(self, None)
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()


class Proxy:
    """Passes bytes on to a server on this machine. `async with`: `hosts` is where it listens.

    `sent` is all that clients sent; `spoil` may change what the server sends.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.sides: dict[_Side, None] = {}
        self.tasks: list[asyncio.Future[None]] = []
        self.accepted = 0
        self.sent = b""
        self.holds_requests = self.holds_replies = False
        self.spoil: Callable[[bytes], bytes] | None = None
        self.tls: ssl.SSLContext | None = None
        self._listener: asyncio.AbstractServer | None = None

    @property
    def hosts(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def held_replies(self) -> int:
        """How many bytes of replies are held back."""
        return sum(len(side.waiting) for side in self.sides if not side.is_client)

    async def __aenter__(self) -> Proxy:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
        self.drop()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await asyncio.sleep(0)

    async def open(self) -> None:
        """Listen, on the same port each time."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(
            lambda: _Side(self, True), "127.0.0.1", self.port, ssl=self.tls
        )
        self.port = self._listener.sockets[0].getsockname()[1]

    def close(self) -> None:
        """Refuse new connections; those that are there stay."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def drop(self) -> None:
        """Reset all connections."""
        for side in list(self.sides):
            if side.transport is not None:
                side.transport.abort()

    def hold(self, *, requests: bool = False, replies: bool = False) -> None:
        """Hold back what clients send, or what they are sent; `hold()` lets all go on."""
        self.holds_requests, self.holds_replies = requests, replies
        for side in list(self.sides):
            side.settle()
