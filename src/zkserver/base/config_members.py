"""The part of a configuration that says who the servers are, and which of them this one is.

The members stand in the configuration file or, if `dynamicConfigFile` names one, in a dynamic
file. This server's id is the first line of the file myid in the data folder, which a standalone
server need not have. Whether the configuration is that of an ensemble follows from the number
of participants and from standaloneEnabled.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from zkserver.base.config_rules import Draft, bind_address, is_any_address
from zkserver.base.members import (
    VERSION,
    Member,
    Membership,
    is_membership_key,
    parse_membership,
    version_of_file_name,
)
from zkserver.base.properties import ConfigError, ConfigWarning, Given, Place, parse, trim
from zkserver.base.settings_values import parse_integer

ReadText = Callable[[str], str | None]

# Ids above would make session ids that look like the owners of znodes with a time to live.
MAX_EXTENDED_SERVER_ID = 254
NEXT_FILE_SUFFIX = ".dynamic.next"

_LINE_END = re.compile(r"\r\n|\r|\n")
_ARTICLES = {"participant": "a", "observer": "an"}
_LOOPBACK_NAMES = {"localhost": "127.0.0.1"}


def settle(draft: Draft, written: Sequence[Given], read_text: ReadText) -> None:
    """Fill in the membership, the server's id, role and client port; check them.

    `written` are the membership keys of the configuration file. Raises `ConfigError`.
    """
    values = draft.values
    dynamic_file = values["dynamic_config_file"]
    if dynamic_file is None:
        membership = _parse(draft, written)
    else:
        membership = _read_dynamic_file(draft, read_text)
        values["last_seen_membership"] = _read_next_file(draft, read_text)
    values["membership"] = membership
    _check_participants(draft, membership)
    count = len(membership.participants)
    values["is_distributed"] = not values["standalone_enabled"] or count > 1
    values["server_id"] = _read_server_id(draft, read_text)
    _settle_client_port(draft, membership.find(values["server_id"]))
    _settle_role(draft, membership)
    if values["is_distributed"]:
        _check_ensemble(draft)


def _parse(draft: Draft, entries: Sequence[Given]) -> Membership:
    return parse_membership(
        entries,
        multi_address_enabled=draft.values["multi_address_enabled"],
        has_oracle=draft.values["oracle_path"] is not None,
    )


def _read_dynamic_file(draft: Draft, read_text: ReadText) -> Membership:
    key = "dynamicConfigFile"
    name = draft.values["dynamic_config_file"]
    text = read_text(name) if name else None
    if text is None:
        draft.refuse(key, "must name a file that can be read")
    entries = [
        Given(Place(name, number), entry_key, value)
        for number, entry_key, value in parse(text, name)
    ]
    for given in entries:
        draft.given[trim(given.key)] = given
        if trim(given.key) == VERSION:
            raise ConfigError(given.place, given.key, given.value, "must not be in a dynamic file:"
                              " the version is the end of the file's name")
        if not is_membership_key(trim(given.key)):
            raise ConfigError(given.place, given.key, given.value,
                              "only server.N, group.N and weight.N may be in a dynamic file")
    version = f"{version_of_file_name(name):x}"
    return _parse(draft, [*entries, Given(Place(name), VERSION, version)])


def _read_next_file(draft: Draft, read_text: ReadText) -> Membership | None:
    """The members that a reconfiguration has proposed and not yet made the current ones."""
    name = draft.file_name + NEXT_FILE_SUFFIX
    text = read_text(name)
    if text is None:
        return None
    return parse_membership(
        [Given(Place(name, number), key, value) for number, key, value in parse(text, name)],
        multi_address_enabled=draft.values["multi_address_enabled"],
    )


def _check_participants(draft: Draft, membership: Membership) -> None:
    count, observers = len(membership.participants), len(membership.observers)
    may_be_alone = draft.values["standalone_enabled"]
    if count == 0 and not may_be_alone:
        draft.refuse("standaloneEnabled", "must be true unless a server is a participant")
    if observers and may_be_alone and count < 2:
        first = membership.observers[0].server_id
        draft.refuse(f"server.{first}", "an observer needs at least two participants, or one and"
                     " standaloneEnabled = false")
    if count == 1 and may_be_alone:
        draft.warn(f"server.{membership.participants[0].server_id}",
                   "is the only server: it runs standalone")
    elif count in (1, 2):
        draft.warn("server.N", "no failure is survived with fewer than 3 participants")
    elif count and count % 2 == 0:
        draft.warn("server.N", f"{count} participants survive no more failures than {count - 1}")


def _read_server_id(draft: Draft, read_text: ReadText) -> int | None:
    name = f"{draft.values['data_dir'].rstrip('/')}/myid"
    text = read_text(name)
    if text is None:
        return None
    first_line = _LINE_END.split(text, maxsplit=1)[0]
    try:
        return parse_integer(first_line, 64)
    except ValueError:
        raise ConfigError(Place(name, 1), "myid", first_line,
                          "must be the server's id: digits and nothing else") from None


def _settle_client_port(draft: Draft, member: Member | None) -> None:
    """The client port of this server's own server.N key, which must not contradict the file's."""
    values = draft.values
    if member is not None and member.client_port is not None:
        if values["client_port"] is not None:
            _check_same_client_address(draft, member)
        values["client_port"] = member.client_port
        values["client_port_address"] = bind_address(member.client_host)
    if values["client_port"] is None:
        draft.warn("clientPort", "is not set: no client can connect")


def _check_same_client_address(draft: Draft, member: Member) -> None:
    values = draft.values
    host, port = values["client_port_address"], values["client_port"]
    ours, theirs = _LOOPBACK_NAMES.get(host, host), bind_address(member.client_host)
    theirs = _LOOPBACK_NAMES.get(theirs, theirs)
    # Two different names may be one address; only names are given that benefit.
    is_same_host = not ours or ours == theirs or (bool(theirs) and _has_name(ours, theirs))
    if port != member.client_port or not is_same_host:
        key = "clientPort" if port != member.client_port else "clientPortAddress"
        written = f"{member.client_host}:{member.client_port}"
        draft.refuse(key, f"must be as in server.{member.server_id}, which says {written}")


def _has_name(*hosts: str) -> bool:
    return any(not _is_literal(host) for host in hosts)


def _is_literal(host: str) -> bool:
    return ":" in host or is_any_address(host) or host.replace(".", "").isdigit()


def _settle_role(draft: Draft, membership: Membership) -> None:
    values = draft.values
    member = membership.find(values["server_id"])
    role = "participant" if member is None else str(member.role)
    if role != values["peer_type"]:
        problem = f"the server.N keys make this server {_ARTICLES[role]} {role}, and they count"
        draft.warn("peerType", problem)
    values["peer_type"] = role


def _check_ensemble(draft: Draft) -> None:
    values = draft.values
    for key, name in (("initLimit", "init_limit_ticks"), ("syncLimit", "sync_limit_ticks")):
        if values[name] == 0:
            draft.refuse(key, "must be set, to a number of ticks that is not 0, in an ensemble")
    server_id = values["server_id"]
    name = f"{values['data_dir'].rstrip('/')}/myid"
    if server_id is None:
        raise ConfigError(Place(name), "myid", None,
                          "the file is missing; it must hold this server's id, N of its server.N")
    if values["extended_types_enabled"] and server_id > MAX_EXTENDED_SERVER_ID:
        raise ConfigError(Place(name, 1), "myid", str(server_id),
                          f"must be at most {MAX_EXTENDED_SERVER_ID} with extendedTypesEnabled")
    if values["membership"].find(server_id) is None:
        place = Place(name, 1)
        problem = f"{server_id} is not among the servers of the configuration"
        draft.warnings.append(ConfigWarning(place, "myid", problem))
