"""Who belongs to an ensemble: the keys server.N, group.N, weight.N and version.

They stand in the configuration file, or in a dynamic file of their own. A server's value is

    host:quorumPort:electionPort[:role][|host:quorumPort:electionPort[:role]]...[;[host:]port]

with the role participant (default) or observer, several addresses where those are enabled, and
the client port last. An IPv6 address stands in brackets.

Invariants of a `Membership`: ids are unique and in order; with groups, every participant is in
exactly one group, and every server that a group names has a weight.

Values are read untrimmed, as Apache ZooKeeper reads them: a blank after a port is an error there.

Left out: name resolution; quorums are in `quorum`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import NamedTuple

from zkserver.base.properties import ConfigError, Given, trim
from zkserver.base.settings_values import parse_integer, parse_port

SERVER = "server."
GROUP = "group"
WEIGHT = "weight"
VERSION = "version"

_FORM = (
    "must have the form host:quorumPort:electionPort[:participant|observer]"
    "[;[clientHost:]clientPort]"
)


class Role(StrEnum):
    """Whether a server has a vote."""

    PARTICIPANT = "participant"
    OBSERVER = "observer"


class Address(NamedTuple):
    """One address of a server for its peers."""

    host: str
    quorum_port: int
    election_port: int


class Member(NamedTuple):
    """One server of an ensemble. `client_port` is None where the value gives none."""

    server_id: int
    addresses: tuple[Address, ...]
    role: Role = Role.PARTICIPANT
    client_host: str = ""
    client_port: int | None = None


class Membership(NamedTuple):
    """The servers of an ensemble by id, and how their votes count.

    `version` is the zxid of the reconfiguration that made it, 0 if none did. `groups` maps a
    group to its servers and is empty for majority quorums; `weights` is empty then as well.
    """

    members: tuple[Member, ...] = ()
    version: int = 0
    groups: tuple[tuple[int, tuple[int, ...]], ...] = ()
    weights: tuple[tuple[int, int], ...] = ()

    @property
    def participants(self) -> tuple[Member, ...]:
        """The members that vote."""
        return tuple(m for m in self.members if m.role is Role.PARTICIPANT)

    @property
    def observers(self) -> tuple[Member, ...]:
        """The members that do not vote."""
        return tuple(m for m in self.members if m.role is Role.OBSERVER)

    def find(self, server_id: int | None) -> Member | None:
        """The member with that id."""
        return next((m for m in self.members if m.server_id == server_id), None)


def is_membership_key(key: str) -> bool:
    """Whether a key of the configuration file speaks of members; Java asks for no dot."""
    return key.startswith((SERVER, GROUP, WEIGHT))


def parse_role(text: str) -> Role:
    """The role that a word names, in any case. Raises ValueError that says what is allowed."""
    try:
        return Role(text.lower())
    except ValueError:
        raise ValueError("must be participant or observer") from None


def parse_member(server_id: int, text: str, *, multi_address_enabled: bool = False) -> Member:
    """The value of server.N. Raises ValueError that says what is allowed."""
    parts = _split(text, ";")
    if len(parts) > 2:
        raise ValueError(_FORM)
    server_parts = _split(parts[0], "|")
    if len(server_parts) > 1 and not multi_address_enabled:
        raise ValueError("must be one address unless multiAddress.enabled is true")
    client_host, client_port = _parse_client(parts[1]) if len(parts) == 2 else ("", None)
    addresses: dict[Address, None] = {}
    roles: dict[Role, None] = {}
    for server_part in server_parts:
        address, role = _parse_address(server_part)
        addresses[address] = None
        if role is not None:
            roles[role] = None
    if len(roles) > 1:
        raise ValueError("must give all addresses of a server the same role")
    return Member(
        server_id,
        tuple(addresses),
        next(iter(roles), Role.PARTICIPANT),
        client_host,
        client_port,
    )


def parse_membership(
    entries: Iterable[Given], *, multi_address_enabled: bool = False, has_oracle: bool = False
) -> Membership:
    """Members, groups and weights from the keys that speak of them; other keys are passed over.

    With an oracle quorums are majorities, and groups do not count. Raises `ConfigError`.
    """
    last = {trim(entry.key): entry for entry in entries}
    members: dict[int, Member] = {}
    groups: dict[int, tuple[Given, tuple[int, ...]]] = {}
    weights: dict[int, int] = {}
    version = 0
    is_hierarchical = not has_oracle and any(key.startswith((GROUP, WEIGHT)) for key in last)
    for key, given in last.items():
        if key.startswith(SERVER):
            with_id = _id_of(given)
            members[with_id] = _parsed_member(with_id, given, multi_address_enabled)
        elif key == VERSION:
            version = _version_of(given)
        elif is_hierarchical and key.startswith(GROUP):
            groups[_id_of(given)] = (given, tuple(_ids_of_group(given)))
        elif is_hierarchical and key.startswith(WEIGHT):
            weights[_id_of(given)] = _number(given, given.value)
    if is_hierarchical:
        _check_groups(last, members, groups, weights)
    return Membership(
        tuple(members[server_id] for server_id in sorted(members)),
        version,
        tuple((group_id, groups[group_id][1]) for group_id in sorted(groups)),
        tuple(sorted(weights.items())),
    )


def version_of_file_name(name: str) -> int:
    """The version of a dynamic file: the hexadecimal number after its last dot, else 0."""
    _, dot, suffix = name.rpartition(".")
    try:
        return _parse_version(suffix) if dot else 0
    except ValueError:
        return 0


def version_of_text(text: bytes) -> int | None:
    """The version that the text of a configuration names; None if it names none that reads."""
    found: int | None = None
    for line in text.splitlines():
        key, equals, value = line.partition(b"=")
        if key.strip() == VERSION.encode() and equals:
            try:
                found = _parse_version(value.decode("ascii", "replace").strip())
            except ValueError:
                found = None
    return found


def text_of(membership: Membership) -> bytes:
    """The text of a configuration, as peers exchange it and /zookeeper/config holds it."""
    lines = []
    for member in membership.members:
        places = "|".join(
            f"{_bracketed(place.host)}:{place.quorum_port}:{place.election_port}"
            for place in member.addresses
        )
        client = ""
        if member.client_port is not None:
            client = f";{_bracketed(member.client_host or '0.0.0.0')}:{member.client_port}"
        lines.append(f"{SERVER}{member.server_id}={places}:{member.role}{client}")
    for group, servers in membership.groups:
        lines.append(f"{GROUP}.{group}={':'.join(map(str, servers))}")
    lines += [f"{WEIGHT}.{server}={weight}" for server, weight in membership.weights]
    lines.append(f"{VERSION}={membership.version:x}")
    return "\n".join(lines).encode()


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _split(text: str, separator: str) -> list[str]:
    """String.split of Java: empty pieces at the end are dropped, an empty text is one piece."""
    pieces = text.split(separator)
    while len(pieces) > 1 and not pieces[-1]:
        pieces.pop()
    return pieces


def _host_and_rest(text: str) -> list[str]:
    """host:a:b to its parts; the host may be an IPv6 address in brackets."""
    if not text.startswith("["):
        return _split(text, ":")
    host, bracket, rest = text[1:].partition("]")
    if not bracket:
        raise ValueError("must close the bracket of an IPv6 address")
    if rest and not rest.startswith(":"):
        raise ValueError("must have a colon after the bracket of an IPv6 address")
    return [host, *_split(rest[1:], ":")] if rest else [host]


def _parse_client(text: str) -> tuple[str, int]:
    parts = _host_and_rest(text)
    if len(parts) > 2:
        raise ValueError(_FORM)
    host = parts[0] if len(parts) == 2 else "0.0.0.0"
    try:
        # An empty name is the loopback address to Java.
        return host or "localhost", parse_port(parts[-1])
    except ValueError as error:
        raise ValueError(f"the client port {error}") from None


def _parse_address(text: str) -> tuple[Address, Role | None]:
    parts = _host_and_rest(text)
    if not 3 <= len(parts) <= 4:
        raise ValueError(_FORM)
    try:
        address = Address(parts[0] or "localhost", parse_port(parts[1]), parse_port(parts[2]))
    except ValueError as error:
        raise ValueError(f"the quorum and election ports: each {error}") from None
    if address.quorum_port == address.election_port:
        raise ValueError("must have a quorum port and an election port that differ")
    return address, parse_role(parts[3].strip()) if len(parts) == 4 else None


def _parsed_member(server_id: int, given: Given, multi_address_enabled: bool) -> Member:
    try:
        return parse_member(server_id, given.value, multi_address_enabled=multi_address_enabled)
    except ValueError as error:
        raise _error(given, str(error)) from None


def _error(given: Given, problem: str) -> ConfigError:
    return ConfigError(given.place, given.key, given.value, problem)


def _number(given: Given, text: str) -> int:
    try:
        return parse_integer(text, 64)
    except ValueError as error:
        raise _error(given, str(error)) from None


def _id_of(given: Given) -> int:
    key = trim(given.key)
    kind = next(kind for kind in (SERVER, GROUP, WEIGHT) if key.startswith(kind))
    try:
        return parse_integer(key.partition(".")[2], 64)
    except ValueError:
        raise _error(given, f"the key must be {kind.rstrip('.')}.N, N an integer") from None


def _ids_of_group(given: Given) -> Iterator[int]:
    for text in _split(given.value, ":"):
        yield _number(given, text)


def _parse_version(text: str) -> int:
    version = int(text, 16) if text.isascii() and text.removeprefix("-").isalnum() else None
    if version is None or not -(2**63) <= version < 2**63 or "x" in text.lower():
        raise ValueError("must be a hexadecimal number of 64 bits")
    return version


def _version_of(given: Given) -> int:
    try:
        return _parse_version(given.value)
    except ValueError:
        raise _error(given, "must be a hexadecimal number of 64 bits") from None


def _check_groups(
    last: dict[str, Given],
    members: dict[int, Member],
    groups: dict[int, tuple[Given, tuple[int, ...]]],
    weights: dict[int, int],
) -> None:
    """Every participant is in one group; fills in the weights that are not given."""
    grouped: dict[int, int] = {}
    for group_id, (given, server_ids) in groups.items():
        for server_id in server_ids:
            if server_id in grouped:
                raise _error(given, f"server {server_id} must be in one group, once")
            grouped[server_id] = group_id
    for server_id, member in members.items():
        if member.role is Role.PARTICIPANT:
            if server_id not in grouped:
                given = last.get(f"{SERVER}{server_id}") or next(iter(last.values()))
                raise _error(given, f"server {server_id} must be in a group")
            weights.setdefault(server_id, 1)
    for given, server_ids in groups.values():
        for server_id in server_ids:
            if server_id not in weights:
                raise _error(given, f"server {server_id} must be a participant or have a weight")
