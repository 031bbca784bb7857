"""The commands on every role of an ensemble, beside Apache's keys (apache_keys.json)."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from kazoo.client import KazooClient

from tests.admin.test_commands import APACHE, keys_of, missing
from tests.support.ensemble_processes import EnsembleProcesses
from tests.support.server_process import free_port

ROOT = {"Authorization": "digest root:pw"}

def ask(
    port: int, path: str, method: str = "GET", headers: dict[str, str] | None = None,
    body: bytes | None = None,
) -> tuple[int, dict[str, str], bytes]:
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        link.request(method, f"/commands/{path}", body=body, headers=headers or {})
        answer = link.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        link.close()


def report(port: int, path: str) -> dict[str, Any]:
    status, _, body = ask(port, path)
    assert status == 200, (path, body)
    return json.loads(body)


class Asked:
    """Two voters and an observer, each with a client; admin ports by role."""

    def __init__(self, ensemble: EnsembleProcesses, ports: list[int]) -> None:
        self.ensemble, self.ports = ensemble, ports
        self.numbers = {mode: number for number, mode in ensemble.modes().items()}
        self.clients = []
        for number, server in enumerate(ensemble.servers, 1):
            client = KazooClient(f"127.0.0.1:{server.port}", timeout=10)
            client.start(timeout=30)
            client.create(f"/e{number}", b"x", ephemeral=True)
            client.get(f"/e{number}", watch=lambda _: None)
            self.clients.append(client)

    def port(self, role: str) -> int:
        return self.ports[self.numbers[role] - 1]


@pytest.fixture(name="asked", scope="module")
def _asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    ensemble = EnsembleProcesses(
        tmp_path_factory.mktemp("roles"), "zzz", observers=1, cfg={"syncLimit": "4"}
    )
    ports = [free_port() for _ in ensemble.servers]
    for server, port in zip(ensemble.servers, ports, strict=True):
        server.cfg |= {"admin.enableServer": "true", "admin.serverPort": str(port)}
    with ensemble:
        asked = Asked(ensemble, ports)
        yield asked
        for client in asked.clients:
            client.stop()
            client.close()


@pytest.mark.parametrize("role", ["leader", "follower", "observer"])
def test_every_command_has_apaches_keys(asked: Asked, role: str) -> None:
    number, port = asked.numbers[role], asked.port(role)
    for name in APACHE[role]:
        found = report(port, name)
        assert found["command"] == name
        assert missing(keys_of(name, role), found, name) == []
    assert report(port, "leader") == {
        "is_leader": role == "leader", "leader_id": asked.numbers["leader"],
        "leader_ip": "127.0.0.1", "command": "leader", "error": None,
    }
    state = report(port, "zabstate")
    assert (state["myid"], state["zabstate"], state["zab_epoch"]) == (number, "broadcast", 1)
    assert state["voting"] is (role != "observer")
    assert state["last_zxid"] == f"0x{report(port, 'srvr')['server_stats']['last_processed_zxid']:x}"
    configuration = report(port, "conf")
    assert configuration["server_id"] == number
    assert configuration["peer_type"] == int(role == "observer")
    view = report(port, "voting_view")["current_config"]
    assert list(view) == ["1", "2"]
    if role != "observer":
        client_port = asked.ensemble.server(number).port
        assert view[str(number)]["client_address"] == f"127.0.0.1:{client_port}"
    dump = report(port, "dump")
    assert bool(dump["expiry_time_to_session_ids"]) is (role == "leader")
    paths = sorted(path for each in dump["session_id_to_ephemeral_paths"].values() for path in each)
    assert paths == ["/e1", "/e2", "/e3"]
    assert report(port, "monitor")["server_state"] == role


def test_observers(asked: Asked) -> None:
    for data in (b"1", b"2"):
        asked.clients[2].set("/e3", data)
    found = report(asked.port("leader"), "observers")
    (observer,) = found["observers"]
    assert (found["synced_observers"], observer["sid"]) == (1, 3)
    assert observer["remote_socket_address"].startswith("/127.0.0.1:")
    assert abs(observer["established"] / 1000 - time.time()) < 60
    assert observer["packets_received"] > 0 < observer["packets_sent"]
    assert observer["requests"] >= 2
    assert report(asked.port("leader"), "orst") == {"command": "orst", "error": None}
    (observer,) = report(asked.port("leader"), "obsr")["observers"]
    assert observer["requests"] == 0
    assert report(asked.port("follower"), "observers")["observers"] == []


@pytest.mark.parametrize("role", ["leader", "follower", "observer"])
def test_snapshot_yes_restore_no(asked: Asked, role: str) -> None:
    port = asked.port(role)
    status, headers, body = ask(port, "snapshot", headers=ROOT)
    assert status == 200
    assert body.startswith(b"ZKSN")
    assert int(headers["snapshot_size"]) == len(body)
    assert report(port, "last_snapshot")["zxid"] == headers["last_zxid"].removeprefix("0x")
    status, _, answer = ask(port, "restore", "POST", ROOT, body)
    assert status == 503
    assert "only while it is down" in json.loads(answer)["error"]
    assert report(port, "zabstate")["zabstate"] == "broadcast"
