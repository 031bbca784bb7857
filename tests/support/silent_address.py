"""A port that answers nobody: to connect to it takes until the caller loses patience.

Its queue of connections that nobody accepts is full, and Linux passes over who comes then.
"""

from __future__ import annotations

import socket


class SilentAddress:
    """A context manager; `port` is on 127.0.0.1."""

    def __init__(self) -> None:
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(0)
        self.port: int = self._listener.getsockname()[1]
        self._queue = socket.create_connection(("127.0.0.1", self.port))

    def __enter__(self) -> SilentAddress:
        return self

    def __exit__(self, *_: object) -> None:
        self._queue.close()
        self._listener.close()
