"""Clients for these tests: kazoo's, and what is seen of their sessions."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from kazoo.client import KazooClient, KazooState

from tests.support import wire
from tests.support.raw_client import RawClient, new_session

WAIT_S = 20


@contextmanager
def client_of(hosts: str, **named) -> Iterator[KazooClient]:
    """A client that is connected, and closed at the end whatever has become of its session."""
    client = KazooClient(hosts, **named)
    client.start(timeout=WAIT_S)
    try:
        yield client
    finally:
        client.stop()
        client.close()


@contextmanager
def nothing_left_behind() -> Iterator[None]:
    """The block may leave no thread and no descriptor; those of earlier tests may end meanwhile."""
    threads, descriptors = set(threading.enumerate()), len(os.listdir("/proc/self/fd"))
    yield
    assert set(threading.enumerate()) - threads == set()
    assert len(os.listdir("/proc/self/fd")) <= descriptors


class States:
    """What a client is told of its session, so that a test can wait for it."""

    def __init__(self, client: KazooClient) -> None:
        self.seen: list[KazooState] = []
        self._changed = threading.Condition()
        client.add_listener(self._tell)

    def _tell(self, state: KazooState) -> None:
        with self._changed:
            self.seen.append(state)
            self._changed.notify_all()

    def wait_for(self, state: KazooState) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: state in self.seen, WAIT_S), self.seen


class Gone:
    """Waits until a znode is deleted, by a watch of a client."""

    def __init__(self, client: KazooClient, path: str) -> None:
        self._event = threading.Event()
        assert client.exists(path, watch=self._tell) is not None

    def _tell(self, event: object) -> None:  # noqa: ARG002
        self._event.set()

    def wait(self) -> None:
        assert self._event.wait(WAIT_S)


def dead_client(port: int, timeout_ms: int, path: bytes = b"/dead") -> int:
    """The session of a client that has made an ephemeral znode and died without a word."""
    with new_session(port, timeout_ms) as client:
        assert client.call(wire.CREATE, wire.create_request(path, b"", flags=1))["err"] == 0
        return client.session_id


def word(port: int, name: str, timeout_s: float = WAIT_S) -> bytes:
    """The answer to a four-letter word."""
    with RawClient(port, timeout_s=timeout_s) as client:
        client.send_bytes(name.encode())
        return client.socket.recv(65536)
