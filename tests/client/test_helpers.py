"""Quotas and subtrees, against both servers; and beside Apache's shell."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.apache import SHELL_MAIN, run_java
from tests.support.server_process import ServerProcess
from zkserver.client import Client, delete_all, errors, quotas, walk
from zkserver.client.quotas import Limits


async def test_walk_and_delete_all(hosts: str) -> None:
    async with Client(hosts) as client:
        paths = ["/t", *(f"/t/{a}" for a in "abc"), *(f"/t/{a}/{n}" for a in "ab" for n in range(9))]
        await asyncio.gather(*map(client.create, paths))
        assert [path async for path in walk(client, "/t")] == sorted(paths)
        assert [path async for path in walk(client)][:2] == ["/", "/t"]
        assert await delete_all(client, "/t/a", batch_size=2) == 10
        assert await delete_all(client, "/t") == len(paths) - 10
        with pytest.raises(errors.NoNode):
            await delete_all(client, "/t")
        with pytest.raises(ValueError, match="batch size"):
            await delete_all(client, "/t", 0)


async def test_delete_all_meets_what_it_may_not_delete(own: str) -> None:
    async with Client(own) as client:
        with pytest.raises((errors.BadArguments, errors.NotEmpty, errors.NoAuth)):
            await delete_all(client, "/zookeeper")


async def test_quotas(hosts: str) -> None:
    async with Client(hosts) as client:
        with pytest.raises(errors.NoNode):
            await quotas.set_quota(client, "/t", znodes=5)
        for path in ("/t", "/t/a", "/t/a/b"):
            await client.create(path, b"123")
        assert await quotas.get_quota(client, "/t/a") is None
        assert await quotas.set_quota(client, "/t/a", znodes=5) == Limits(znodes=5)
        changed = await quotas.set_quota(client, "/t/a", size_bytes_hard=100)
        assert changed == Limits(znodes=5, size_bytes_hard=100)
        found = await quotas.get_quota(client, "/t/a")
        assert (found.limits, found.znodes, found.size_bytes) == (changed, 2, 6)
        assert found.limits_text == b"count=5,bytes=-1=;byteHardLimit=100;countHardLimit=-1"
        for path, relation in (("/t", "child"), ("/t/a/b", "parent")):
            with pytest.raises(quotas.QuotaConflict, match=f"has a {relation} /zookeeper/quota/t/a"):
                await quotas.set_quota(client, path, znodes=5)
        with pytest.raises(ValueError, match="znodes is 0"):
            await quotas.set_quota(client, "/t", znodes=0)
        with pytest.raises(errors.InvalidPath):
            await quotas.set_quota(client, "/zookeeper/quota", znodes=1)
        assert await quotas.delete_quota(client, "/t/a", ["znodes"])
        assert (await quotas.get_quota(client, "/t/a")).limits == Limits(size_bytes_hard=100)
        with pytest.raises(ValueError, match="no such limit: n"):
            await quotas.delete_quota(client, "/t/a", ["n"])
        assert await quotas.delete_quota(client, "/t/a")
        assert not await quotas.delete_quota(client, "/t/a")
        assert await client.get_children("/zookeeper/quota") == []


def test_quotas_read_as_those_of_apaches_shell(apache: ServerProcess) -> None:
    async def story() -> None:
        async with Client(f"127.0.0.1:{apache.port}") as client:
            for path in ("/t", "/t/ours", "/t/theirs"):
                await client.create(path)
            await quotas.set_quota(client, "/t/ours", znodes=5, size_bytes=7)
            for option, value in (("-n", "5"), ("-b", "7")):
                command = ("-server", f"127.0.0.1:{apache.port}", "setquota", option, value, "/t/theirs")
                run_java(SHELL_MAIN, *command, timeout=30, check=True)
            ours = await quotas.get_quota(client, "/t/ours")
            assert ours == await quotas.get_quota(client, "/t/theirs")
            for path in ("/t/ours", "/t/theirs"):
                await quotas.delete_quota(client, path)
            await delete_all(client, "/t")

    asyncio.run(story())
