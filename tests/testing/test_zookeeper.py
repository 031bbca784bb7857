"""One server in the test's process: its life, its faults, its clock. The client is kazoo."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from kazoo.client import KazooState
from kazoo.exceptions import NoNodeError

from tests.support import wire
from tests.support.raw_client import Closed, RawClient, new_session
from tests.testing.clients import Gone, States, client_of, dead_client, nothing_left_behind, word
from zkserver.base.config import ConfigError
from zkserver.client import Client, CreateMode, SyncClient
from zkserver.testing import (
    NotRunningError,
    ServerFailedError,
    TestingError,
    ZooKeeper,
    ZooKeeperEnsemble,
)
from zkserver.testing.memory_disk import MemoryFile


@pytest.fixture(name="zk")
def _zk():
    with ZooKeeper() as zk:
        yield zk


# Life


def test_a_client_is_served(zk) -> None:
    with client_of(zk.hosts) as client:
        client.create("/a", b"data")
        assert client.get("/a")[0] == b"data"


def test_every_server_begins_empty() -> None:
    for _ in range(3):
        with ZooKeeper() as zk, client_of(zk.hosts) as client:
            assert client.get_children("/") == ["zookeeper"]
            client.create("/a")


def test_servers_do_not_see_each_other() -> None:
    with ZooKeeper() as one, ZooKeeper() as other:
        assert one.port != other.port
        with client_of(one.hosts) as a, client_of(other.hosts) as b:
            a.create("/a")
            assert b.exists("/a") is None


def test_nothing_is_left_behind() -> None:
    with ZooKeeper():
        pass
    with nothing_left_behind():
        for _ in range(5):
            with ZooKeeper() as zk:
                port = zk.port
                # A client that is still connected when the server ends, and one that never spoke.
                left = new_session(port), socket.create_connection(("127.0.0.1", port))
                dead_client(port, 4000)
            for each in left:
                each.close()
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_the_interpreter_is_left_as_it_was() -> None:
    def settings() -> tuple[object, ...]:
        handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
        return gc.isenabled(), gc.get_threshold(), sys.getswitchinterval(), handlers

    before, frozen = settings(), gc.get_freeze_count()
    with ZooKeeper() as zk, client_of(zk.hosts) as client:
        client.create("/a")
        assert settings() == before
    assert (settings(), gc.get_freeze_count()) == (before, frozen)


def children() -> set[str]:
    """The children of this process, those that have ended and were not waited for among them."""
    found: set[str] = set()
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has just ended
            found.update((task / "children").read_text().split())
    return found


def test_snapshots_are_written_without_a_child() -> None:
    # Servers of earlier tests may be children of this process.
    before = children()
    with ZooKeeper(properties={"snapCount": "10"}) as zk, client_of(zk.hosts) as client:
        for number in range(40):
            client.create(f"/{number}")
        assert zk.process.server.stats.snapshots >= 2
        assert children() <= before
        zk.kill()
        zk.revive()
        assert len(client.retry(client.get_children, "/")) == 41


def test_properties_are_keys_of_the_file_or_java_properties() -> None:
    properties = {"minSessionTimeout": "3000", "jute.maxbuffer": "100000"}
    with ZooKeeper(properties=properties) as zk:
        conf = word(zk.port, "conf")
        assert b"minSessionTimeout=3000" in conf
        assert zk.process.config.jute_maxbuffer == 100000


def test_a_configuration_that_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match="tickTime"):
        ZooKeeper(tick_time_ms=-1).start()


def test_a_server_that_cannot_start_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where a folder should be")
    zk = ZooKeeper(data_dir=tmp_path / "data")
    with nothing_left_behind(), pytest.raises(ServerFailedError, match="cannot make the folder"):
        zk.start()


def test_a_server_that_was_closed_may_start_again() -> None:
    zk = ZooKeeper()
    for _ in range(2):
        with zk, client_of(zk.hosts) as client:
            client.create("/a")
            client.delete("/a")


def test_one_that_runs_is_not_started_again() -> None:
    with ZooKeeper() as zk:
        hosts = zk.hosts
        with pytest.raises(TestingError, match="runs already"):
            zk.start()
        assert zk.hosts == hosts
        with client_of(hosts) as client:
            assert client.exists("/")


def test_what_made_one_fail_concerns_its_next_start_no_more() -> None:
    zk = ZooKeeper()
    zk.start()
    with pytest.raises(ServerFailedError):
        zk.life.call(lambda: 1 // 0)
    with pytest.raises(ServerFailedError):
        zk.close()
    zk.start()
    zk.close()


def test_one_that_stands_still_says_so(zk) -> None:
    zk.pause()
    with pytest.raises(NotRunningError, match="paused already"):
        zk.pause()
    zk.resume()


def test_our_own_clients_name_their_sessions(zk) -> None:
    with SyncClient(zk.hosts) as client, SyncClient(zk.hosts) as other:
        client.create("/a", mode=CreateMode.EPHEMERAL)
        assert zk.drop_connections(client) == 1
        zk.expire(client)
        assert other.exists("/a") is None
    with pytest.raises(ValueError, match="has no session"):
        zk.expire(Client(zk.hosts))


@pytest.mark.parametrize("turns", [1, 3])
def test_a_start_that_is_cancelled_leaves_nothing_behind(turns: int) -> None:
    async def story() -> None:
        for made in (ZooKeeper(), ZooKeeperEnsemble(3)):
            starting = asyncio.ensure_future(made.__aenter__())
            for _ in range(turns):
                await asyncio.sleep(0)
            starting.cancel()
            await asyncio.wait([starting])
            assert starting.cancelled()
        await asyncio.get_running_loop().shutdown_default_executor()

    gc.collect()
    with nothing_left_behind():
        asyncio.run(story())


def test_what_does_not_run_says_so() -> None:
    zk = ZooKeeper()
    for act in (zk.kill, zk.pause, zk.resume, zk.drop_connections, lambda: zk.port):
        with pytest.raises(NotRunningError):
            act()
    with zk:
        with pytest.raises(TestingError, match="runs already"):
            zk.start()
        with pytest.raises(TestingError, match="runs already"):
            zk.revive()


# On disk


def test_files_stay_in_a_folder(tmp_path: Path) -> None:
    with ZooKeeper(data_dir=tmp_path) as zk, client_of(zk.hosts) as client:
        client.create("/a", b"kept")
    assert list(tmp_path.glob("version-2/log.*"))
    with ZooKeeper(data_dir=tmp_path) as zk, client_of(zk.hosts) as client:
        assert client.get("/a")[0] == b"kept"


def test_a_kill_closes_the_files(tmp_path: Path) -> None:
    with ZooKeeper(data_dir=tmp_path) as zk:
        for _ in range(3):
            dead_client(zk.port, 4000, b"/%d" % len(os.listdir(tmp_path / "version-2")))
            zk.kill()
            held = [os.readlink(f"/proc/self/fd/{fd}") for fd in _descriptors()]
            assert not [path for path in held if path.startswith(str(tmp_path))]
            zk.revive()


def _descriptors() -> list[str]:
    found = []
    for fd in os.listdir("/proc/self/fd"):
        if os.path.lexists(f"/proc/self/fd/{fd}"):
            found.append(fd)
    return found


# Sessions


def test_an_expired_session_takes_its_ephemerals_along(zk) -> None:
    with client_of(zk.hosts) as client, client_of(zk.hosts) as other:
        states = States(client)
        client.create("/a", ephemeral=True)
        gone = Gone(other, "/a")
        zk.expire(client.client_id[0])
        assert other.exists("/a") is None
        gone.wait()
        states.wait_for(KazooState.LOST)
        # Whose session it was gets a new one.
        states.wait_for(KazooState.CONNECTED)
        assert client.retry(client.exists, "/a") is None


def test_a_session_may_be_named_by_its_client(zk) -> None:
    with client_of(zk.hosts) as client:
        before = client.client_id
        states = States(client)
        zk.expire(client)
        states.wait_for(KazooState.CONNECTED)
        assert client.client_id != before
    with pytest.raises(ValueError, match="no session"):
        zk.expire(client)
    with pytest.raises(ValueError, match="no session 0x7"):
        zk.expire(7)


def test_a_dropped_client_comes_back_with_its_session(zk) -> None:
    with client_of(zk.hosts) as client, client_of(zk.hosts) as other:
        states, others = States(client), States(other)
        client.create("/a", ephemeral=True)
        session = client.client_id
        assert zk.drop_connections(client) == 1
        states.wait_for(KazooState.SUSPENDED)
        states.wait_for(KazooState.CONNECTED)
        assert client.client_id == session
        assert client.exists("/a") is not None
        assert others.seen == []
        assert zk.drop_connections() == 2
        others.wait_for(KazooState.SUSPENDED)
        others.wait_for(KazooState.CONNECTED)


# Kill and pause


def test_a_killed_server_keeps_what_it_has_acknowledged(zk) -> None:
    with client_of(zk.hosts) as client:
        states = States(client)
        port, session = zk.port, client.client_id
        client.create("/a", b"synced")
        zk.kill()
        states.wait_for(KazooState.SUSPENDED)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
        assert not zk.is_running
        zk.revive()
        states.wait_for(KazooState.CONNECTED)
        assert (zk.port, client.client_id) == (port, session)
        assert client.get("/a")[0] == b"synced"


def test_what_was_not_synced_is_lost_with_a_kill() -> None:
    with ZooKeeper(properties={"forceSync": "no"}) as zk:
        with client_of(zk.hosts) as client:
            client.create("/a")
        zk.kill()
        zk.revive()
        with client_of(zk.hosts) as client, pytest.raises(NoNodeError):
            client.get("/a")


def test_a_kill_resets_connections(zk) -> None:
    with new_session(zk.port) as client:
        zk.kill()
        with pytest.raises(ConnectionResetError):
            client.socket.recv(1)


def test_a_paused_server_answers_when_it_goes_on(zk) -> None:
    with socket.create_connection(("127.0.0.1", zk.port)) as raw:
        zk.pause()
        assert zk.is_paused
        raw.sendall(b"ruok")
        raw.settimeout(0.05)
        with pytest.raises(TimeoutError):
            raw.recv(4)
        with pytest.raises(NotRunningError, match="paused"):
            zk.drop_connections()
        zk.resume()
        raw.settimeout(20)
        assert raw.recv(4) == b"imok"
    assert not zk.is_paused


@pytest.mark.parametrize("end", ["kill", "close"])
def test_a_paused_server_can_be_ended(end: str) -> None:
    with ZooKeeper() as zk:
        zk.pause()
        if end == "kill":
            zk.kill()
            zk.revive()
            assert word(zk.port, "ruok") == b"imok"


# Time


def test_silent_sessions_expire_as_time_passes(zk) -> None:
    with client_of(zk.hosts, timeout=1) as client:
        states = States(client)
        client.create("/alive", ephemeral=True)
        dead = dead_client(zk.port, 5000)
        zk.advance(4000)
        assert client.exists("/dead") is not None
        zk.advance(ms=1000, ticks=1)
        assert client.exists("/dead") is None
        assert client.exists("/alive") is not None
        assert states.seen == []
        with pytest.raises(ValueError, match="no session"):
            zk.expire(dead)


def test_without_heartbeats_all_sessions_expire(zk) -> None:
    with client_of(zk.hosts, timeout=10) as client:
        states = States(client)
        client.create("/a", ephemeral=True)
        zk.advance(11_000, heartbeats=False)
        states.wait_for(KazooState.LOST)
        states.wait_for(KazooState.CONNECTED)
        assert client.retry(client.exists, "/a") is None


def test_containers_and_aged_znodes_go_as_time_passes() -> None:
    properties = {"extendedTypesEnabled": "true"}
    with ZooKeeper(properties=properties) as zk, new_session(zk.port) as client:
        aged = wire.create_ttl_request(b"/aged", b"", ttl_ms=30_000)
        assert client.call(wire.CREATE_TTL, aged)["err"] == 0
        box = wire.create_request(b"/box", b"", flags=4)
        assert client.call(wire.CREATE_CONTAINER, box)["err"] == 0
        client.call(wire.CREATE, wire.create_request(b"/box/a", b""))
        client.call(wire.DELETE, wire.version_request(b"/box/a"))
        zk.advance(20_000)
        assert _children(client) == [b"aged", b"box", b"zookeeper"]
        zk.advance(60_000)
        assert _children(client) == [b"zookeeper"]


def _children(client) -> list[bytes]:
    found = client.call(wire.GET_CHILDREN, wire.read_request(b"/"))["body"]["children"]
    return sorted(each if isinstance(each, bytes) else each.encode() for each in found)


def test_time_does_not_go_back(zk) -> None:
    with pytest.raises(ValueError, match="back"):
        zk.advance(-1)


def test_the_calendar_advances_too(zk) -> None:
    with client_of(zk.hosts) as client:
        client.create("/a")
        before = client.get("/a")[1].ctime
        zk.advance(600_000)
        assert client.set("/a", b"").mtime - before >= 600_000


# A server that gives up


def test_a_server_that_gives_up_fails_the_test() -> None:
    with pytest.raises(ServerFailedError, match="ZeroDivisionError"), ZooKeeper() as zk:
        _break(zk)


def test_a_full_disk_fails_the_test(monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    zk = ZooKeeper()
    zk.start()
    monkeypatch.setattr(MemoryFile, "write", refuse)
    with RawClient(zk.port) as client, pytest.raises(Closed):
        client.connect()
    with pytest.raises(ServerFailedError, match=r"transaction log.*No space.*exit code 10"):
        zk.close()


def test_what_the_test_raises_comes_first() -> None:
    def story() -> None:
        with ZooKeeper() as zk:
            _break(zk)
            zk.pause()

    with pytest.raises(NotRunningError):
        story()


def test_a_server_that_gave_up_may_be_revived() -> None:
    zk = ZooKeeper()
    zk.start()
    _break(zk)
    zk.revive()
    assert word(zk.port, "ruok") == b"imok"
    with pytest.raises(ServerFailedError):
        zk.close()


def _break(zk: ZooKeeper) -> None:
    life = zk.life
    with pytest.raises(ServerFailedError):
        life.call(lambda: 1 // 0)
    assert not life.is_alive


# Coroutines


def test_a_server_for_coroutines() -> None:
    async def story() -> None:
        async with ZooKeeper() as zk:
            client = await asyncio.to_thread(new_session, zk.port, 4000)
            with client:
                await zk.expire(client.session_id)
            with pytest.raises(ValueError, match="no session"):
                await zk.expire(client.session_id)
            await zk.advance(1000)
            await zk.pause()
            assert zk.is_paused
            await zk.resume()
            await zk.kill()
            assert not zk.is_running
            await zk.revive()
            assert await zk.drop_connections() == 0
            assert await asyncio.to_thread(word, zk.port, "ruok") == b"imok"
            assert zk.hosts == f"127.0.0.1:{zk.port}"

    asyncio.run(story())


def test_a_fixture_serves_coroutines_too(zk) -> None:
    async def story() -> None:
        assert await zk.aio.drop_connections() == 0

    asyncio.run(story())
