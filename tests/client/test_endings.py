"""What is left when somebody is cancelled, comes too late, or goes without a word."""

from __future__ import annotations

import asyncio
import gc
import os
import struct
import threading

import pytest

from tests.client.proxy import Proxy
from tests.client.test_reconnect import until
from tests.client.test_watches import CREATED, Seen
from zkserver.client import (
    AddWatchMode,
    Client,
    CreateMode,
    SessionState,
    SyncClient,
    WatcherType,
    errors,
    replies,
)
from zkserver.testing import ZooKeeper

WAIT_S = 10
CONNECTING = SessionState.CONNECTING


async def test_a_client_that_has_ended_does_not_start_again(own: str) -> None:
    client = Client(own)
    await client.start()
    await client.close()
    with pytest.raises(errors.SessionClosed):
        await client.start()
    with pytest.raises(errors.SessionClosed):
        async with client:
            pass


async def test_nothing_overtakes_a_change_that_was_lost(proxy: Proxy, own: str) -> None:
    async with proxy, Client(proxy.hosts) as client, Client(own) as other:
        await client.create("/t")
        proxy.hold(requests=True, replies=True)
        first = client.set("/t", b"lost")
        await asyncio.sleep(0)
        client._session.connection.is_choked = True  # as when the socket takes no more
        second, third = client.create("/t/ready"), client.get("/t")
        await asyncio.sleep(0)
        proxy.drop()
        await until(lambda: client.state is CONNECTING)
        proxy.hold()
        for lost in (first, second, third):
            with pytest.raises(errors.ConnectionLoss):
                await lost
        await client.sync("/t")
        assert await other.get_children("/t") == []


async def test_requests_wait_for_the_next_connection_if_nothing_was_lost(proxy: Proxy) -> None:
    async with proxy, Client(proxy.hosts) as client:
        client._session.connection.is_choked = True
        waits = client.create("/t")
        await asyncio.sleep(0)
        proxy.drop()
        assert await waits == "/t"


async def test_closing_that_is_cancelled_ends_all_the_same(proxy: Proxy, caplog: pytest.LogCaptureFixture) -> None:
    async with proxy:
        client = Client(proxy.hosts)
        await client.start()
        proxy.hold(requests=True, replies=True)
        closing = asyncio.ensure_future(client.close())
        await until(lambda: client._session._close_reply is not None)
        closing.cancel()
        await asyncio.wait([closing])
        assert closing.cancelled()
        assert client.state is SessionState.CLOSED
        assert client.server is None
        assert client._session._driver is None
        client._session._close_reply = None
        gc.collect()
        assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []


async def test_a_server_that_reads_nothing_holds_no_socket_back() -> None:
    with ZooKeeper() as zk:
        client = Client(zk.hosts)
        await client.start()
        zk.pause()
        asked = [client.set("/t", bytes(500_000)) for _ in range(50)]
        await asyncio.sleep(0)
        transport = client._session.connection._transport
        assert transport.get_write_buffer_size()
        raw = transport.get_extra_info("socket")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.close(), 0.05)
        for future in asked:
            with pytest.raises(errors.SessionClosed):
                await future
        await asyncio.wait_for(until(lambda: raw.fileno() == -1), 2)


async def test_a_watch_whose_beginning_is_cancelled_is_not_left(proxy: Proxy) -> None:
    async with proxy, Client(proxy.hosts) as client:
        for watch in (client.watch("/t"), client.watch("/t", recursive=True)):
            proxy.hold(replies=True)
            entering = asyncio.ensure_future(watch.__aenter__())
            await until(lambda: proxy.held_replies >= 20)
            entering.cancel()
            await asyncio.wait([entering])
            proxy.hold()
            await until(lambda: not client._session.watches)
            with pytest.raises(errors.NoWatcher):
                await client.remove_watches("/t", WatcherType.ANY)
            assert [event async for event in watch] == []
        late = client.watch("/t")
        await late.close()
        assert [event async for event in late] == []
        assert not client._session.watches


