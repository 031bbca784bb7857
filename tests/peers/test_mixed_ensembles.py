"""zkserver and Apache ZooKeeper's server in one ensemble, in every mix.

The fast part runs always. `make mixed` runs every mix of five; with ZKSERVER_PEER_CLASSPATH it takes
the servers of another version.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
from kazoo.client import KazooClient

from tests.support import mixed
from tests.support.ensemble_processes import EnsembleProcesses
from tests.support.mixed import ALL_MIXES, client_of, end, eventually

pytestmark = pytest.mark.usefixtures("apache_installed")

MIXES_OF_3 = ["".join(kinds) for kinds in product("az", repeat=3) if "z" in kinds]
MIXES_OF_5 = ["".join(kinds) for kinds in product("az", repeat=5) if len(set(kinds)) == 2]
SOME_OF_5 = ["azaza", "zazaz"]
WRITES = 20


def write_everywhere(clients: list[KazooClient], mark: str) -> None:
    """Writes of all kinds through every server, each seen through every other."""
    for number, client in enumerate(clients):
        path = f"/{mark}-{number}"
        client.create(path, b"0")
        pending = [client.set_async(path, b"%d" % each) for each in range(1, WRITES)]
        pending += [client.create_async(f"{path}/s-", sequence=True) for _ in range(3)]
        for one in pending:
            one.get(mixed.WAIT_S)
        transaction = client.transaction()
        transaction.check(path, WRITES - 1)
        transaction.create(f"{path}/t", b"t")
        transaction.delete(f"{path}/s-0000000001")
        assert [str(each) for each in transaction.commit()] == ["True", f"{path}/t", "True"]
    for client in clients:
        client.sync("/")
        for number in range(len(clients)):
            assert client.get(f"/{mark}-{number}")[0] == b"%d" % (WRITES - 1)
            names = sorted(client.get_children(f"/{mark}-{number}"))
            assert names == ["s-0000000000", "s-0000000002", "t"]


def watch_across(clients: list[KazooClient], mark: str) -> None:
    """Each client watches an ephemeral znode of the next one, which deletes it."""
    events: list[tuple[str, str]] = []
    for number, client in enumerate(clients):
        client.create(f"/{mark}-{number}", ephemeral=True)
    for number, client in enumerate(clients):
        path = f"/{mark}-{(number + 1) % len(clients)}"
        client.sync("/")
        assert client.exists(path, lambda event: events.append((event.type, event.path)))
    for number, client in enumerate(clients):
        client.delete(f"/{mark}-{number}")
    eventually(lambda: len(events) == len(clients))
    assert sorted(events) == [("DELETED", f"/{mark}-{n}") for n in range(len(clients))]


def live_and_lose_the_leader(ensemble: EnsembleProcesses) -> None:
    """Work, kill the leader, work with the next one, have the old one back."""
    clients = [client_of(server) for server in ensemble.servers]
    write_everywhere(clients, "before")
    watch_across(clients, "watched")
    for number, client in enumerate(clients, 1):
        client.create(f"/ephemeral-{number}", ephemeral=True)
    old = ensemble.leader()
    ensemble.server(old).kill()
    leader = eventually(ensemble.leader)
    assert leader == max(n for n in range(1, len(clients) + 1) if n != old)
    ensemble.wait_serving()
    left = [client for number, client in enumerate(clients, 1) if number != old]
    for client in left:
        eventually(lambda client=client: client.sync("/"))
    write_everywhere(left, "between")
    ensemble.server(old).launch()
    ensemble.wait_serving()
    assert ensemble.leader() == leader
    for client in clients:
        eventually(lambda client=client: client.sync("/"))
        # No session was lost: the one of the dead server's client has come back with it.
        names = [f"/ephemeral-{number}" for number in range(1, len(clients) + 1)]
        assert all(client.exists(name) for name in names)
    write_everywhere(clients, "after")
    mixed.assert_equal_trees(ensemble)
    end(*clients)


def whole_life(folder: Path, kinds: str) -> None:
    """A mix from its first start to its directories."""
    ensemble = mixed.make(folder, kinds)
    try:
        mixed.start_with_leader(ensemble, len(kinds))
        live_and_lose_the_leader(ensemble)
        left = mixed.assert_equal_trees(ensemble)
        assert not any(path.startswith("/ephemeral") for path in left)
        mixed.stop_all(ensemble)
        mixed.assert_equal_directories(ensemble)
    finally:
        ensemble.__exit__()


@pytest.mark.parametrize("kinds", MIXES_OF_3)
def test_a_mix_of_three(tmp_path: Path, kinds: str) -> None:
    """The third server leads first, the second when it is gone: each kind in turn."""
    whole_life(tmp_path, kinds)


@pytest.mark.parametrize("kinds", MIXES_OF_5 if ALL_MIXES else SOME_OF_5)
def test_a_mix_of_five(tmp_path: Path, kinds: str) -> None:
    """The same with five."""
    whole_life(tmp_path, kinds)
