"""Znodes for the console, by a client session: what is asked, and what is answered, as JSON.

Data travel as Base64, 64-bit numbers as hexadecimal text (a page's numbers have 53 bits). The
names below a znode are not answered here but streamed (`console.Console`), because there may be
a hundred thousand.

A search goes through the names below a znode, so many znodes at a time; what is left to look at
stays in the `Search`, which its session keeps.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import itertools
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from zkserver.admin.console_access import Refused, integer, text
from zkserver.admin.console_sessions import Pooled, Session, SessionError, Stat
from zkserver.base.acl import ADMIN, CREATE, DELETE, READ, WRITE
from zkserver.base.errors import ErrorCode
from zkserver.server.reports import Report
from zkserver.tree import quota

ASKED_AT_ONCE = 64
ASKED_PER_REQUEST = 1024
NAMES_PER_REQUEST = 200_000
MATCHES_PER_REQUEST = 200
LONGEST_STACK = 200_000
SEARCHES_PER_SESSION = 4
COMPLETIONS = 100
STATS_PER_REQUEST = 500
MODES = {
    "persistent": "PERSISTENT",
    "sequential": "PERSISTENT_SEQUENTIAL",
    "container": "CONTAINER",
    "ttl": "PERSISTENT_WITH_TTL",
}
ACLS = ("open", "mine", "mine and read")
_LETTERS = ((CREATE, "c"), (DELETE, "d"), (READ, "r"), (WRITE, "w"), (ADMIN, "a"))
_NUMBERS = ("version", "cversion", "aversion", "data_length", "num_children")


def hexadecimal(number: int) -> str:
    """A 64-bit number as text."""
    return f"0x{number & 0xFFFFFFFFFFFFFFFF:x}"


def join(parent: str, name: str) -> str:
    """The path of a child."""
    return f"/{name}" if parent == "/" else f"{parent}/{name}"


def stat_report(stat: Stat) -> Report:
    """A Stat, times in ms since 1970; `owner` is the session of an ephemeral znode, else None.

    Servers do not tell clients which of the others are containers or have a TTL.
    """
    owner = stat["ephemeral_owner"]
    report: Report = {name: stat[name] for name in _NUMBERS}
    report |= {name: hexadecimal(stat[name]) for name in ("czxid", "mzxid", "pzxid")}
    report |= {"ctime_ms": stat["ctime"], "mtime_ms": stat["mtime"]}
    return report | {"owner": hexadecimal(owner) if owner else None}


def data_report(data: bytes | None) -> str | None:
    """Data as Base64; null data are None."""
    return None if data is None else base64.b64encode(data).decode()


async def znode(session: Session, path: str) -> Report:
    """Data, Stat and ACL of a znode. What may not be seen of it is None."""
    data, stat = await session.get(path)
    try:
        acl: list[Report] | None = [
            {"perms": "".join(letter for bit, letter in _LETTERS if perms & bit),
             "scheme": scheme, "id": who}
            for perms, scheme, who in await session.acl(path)
        ]  # fmt: skip
    except SessionError as error:
        if error.code != ErrorCode.NOAUTH:
            raise
        acl = None
    report = {"path": path, "data": data_report(data), "stat": stat_report(stat)}
    return report | {"acl": acl}


async def stats(session: Session, given: Mapping[str, Any]) -> Report:
    """The Stats of some children by name, None for those that are gone."""
    path, names = text(given, "path"), given.get("names")
    if not isinstance(names, list) or len(names) > STATS_PER_REQUEST:
        raise Refused(400, f"names must be a list of at most {STATS_PER_REQUEST}")
    if not all(isinstance(name, str) for name in names):
        raise Refused(400, "names must be a list of texts")
    found = await session.stat_all([join(path, name) for name in names])
    return {
        "stats": [None if stat is None else stat_report(stat) for stat in found],
    }


# Changes


def _data(given: Mapping[str, Any]) -> bytes:
    try:
        return base64.b64decode(text(given, "data"), validate=True)
    except (binascii.Error, ValueError):
        raise Refused(400, "data must be Base64") from None


def _version(given: Mapping[str, Any]) -> int:
    return integer(given, "version", 0, (1 << 31) - 1)


async def create(session: Session, given: Mapping[str, Any]) -> Report:
    """Make a znode: path, data, mode (`MODES`), acl (`ACLS`), ttl_ms for the mode ttl."""
    mode, acl = given.get("mode", "persistent"), given.get("acl", "open")
    if not isinstance(mode, str) or mode not in MODES:
        raise Refused(400, f"mode must be one of {', '.join(MODES)}")
    if acl not in ACLS:
        raise Refused(400, f"acl must be one of {', '.join(ACLS)}")
    ttl_ms = integer(given, "ttl_ms", 1, (1 << 40) - 1) if mode == "ttl" else None
    path = await session.create(text(given, "path"), _data(given), MODES[mode], ttl_ms, acl)
    return {"path": path}


async def change(session: Session, given: Mapping[str, Any]) -> Report:
    """Change data: path, data, version (the one that was seen)."""
    path = text(given, "path")
    stat = await session.set(path, _data(given), _version(given))
    return {"path": path, "stat": stat_report(stat)}


async def delete(session: Session, given: Mapping[str, Any]) -> Report:
    """Remove a znode: path, version (the one that was seen)."""
    path = text(given, "path")
    await session.delete(path, _version(given))
    return {"path": path}


# Search


async def complete(session: Session, prefix: str) -> Report:
    """The paths that begin so, of one level of the tree."""
    if not prefix.startswith("/"):
        raise Refused(400, "prefix must begin with a slash")
    parent, _, begin = prefix.rpartition("/")
    _, slices, _ = await session.names(parent or "/")
    paths: list[str] = []
    count = 0
    for names in slices:
        found = [name for name in names if name.startswith(begin)]
        count += len(found)
        paths += [join(parent or "/", name) for name in found[: COMPLETIONS - len(paths)]]
        await asyncio.sleep(0)
    return {"paths": sorted(paths), "count": count}


@dataclass(slots=True)
class Search:
    """A search under way. `stack` are the znodes to look into, `left_out` those beyond its limit.

    `matches` are those that were found and not answered yet.
    """

    name: str
    stack: list[str]
    matches: list[str] = field(default_factory=list)
    looked_at: int = 0
    left_out: int = 0
    is_running: bool = False


def begin_search(pooled: Pooled, path: str, name: str) -> str:
    """A new search for names with `name` in them, in any case; its id."""
    if not name:
        raise Refused(400, "name must be given")
    while len(pooled.searches) >= SEARCHES_PER_SESSION:
        del pooled.searches[next(iter(pooled.searches))]
    search_id = secrets.token_hex(8)
    pooled.searches[search_id] = Search(name.casefold(), [path])
    return search_id


async def go_on(pooled: Pooled, search_id: str) -> Report:
    """The next matches of a search: bounded work, so there may be none and yet more to come."""
    search = pooled.searches.get(search_id)
    if not isinstance(search, Search):
        raise Refused(404, "The search is over; begin it again")
    if search.is_running:
        raise Refused(409, "The search goes on already")
    search.is_running = True
    try:
        await _look_further(pooled.session, search)
    finally:
        search.is_running = False
    matches = search.matches[:MATCHES_PER_REQUEST]
    del search.matches[:MATCHES_PER_REQUEST]
    is_over = not search.stack and not search.matches
    if is_over:
        pooled.searches.pop(search_id, None)
    return {
        "id": None if is_over else search_id,
        "matches": matches,
        "looked_at": search.looked_at,
        "left_out": search.left_out,
    }


async def _look_further(session: Session, search: Search) -> None:
    asked = names_seen = 0
    while search.stack and asked < ASKED_PER_REQUEST and names_seen < NAMES_PER_REQUEST:
        if len(search.matches) >= MATCHES_PER_REQUEST:
            return
        paths = search.stack[-ASKED_AT_ONCE:]
        found = await session.names_of_all(paths)
        del search.stack[-len(paths) :]
        asked += len(paths)
        search.looked_at += len(paths)
        for parent, slices in zip(paths, found, strict=True):
            for names in slices or ():
                names_seen += len(names)
                _take(search, parent, names)
                if len(names) > ASKED_AT_ONCE:
                    await asyncio.sleep(0)


def _take(search: Search, parent: str, names: Sequence[str]) -> None:
    children = [join(parent, name) for name in names]
    search.matches += [
        path
        for path, name in zip(children, names, strict=True)
        if search.name in name.casefold()
    ]
    room = max(LONGEST_STACK - len(search.stack), 0)
    search.left_out += max(len(children) - room, 0)
    search.stack += children[:room]


# Quotas


async def quotas(session: Session) -> Report:
    """The quotas: limits and usage by path; the first so many that a bounded search finds."""
    root = quota.QUOTA_ROOT.decode()
    limits_name, stats_name = quota.LIMITS_NAME.decode(), quota.STATS_NAME.decode()
    stack, guarded, asked = [root], [], 0
    while stack and asked < ASKED_PER_REQUEST:
        paths = stack[-ASKED_AT_ONCE:]
        found = await session.names_of_all(paths)
        del stack[-len(paths) :]
        asked += len(paths)
        for parent, slices in zip(paths, found, strict=True):
            for name in itertools.chain.from_iterable(slices or ()):
                if name == limits_name:
                    guarded.append(parent)
                elif name != stats_name:
                    stack.append(join(parent, name))
    guarded.sort()
    limits = await session.get_all([join(each, limits_name) for each in guarded])
    usage = await session.get_all([join(each, stats_name) for each in guarded])
    rows = [
        {"path": path[len(root) :] or "/", **_quota(one, two)}
        for path, one, two in zip(guarded, limits, usage, strict=True)
    ]
    return {"quotas": rows, "is_complete": not stack}


def _quota(limits: tuple[bytes, Stat] | None, usage: tuple[bytes, Stat] | None) -> Report:
    bounds = quota.parse(limits[0] if limits else None)
    used = quota.parse(usage[0] if usage else None)

    def shown(value: int) -> int | None:
        return None if value < 0 else value

    return {
        "znodes": shown(used.count),
        "bytes": shown(used.size_bytes),
        "znodes_soft": shown(bounds.count),
        "bytes_soft": shown(bounds.size_bytes),
        "znodes_hard": shown(bounds.count_hard_limit),
        "bytes_hard": shown(bounds.size_bytes_hard_limit),
    }
