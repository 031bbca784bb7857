"""Sessions that move between servers of both kinds, under leaders of both kinds."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from kazoo.client import KazooClient

from tests.support import mixed, wire
from tests.support.ensemble_processes import EnsembleProcesses
from tests.support.mixed import client_of, end, eventually
from tests.support.raw_client import Closed, RawClient, new_session

pytestmark = pytest.mark.usefixtures("apache_installed")

# Two ticks, the least that a session may have.
SHORT_MS = 1000
LONG_MS = 10_000
EPHEMERAL = 1
NONODE = -101
# Followers 1 (zkserver) and 2 (Apache), and the leader.
MOVES = [(1, 2), (2, 1), (1, 3), (3, 1), (2, 3), (3, 2)]


@pytest.fixture(name="ensemble", scope="module", params=["zaz", "zaa"])
def _ensemble(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EnsembleProcesses]:
    ensemble = mixed.make(tmp_path_factory.mktemp(request.param), request.param)
    try:
        mixed.start_with_leader(ensemble, 3)
        yield ensemble
        mixed.assert_equal_trees(ensemble)
        mixed.stop_all(ensemble)
        mixed.assert_equal_directories(ensemble)
    finally:
        ensemble.__exit__()


def moved(ensemble: EnsembleProcesses, client: RawClient, to: int) -> RawClient:
    """The session of a client, on another server."""
    other = RawClient(ensemble.server(to).port)
    response = other.connect(LONG_MS, client.session_id, client.password)
    assert response["session_id"] == client.session_id
    return other


@pytest.mark.parametrize(("here", "there"), MOVES)
def test_a_session_moves_with_its_ephemerals(ensemble, here: int, there: int) -> None:
    path = f"/moves-{here}-{there}"
    before = new_session(ensemble.server(here).port, LONG_MS)
    assert before.call(wire.CREATE, wire.create_request(path, flags=EPHEMERAL))["err"] == 0
    before.close()
    after = moved(ensemble, before, there)
    assert after.call(wire.SYNC, wire.path_request("/"))["err"] == 0
    stat = after.call(wire.EXISTS, wire.read_request(path))["body"]["stat"]
    assert stat["ephemeralOwner"] == after.session_id
    assert after.call(wire.SET_DATA, wire.set_data_request(path, b"there"))["err"] == 0
    after.close()
    again = moved(ensemble, after, here)
    assert again.call(wire.DELETE, wire.version_request(path, 1))["err"] == 0
    assert again.call(wire.CREATE, wire.create_request(path, flags=EPHEMERAL))["err"] == 0
    again.close_session()
    observer = client_of(ensemble.server(there))
    eventually(lambda: observer.sync("/") and not observer.exists(path))
    end(observer)


@pytest.mark.parametrize(("here", "there"), MOVES)
def test_watches_move_with_the_client(ensemble, here: int, there: int) -> None:
    """A client of kazoo takes its watches along; what happened meanwhile is told at once."""
    path = f"/watched-{here}-{there}"
    other = client_of(ensemble.server(3))
    other.create(path, b"0")
    client = new_session(ensemble.server(here).port, LONG_MS)
    assert client.call(wire.SYNC, wire.path_request("/"))["err"] == 0
    seen = client.call(wire.GET_DATA, wire.read_request(path, watch=True))
    assert seen["body"]["data"] == b"0"
    client.close()
    other.set(path, b"1")
    after = moved(ensemble, client, there)
    after.call(wire.SYNC, wire.path_request("/"))
    record = wire.set_watches_request(seen["zxid"], [path], [path + "-new"], [])
    assert after.call(wire.SET_WATCHES, record, xid=-8)["err"] == 0
    assert after.wait_event() == {"type": 3, "state": 3, "path": path.encode()}
    other.create(path + "-new")
    assert after.wait_event() == {"type": 1, "state": 3, "path": path.encode() + b"-new"}
    after.close_session()
    end(other)


@pytest.mark.parametrize(("here", "there"), MOVES)
def test_what_the_old_connection_asks_after_the_move_is_not_done(ensemble, here, there) -> None:
    """As with Apache's server: the answer to SESSIONMOVED is to hang up."""
    path = f"/taken-{here}-{there}"
    old = new_session(ensemble.server(here).port, LONG_MS)
    old.call(wire.CREATE, wire.create_request(path, b"before"))
    new = moved(ensemble, old, there)
    assert new.call(wire.SET_DATA, wire.set_data_request(path, b"new"))["err"] == 0
    with pytest.raises(Closed):
        old.call(wire.SET_DATA, wire.set_data_request(path, b"old"))
    assert new.call(wire.GET_DATA, wire.read_request(path))["body"]["data"] == b"new"
    assert new.call(wire.SET_DATA, wire.set_data_request(path, b"newer"))["err"] == 0
    old.close()
    new.close_session()


@pytest.mark.parametrize("here", [1, 2, 3])
def test_a_wrong_password_opens_no_session(ensemble, here: int) -> None:
    client = new_session(ensemble.server(1 + here % 3).port)
    with RawClient(ensemble.server(here).port) as thief:
        response = thief.connect(SHORT_MS, client.session_id, b"\x01" * 16)
        assert response["session_id"] == 0
    assert client.ping()["err"] == 0
    client.close_session()


@pytest.mark.parametrize("here", [1, 2, 3])
def test_a_session_that_only_pings_lives(ensemble, here: int) -> None:
    """The leader hears of it with the answers to its own PINGs."""
    client = new_session(ensemble.server(here).port, SHORT_MS)
    path = f"/pings-{here}"
    client.call(wire.CREATE, wire.create_request(path, flags=EPHEMERAL))
    end_s = time.monotonic() + 2.5 * SHORT_MS / 1000
    while time.monotonic() < end_s:
        client.ping()
        time.sleep(SHORT_MS / 4000)  # the pace of the pings is what is tested
    assert client.call(wire.EXISTS, wire.read_request(path))["err"] == 0
    client.close_session()


@pytest.mark.parametrize("here", [1, 2, 3])
def test_a_session_that_falls_silent_expires_everywhere(ensemble, here: int) -> None:
    client = new_session(ensemble.server(here).port, SHORT_MS)
    path = f"/silent-{here}"
    client.call(wire.CREATE, wire.create_request(path, flags=EPHEMERAL))
    client.close()
    observers: list[KazooClient] = [client_of(server) for server in ensemble.servers]
    for observer in observers:
        eventually(lambda observer=observer: observer.sync("/") and not observer.exists(path))
    end(*observers)
    for server in ensemble.servers:
        with RawClient(server.port) as late:
            assert late.connect(SHORT_MS, client.session_id, client.password)["session_id"] == 0


def test_a_client_of_kazoo_moves(ensemble) -> None:
    """The way an application does it: a new client object with the old client's session."""
    first = client_of(ensemble.server(1))
    first.create("/kazoo", ephemeral=True)
    session = first.client_id
    second = client_of(ensemble.server(2), client_id=session)
    assert second.client_id == session
    second.sync("/")
    assert second.exists("/kazoo").ephemeralOwner == session[0]
    second.set("/kazoo", b"second")
    end(second)
    end(first)
