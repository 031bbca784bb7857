"""A session that moves between servers, and one that gets by without a quorum."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client.conftest import PROPERTIES
from tests.client.test_reconnect import until
from tests.client.test_watches import CHANGED, CREATED, Seen
from tests.support.apache import apache_available
from tests.support.ensemble_processes import EnsembleProcesses
from tests.support.server_process import free_port
from zkserver.client import Client, CreateMode, SessionState, errors

CONNECTING, CONNECTED = SessionState.CONNECTING, SessionState.CONNECTED
LONG = bool(os.environ.get("ZKSERVER_CLIENT_LONG"))
SUPER = ("digest", b"super:test")


@pytest.fixture(name="ensemble", scope="module")
def _ensemble(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EnsembleProcesses]:
    properties = PROPERTIES | {"readonlymode.enabled": "true"}
    with EnsembleProcesses(tmp_path_factory.mktemp("e"), "zzz", properties=properties) as servers:
        yield servers


async def stop(servers: EnsembleProcesses, port: int) -> None:
    """End the server with this client port, without keeping the loop from its work."""
    (server,) = [one for one in servers.servers if one.port == port]
    await asyncio.to_thread(server.kill)


async def test_a_session_moves_to_another_server(ensemble: EnsembleProcesses) -> None:
    async with Client(ensemble.hosts, session_timeout_ms=8000) as client:
        await client.create("/m", b"1", mode=CreateMode.EPHEMERAL)
        seen, late = Seen(), Seen()
        await client.get("/m", seen)
        await client.exists("/late", late)
        first, session_id = client.server, client.session_id
        number = [one.port for one in ensemble.servers].index(first[1]) + 1
        await stop(ensemble, first[1])
        await until(lambda: client.state is CONNECTED and client.server != first)
        assert client.session_id == session_id
        assert (await client.exists("/m")).ephemeral_owner == session_id
        await client.set("/m", b"2")
        await client.create("/late", mode=CreateMode.EPHEMERAL)
        assert seen.short == [(CHANGED, "/m")]
        assert late.short == [(CREATED, "/late")]
        await asyncio.to_thread(ensemble.server(number).start)


@pytest.fixture(name="reconfigurable")
def _reconfigurable(tmp_path: Path) -> Iterator[str]:
    """An ensemble of one server, Apache's, that lets its members be changed."""
    cfg = {"standaloneEnabled": "false", "reconfigEnabled": "true"}
    with EnsembleProcesses(tmp_path, "a", cfg=cfg, properties=PROPERTIES) as servers:
        yield servers.hosts


@pytest.mark.skipif(not (LONG and apache_available()), reason="ZKSERVER_CLIENT_LONG, Apache")
async def test_reconfig(reconfigurable: str) -> None:
    async with Client(reconfigurable, auth=[SUPER]) as client:
        seen = Seen()
        before, _ = await client.get_config(seen)
        assert before.count(b"server.") == 1
        with pytest.raises(errors.BadVersion):
            await client.reconfig(leaving="3", from_config=0x7777)
        with pytest.raises(errors.BadArguments):
            await client.reconfig(joining="nonsense")
        ports = free_port(), free_port(), free_port()
        observer = "server.2=127.0.0.1:{}:{}:observer;127.0.0.1:{}".format(*ports)
        after, stat = await client.reconfig(joining=observer)
        assert observer in after.decode()
        assert seen.short == [(CHANGED, "/zookeeper/config")]
        members = before.decode().splitlines()[0]
        again, _ = await client.reconfig(new_members=members, from_config=stat.mzxid)
        assert again.count(b"server.") == 1


async def test_reads_without_a_quorum_and_back(ensemble: EnsembleProcesses) -> None:
    await asyncio.to_thread(ensemble.wait_serving)
    async with Client(ensemble.hosts) as client:
        await client.create("/r", b"1")
    left, *others = ensemble.servers
    for server in others:
        await stop(ensemble, server.port)
    # One that needs a quorum does not get a session; one that does not, does.
    strict = Client(ensemble.hosts, connect_timeout_ms=300)
    with pytest.raises(errors.OperationTimeout):
        await strict.start(timeout_ms=600)
    await strict.close()
    async with Client(
        ensemble.hosts, read_only=True, session_timeout_ms=20_000, connect_timeout_ms=1000
    ) as client:
        assert client.state is SessionState.CONNECTED_READ_ONLY
        assert client.server == ("127.0.0.1", left.port)
        seen = Seen()
        assert (await client.get("/r", seen))[0] == b"1"
        with pytest.raises(errors.NotReadOnly):
            await client.set("/r", b"2")
        begun = client.session_id
        for server in others:
            server.launch()
        await asyncio.to_thread(ensemble.wait_serving)
        await until(lambda: client.state is CONNECTED)
        assert client.session_id != begun
        await client.set("/r", b"2")
        assert seen.short == [(CHANGED, "/r")]
