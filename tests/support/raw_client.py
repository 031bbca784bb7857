"""A blocking client of the bare protocol: it sends what it is told, well-formed or not."""

from __future__ import annotations

import socket
from typing import Any

from tests.support import wire


class Closed(Exception):
    """The server closed the connection (end of stream or reset)."""


class RawClient:
    """One TCP connection. `events` gathers the watch events that `call` met on its way."""

    def __init__(self, port: int, host: str = "127.0.0.1", timeout_s: float = 20.0) -> None:
        self.socket = socket.create_connection((host, port), timeout=timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.timeout_s = timeout_s
        self.buffer = bytearray()
        self.xid = 0
        self.session_id = 0
        self.password: bytes = bytes(16)
        self.events: list[wire.Record] = []

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket; the session lives on."""
        self.socket.close()

    def send_bytes(self, raw: bytes) -> None:
        """Send bytes as they are, without a frame."""
        try:
            self.socket.sendall(raw)
        except ConnectionError as error:
            raise Closed(str(error)) from error

    def send(self, payload: bytes) -> None:
        """Send one frame."""
        self.send_bytes(wire.int32(len(payload)) + payload)

    def receive(self, timeout_s: float | None = None) -> bytes:
        """The payload of the next frame. Raises Closed, or TimeoutError."""
        size = int.from_bytes(self._take(4, timeout_s), "big")
        return self._take(size, timeout_s)

    def _take(self, size: int, timeout_s: float | None) -> bytes:
        while len(self.buffer) < size:
            self.socket.settimeout(self.timeout_s if timeout_s is None else timeout_s)
            try:
                chunk = self.socket.recv(65536)
            except ConnectionError as error:
                raise Closed(str(error)) from error
            if not chunk:
                raise Closed("end of stream")
            self.buffer += chunk
        piece = bytes(self.buffer[:size])
        del self.buffer[:size]
        return piece

    def connect(
        self,
        timeout_ms: int = 40000,
        session_id: int = 0,
        password: bytes | None = bytes(16),
        last_zxid: int = 0,
        read_only: bool | None = False,
    ) -> wire.Record:
        """Shake hands and keep the session; Closed if the server would not answer."""
        self.send(wire.connect_request(timeout_ms, session_id, password, last_zxid, read_only))
        response = wire.decode_connect_response(self.receive())
        self.session_id, self.password = response["session_id"], response["password"]
        return response

    def next_xid(self) -> int:
        """A fresh xid, counting from 1 as clients do."""
        self.xid += 1
        return self.xid

    def call(self, opcode: int, record: bytes = b"", xid: int | None = None) -> wire.Record:
        """One request and its reply; events that come before it go to `events`."""
        number = self.next_xid() if xid is None else xid
        self.send(wire.request(number, opcode, record))
        while True:
            payload = self.receive()
            if int.from_bytes(payload[:4], "big", signed=True) == wire.XID_EVENT:
                self.events.append(wire.decode_event(payload))
                continue
            reply = wire.decode_reply(opcode, payload)
            if reply["xid"] != number:
                raise wire.Malformed(f"xid {number} wanted, {reply} came")
            return reply

    def ping(self) -> wire.Record:
        """A ping and its answer."""
        return self.call(wire.PING, xid=wire.XID_PING)

    def wait_event(self, timeout_s: float | None = None) -> Any:
        """The next watch event: {"type", "state", "path"}."""
        if self.events:
            return self.events.pop(0)["event"]
        return wire.decode_event(self.receive(timeout_s))["event"]

    def close_session(self) -> None:
        """End the session and the connection."""
        self.call(wire.CLOSE_SESSION)
        self.close()


def new_session(port: int, timeout_ms: int = 40000) -> RawClient:
    """A client with a session of its own."""
    client = RawClient(port)
    client.connect(timeout_ms)
    return client
