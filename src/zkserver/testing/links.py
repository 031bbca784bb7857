"""Who is cut from whom in an ensemble, and which connection joins which two servers.

Every server has an election port and a quorum port; whoever dials one binds its own end first and
says so here. So both ends of a connection between servers are known by their ports, before either
side has read a byte. All methods may be called from any thread.
"""

from __future__ import annotations

import socket
import threading


class Links:
    """The links between servers, by their ids."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owners: dict[int, int] = {}
        self._dialled_by: dict[int, int] = {}
        self._cuts: dict[frozenset[int], None] = {}

    def own(self, server_id: int, *ports: int) -> None:
        """These are a server's ports for other servers."""
        for port in ports:
            self._owners[port] = server_id

    def owner(self, port: int) -> int | None:
        """Which server listens there; None for other ports."""
        return self._owners.get(port)

    def note_dial(self, port: int, server_id: int) -> None:
        """A server is going to dial from this port."""
        self._dialled_by[port] = server_id

    def peer_of(self, server_id: int, raw: socket.socket) -> int | None:
        """The server at the other end of a server's connection; None if it is none."""
        try:
            own_port, other_port = raw.getsockname()[1], raw.getpeername()[1]
        except OSError:
            # The other side has gone before it was looked at.
            return None
        if self._owners.get(own_port) == server_id:
            return self._dialled_by.get(other_port)
        return self._owners.get(other_port)

    def is_cut(self, one: int, other: int) -> bool:
        """Whether nothing passes between the two."""
        return frozenset((one, other)) in self._cuts

    def cut(self, one: int, other: int) -> None:
        """From now on nothing passes between the two."""
        with self._lock:
            self._cuts = {**self._cuts, frozenset((one, other)): None}

    def heal(self) -> None:
        """Everything passes again."""
        with self._lock:
            self._cuts = {}
