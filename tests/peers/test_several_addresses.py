"""Servers that know each other by two addresses, 127.0.0.1 and 127.0.0.2, of which one fails.

Proxies stand before the addresses of each, so that all that goes by one of them can be cut while
the servers run: what stands falls silent, what is new is refused.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.ensemble_processes import APACHE, EnsembleProcesses
from tests.support.link_proxy import LinkProxy
from tests.support.mixed import (
    ALL_MIXES,
    LOUD,
    assert_equal_trees,
    client_of,
    end,
    eventually,
    line_count,
    start_with_leader,
)
from tests.support.server_process import ServerProcess, free_port
from tests.support.silent_address import SilentAddress

HOSTS = ("127.0.0.1", "127.0.0.2")
# Reserved for documentation: no machine has it.
NOT_HERE = "203.0.113.1"
CFG = {"tickTime": "200", "initLimit": "20", "syncLimit": "5", "multiAddress.enabled": "true"}


class TwoAddresses(EnsembleProcesses):
    """Servers that bind both addresses. `proxies` stand before them, if there are any.

    `first`: what all others know as the first address of each server, instead of the true one; the
    server itself is told one that the machine does not have.
    """

    def __init__(
        self, folder: Path, kinds: str, *, proxied: bool = False, first: Sequence[str] = ()
    ) -> None:
        count = len(kinds)
        ports = [[free_port() for _ in range(count)] for _ in range(2)]
        self.second_ports = ports
        self.proxies: list[LinkProxy] = []
        self.proxied = proxied
        self.first = first
        # Apache's server reads it here.
        properties = LOUD | {"zookeeper.multiAddress.enabled": "true"}
        super().__init__(folder, kinds, cfg=CFG, properties=properties)

    def _make(
        self, number: int, kind: str, before: ServerProcess | None = None
    ) -> ServerProcess:
        ports = [(self.quorum_ports, self.election_ports), tuple(self.second_ports)]
        if self.proxied and not self.proxies:
            self.proxies = [LinkProxy(*each, host) for each, host in zip(ports, HOSTS, strict=True)]
        server = super()._make(number, kind, before)
        for other in range(1, len(self.quorum_ports) + 1):
            known = [
                f"{host}:{quorum[other - 1]}:{election[other - 1]}:participant"
                for host, (quorum, election) in zip(HOSTS, ports, strict=True)
            ]
            if other != number and self.proxies:
                known = [
                    "{}:{}:{}:participant".format(proxy.host, *proxy.ports(number, other))
                    for proxy in self.proxies
                ]
            if self.first:
                known[0] = f"{NOT_HERE}:1:2:participant" if other == number else self.first[other - 1]
            server.cfg[f"server.{other}"] = "|".join(known)
        return server

    def __enter__(self) -> TwoAddresses:
        for proxy in self.proxies:
            proxy.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        for proxy in self.proxies:
            proxy.__exit__()


def write(ensemble: EnsembleProcesses, number: int, path: str) -> None:
    """By a client of that server, for which it may have to wait."""

    def try_once() -> bool:
        client = client_of(ensemble.server(number))
        try:
            client.ensure_path(path)
        finally:
            end(client)
        return True

    eventually(try_once)


def test_an_address_that_is_dead_from_the_start(tmp_path: Path) -> None:
    with ExitStack() as stack:
        ports = [[stack.enter_context(SilentAddress()).port for _ in "qe"] for _ in "zzz"]
        first = ["127.0.0.1:{}:{}:participant".format(*each) for each in ports]
        with TwoAddresses(tmp_path, "zzz", first=first) as ensemble:
            began_s = time.monotonic()
            for server in ensemble.servers:
                server.launch()
            ensemble.wait_serving()
            print(f"all serve after {time.monotonic() - began_s:.2f} s")
            for number in (1, 2, 3):
                write(ensemble, number, f"/by-{number}")
            assert len(assert_equal_trees(ensemble)) == 4


def test_an_address_that_is_cut_while_all_run(tmp_path: Path) -> None:
    with TwoAddresses(tmp_path, "zzz", proxied=True) as ensemble:
        for server in ensemble.servers:
            server.launch()
        ensemble.wait_serving()
        write(ensemble, 1, "/before")
        for turn in range(3):
            # What was held back has gone when two are left.
            eventually(lambda: sum(len(each.learners()) for each in ensemble.proxies) == 2)
            # The links of learners, or most of them, go by this one.
            fallen = max(ensemble.proxies, key=lambda each: len(each.learners()))
            learners = [ensemble.server(number) for number in fallen.learners()]
            before = [line_count(each, "the role has ended") for each in learners]
            assert learners
            cut_s = time.monotonic()
            fallen.silence()
            for learner, count in zip(learners, before, strict=True):
                eventually(
                    lambda learner=learner, count=count: count
                    < line_count(learner, "the role has ended")
                )
            ensemble.wait_serving()
            print(f"all serve {time.monotonic() - cut_s:.2f} s after the cut")
            for number in (1, 2, 3):
                write(ensemble, number, f"/turn-{turn}-{number}")
            fallen.heal()
        assert len(assert_equal_trees(ensemble)) == 11


@pytest.mark.parametrize("kinds", ["zza", "zaz", "azz"] if ALL_MIXES else ["zza"])
@pytest.mark.usefixtures("apache_installed")
def test_beside_apaches_server(tmp_path: Path, kinds: str) -> None:
    with TwoAddresses(tmp_path, kinds) as ensemble:
        start_with_leader(ensemble, 3)
        for number in (1, 2, 3):
            write(ensemble, number, f"/by-{number}")
        apache = kinds.index(APACHE) + 1
        ensemble.server(apache).kill()
        eventually(lambda: "leader" in ensemble.modes().values())
        write(ensemble, 1 if apache != 1 else 2, "/without")
        ensemble.server(apache).launch()
        ensemble.wait_serving()
        assert len(assert_equal_trees(ensemble)) == 5
