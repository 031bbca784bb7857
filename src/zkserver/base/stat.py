"""Stat: the bookkeeping of a znode, as the wire and the disk have it.

`STAT` packs the 68 bytes that replies carry (zookeeper.jute, `Stat`): czxid,
mzxid, ctime, mtime (ms), version, cversion, aversion, ephemeralOwner,
dataLength, numChildren, pzxid. The cversion a client sees is not the one that
is stored: shown = 2 * persisted - numChildren, so a delete raises it too.

`STAT_PERSISTED` packs the 60 bytes of snapshots (`StatPersisted`): czxid, mzxid,
ctime, mtime, version, cversion, aversion, ephemeralOwner, pzxid.
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

STAT = Struct(">qqqqiiiqiiq")
STAT_PERSISTED = Struct(">qqqqiiiqq")

# ephemeralOwner values that are no session id (org.apache.zookeeper.server.EphemeralType).
CONTAINER_OWNER = -(1 << 63)
TTL_OWNER_MASK = 0xFF
TTL_MAX_MS = (1 << 40) - 1


class Stat(NamedTuple):
    """A Stat with names, for tools and tests; the hot path keeps it packed."""

    czxid: int
    mzxid: int
    ctime_ms: int
    mtime_ms: int
    version: int
    cversion: int
    aversion: int
    ephemeral_owner: int
    data_length: int
    num_children: int
    pzxid: int

    @classmethod
    def unpack(cls, packed: bytes) -> Stat:
        """Read the 68 wire bytes."""
        return cls(*STAT.unpack(packed))
