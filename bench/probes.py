"""Sessions over plain sockets, to time a server's first answer.

A server that is still loading, or that has lost its leader, may refuse a connection, close it,
keep it waiting, or take it and never answer. So a session is tried again after a refusal, and
beside those that wait when the newest has waited for 5 % of the time so far: few enough to be no
load. What is asked for comes with a new session each time, as nothing is known of an old one's.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Sequence

OPEN_SESSION = struct.pack(">iiqiqi16s?", 45, 0, 0, 4_000, 0, 16, b"", False)
CLOSE_SESSION = struct.pack(">iii", 8, 0, -11)
GET_DATA, SET_DATA = 4, 5
POLL_S = 0.001


def get_data(path: str) -> bytes:
    """The frame of a getData without a watch."""
    name = path.encode()
    return _frame(struct.pack(f">iii{len(name)}s?", 1, GET_DATA, len(name), name, False))


def set_data(path: str, data: bytes) -> bytes:
    """The frame of a setData of any version."""
    name = path.encode()
    layout = f">iii{len(name)}si{len(data)}si"
    return _frame(struct.pack(layout, 1, SET_DATA, len(name), name, len(data), data, -1))


def _frame(request: bytes) -> bytes:
    return len(request).to_bytes(4, "big") + request


def first_answer(
    ports: Sequence[int],
    request: bytes,
    since: float,
    deadline_s: float,
    check: Callable[[], object],
    pause_s: float = 0.02,
) -> tuple[float, int] | None:
    """Seconds from `since` (monotonic) to the first reply to `request` by a server at one of
    `ports`, and its error code; None after `deadline_s`. `pause_s` is between two tries at a
    port; `check` is called before each and may raise."""
    waiting: list[Probe] = []
    tried_at = dict.fromkeys(ports, 0.0)
    try:
        while (now := time.monotonic()) < since + deadline_s:
            for probe in [one for one in waiting if one.closed]:
                probe.close()
                waiting.remove(probe)
            for port in ports:
                waits = any(probe.port == port for probe in waiting)
                patience_s = max(pause_s, 0.05 * (now - since)) if waits else pause_s
                if now - tried_at[port] >= patience_s:
                    check()
                    tried_at[port] = now
                    waiting.append(Probe(port, request))
            for probe in waiting:
                probe.poll()
                if probe.error is not None:
                    return time.monotonic() - since, probe.error
            time.sleep(POLL_S)
    finally:
        for probe in waiting:
            probe.close()
    return None


class Probe:
    """One session that makes one request, without blocking.

    `error` is the reply's code once it is there. `closed` is set when the server ended the
    connection or refused it.
    """

    def __init__(self, port: int, request: bytes) -> None:
        self.port = port
        self._request = request
        self._received = b""
        self._opened = False
        self._asked = False
        self.error: int | None = None
        self.closed = False
        self._link = socket.socket()
        self._link.setblocking(False)
        self._link.connect_ex(("127.0.0.1", port))

    def poll(self) -> None:
        """Takes what has come and sends what is next."""
        try:
            if not self._asked:
                self._link.sendall(OPEN_SESSION)
                self._asked = True
            chunk = self._link.recv(65536)
            self.closed = not chunk
            self._received += chunk
            while self.error is None and (frame := self._next_frame()) is not None:
                if self._opened:
                    self.error = struct.unpack_from(">i", frame, 12)[0]
                    self._link.sendall(CLOSE_SESSION)
                else:
                    self._opened = True
                    self._link.sendall(self._request)
        except BlockingIOError:
            return
        except OSError:
            self.closed = True

    def _next_frame(self) -> bytes | None:
        if len(self._received) < 4:
            return None
        end = 4 + int.from_bytes(self._received[:4], "big")
        if len(self._received) < end:
            return None
        frame, self._received = self._received[4:end], self._received[end:]
        return frame

    def close(self) -> None:
        """Ends the connection; safe to repeat."""
        self._link.close()
