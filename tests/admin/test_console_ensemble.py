"""The console of an ensemble: the others are asked, elections are drawn, a lost server is missed."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.admin.console_browser import chromium, new_page
from tests.support.ensemble_processes import EnsembleProcesses
from tests.support.server_process import free_port
from zkserver.admin.console_ensemble import parse_srvr

APACHE = """Zookeeper version: 3.9.5-abc, built on 2026-01-02 03:04 UTC
Latency min/avg/max: 0/0.3571/13
Received: 1042
Sent: 1050
Connections: 3
Outstanding: 0
Zxid: 0x500000012
Mode: follower
Node count: 17
"""


def test_what_srvr_says() -> None:
    assert parse_srvr(APACHE) == {
        "mode": "follower", "received": 1042, "sent": 1050, "connections": 3, "outstanding": 0,
        "znodes": 17, "zxid": "0x500000012", "epoch": 5, "latency_ms": 0.3571, "max_latency_ms": 13.0,
        "version": "3.9.5-abc",
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", {"mode": None}),
        ("This ZooKeeper instance is not currently serving requests\n", {"mode": "not serving"}),
        ("Zxid: 0xzz\nReceived: many\nLatency min/avg/max: a/b/c", {"mode": None, "latency_ms": None, "max_latency_ms": None}),
        ("srvr is not executed because it is not in the whitelist.\n", {"mode": None, "silence": "srvr is not on its whitelist"}),
    ],
)
def test_what_srvr_may_say_instead(text: str, said: dict[str, Any]) -> None:
    assert parse_srvr(text) == said


class Ensemble:
    """Three servers with a console each; `ask` asks that of one of them."""

    def __init__(self, folder: Path) -> None:
        self.servers = EnsembleProcesses(folder, "zzz")
        lines = {}
        for number, server in enumerate(self.servers.servers, 1):
            line = self.servers.cfg[f"server.{number}"]
            lines[f"server.{number}"] = f"{line};127.0.0.1:{server.port}"
        self.ports = []
        for server in self.servers.servers:
            port = free_port()
            self.ports.append(port)
            server.cfg |= lines | {"admin.enableServer": "true", "admin.serverPort": str(port)}

    def ask(self, number: int, what: str) -> Any:
        url = f"http://127.0.0.1:{self.ports[number - 1]}/console/api/{what}"
        request = urllib.request.Request(url, headers={"X-Zkserver-Console": "1"})
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.load(response)

    def wait_for(self, number: int, what: str, wanted: Any) -> Any:
        """Ask until the answer is as wanted."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            answer = self.ask(number, what)
            if wanted(answer):
                return answer
            time.sleep(0.05)  # polling with a deadline
        raise AssertionError(answer)


def modes(answer: Any) -> list[str | None]:
    return [row["samples"][-1]["mode"] for row in answer["servers"]]


@pytest.fixture(name="ensemble", scope="module")
def _ensemble(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ensemble]:
    ensemble = Ensemble(tmp_path_factory.mktemp("ensemble"))
    with ensemble.servers:
        yield ensemble


def test_servers_come_and_go(ensemble: Ensemble) -> None:
    """Each is asked; a leader that is killed is missed, and so is what it was for."""
    servers = ensemble.servers
    leader = servers.leader()
    one, other = (number for number in (1, 2, 3) if number != leader)
    answer = ensemble.wait_for(one, "ensemble", lambda a: None not in modes(a))
    assert sorted(modes(answer)) == ["follower", "follower", "leader"]
    assert answer["self"]["leader"] == leader
    assert {row["samples"][-1]["epoch"] for row in answer["servers"]} == {1}

    servers.server(leader).kill()
    answer = ensemble.wait_for(one, "ensemble", lambda a: sorted(map(str, modes(a))) == ["None", "follower", "leader"])
    assert "refused" in answer["servers"][leader - 1]["samples"][-1]["silence"]
    story = ensemble.ask(one, "elections")
    first, second = story["chapters"][-2:]
    assert first["winner"] == leader
    assert first["end"]
    assert second["winner"] in (one, other)
    assert second["epoch"] == 2
    full = ensemble.ask(one, f"elections?began={second['began_ms']}")
    assert {"proposes", "decides"} <= {line["happening"] for line in full["lines"]}

    # Without a majority there is nothing to be had but what the server knows of itself.
    servers.server(other).kill()
    answer = ensemble.wait_for(one, "ensemble", lambda a: a["self"]["mode"] == "looking")
    assert answer["servers"][one - 1]["samples"][-1]["epoch"] == 2
    assert not answer["self"]["is_serving"]
    for what in ("znode?path=/", "sessions", "quotas"):
        with pytest.raises(urllib.error.HTTPError) as caught:
            ensemble.ask(one, what)
        assert caught.value.code == 503
        caught.value.close()
    assert ensemble.ask(one, "elections")["chapters"][-1]["winner"] is None
    for number in (leader, other):
        servers.server(number).launch()
    servers.wait_serving()


def test_the_page_of_an_ensemble(ensemble: Ensemble) -> None:
    servers = ensemble.servers
    servers.wait_serving()
    leader = servers.leader()
    one = next(number for number in (1, 2, 3) if number != leader)
    with chromium() as browser:
        page = new_page(browser, ensemble.ports[one - 1])
        page.goto(f"{page.base}#/ensemble")
        page.expect(page.locator(".role.leader")).to_have_count(1)
        page.expect(page.locator(".role.serves")).to_have_count(2)
        page.goto(f"{page.base}#/elections")
        page.expect(page.locator(".chapters li").first).to_be_visible()
        page.expect(page.locator(".steps svg .decision")).to_have_count(1)
        page.expect(page.locator(".steps svg .lane")).to_have_count(3)
        page.expect(page.locator(".steps")).to_contain_text(f"A majority wants server {leader}")
        page.expect(page.locator(".past rect.serving").first).to_be_attached()
        assert page.complaints == []

        # The server of the page goes, and comes back.
        servers.server(one).kill()
        page.expect(page.locator("#banner")).to_contain_text("does not answer")
        page.expect(page.locator(".chapters li").first).to_be_visible()
        servers.server(one).launch()
        page.expect(page.locator("#banner")).to_be_hidden(timeout=20_000)
        page.expect(page.locator(".chapters li")).to_have_count(1)
