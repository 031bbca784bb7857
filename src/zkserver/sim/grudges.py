"""Partitions as data: who cannot hear whom (Jepsen's name for it is a grudge).

A grudge maps each host to the hosts it cannot hear, in the order they were given.
Hosts that hear everybody may be left out. Pure functions; `Network.apply` acts.
"""

from __future__ import annotations

from collections.abc import Sequence

Grudge = dict[str, tuple[str, ...]]


def components(*groups: Sequence[str]) -> Grudge:
    """Each group hears itself only."""
    everybody = [host for group in groups for host in group]
    return {
        host: tuple(other for other in everybody if other not in group)
        for group in groups
        for host in group
    }


def halves(hosts: Sequence[str]) -> Grudge:
    """Two parts, the second one larger if the number is odd."""
    middle = len(hosts) // 2
    return components(hosts[:middle], hosts[middle:])


def isolated(hosts: Sequence[str], host: str) -> Grudge:
    """One host on its own."""
    return components([host], [other for other in hosts if other != host])


def bridge(hosts: Sequence[str]) -> Grudge:
    """Two halves that hear one host in common, the one in the middle."""
    middle = len(hosts) // 2
    shared = hosts[middle]
    parts = components(hosts[:middle], hosts[middle:])
    grudge = {
        host: tuple(other for other in deaf if other != shared) for host, deaf in parts.items()
    }
    grudge[shared] = ()
    return grudge


def one_way(hosts: Sequence[str], deaf_to: Sequence[str]) -> Grudge:
    """`hosts` do not hear `deaf_to`, who hear everybody."""
    return {host: tuple(other for other in deaf_to if other != host) for host in hosts}


def majorities_ring(hosts: Sequence[str]) -> Grudge:
    """Every host hears a majority, and no two hear the same one."""
    count = len(hosts)
    size = count // 2 + 1
    grudge: Grudge = {}
    for start in range(count):
        window = [hosts[(start + step) % count] for step in range(size)]
        grudge[window[size // 2]] = tuple(host for host in hosts if host not in window)
    return {host: grudge[host] for host in hosts}
