"""kazoo, unchanged, against the server as a process."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from kazoo.client import KazooClient
from kazoo.exceptions import (
    AuthFailedError,
    BadVersionError,
    InvalidACLError,
    NoAuthError,
    NodeExistsError,
    NoNodeError,
    NotEmptyError,
    RolledBackError,
)
from kazoo.protocol.states import EventType
from kazoo.security import ACL, Id, make_digest_acl

from tests.support.server_process import ServerProcess

WAIT_S = 10.0


@pytest.fixture
def client(server: ServerProcess) -> Iterator[KazooClient]:
    client = KazooClient(f"127.0.0.1:{server.port}", timeout=10)
    client.start(timeout=WAIT_S)
    if client.exists("/t"):
        client.delete("/t", recursive=True)
    client.create("/t")
    yield client
    client.stop()
    client.close()


def test_create_read_update_delete(client: KazooClient) -> None:
    assert client.create("/t/a", b"one") == "/t/a"
    with pytest.raises(NodeExistsError):
        client.create("/t/a", b"")
    data, stat = client.get("/t/a")
    assert (data, stat.version, stat.data_length) == (b"one", 0, 3)
    assert client.set("/t/a", b"three").version == 1
    with pytest.raises(BadVersionError):
        client.set("/t/a", b"", version=7)
    client.create("/t/a/b")
    with pytest.raises(NotEmptyError):
        client.delete("/t/a")
    assert client.get_children("/t/a") == ["b"]
    client.delete("/t/a/b")
    client.delete("/t/a")
    assert client.exists("/t/a") is None
    with pytest.raises(NoNodeError):
        client.get("/t/a")


def test_sequence_numbers_count_creations(client: KazooClient) -> None:
    names = [client.create("/t/s-", sequence=True) for _ in range(3)]
    assert names == ["/t/s-0000000000", "/t/s-0000000001", "/t/s-0000000002"]
    client.delete(names[2])
    assert client.create("/t/s-", sequence=True) == "/t/s-0000000003"


def test_watches_fire_once_and_in_order(client: KazooClient) -> None:
    events = []
    told = threading.Event()

    def watch(event: object) -> None:
        events.append(event)
        told.set()

    client.create("/t/w", b"0")
    client.get("/t/w", watch=watch)
    client.set("/t/w", b"1")
    assert told.wait(WAIT_S)
    client.set("/t/w", b"2")
    assert [event.type for event in events] == [EventType.CHANGED]
    told.clear()
    client.get_children("/t/w", watch=watch)
    client.create("/t/w/c")
    assert told.wait(WAIT_S)
    assert events[-1].type == EventType.CHILD


def test_transactions_are_all_or_nothing(client: KazooClient) -> None:
    transaction = client.transaction()
    transaction.create("/t/x", b"1")
    transaction.set_data("/t/x", b"2")
    transaction.check("/t/x", version=1)
    results = transaction.commit()
    assert results[0] == "/t/x"
    assert results[1].version == 1
    transaction = client.transaction()
    transaction.create("/t/y")
    transaction.delete("/t/nothing")
    transaction.create("/t/z")
    results = transaction.commit()
    assert isinstance(results[0], RolledBackError)
    assert isinstance(results[1], NoNodeError)
    assert client.exists("/t/y") is None


def test_ephemerals_go_with_their_session(server: ServerProcess, client: KazooClient) -> None:
    other = KazooClient(f"127.0.0.1:{server.port}")
    other.start(timeout=WAIT_S)
    other.create("/t/e", ephemeral=True)
    gone = threading.Event()
    stat = client.exists("/t/e", watch=lambda _: gone.set())
    assert stat.ephemeralOwner == other.client_id[0]
    other.stop()
    other.close()
    assert gone.wait(WAIT_S)
    assert client.exists("/t/e") is None


def test_acls_guard(server: ServerProcess, client: KazooClient) -> None:
    with pytest.raises(InvalidACLError):
        client.create("/t/bad", acl=[ACL(31, Id("no-such-scheme", "x"))])
    acl = make_digest_acl("ann", "secret", all=True)
    client.create("/t/private", b"x", acl=[acl])
    with pytest.raises(NoAuthError):
        client.get("/t/private")
    client.add_auth("digest", "ann:secret")
    assert client.get("/t/private")[0] == b"x"
    other = KazooClient(f"127.0.0.1:{server.port}")
    other.start(timeout=WAIT_S)
    with pytest.raises(AuthFailedError):
        other.add_auth("no-such-scheme", "x")
    other.stop()
    other.close()


def test_a_session_is_taken_up_again_with_its_watches(client: KazooClient) -> None:
    told = threading.Event()
    client.create("/t/r", b"0", ephemeral=True)
    client.get("/t/r", watch=lambda _: told.set())
    session = client.client_id
    # kazoo's own way of losing its connection.
    client._connection._socket.shutdown(2)
    client.retry(client.set, "/t/r", b"1")
    assert client.client_id == session
    assert told.wait(WAIT_S)
    assert client.get("/t/r")[0] == b"1"


def test_locks_exclude(server: ServerProcess, client: KazooClient) -> None:
    other = KazooClient(f"127.0.0.1:{server.port}")
    other.start(timeout=WAIT_S)
    with client.Lock("/t/lock", "a"):
        assert not other.Lock("/t/lock", "b").acquire(blocking=False)
    assert other.Lock("/t/lock", "b").acquire(timeout=WAIT_S)
    other.stop()
    other.close()
