"""One server in the test's process: its life, its faults, its clock. The client is kazoo."""

from __future__ import annotations

from tests.testing.clients import client_of
from zkserver.testing import ZooKeeper


def test_a_client_is_served() -> None:
    with ZooKeeper() as zk, client_of(zk.hosts) as client:
        client.create("/a", b"data")
        assert client.get("/a")[0] == b"data"
