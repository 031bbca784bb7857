"""A client below a chroot knows only paths without it."""

from __future__ import annotations

import pytest

from tests.client.test_reconnect import CONNECTING, until
from tests.client.test_watches import CHANGED, CHILDREN, CREATED, Seen
from zkserver.client import AddWatchMode, Client, CreateMode, Op, WatcherType, errors, quotas


async def test_paths_in_replies_events_and_errors(hosts: str) -> None:
    below = f"{hosts}/t/app"
    async with Client(hosts) as root, Client(below) as client, Client(below) as other:
        with pytest.raises(errors.NoNode) as refused:
            await client.create("/a")
        assert refused.value.path == "/a"
        await root.create("/t")
        await root.create("/t/app", b"top")
        one, tree = Seen(), Seen()
        await client.get_children("/", one)
        await other.add_watch("/", AddWatchMode.PERSISTENT_RECURSIVE, tree)
        assert (await client.get("/"))[0] == b"top"
        assert await client.create("/a", mode=CreateMode.EPHEMERAL) == "/a"
        path, _ = await client.create_with_stat("/s-", mode=CreateMode.PERSISTENT_SEQUENTIAL)
        assert path == "/s-0000000001"
        assert await client.sync("/a") == "/a"
        assert await client.get_ephemerals() == ["/a"]
        assert await client.get_ephemerals("/b") == []
        assert (await client.multi([Op.create("/m")]))[0].path == "/m"
        await client.set("/", b"new")
        assert await root.exists("/t/app/m")
        await other.sync("/")
        assert one.short == [(CHILDREN, "/")]
        assert tree.short == [(CREATED, "/a"), (CREATED, path), (CREATED, "/m"), (CHANGED, "/")]
        with pytest.raises(errors.NoNode) as refused:
            await client.multi([Op.delete("/m"), Op.delete("/none")])
        assert refused.value.path == "/none"
        await other.remove_watches("/", WatcherType.ANY)
        assert tree.short[-1][1] == "/"
        assert (await client.get_config())[1] == (await root.get_config())[1]


async def test_watches_come_along(proxy, own: str) -> None:
    async with proxy, Client(own) as root, Client(f"{proxy.hosts}/t") as client:
        await root.create("/t")
        seen = Seen()
        await client.exists("/a", seen)
        proxy.close()
        proxy.drop()
        await until(lambda: client.state is CONNECTING)
        await root.create("/t/a")
        await proxy.open()
        await client.sync("/")
        assert seen.short == [(CREATED, "/a")]


async def test_quotas_are_outside(hosts: str) -> None:
    async with Client(hosts) as root, Client(f"{hosts}/t") as client:
        await root.create("/t")
        await client.create("/a")
        await quotas.set_quota(client, "/a", znodes=3)
        assert await quotas.get_quota(client, "/a") == await quotas.get_quota(root, "/t/a")
        assert await quotas.list_quotas(client) == ["/t/a"]
        assert await quotas.delete_quota(client, "/a")
