"""Links that break: what a session keeps, what it tells, when it is over."""

from __future__ import annotations

import asyncio
import logging
import random
import struct
import time
from collections.abc import Callable

import pytest

from tests.client.proxy import Proxy
from tests.client.test_watches import CHANGED, CHILDREN, CREATED, DELETED, Seen
from tests.support.server_process import free_port
from zkserver.client import (
    CREATOR_ALL_ACL,
    AddWatchMode,
    Client,
    CreateMode,
    EventType,
    SessionState,
    Stat,
    errors,
)

NONE = EventType.NONE
CONNECTING, CONNECTED = SessionState.CONNECTING, SessionState.CONNECTED


async def until(condition: Callable[[], object]) -> None:
    """Let the loop go on until it holds; the test's own timeout ends it."""
    while not condition():
        await asyncio.sleep(0.005)


async def test_a_session_outlives_its_connection(proxy: Proxy) -> None:
    async with proxy, Client(proxy.hosts) as client:
        states = client.states()
        session = client.session_id
        await client.create("/t", b"1", mode=CreateMode.EPHEMERAL)
        proxy.drop()
        assert await anext(states) is CONNECTING
        assert client.server is None
        waits = client.get("/t")
        assert await anext(states) is CONNECTED
        data, stat = await waits
        assert (data, stat.ephemeral_owner, client.session_id) == (b"1", session, session)
        await states.aclose()


async def test_what_was_sent_is_lost_and_what_was_not_waits(proxy: Proxy) -> None:
    async with proxy, Client(proxy.hosts) as client:
        await client.create("/t")
        proxy.hold(replies=True)
        sent = [client.set("/t", b"x"), client.get("/t")]
        await until(lambda: proxy.held_replies >= 20 + 68)
        proxy.close()
        proxy.drop()
        await until(lambda: client.state is CONNECTING)
        later = client.get("/t")
        for future in sent:
            with pytest.raises(errors.ConnectionLoss) as lost:
                await future
            assert lost.value.path == "/t"
        proxy.hold()
        await proxy.open()
        assert (await later)[0] == b"x"


async def test_watches_come_along_and_tell_what_was_missed(proxy: Proxy, own: str) -> None:
    async with proxy, Client(proxy.hosts) as client, Client(own) as other:
        for path in ("/t", "/t/data", "/t/gone", "/t/kids", "/t/same"):
            await other.create(path)
        names = ("data", "data_gone", "exist", "exist_gone", "kids", "kids_gone", "same", "one", "tree", "late")
        seen = {name: Seen() for name in names}
        await asyncio.gather(
            client.get("/t/data", seen["data"]),
            client.get("/t/gone", seen["data_gone"]),
            client.exists("/t/new", seen["exist"]),
            client.exists("/t/gone", seen["exist_gone"]),
            client.get_children("/t/kids", seen["kids"]),
            client.get_children("/t/gone", seen["kids_gone"]),
            client.get("/t/same", seen["same"]),
            client.exists("/t/late", seen["late"]),
            client.add_watch("/t/data", AddWatchMode.PERSISTENT, seen["one"]),
            client.add_watch("/t", AddWatchMode.PERSISTENT_RECURSIVE, seen["tree"]),
        )
        proxy.close()
        proxy.drop()
        await until(lambda: client.state is CONNECTING)
        await other.set("/t/data", b"1")
        await other.delete("/t/gone")
        await other.create("/t/new")
        await other.create("/t/kids/a")
        await proxy.open()
        await client.sync("/t")
        assert seen["data"].short == [(CHANGED, "/t/data")]
        assert seen["data_gone"].short == seen["exist_gone"].short == [(DELETED, "/t/gone")]
        assert seen["kids_gone"].short == [(DELETED, "/t/gone")]
        assert seen["exist"].short == [(CREATED, "/t/new")]
        assert seen["kids"].short == [(CHILDREN, "/t/kids")]
        assert seen["same"].short == seen["late"].short == []
        # A watch that stays sees no past, but is told to look again.
        assert seen["one"].short[0] == (NONE, "/t/data")
        assert seen["tree"].short[0] == (NONE, "/t")
        past = {name: len(found.events) for name, found in seen.items()}
        await other.set("/t/same", b"1")
        await other.create("/t/late")
        await other.set("/t/data", b"2")
        await client.sync("/t")
        assert seen["same"].short == [(CHANGED, "/t/same")]
        assert seen["late"].short == [(CREATED, "/t/late")]
        assert seen["one"].short[past["one"] :] == [(CHANGED, "/t/data")]
        assert seen["tree"].short[past["tree"] :] == [
            (CHANGED, "/t/same"), (CREATED, "/t/late"), (CHANGED, "/t/data"),
        ]  # fmt: skip
        assert len(seen["data"].events) == past["data"]


