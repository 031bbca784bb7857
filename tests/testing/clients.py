"""kazoo's clients for these tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kazoo.client import KazooClient


@contextmanager
def client_of(hosts: str, **named) -> Iterator[KazooClient]:
    """A client that is connected, and closed at the end whatever has become of its session."""
    client = KazooClient(hosts, **named)
    client.start(timeout=10)
    try:
        yield client
    finally:
        client.stop()
        client.close()
