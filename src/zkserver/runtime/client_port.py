"""The client port: accepted sockets become connections of the server."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import cast

from zkserver.base.errors import ExitCode, FatalError
from zkserver.server.connection import Connection, Transport
from zkserver.server.server import Server

# Java's default is the JVM's 50; clients that come while a big tree is restored
# wait in this queue, so it may be longer.
DEFAULT_BACKLOG = 1024


def listen(address: str, port: int, backlog: int) -> list[socket.socket]:
    """Bind the client port; with no address, on every IPv4 and IPv6 one.

    Raises FatalError naming the address when it cannot be had.
    """
    backlog = backlog if backlog > 0 else DEFAULT_BACKLOG
    try:
        if not address and socket.has_dualstack_ipv6():
            return [
                socket.create_server(
                    ("::", port), family=socket.AF_INET6, backlog=backlog, dualstack_ipv6=True
                )
            ]
        family = socket.getaddrinfo(address or "0.0.0.0", port, type=socket.SOCK_STREAM)[0][0]
        return [socket.create_server((address, port), family=family, backlog=backlog)]
    except OSError as error:
        is_taken = error.errno == errno.EADDRINUSE
        key = "clientPort" if is_taken or not address else "clientPortAddress"
        hint = "Is another server running there? " if is_taken else ""
        raise FatalError(
            ExitCode.UNEXPECTED_ERROR,
            f"cannot listen on {address or '*'}:{port}: {error.strerror or error}. "
            f"{hint}Set {key} to another",
        ) from error


class ClientProtocol(asyncio.Protocol):
    """Glue between an asyncio transport and a `Connection`."""

    def __init__(self, server: Server, keep_alive: bool) -> None:
        self._server = server
        self._keep_alive = keep_alive
        self._connection: Connection | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit the client, or hang up without a word as Java does."""
        peer = transport.get_extra_info("peername") or ("unknown", 0)
        address = plain_address(peer[0])
        connection = Connection(self._server, cast(Transport, transport), address, peer[1])
        refusal = self._server.admit(address)
        if refusal is not None:
            self._server.stats.connections_rejected += 1
            self._server.report(connection, refusal)
            transport.close()
            return
        if self._keep_alive:
            raw = transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._connection = connection
        self._server.add(connection)

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""
        if self._connection is not None:
            self._connection.receive(data)

    def eof_received(self) -> bool:
        """The client closed its side: nothing more is owed to it."""
        return False

    def pause_writing(self) -> None:
        """The client reads more slowly than it asks."""
        if self._connection is not None:
            self._connection.block_writing()

    def resume_writing(self) -> None:
        """The client caught up."""
        if self._connection is not None:
            self._connection.unblock_writing()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """The socket is gone; let go of the connection, so that no cycle is left."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.lost()


def plain_address(address: str) -> str:
    """An address without what dual-stack sockets add: ::ffff:10.0.0.1 is 10.0.0.1."""
    address = address.partition("%")[0]
    return address[7:] if address.startswith("::ffff:") and "." in address else address