async def test_many_watches_come_along_in_several_frames(proxy: Proxy, own: str) -> None:
    async with proxy, Client(proxy.hosts) as client, Client(own) as other:
        seen = Seen()
        paths = [f"/{'t' * 900}-{number}" for number in range(400)]
        await asyncio.gather(*[client.exists(path, seen) for path in paths])
        await client.add_watch("/t", AddWatchMode.PERSISTENT, seen)
        before = len(proxy.sent)
        proxy.drop()
        await until(lambda: client.state is CONNECTING)
        await client.sync("/t")
        sent = proxy.sent[before:]
        assert sent.count(struct.pack(">ii", -8, 101)) >= 2
        assert sent.count(struct.pack(">ii", -8, 105)) == 1
        await asyncio.gather(*[other.create(path) for path in paths], other.create("/t"))
        await client.sync("/t")
        assert sorted(event.path for event in seen.events if event.type is CREATED) == sorted([*paths, "/t"])
        await asyncio.gather(*[other.delete(path) for path in paths])


async def test_credentials_come_first_on_a_new_connection(proxy: Proxy) -> None:
    async with proxy, Client(proxy.hosts, auth=[("digest", b"ann:secret")]) as client:
        await client.add_auth("digest", b"bob:hidden")
        await client.create("/t", b"1", acl=CREATOR_ALL_ACL)
        seen = Seen()
        await client.get("/t", seen)
        proxy.drop()
        await until(lambda: client.state is CONNECTING)
        await client.set("/t", b"2")
        assert seen.short == [(CHANGED, "/t")]
        assert {name for scheme, name in await client.who_am_i() if scheme == "digest"} == {"ann", "bob"}


async def test_a_dead_server_is_passed_over(own: str) -> None:
    dead = [f"127.0.0.1:{free_port()}" for _ in range(3)]
    async with Client(",".join([*dead, own])) as client:
        assert client.server == ("127.0.0.1", int(own.rpartition(":")[2]))
    refused = Client(",".join(dead))
    with pytest.raises(errors.OperationTimeout, match=r"127\.0\.0\.1.*[Cc]onnect"):
        await refused.start(timeout_ms=200)
    assert refused.state is CONNECTING
    await refused.close()
    assert refused.state is SessionState.CLOSED


async def test_pings_keep_an_idle_session_and_silence_ends_a_connection(proxy: Proxy) -> None:
    async with proxy, Client(proxy.hosts, session_timeout_ms=1000) as client:
        assert client.session_timeout_ms == 1000
        await client.create("/t", mode=CreateMode.EPHEMERAL)
        await until(lambda: proxy.sent.count(struct.pack(">ii", -2, 11)) >= 4)
        assert client.state is CONNECTED
        begun_s = asyncio.get_running_loop().time()
        proxy.hold(replies=True)
        await until(lambda: client.state is CONNECTING)
        silent_s = asyncio.get_running_loop().time() - begun_s
        assert 0.3 < silent_s < 1.5
        proxy.hold()
        assert await client.exists("/t")


async def test_a_loop_that_stood_still_reads_before_it_judges(proxy: Proxy) -> None:
    async with proxy, Client(proxy.hosts, session_timeout_ms=1000) as client:
        connection = client._session.connection
        proxy.hold(replies=True)
        waits = client.exists("/t")
        await until(lambda: proxy.held_replies)
        proxy.hold()
        time.sleep(0.75)  # the program does something else, longer than the server may be silent
        assert await waits is None
        assert client._session.connection is connection


async def test_the_server_says_when_a_session_has_expired(proxy: Proxy, own: str) -> None:
    async with proxy, Client(own) as other:
        client = Client(proxy.hosts, session_timeout_ms=1000)
        await client.start()
        every, seen = Seen(), Seen()
        client.on_event(every)
        await client.create("/t", mode=CreateMode.EPHEMERAL)
        await client.get("/t", seen)
        watch = client.watch("/t")
        await watch.start()
        proxy.close()
        proxy.drop()
        async for value in other.watch_data("/t"):
            if value is None:
                break
        await until(lambda: client.state is CONNECTING)
        waits = client.get("/t")
        await proxy.open()
        with pytest.raises(errors.SessionExpired):
            await waits
        assert client.state is SessionState.EXPIRED
        with pytest.raises(errors.SessionExpired):
            await client.get("/t")
        assert seen.events[-1][:2] == (NONE, SessionState.EXPIRED)
        assert every.events[-1][:2] == (NONE, SessionState.EXPIRED)
        with pytest.raises(errors.SessionExpired):
            [event async for event in watch]
        await client.close()
        assert client.state is SessionState.EXPIRED


