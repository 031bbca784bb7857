"""The connection string, and whom a client tries next."""

from __future__ import annotations

import random

import pytest

from zkserver.client.hosts import LONGEST_PAUSE_S, Host, Rounds, parse, strip


@pytest.mark.parametrize(
    ("text", "hosts", "chroot"),
    [
        ("a", [Host("a", 2181)], ""),
        ("a:1, b:2,c/", [Host("a", 1), Host("b", 2), Host("c", 2181)], ""),
        ("[::1]:5,[fe80::1],::1/x/y", [Host("::1", 5), Host("fe80::1", 2181), Host("::1", 2181)], "/x/y"),
    ],
)
def test_connection_strings(text: str, hosts: list[Host], chroot: str) -> None:
    assert parse(text) == (hosts, chroot)


@pytest.mark.parametrize("text", ["", ",", "/a", "a:b", "a:0", "a:70000", ":1", "[::1", "[::1]x", "a/b/", "a//b", "a/../b"])
def test_what_is_no_connection_string(text: str) -> None:
    with pytest.raises(ValueError, match=r"address|server|chroot"):
        parse(text)


def test_addresses_print_as_they_are_written() -> None:
    assert str(Host("a", 1)) == "a:1"
    assert str(Host("::1", 2)) == "[::1]:2"


def test_a_round_tries_each_once_then_waits_longer_and_longer() -> None:
    hosts = [Host(name, 1) for name in "abc"]
    rounds = Rounds(hosts, random.Random(1))
    pauses = []
    for _ in range(12):
        tried = []
        for number in range(3):
            host, pause_s = rounds.next()
            tried.append(host)
            rounds.failed()
            if number == 0:
                pauses.append(pause_s)
            else:
                assert pause_s == 0
        assert sorted(tried) == hosts
    assert pauses[0] == 0
    assert pauses[1] < pauses[3] < pauses[6] <= LONGEST_PAUSE_S
    rounds.succeeded()
    assert rounds.next()[1] == 0


def test_clients_spread() -> None:
    hosts = [Host(name, 1) for name in "abcde"]
    first = {Rounds(hosts, random.Random(seed)).next()[0] for seed in range(100)}
    assert first == set(hosts)


def test_a_preferred_server_is_next() -> None:
    hosts = [Host(name, 1) for name in "abc"]
    rounds = Rounds(hosts, random.Random(1))
    now, _ = rounds.next()
    others = rounds.others(now)
    assert sorted([now, *others]) == hosts
    rounds.prefer(others[1])
    assert rounds.next() == (others[1], 0.0)
    assert rounds.next()[0] == now


def test_strip() -> None:
    assert [strip("/a", path) for path in ("/a", "/a/b", "/ab", "/")] == ["/", "/b", "/ab", "/"]
    assert strip("", "/a") == "/a"
