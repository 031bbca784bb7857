"""Every operation, told to zkserver and to Apache's server."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from zkserver.client import (
    ALL,
    CREATOR_ALL_ACL,
    READ,
    READ_ACL_UNSAFE,
    Acl,
    Client,
    CreateMode,
    Op,
    SessionState,
    Stat,
    errors,
)


async def test_create_read_change_delete(hosts: str) -> None:
    async with Client(hosts) as client:
        assert await client.create("/t", b"one") == "/t"
        data, stat = await client.get("/t")
        assert (data, stat.version, stat.data_length, stat.ephemeral_owner) == (b"one", 0, 3, 0)
        assert stat.czxid == stat.mzxid == client.last_zxid
        changed = await client.set("/t", b"three", 0)
        assert (changed.version, changed.data_length, changed.ctime) == (1, 5, stat.ctime)
        assert await client.exists("/t") == changed
        await client.create("/t/b")
        assert await client.get_children("/t") == ["b"]
        names, parent = await client.get_children_with_stat("/t")
        assert (names, parent.num_children) == (["b"], 1)
        assert await client.get_all_children_number("/t") == 1
        assert await client.sync("/t") == "/t"
        assert await client.delete("/t/b") is None
        await client.delete("/t", 1)
        assert await client.exists("/t") is None


async def test_each_refusal_has_its_class_code_and_path(hosts: str) -> None:
    async with Client(hosts) as client:
        await client.create("/t")
        await client.create("/t/e", mode=CreateMode.EPHEMERAL)
        asked = {
            errors.NoNode: client.get("/t/none"),
            errors.NodeExists: client.create("/t"),
            errors.BadVersion: client.set("/t", b"", 7),
            errors.NotEmpty: client.delete("/t"),
            errors.NoChildrenForEphemerals: client.create("/t/e/x"),
            errors.InvalidAcl: client.set_acl("/t", [Acl(ALL, "nowhere", "nobody")]),
            errors.BadArguments: client.delete("/zookeeper"),
        }
        for kind, future in asked.items():
            with pytest.raises(kind) as refused:
                await future
            assert refused.value.code == kind.code
        assert refused.value.path == "/zookeeper"
        assert str(refused.value) == "KeeperErrorCode = BadArguments for /zookeeper"


async def test_all_create_modes(hosts: str) -> None:
    async with Client(hosts) as client:
        await client.create("/t")
        path, stat = await client.create_with_stat("/t/e", mode=CreateMode.EPHEMERAL)
        assert (path, stat.ephemeral_owner) == ("/t/e", client.session_id)
        assert await client.create("/t/s-", mode=CreateMode.PERSISTENT_SEQUENTIAL) == "/t/s-0000000001"
        assert await client.create("/t/", mode=CreateMode.EPHEMERAL_SEQUENTIAL) == "/t/0000000002"
        assert await client.create("/t/c", mode=CreateMode.CONTAINER) == "/t/c"
        path, stat = await client.create_with_stat(
            "/t/l-", b"x", mode=CreateMode.PERSISTENT_SEQUENTIAL_WITH_TTL, ttl_ms=10_000_000
        )
        assert (path, stat.data_length) == ("/t/l-0000000004", 1)
        await client.create("/t/l", mode=CreateMode.PERSISTENT_WITH_TTL, ttl_ms=10_000_000)
        assert sorted(await client.get_ephemerals()) == ["/t/0000000002", "/t/e"]
        assert await client.get_ephemerals("/t/e") == ["/t/e"]
        with pytest.raises(ValueError, match="needs a ttl_ms"):
            client.create("/t/x", mode=CreateMode.PERSISTENT_WITH_TTL)
        with pytest.raises(ValueError, match="takes no ttl_ms"):
            client.create("/t/x", ttl_ms=1)


async def test_the_end_of_a_session_takes_its_ephemerals_along(hosts: str) -> None:
    async with Client(hosts) as watcher:
        async with Client(hosts) as client:
            await client.create("/t", mode=CreateMode.EPHEMERAL)
            late = client.get("/t")
        assert client.state is SessionState.CLOSED
        assert (await late)[0] == b""
        assert await watcher.exists("/t") is None
        with pytest.raises(errors.SessionExpired):
            await client.get("/t")
        await client.close()


async def test_null_data_is_not_empty_data(hosts: str) -> None:
    async with Client(hosts) as client:
        await client.create("/t", None)
        assert (await client.get("/t"))[0] == b""
        assert (await client.get_or_null("/t"))[0] is None
        await client.set("/t", b"")
        assert (await client.get_or_null("/t"))[0] == b""
        await client.set("/t", None)
        assert (await client.get_or_null("/t"))[0] is None


async def test_acls_and_identities(hosts: str) -> None:
    async with Client(hosts, auth=[("digest", b"ann:secret")]) as ann, Client(hosts) as bob:
        assert ("digest", "ann") in await ann.who_am_i()
        await ann.create("/t", acl=CREATOR_ALL_ACL)
        acl, _ = await ann.get_acl("/t")
        assert [(one.perms, one.scheme) for one in acl] == [(ALL, "digest")]
        with pytest.raises(errors.NoAuth):
            await bob.get("/t")
        await bob.add_auth("digest", b"ann:secret")
        assert (await bob.get("/t"))[0] == b""
        await ann.create("/t/open")
        stat = await ann.set_acl("/t/open", READ_ACL_UNSAFE, 0)
        assert stat.aversion == 1
        assert (await ann.get_acl("/t/open"))[0] == [Acl(READ, "world", "anyone")]
        with pytest.raises(errors.BadVersion):
            await ann.set_acl("/t", CREATOR_ALL_ACL, 9)


async def test_an_unknown_scheme_ends_the_client(hosts: str) -> None:
    client = Client(hosts)
    await client.start()
    with pytest.raises(errors.AuthFailed):
        await client.add_auth("nonsense", b"")
    assert client.state is SessionState.AUTH_FAILED
    with pytest.raises(errors.AuthFailed):
        await client.get("/")
    await client.close()


async def test_multi_is_all_or_nothing(hosts: str) -> None:
    async with Client(hosts) as client:
        results = await client.multi(
            [
                Op.create("/t", b"1"),
                Op.create("/t/s-", mode=CreateMode.EPHEMERAL_SEQUENTIAL),
                Op.create("/t/c", mode=CreateMode.CONTAINER),
                Op.create("/t/l", mode=CreateMode.PERSISTENT_WITH_TTL, ttl_ms=10_000_000),
                Op.set("/t", b"22", 0),
                Op.check("/t", 1),
                Op.delete("/t/c"),
            ]
        )
        assert [one.path for one in results] == ["/t", "/t/s-0000000000", "/t/c", "/t/l", None, None, None]
        assert isinstance(results[4].stat, Stat)
        assert results[4].stat.version == 1
        with pytest.raises(errors.BadVersion) as refused:
            await client.multi([Op.create("/t/x"), Op.check("/t", 9), Op.delete("/t/l")])
        before, culprit, behind = refused.value.results
        assert before is None
        assert culprit is refused.value
        assert culprit.path == "/t"
        assert isinstance(behind, errors.RuntimeInconsistency)
        assert await client.exists("/t/x") is None
        assert await client.multi([]) == []
        with pytest.raises(ValueError, match="multi_read"):
            client.multi([Op.get("/t")])


async def test_transaction(hosts: str) -> None:
    async with Client(hosts) as client:
        async with client.transaction() as change:
            change.create("/t", b"1").create("/t/a").check("/t").set("/t", b"2").delete("/t/a")
        assert [one.path for one in change.results] == ["/t", "/t/a", None, None, None]
        assert (await client.get("/t"))[0] == b"2"
        with suppress(LookupError):
            async with client.transaction() as change:
                change.delete("/t")
                raise LookupError
        assert await client.exists("/t")


async def test_multi_read(hosts: str) -> None:
    async with Client(hosts) as client:
        await client.create("/t", b"1")
        await client.create("/t/a")
        first, names, missing = await client.multi_read(
            [Op.get("/t"), Op.get_children("/t"), Op.get("/t/none")]
        )
        assert first == (b"1", await client.exists("/t"))
        assert names == ["a"]
        assert isinstance(missing, errors.NoNode)
        assert missing.path == "/t/none"
        with pytest.raises(ValueError, match="belong into multi"):
            client.multi_read([Op.delete("/t")])


async def test_config_of_a_server_alone(hosts: str) -> None:
    async with Client(hosts) as client:
        _, stat = await client.get_config()
        assert stat.version in (-1, 0)
        with pytest.raises((errors.ReconfigDisabled, errors.Unimplemented)):
            await client.reconfig(leaving="3")


async def test_a_wrong_path_is_refused_at_the_call(own: str) -> None:
    async with Client(own) as client:
        for path in ("", "t", "/t/", "/a//b", "/a/../b", "/\x00", "/\ud800", "/\ue000"):
            with pytest.raises(errors.InvalidPath):
                client.get(path)
        await client.create("/t")
        await client.create("/t/käse-奶酪", b"1")
        assert await client.get_children("/t") == ["käse-奶酪"]


async def test_a_request_that_is_too_large_is_not_sent(hosts: str) -> None:
    async with Client(hosts) as client:
        await client.create("/t")
        with pytest.raises(errors.RequestTooLarge):
            await client.set("/t", bytes(0xFFFFF))
        # Header, path and the two numbers around the data take the rest.
        most = 0xFFFFF - 8 - 4 - 2 - 4 - 4
        assert (await client.set("/t", bytes(most))).data_length == most
        assert len((await client.get("/t"))[0]) == most
        with pytest.raises(errors.RequestTooLarge):
            await client.set("/t", bytes(most + 1))


async def test_a_reply_longer_than_wanted_ends_the_connection(own: str) -> None:
    async with Client(own, max_response_bytes=300_000) as client:
        await client.create("/t", bytes(500_000))
        with pytest.raises(errors.ConnectionLoss, match="a frame of 5000"):
            await client.get("/t")
        assert (await client.exists("/t")).data_length == 500_000


async def test_pipelined_requests_are_answered_in_order(hosts: str) -> None:
    async with Client(hosts) as client:
        await client.create("/t")
        done = []
        futures = []
        for number in range(500):
            for future in (client.set("/t", b"%d" % number), client.get("/t")):
                future.add_done_callback(done.append)
                futures.append(future)
        results = await asyncio.gather(*futures)
        assert done == futures
        assert [one[0] for one in results[1::2]] == [b"%d" % number for number in range(500)]
        assert [one.version for one in results[::2]] == list(range(1, 501))


async def test_a_cancelled_future_leaves_the_others_alone(own: str) -> None:
    async with Client(own) as client:
        await client.create("/t")
        futures = [client.set("/t", b"%d" % number) for number in range(100)]
        for future in futures[::2]:
            future.cancel()
        stats = await asyncio.gather(*futures[1::2])
        assert [one.version for one in stats] == list(range(2, 101, 2))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.get("/t"), 0)
        assert (await client.get("/t"))[0] == b"99"
