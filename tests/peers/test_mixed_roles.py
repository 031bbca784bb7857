"""Observers of both kinds under leaders of both kinds, and quorums of weighted groups."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import mixed
from tests.support.ensemble_processes import EnsembleProcesses, mode_of
from tests.support.mixed import client_of, end, eventually

pytestmark = pytest.mark.usefixtures("apache_installed")


def is_not_served(ensemble: EnsembleProcesses, number: int) -> bool:
    """Whether that server has no leader to serve with."""
    return mode_of(ensemble.server(number).port) in ("", "leaderelection")


@pytest.mark.parametrize("kinds", ["azzza", "zaaaz"])
def test_observers_of_both_kinds(tmp_path: Path, kinds: str) -> None:
    """Server 3 leads, then server 2 of its kind; 4 and 5 observe."""
    ensemble = mixed.make(tmp_path, kinds, observers=2)
    try:
        mixed.start_with_leader(ensemble, 3, quorum=[3, 1])
        assert ensemble.modes() == {1: "follower", 2: "follower", 3: "leader", 4: "observer", 5: "observer"}
        clients = [client_of(server) for server in ensemble.servers]
        for number, client in enumerate(clients, 1):
            client.create(f"/of-{number}", ephemeral=True)
        seen: list[str] = []
        for client in clients[3:]:
            client.sync("/")
            assert client.get("/of-1", lambda event: seen.append(event.type))
        clients[0].set("/of-1", b"changed")
        eventually(lambda: seen == ["CHANGED", "CHANGED"])

        # An observer that was away gets what it missed, and one without data gets the tree.
        ensemble.server(4).stop()
        ensemble.server(5).stop()
        (ensemble.server(5).data_dir / "version-2").rename(tmp_path / "away")
        for number in range(50):
            clients[0].set("/of-1", b"%d" % number)
        ensemble.server(4).launch()
        ensemble.server(5).launch()
        ensemble.wait_serving()
        mixed.assert_equal_trees(ensemble)

        ensemble.server(3).kill()
        eventually(lambda: ensemble.modes() == {1: "follower", 2: "leader", 4: "observer", 5: "observer"})
        for number in (0, 1, 3, 4):
            eventually(lambda client=clients[number]: client.sync("/"))
        clients[4].create("/by-an-observer")
        found = mixed.assert_equal_trees(ensemble)
        assert [path for path in found if path.startswith("/of-")] == [f"/of-{n}" for n in range(1, 6)]

        # Three of five live, but one voter of three.
        ensemble.server(2).kill()
        eventually(lambda: all(is_not_served(ensemble, number) for number in (1, 4, 5)))
        mixed.launch(ensemble, [2, 3])
        ensemble.wait_serving()
        for client in clients:
            eventually(lambda client=client: client.sync("/"))
        end(*clients)
        mixed.assert_equal_trees(ensemble)
        mixed.stop_all(ensemble)
        mixed.assert_equal_directories(ensemble)
    finally:
        ensemble.__exit__()


GROUPS = {"group.1": "1:2:3", "group.2": "4:5", "weight.5": "3"} | {
    f"weight.{number}": "1" for number in (1, 2, 3, 4)
}


@pytest.mark.parametrize("kinds", ["zazaz", "azaza"])
def test_a_quorum_of_weighted_groups(tmp_path: Path, kinds: str) -> None:
    """A quorum is one in both groups: two of 1, 2, 3, and server 5, which outweighs 4."""
    ensemble = mixed.make(tmp_path, kinds, cfg=GROUPS)
    try:
        mixed.start_with_leader(ensemble, 5, quorum=[5, 1, 2])
        clients = [client_of(server) for server in ensemble.servers]
        clients[0].create("/x", b"all")
        ensemble.server(4).kill()
        ensemble.server(3).kill()
        eventually(lambda: clients[0].set("/x", b"1, 2 and 5"))
        ensemble.server(3).launch()
        ensemble.server(4).launch()
        ensemble.wait_serving()
        # Four of five are no quorum without server 5.
        ensemble.server(5).kill()
        eventually(lambda: all(is_not_served(ensemble, number) for number in (1, 2, 3, 4)))
        ensemble.server(5).launch()
        ensemble.wait_serving()
        for client in clients:
            eventually(lambda client=client: client.sync("/"))
            assert client.get("/x")[0] == b"1, 2 and 5"
        end(*clients)
        mixed.assert_equal_trees(ensemble)
        mixed.stop_all(ensemble)
        mixed.assert_equal_directories(ensemble)
    finally:
        ensemble.__exit__()