async def test_another_client_goes_on_with_a_session(own: str) -> None:
    first = Client(own)
    await first.start()
    await first.create("/t", mode=CreateMode.EPHEMERAL)
    async with Client(own, session=(first.session_id, first.session_password)) as second:
        assert second.session_id == first.session_id
        assert (await second.exists("/t")).ephemeral_owner == second.session_id
        await until(lambda: first.state is CONNECTING)
        await first._session.stop()
    wrong = Client(own, session=(first.session_id, bytes(16)))
    with pytest.raises(errors.SessionExpired):
        await wrong.start()
    await wrong.close()


def answer(xid: int) -> bytes:
    """A reply without a record to a request that was not made."""
    return struct.pack(">iiqi", 16, xid, 1, 0)


@pytest.mark.parametrize(
    ("spoiled", "line"),
    [
        (answer(77), "reply to xid 77, but the one to 2 is due"),
        (answer(-9), "reply to xid -9, which was not asked"),
        (struct.pack(">i", -5), "a frame of -5 bytes"),
        (struct.pack(">i", 1 << 30), "a frame of 1073741824 bytes"),
        (struct.pack(">iiqi", 16, 2, 1, 0), "a reply ends early: unpack_from requires"),
    ],
)
async def test_a_reply_that_does_not_match_ends_the_connection(
    proxy: Proxy, caplog: pytest.LogCaptureFixture, spoiled: bytes, line: str
) -> None:
    async with proxy, Client(proxy.hosts) as client:
        await client.create("/t")
        proxy.spoil = lambda _: spoiled
        with caplog.at_level(logging.WARNING, "zkserver.client"), pytest.raises(errors.ConnectionLoss):
            await client.get("/t")
        proxy.spoil = None
        lines = [record.getMessage() for record in caplog.records]
        assert len(lines) == 1
        assert lines[0].startswith(f"connection to {proxy.hosts} ends: {line}")
        assert (await client.get("/t"))[0] == b""


async def test_no_request_is_forgotten_or_told_another_ones_reply(proxy: Proxy) -> None:
    chance = random.Random(7)
    async with proxy, Client(proxy.hosts) as client:
        await client.create("/t")
        await asyncio.gather(*[client.create(f"/t/{number}", b"%d" % number) for number in range(50)])
        asked: list[tuple[int, asyncio.Future[tuple[bytes, Stat]]]] = []
        for _ in range(60):
            for _ in range(chance.randrange(100)):
                number = chance.randrange(50)
                asked.append((number, client.get(f"/t/{number}")))
                if chance.random() < 0.1:
                    asked[-1][1].cancel()
            await asyncio.sleep(chance.choice((0, 0, 0.001, 0.003)))
            if chance.random() < 0.2:
                proxy.drop()
                if chance.random() < 0.7:
                    await until(lambda: client.state is CONNECTING)
                    await until(lambda: client.state is CONNECTED)
        lost = 0
        for number, future in asked:
            try:
                assert (await future)[0] == b"%d" % number
            except errors.ConnectionLoss:
                lost += 1
            except asyncio.CancelledError:
                assert future.cancelled()
        assert 0 < lost < len(asked)
        assert proxy.accepted > 3


async def test_replies_in_small_pieces(proxy: Proxy) -> None:
    pieces: list[bytes] = []

    async with proxy, Client(proxy.hosts) as client:
        await client.create("/t", bytes(range(256)) * 100)

        def hold_back(data: bytes) -> bytes:
            pieces.append(data)
            return b""

        proxy.spoil = hold_back
        asked = [client.get("/t"), client.exists("/none"), client.get_children("/t")]
        await until(lambda: sum(map(len, pieces)) >= 25600 + 68 + 24 + 20 + 24)
        connection = client._session.connection
        for data in [bytes([byte]) for byte in b"".join(pieces)]:
            connection.data_received(data)
        (data, _), missing, names = await asyncio.gather(*asked)
        assert (data, missing, names) == (bytes(range(256)) * 100, None, [])
        proxy.spoil = None


async def test_closing_without_a_server(proxy: Proxy) -> None:
    async with proxy:
        client = Client(proxy.hosts)
        await client.start()
        proxy.close()
        proxy.drop()
        await until(lambda: client.state is CONNECTING)
        waits = client.get("/t")
        await client.close()
        with pytest.raises(errors.SessionClosed):
            await waits


async def test_closing_twice_and_with_requests_on_their_way(own: str) -> None:
    client = Client(own)
    await client.start()
    asked = [client.get("/") for _ in range(100)]
    await asyncio.gather(client.close(), client.close())
    assert len(await asyncio.gather(*asked)) == 100
    with pytest.raises(errors.SessionClosed):
        await client.get("/")


async def test_a_client_that_cannot_connect_leaves_its_block(own: str) -> None:
    dead = f"127.0.0.1:{free_port()}"
    with pytest.raises(errors.OperationTimeout):
        async with Client(dead, session_timeout_ms=200):
            pass
    assert own
