"""Several servers in the test's process, and what comes between them. The client is kazoo."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from kazoo.client import KazooState
from kazoo.exceptions import ConnectionLoss

from tests.testing.clients import (
    WAIT_S,
    Gone,
    States,
    client_of,
    dead_client,
    nothing_left_behind,
    word,
)
from zkserver.client import SessionState, SyncClient
from zkserver.testing import (
    NotRunningError,
    ServerFailedError,
    TestingError,
    ZooKeeper,
    ZooKeeperEnsemble,
)


@pytest.fixture(name="ensemble")
def _ensemble():
    with ZooKeeperEnsemble() as ensemble:
        yield ensemble


def modes(ensemble: ZooKeeperEnsemble) -> list[bytes]:
    return sorted(
        line.partition(b": ")[2]
        for server in ensemble.servers
        for line in word(server.port, "srvr").splitlines()
        if line.startswith(b"Mode")
    )


# Life


def test_what_one_server_is_told_all_know(ensemble) -> None:
    assert modes(ensemble) == [b"follower", b"follower", b"leader"]
    with client_of(ensemble.hosts) as client:
        client.create("/a", b"data")
    for server in ensemble.servers:
        with client_of(server.hosts) as client:
            client.sync("/a")
            assert client.get("/a")[0] == b"data"


def test_leader_and_followers_are_all(ensemble) -> None:
    assert {ensemble.leader, *ensemble.followers} == set(ensemble.servers)
    assert [server.server_id for server in ensemble.servers] == [1, 2, 3]


def test_an_ensemble_of_five() -> None:
    with ZooKeeperEnsemble(5, tick_time_ms=1000) as ensemble:
        assert len(ensemble.followers) == 4
        assert b"tickTime=1000" in word(ensemble.leader.port, "conf")


def test_one_server_is_no_ensemble() -> None:
    with pytest.raises(ValueError, match="at least two"):
        ZooKeeperEnsemble(1)


def test_nothing_is_left_behind() -> None:
    with ZooKeeperEnsemble():
        pass
    with nothing_left_behind():
        for _ in range(3):
            with ZooKeeperEnsemble() as ensemble:
                ensemble.cut(ensemble.servers[0])
                ensemble.servers[1].pause()
                ensemble.servers[2].kill()


def test_files_of_all_stay_in_a_folder(tmp_path: Path) -> None:
    with ZooKeeperEnsemble(data_dir=tmp_path) as ensemble, client_of(ensemble.hosts) as client:
        client.create("/a", b"kept")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "2", "3"]
    with ZooKeeperEnsemble(data_dir=tmp_path) as ensemble, client_of(ensemble.hosts) as client:
        assert client.get("/a")[0] == b"kept"


# Kill and pause


def test_a_session_outlives_its_leader(ensemble) -> None:
    leader = ensemble.leader
    with client_of(leader.hosts + "," + ensemble.followers[0].hosts) as client:
        client.create("/a", ephemeral=True)
        session = client.client_id
        leader.kill()
        ensemble.wait_until_serving()
        assert ensemble.leader is not leader
        assert len(ensemble.followers) == 1
        assert client.retry(client.exists, "/a") is not None
        assert client.client_id == session
        leader.revive()
        ensemble.wait_until_serving()
        assert len(ensemble.followers) == 2
        with client_of(leader.hosts) as other:
            other.sync("/a")
            assert other.exists("/a") is not None


def test_a_minority_does_not_serve(ensemble) -> None:
    survivor = ensemble.followers[0]
    for server in ensemble.servers:
        if server is not survivor:
            server.kill()
    with pytest.raises(NotRunningError, match="no leader"):
        _ = ensemble.leader
    assert ensemble.followers == ()
    with pytest.raises(TestingError, match=r"no leader.*does not run"):
        ensemble.wait_until_serving(timeout_s=0.05)
    ensemble.servers[0 if survivor is not ensemble.servers[0] else 1].revive()
    ensemble.wait_until_serving()


def test_all_servers_may_be_killed_at_once(ensemble) -> None:
    with client_of(ensemble.hosts) as client:
        client.create("/a", b"acknowledged")
        for server in ensemble.servers:
            server.kill()
        for server in ensemble.servers:
            server.revive()
        ensemble.wait_until_serving()
        assert client.retry(client.get, "/a")[0] == b"acknowledged"


def test_the_others_go_on_while_one_stands_still(ensemble) -> None:
    follower, other = ensemble.followers
    follower.pause()
    with client_of(other.hosts) as client:
        client.create("/a")
        follower.resume()
        with client_of(follower.hosts) as there:
            there.sync("/a")
            assert there.exists("/a") is not None
    ensemble.wait_until_serving()


def test_a_leader_that_stands_still_is_given_up(ensemble) -> None:
    leader = ensemble.leader
    leader.pause()
    ensemble.advance(ticks=8)
    ensemble.wait_until_serving()
    assert ensemble.leader is not leader
    leader.resume()
    ensemble.wait_until_serving()
    assert leader in ensemble.followers


# Links


def test_a_leader_that_is_cut_off_is_replaced(ensemble) -> None:
    leader = ensemble.leader
    with client_of(leader.hosts, timeout=20) as client:
        ensemble.cut(leader)
        # It does not know yet, but nobody acknowledges.
        lost = client.create_async("/lost")
        ensemble.advance(ticks=8)
        ensemble.wait_until_serving()
        assert ensemble.leader is not leader
        assert leader not in ensemble.followers
        with pytest.raises(ConnectionLoss):
            lost.get(timeout=WAIT_S)
        with client_of(ensemble.leader.hosts) as other:
            other.create("/kept")
            ensemble.heal()
            ensemble.wait_until_serving()
            assert leader in ensemble.followers
            client.retry(client.sync, "/")
            assert sorted(client.get_children("/")) == ["kept", "zookeeper"]


def test_a_follower_that_is_cut_off_reads_the_past(ensemble) -> None:
    follower, other = ensemble.followers
    with client_of(follower.hosts) as behind, client_of(other.hosts) as ahead:
        behind.create("/a", b"old")
        ensemble.cut(follower, ensemble.leader)
        ahead.set("/a", b"new")
        assert behind.get("/a")[0] == b"old"
        ensemble.heal()
        behind.sync("/a")
        assert behind.get("/a")[0] == b"new"


def test_a_link_is_cut_between_two_alone(ensemble) -> None:
    one, other = ensemble.followers
    ensemble.cut(one, other)
    ensemble.advance(ticks=20)
    ensemble.wait_until_serving()
    assert len(ensemble.followers) == 2


def test_a_server_that_is_revived_behind_a_cut_waits_for_the_others(ensemble) -> None:
    follower = ensemble.followers[0]
    ensemble.cut(follower)
    follower.kill()
    follower.revive()
    ensemble.advance(ticks=4)
    assert not follower.is_serving
    assert follower not in ensemble.followers
    ensemble.heal()
    # Whom it could not reach it asks again, after a while that grows.
    ensemble.advance(ticks=20)
    ensemble.wait_until_serving()
    assert follower in ensemble.followers


# Sessions and time


def test_a_session_of_a_follower_expires_everywhere(ensemble) -> None:
    follower, other = ensemble.followers
    with client_of(follower.hosts) as client, client_of(other.hosts) as witness:
        states = States(client)
        client.create("/a", ephemeral=True)
        witness.sync("/a")
        gone = Gone(witness, "/a")
        ensemble.expire(client)
        assert witness.exists("/a") is None
        gone.wait()
        states.wait_for(KazooState.LOST)
    with pytest.raises(ValueError, match="no session"):
        ensemble.expire(7)


def test_local_sessions_expire_where_they_are() -> None:
    with (
        ZooKeeperEnsemble(properties={"localSessionsEnabled": "true"}) as ensemble,
        client_of(ensemble.followers[0].hosts) as client,
    ):
        states = States(client)
        ensemble.expire(client)
        states.wait_for(KazooState.LOST)


def test_silent_sessions_expire_as_time_passes(ensemble) -> None:
    follower, other = ensemble.followers
    with client_of(other.hosts, timeout=1) as client:
        states = States(client)
        client.create("/alive", ephemeral=True)
        dead_client(follower.port, 5000)
        leader = ensemble.leader
        ensemble.advance(4000)
        client.sync("/")
        assert client.exists("/dead") is not None
        ensemble.advance(ms=1000, ticks=2)
        assert client.exists("/dead") is None
        assert client.exists("/alive") is not None
        assert states.seen == []
        # Nobody took the time that has passed for silence.
        assert ensemble.leader is leader
        assert len(ensemble.followers) == 2


def test_dropped_clients_go_elsewhere_with_their_session(ensemble) -> None:
    with client_of(ensemble.hosts) as client:
        states = States(client)
        session = client.client_id
        assert ensemble.drop_connections(client) == 1
        states.wait_for(KazooState.CONNECTED)
        assert client.client_id == session


# Failures, coroutines, company


def test_a_server_that_gives_up_fails_the_test() -> None:
    ensemble = ZooKeeperEnsemble()
    ensemble.start()
    life = ensemble.servers[1].life
    with pytest.raises(ServerFailedError):
        life.call(lambda: 1 // 0)
    ensemble.wait_until_serving()
    with pytest.raises(ServerFailedError, match="zookeeper-2 has ended by itself"):
        ensemble.close()


def test_one_that_cannot_start_leaves_none_behind(tmp_path: Path) -> None:
    (tmp_path / "3").write_text("a file where a folder should be")
    ensemble = ZooKeeperEnsemble(data_dir=tmp_path)
    wanted = r"zookeeper-3 .*cannot make the folder"
    with nothing_left_behind(), pytest.raises(ServerFailedError, match=wanted):
        ensemble.start()


def test_an_ensemble_for_coroutines() -> None:
    async def story() -> None:
        async with ZooKeeperEnsemble() as ensemble:
            leader = ensemble.leader
            assert leader in ensemble.servers
            await ensemble.cut(leader, *ensemble.followers)
            await ensemble.advance(ticks=8)
            await ensemble.wait_until_serving()
            assert ensemble.leader != leader
            await ensemble.heal()
            await leader.kill()
            await leader.revive()
            await ensemble.wait_until_serving()
            assert await ensemble.drop_connections() == 0
            session = await asyncio.to_thread(dead_client, leader.port, 4000)
            await ensemble.expire(session)

    asyncio.run(story())


def test_many_live_side_by_side() -> None:
    """As in a process of pytest-xdist with threads, or where fixtures are combined."""
    failures: list[BaseException] = []

    def live() -> None:
        try:
            for _ in range(3):
                with ZooKeeperEnsemble() as ensemble, ZooKeeper() as zk:
                    ensemble.leader.kill()
                    ensemble.wait_until_serving()
                    assert word(zk.port, "ruok") == b"imok"
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=live) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_clients_of_a_read_only_server_are_reached_too() -> None:
    with ZooKeeperEnsemble(2, properties={"readonlymode.enabled": "true"}) as ensemble:
        left, gone = ensemble.servers
        gone.kill()
        ensemble.advance(10_000)
        with SyncClient(left.hosts, read_only=True) as client:
            assert client.state is SessionState.CONNECTED_READ_ONLY
            states = client.states()
            assert left.drop_connections() == 1
            assert next(states) is SessionState.CONNECTING
            states.close()
