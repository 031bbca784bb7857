"""The synchronous face."""

from __future__ import annotations

import queue
import threading

import pytest

from tests.support.server_process import free_port
from zkserver.client import Client, EventType, SessionState, SyncClient, WatchEvent, errors

WAIT_S = 10


def test_the_same_methods_blocking(hosts: str) -> None:
    with SyncClient(hosts) as client:
        assert client.state is SessionState.CONNECTED
        assert client.create("/t", b"1") == "/t"
        assert client.get("/t")[0] == b"1"
        assert client.set("/t", b"2", version=0).version == 1
        with pytest.raises(errors.BadVersion):
            client.delete("/t", 7)
        with pytest.raises(errors.InvalidPath):
            client.get("t")
        assert list(client.walk("/t")) == ["/t"]
        client.set_quota("/t", znodes=3)
        assert client.get_quota("/t").limits.znodes == 3
        client.delete_quota("/t")
        assert client.server is not None
        assert client.session_id
        assert client.last_zxid
        assert client.delete_all("/t") == 1
    assert client.state is SessionState.CLOSED
    with pytest.raises(errors.SessionClosed):
        client.get("/t")
    with pytest.raises(errors.SessionClosed):
        client.get_quota("/t")


def test_submit_is_a_pipeline(hosts: str) -> None:
    with SyncClient(hosts) as client:
        client.create("/t")
        futures = [client.submit(Client.set, "/t", b"%d" % number) for number in range(1000)]
        assert [future.result(WAIT_S).version for future in futures] == list(range(1, 1001))
        with pytest.raises(errors.NoNode):
            client.submit(Client.get, "/t/none").result(WAIT_S)
        with pytest.raises(errors.InvalidPath):
            client.submit(Client.get, "none").result(WAIT_S)


def test_many_threads_share_a_client(own: str) -> None:
    with SyncClient(own) as client:
        client.create("/t")

        def work(number: int) -> None:
            for step in range(50):
                client.create(f"/t/{number}-{step}")

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT_S)
        assert len(client.get_children("/t")) == 400


def test_watchers_are_called_on_the_clients_thread(own: str) -> None:
    told: queue.Queue[object] = queue.Queue()
    with SyncClient(own) as client:

        def watcher(event: WatchEvent) -> None:
            try:
                client.get("/t")
            except RuntimeError as refused:
                told.put((event.type, str(refused)))
            client.submit(Client.get, "/t").add_done_callback(lambda read: told.put(read.result()[0]))

        client.create("/t", b"1")
        client.get("/t", watcher)
        client.set("/t", b"2")
        assert told.get(timeout=WAIT_S) == (EventType.NODE_DATA_CHANGED, "a watcher must not block: use submit")
        assert told.get(timeout=WAIT_S) == b"2"


def test_iterators(own: str) -> None:
    with SyncClient(own) as client:
        with client.watch("/t") as watch:
            assert watch.next(10) is None
            client.create("/t", b"1")
            assert next(watch).type is EventType.NODE_CREATED
            client.set("/t", b"2")
            assert watch.next(10_000).type is EventType.NODE_DATA_CHANGED
        assert list(watch) == []
        values = client.watch_data("/t")
        assert next(values)[0] == b"2"
        assert values.next(10) is None
        client.set("/t", b"3")
        assert values.next(10_000)[0] == b"3"
        children = client.watch_children("/t")
        assert next(children) == []
        client.create("/t/a")
        assert next(children) == ["a"]
        children.close()
        states = client.states()
        assert states.next(10) is None
        states.close()
    values.close()


def test_no_server(own: str) -> None:
    client = SyncClient(f"127.0.0.1:{free_port()}", session_timeout_ms=200)
    with pytest.raises(errors.OperationTimeout), client:
        pass
    client.close()
    assert own