async def test_a_step_that_is_cancelled_goes_on_with_the_next(proxy: Proxy, own: str) -> None:
    async with proxy, Client(proxy.hosts) as client, Client(own) as other:
        watch = client.watch("/t")
        proxy.hold(replies=True)
        step = asyncio.ensure_future(anext(watch))
        await until(lambda: proxy.held_replies)
        step.cancel()
        await asyncio.wait([step])
        await other.create("/t")
        proxy.hold()
        assert (await anext(watch)).type is CREATED
        step = asyncio.ensure_future(anext(watch))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="one reader"):
            await anext(watch)
        await watch.close()
        with pytest.raises(StopAsyncIteration):
            await step


async def test_values_that_are_cancelled_leave_no_watch(proxy: Proxy) -> None:
    async with proxy, Client(proxy.hosts) as client:
        for values in (client.watch_data("/"), client.watch_children("/"), client.watch_data("/t")):
            proxy.hold(replies=True)
            step = asyncio.ensure_future(anext(values))
            await until(lambda: proxy.held_replies >= 20)
            step.cancel()
            await asyncio.wait([step])
            proxy.hold()
            await client.sync("/")
            await asyncio.sleep(0)
            assert not client._session.watches


async def test_a_removal_leaves_the_watch_that_is_being_set(own: str) -> None:
    async with Client(own) as client, Client(own) as other:
        first, second = Seen(), Seen()
        await client.add_watch("/t", AddWatchMode.PERSISTENT, first)
        setting = client.add_watch("/t", AddWatchMode.PERSISTENT, second)
        await client.remove_watches("/t", WatcherType.PERSISTENT, watcher=first)
        await setting
        await other.create("/t")
        await client.sync("/t")
        assert second.short == [(CREATED, "/t")]
        # What was lost or refused on its way is not waited for.
        too_long = "/" + "t" * 0x100000
        with pytest.raises(errors.RequestTooLarge):
            await client.add_watch(too_long, AddWatchMode.PERSISTENT, first)
        assert not client._session.watches.is_coming(WatcherType.ANY, too_long)
        assert not client._session.watches.is_coming(WatcherType.ANY, "/t")


async def test_a_removal_that_is_cancelled_and_lost_forgets(proxy: Proxy) -> None:
    async with proxy, Client(proxy.hosts) as client:
        watch = client.watch("/t")
        await watch.start()
        proxy.hold(replies=True)
        closing = asyncio.ensure_future(watch.close())
        await until(lambda: proxy.held_replies)
        closing.cancel()
        await asyncio.wait([closing])
        proxy.drop()
        await until(lambda: client.state is CONNECTING)
        proxy.hold()
        await client.sync("/")
        assert not client._session.watches


async def test_a_connection_that_was_given_up_is_deaf(own: str) -> None:
    async with Client(own) as client:
        session = client._session
        connection = session.connection
        connection.close("for a reason")
        await until(lambda: session.connection not in (None, connection))
        current = session.connection
        # A greeting of a server, as TLS may still hand it over.
        connection.data_received(bytes([0, 0, 0, 37]) + bytes(4) + b"\0\0\x10\0" + bytes(8) + b"\0\0\0\x10" + bytes(17))
        assert session.connection is current
        assert client.session_id


async def test_a_session_that_comes_with_the_end_of_the_time(proxy: Proxy) -> None:
    async with proxy:
        client = Client(proxy.hosts, connect_timeout_ms=300)
        session = client._session
        greeted = session.greeted

        def cancelling(connection: object, response: replies.ConnectResponse) -> None:
            greeted(connection, response)
            # The time is over in the same turn of the loop.
            loop = asyncio.get_running_loop()
            for timer in list(loop._scheduled):
                is_of_client = timer.when() < loop.time() + 1
                if is_of_client and getattr(timer._callback, "__name__", "") == "_on_timeout":
                    is_over = timer._callback
                    timer.cancel()
                    is_over()

        session.greeted = cancelling
        await client.start()
        connection = session.connection
        await client.sync("/")
        assert session.connection is connection
        assert (proxy.accepted, client.last_failure) == (1, "")
        await client.close()


