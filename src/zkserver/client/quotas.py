"""Quotas as Apache's shell sets, shows and deletes them.

The limits of /a are the text of /zookeeper/quota/a/zookeeper_limits, what it uses that of
.../zookeeper_stats; the server counts. A limit that is not set is None here. Of a path, its
ancestors and its descendants, only one may have a quota: `QuotaConflict` names the other.
These znodes stand at the server's root, outside of any chroot.

Source: what SetQuotaCommand, DelQuotaCommand and ListQuotaCommand send and print.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from zkserver.client.errors import InvalidPath, NodeExists, NoNode, NotEmpty
from zkserver.client.operations import Operations
from zkserver.client.trees import walk
from zkserver.tree.quota import LIMITS_NAME, QUOTA_ROOT, STATS_NAME, StatsTrack, parse

_ROOT = QUOTA_ROOT.decode()
_LIMITS = LIMITS_NAME.decode()
_STATS = STATS_NAME.decode()
_HARD_KEYS = {"znodes_hard": "countHardLimit", "size_bytes_hard": "byteHardLimit"}


class Limits(NamedTuple):
    """How many znodes and data bytes a subtree may have. Only hard limits are enforced."""

    znodes: int | None = None
    size_bytes: int | None = None
    znodes_hard: int | None = None
    size_bytes_hard: int | None = None


KINDS = Limits._fields
"""The names of the four limits."""


class Quota(NamedTuple):
    """A quota: the limits and what is used. Raw texts as the znodes have them."""

    limits: Limits
    znodes: int
    size_bytes: int
    limits_text: bytes
    usage_text: bytes


class QuotaConflict(ValueError):
    """A path above or below has a quota already; the message is that of Apache's shell."""


async def get_quota(client: Operations, path: str) -> Quota | None:
    """The quota of a path, None if it has none of its own."""
    root, place, _ = _places(client, path)
    wanted = root.get(f"{place}/{_LIMITS}"), root.get(f"{place}/{_STATS}")
    try:
        limits_text, usage_text = [(await one)[0] for one in wanted]
    except NoNode:
        for one in wanted:
            one.cancel()
        return None
    usage = parse(usage_text)
    limits = _limits(parse(limits_text))
    return Quota(limits, usage.count, usage.size_bytes, limits_text, usage_text)


async def set_quota(
    client: Operations,
    path: str,
    *,
    znodes: int | None = None,
    size_bytes: int | None = None,
    znodes_hard: int | None = None,
    size_bytes_hard: int | None = None,
) -> Limits:
    """Set the limits that are given and leave the others; all limits as they are then.

    Raises NoNode if there is no such znode, QuotaConflict, ValueError for a limit that
    cannot be.
    """
    given = Limits(znodes, size_bytes, znodes_hard, size_bytes_hard)
    for name, value in given._asdict().items():
        least = 1 if name.startswith("znodes") else 0
        if value is not None and value < least:
            raise ValueError(f"{name} is {value}, the least is {least}")
    root, place, absolute = _places(client, path)
    if absolute == _ROOT or absolute.startswith(_ROOT + "/"):
        raise InvalidPath(path, "quota znodes have no quota")
    if await client.exists(path) is None:
        raise NoNode(path)
    await _check_conflicts(root, absolute)
    limits_path = f"{place}/{_LIMITS}"
    try:
        text, _ = await root.get(limits_path)
    except NoNode:
        # Apache's shell writes both hard limits, set or not.
        unset = StatsTrack(extra=dict.fromkeys(_HARD_KEYS.values(), -1))
        track = _changed(unset, given)
        await _make_ancestors(root, place)
        await _create(root, limits_path, track.to_bytes())
        await _create(root, f"{place}/{_STATS}", StatsTrack(0, 0).to_bytes())
    else:
        track = _changed(parse(text), given)
        await root.set(limits_path, track.to_bytes())
    return _limits(track)


async def delete_quota(client: Operations, path: str, kinds: Collection[str] = ()) -> bool:
    """Take some limits away (names of `KINDS`), or the whole quota; False if there is none."""
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        raise ValueError(f"no such limit: {', '.join(unknown)}; there are {', '.join(KINDS)}")
    root, place, _ = _places(client, path)
    limits_path = f"{place}/{_LIMITS}"
    try:
        text, _ = await root.get(limits_path)
    except NoNode:
        return False
    if kinds:
        track = _changed(parse(text), Limits(**dict.fromkeys(kinds, -1)))
        await root.set(limits_path, track.to_bytes())
        return True
    for name in (_LIMITS, _STATS):
        try:
            await root.delete(f"{place}/{name}")
        except NoNode:
            continue
    while place != _ROOT:
        # The znodes that led here, as far as nothing else needs them.
        try:
            await root.delete(place)
        except (NotEmpty, NoNode):
            break
        place = place[: place.rfind("/")]
    return True


async def list_quotas(client: Operations) -> list[str]:
    """All paths that have a quota, as the server names them, sorted."""
    end = "/" + _LIMITS
    root = client.at_root()
    return [one[len(_ROOT) : -len(end)] async for one in walk(root, _ROOT) if one.endswith(end)]


def _places(client: Operations, path: str) -> tuple[Operations, str, str]:
    """The client without chroot, where the quota stands, and the path as the server has it."""
    absolute = client.absolute(path)
    return client.at_root(), _ROOT + ("" if absolute == "/" else absolute), absolute


def _limits(track: StatsTrack) -> Limits:
    found = (
        track.count, track.size_bytes, track.count_hard_limit, track.size_bytes_hard_limit,
    )  # fmt: skip
    return Limits(*(None if value == -1 else value for value in found))


def _changed(track: StatsTrack, given: Limits) -> StatsTrack:
    """The limits with those given in place; -1 takes one away."""
    extra = dict.fromkeys(_HARD_KEYS.values(), -1) | track.extra
    for name, key in _HARD_KEYS.items():
        value = getattr(given, name)
        if value is not None:
            extra[key] = value
    count = track.count if given.znodes is None else given.znodes
    size_bytes = track.size_bytes if given.size_bytes is None else given.size_bytes
    return StatsTrack(count, size_bytes, extra)


async def _check_conflicts(root: Operations, absolute: str) -> None:
    above = absolute
    while above != "/":
        above = above[: above.rfind("/")] or "/"
        if above != "/" and await root.exists(f"{_ROOT}{above}/{_LIMITS}") is not None:
            raise QuotaConflict(f"{absolute} has a parent {_ROOT}{above} which has a quota")
    place, end = _ROOT + absolute, "/" + _LIMITS
    try:
        async for found in walk(root, place):
            if found.endswith(end) and found != place + end:
                child = found[: -len(end)]
                raise QuotaConflict(f"{absolute} has a child {child} which has a quota")
    except NoNode:
        return


async def _make_ancestors(root: Operations, place: str) -> None:
    at = len(_ROOT)
    while at != -1:
        at = place.find("/", at + 1)
        await _create(root, place if at == -1 else place[:at], b"")


async def _create(root: Operations, path: str, data: bytes) -> None:
    try:
        await root.create(path, data)
    except NodeExists:
        return
