"""Quotas: limits on the number of znodes and of data bytes in a subtree.

The limits of /a/b stand in the znode /zookeeper/quota/a/b/zookeeper_limits, what
it uses in /zookeeper/quota/a/b/zookeeper_stats. The nearest quota at or above a
path counts, others do not; the root has none. The text of both znodes is

    count=1,bytes=2
    count=1,bytes=2=;byteHardLimit=4;countHardLimit=3

where -1 means no limit and the stray "=" hides the rest from old clients.

* Text that a client wrote is never trusted: what cannot be read is no limit,
  and `StatsTrack.well_formed` says so. (Apache's server ends there.)

Left out: counting and enforcing, which need the tree.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

QUOTA_ROOT = b"/zookeeper/quota"
LIMITS_NAME = b"zookeeper_limits"
STATS_NAME = b"zookeeper_stats"

_split_pairs = re.compile("[,;]+").split
_is_number = re.compile("[+-]?[0-9]{1,19}").fullmatch
_MIN = -(1 << 63)
_MAX = (1 << 63) - 1


def limit_path(path: bytes) -> bytes:
    """The znode that holds the limits of `path`."""
    return b"%b%b/%b" % (QUOTA_ROOT, path, LIMITS_NAME)


def stat_path(path: bytes) -> bytes:
    """The znode that holds what `path` uses."""
    return b"%b%b/%b" % (QUOTA_ROOT, path, STATS_NAME)


def trim_quota_path(path: bytes) -> bytes:
    """The path that the quota znode `path` is about; empty for /zookeeper/quota itself.

    What does not start with a slash then is no path: the znode only looked like
    one below /zookeeper/quota.
    """
    return path[len(QUOTA_ROOT) :]


@dataclass
class StatsTrack:
    """Limits or usage as the text of a quota znode; -1 stands for what is not set.

    `extra` holds every key but count and bytes, those unknown here too.
    """

    count: int = -1
    size_bytes: int = -1
    extra: dict[str, int] = field(default_factory=dict)
    well_formed: bool = True

    @property
    def count_hard_limit(self) -> int:
        """The number of znodes that must not be passed."""
        return self.extra.get("countHardLimit", -1)

    @property
    def size_bytes_hard_limit(self) -> int:
        """The number of data bytes that must not be passed."""
        return self.extra.get("byteHardLimit", -1)

    def to_bytes(self) -> bytes:
        """The text of the znode: count, bytes, then the other keys sorted."""
        text = format_usage(self.count, self.size_bytes)
        if not self.extra:
            return text
        pairs = "".join(f";{key}={self.extra[key]}" for key in sorted(self.extra))
        return text + b"=" + pairs.encode()


def format_usage(count: int, size_bytes: int) -> bytes:
    """The text of a znode that says these two figures and nothing else."""
    return b"count=%d,bytes=%d" % (count, size_bytes)


def parse(data: bytes | None) -> StatsTrack:
    """Read the text of a quota znode. Never raises; see `StatsTrack.well_formed`.

    An empty or null text has nothing set and is well formed. One bad pair makes
    the whole text count as nothing set.
    """
    pairs = _split_pairs((data or b"").decode("utf-8", "replace"))
    while pairs and not pairs[-1]:
        pairs.pop()
    values: dict[str, int] = {}
    for pair in pairs:
        key, separator, rest = pair.partition("=")
        number = rest.partition("=")[0] or "-1"
        if not separator or not _is_number(number) or not _MIN <= int(number) <= _MAX:
            return StatsTrack(well_formed=False)
        values[key] = int(number)
    count, size_bytes = values.pop("count", -1), values.pop("bytes", -1)
    return StatsTrack(count, size_bytes, values)


class QuotaTrie:
    """The paths that have limits. Most trees have none, and then a look-up costs nothing.

    `active` says whether any path has.
    """

    def __init__(self) -> None:
        self._paths: dict[bytes, None] = {}
        self.active = False

    def add(self, path: bytes) -> None:
        """`path` has limits now. The root takes none, nor does what is no path."""
        if path[:1] == b"/" and len(path) > 1:
            self._paths[path] = None
            self.active = True

    def remove(self, path: bytes) -> None:
        """`path` has no limits any more."""
        self._paths.pop(path, None)
        self.active = bool(self._paths)

    def clear(self) -> None:
        """No path has limits any more."""
        self._paths.clear()
        self.active = False

    def paths(self) -> list[bytes]:
        """All paths with limits, in the order they were added."""
        return list(self._paths)

    def longest_prefix(self, path: bytes) -> bytes | None:
        """The nearest path with limits, `path` itself or an ancestor; None if there is none."""
        if not self._paths:
            return None
        while len(path) > 1:
            if path in self._paths:
                return path
            path = path[: path.rfind(b"/")]
        return None