def test_a_loop_that_ends_takes_the_connection_along(own: str) -> None:
    clients = []

    async def forgetful() -> None:
        client = Client(own)
        await client.start()
        clients.append(client)

    asyncio.run(forgetful())
    assert clients[0].state is SessionState.CLOSED
    assert clients[0].server is None
    clients.clear()
    gc.collect()  # a socket that is left would be a ResourceWarning, which is an error here


# The synchronous face


def test_arguments_of_the_wrong_type_are_told(own: str) -> None:
    with SyncClient(own) as client:
        for arguments in ((5,), ("/t", b"", 1 << 40), ("/t", 5)):
            with pytest.raises((AttributeError, TypeError, struct.error)):
                client.submit(Client.set if len(arguments) > 1 else Client.get, *arguments).result(WAIT_S)
        assert client.exists("/t") is None


def test_a_client_that_does_not_run_says_so(own: str) -> None:
    client = SyncClient(own)
    with pytest.raises(RuntimeError, match="not started"):
        client.get("/")
    with pytest.raises(RuntimeError, match="not started"):
        client.get_quota("/")
    client.close()
    for call in (client.start, client.__enter__, lambda: client.get("/")):
        with pytest.raises(errors.SessionClosed):
            call()


def test_a_process_that_was_forked_off_has_no_client(own: str) -> None:
    with SyncClient(own) as client:
        child = os.fork()
        if not child:
            code = 1
            try:
                client.get("/")
            except RuntimeError:
                client.close()
                code = 0
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
        assert client.get("/")


def test_closing_ends_what_other_threads_wait_for(own: str) -> None:
    ended: list[object] = []

    def take_all(taken: object) -> None:
        try:
            ended.append(list(taken))
        except errors.SessionClosed as closed:
            ended.append(closed)

    for _ in range(5):
        client = SyncClient(own)
        client.start()
        sources = [client.watch("/t"), client.watch("/t", recursive=True), client.watch_data("/t"), client.states()]
        threads = [threading.Thread(target=take_all, args=(one,), daemon=True) for one in sources * 2]
        for thread in threads:
            thread.start()
        closers = [threading.Thread(target=client.close, daemon=True) for _ in range(2)]
        for thread in closers:
            thread.start()
        for thread in (*closers, *threads):
            thread.join(WAIT_S)
            assert not thread.is_alive()
        # One that comes behind the end finds it, as one that waited did.
        assert list(sources[0]) == []
        with pytest.raises(errors.SessionClosed):
            list(client.walk("/"))
        sources[0].close()
    assert len(ended) == 40


def test_threads_share_an_iterator(own: str) -> None:
    with SyncClient(own) as client, SyncClient(own) as other:
        taken: list[str] = []
        with client.watch("/t", recursive=True) as watch:

            def take() -> None:
                for event in watch:
                    taken.append(event.path)

            threads = [threading.Thread(target=take, daemon=True) for _ in range(4)]
            for thread in threads:
                thread.start()
            other.create("/t")
            for number in range(50):
                other.create(f"/t/{number}", mode=CreateMode.EPHEMERAL)
            client.sync("/t")
        for thread in threads:
            thread.join(WAIT_S)
            assert not thread.is_alive()
        assert sorted(taken) == sorted(["/t", *[f"/t/{number}" for number in range(50)]])


def test_a_step_that_was_not_waited_for_ends_in_silence(own: str, caplog: pytest.LogCaptureFixture) -> None:
    client = SyncClient(own)
    client.start()
    watch = client.watch("/t")
    assert watch.next(5) is None
    client.close()
    del watch, client
    gc.collect()
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []
