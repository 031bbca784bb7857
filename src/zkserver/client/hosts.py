"""Where the servers are: the connection string and whom to try next.

"h1:p1,h2:p2,[::1]:2181/chroot": hosts with or without a port, separated by commas, and one
chroot behind the last. Each client goes through the list in an order of its own, so that
many clients spread over the servers; after a full round it waits, longer each time.
"""

from __future__ import annotations

import random
from typing import NamedTuple

from zkserver.base import paths

DEFAULT_PORT = 2181
FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 1.0


class Host(NamedTuple):
    """A server's address."""

    name: str
    port: int

    def __str__(self) -> str:
        return f"[{self.name}]:{self.port}" if ":" in self.name else f"{self.name}:{self.port}"


def parse(hosts: str) -> tuple[list[Host], str]:
    """The servers and the chroot ("" without one). Raises ValueError."""
    names, slash, rest = hosts.partition("/")
    chroot = slash + rest if rest else ""
    if chroot and (fault := paths.validate(chroot.encode())):
        raise ValueError(f"the chroot {chroot} is no path: {fault}")
    found = [_host(word.strip()) for word in names.split(",") if word.strip()]
    if not found:
        raise ValueError(f"no server in {hosts!r}")
    return found, chroot


def _host(word: str) -> Host:
    if word.startswith("["):
        name, bracket, rest = word[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError(f"{word!r} is no address: write [::1]:2181")
        port = rest[1:]
    elif word.count(":") > 1:
        name, port = word, ""
    else:
        name, _, port = word.partition(":")
    if not name or (port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536)):
        raise ValueError(f"{word!r} is no address: write host:port")
    return Host(name, int(port) if port else DEFAULT_PORT)


def strip(chroot: str, path: str) -> str:
    """A path of the server as a user with this chroot knows it."""
    if not chroot:
        return path
    if path == chroot:
        return "/"
    return path[len(chroot) :] if path.startswith(chroot + "/") else path


class Rounds:
    """Goes round the servers. `next` says whom to try, and how long to wait before."""

    def __init__(self, hosts: list[Host], chance: random.Random) -> None:
        self._chance = chance
        self._hosts = list(hosts)
        chance.shuffle(self._hosts)
        self._position = -1
        self._failures = 0
        self._preferred: Host | None = None

    def __len__(self) -> int:
        return len(self._hosts)

    def next(self) -> tuple[Host, float]:
        """The server to try now and the pause before it, in seconds."""
        if self._preferred is not None:
            host, self._preferred = self._preferred, None
            return host, 0.0
        self._position = (self._position + 1) % len(self._hosts)
        rounds = self._failures // len(self._hosts)
        pause_s = 0.0
        if rounds and self._failures % len(self._hosts) == 0:
            longest_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(rounds, 10))
            pause_s = self._chance.uniform(longest_s / 2, longest_s)
        return self._hosts[self._position], pause_s

    @property
    def failed_rounds(self) -> int:
        """How many whole rounds gave no session."""
        return self._failures // len(self._hosts)

    def failed(self) -> None:
        """The one tried last gave no session."""
        self._failures += 1

    def succeeded(self) -> None:
        """The one tried last did."""
        self._failures = 0

    def prefer(self, host: Host) -> None:
        """Try this one next, wherever the round stands."""
        self._preferred = host
        self._position = self._hosts.index(host)

    def others(self, than: Host) -> list[Host]:
        """All servers but one, beginning behind it."""
        at = self._hosts.index(than) if than in self._hosts else 0
        return [host for host in self._hosts[at + 1 :] + self._hosts[:at] if host != than]
