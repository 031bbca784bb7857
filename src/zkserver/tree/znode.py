"""A znode, kept so that a read sends it without arithmetic.

`stat` holds the 68 bytes that go on the wire. Two things cannot be read back
from them and are kept beside: the persisted cversion (clients are shown twice
that less the number of children) and the raw ephemeralOwner (containers and TTL
nodes show 0).
"""

from __future__ import annotations

from struct import Struct
from zlib import crc32

from zkserver.base.stat import STAT, STAT_PERSISTED

pack_stat = STAT.pack
_unpack_persisted = STAT_PERSISTED.unpack
_pack_cversion = Struct(">i").pack
_pack_owner = Struct(">q").pack
# The fields that children change, with the runs of bytes between them kept.
_pack_after_children = Struct(">36si16siq").pack
# Field order of the digest differs from the serialised one (features of AdHash v2).
pack_digest_stat = Struct(">qqqqqiiiq").pack


def int32(value: int) -> int:
    """`value` wrapped as Java's int arithmetic wraps it."""
    return (value + 0x80000000 & 0xFFFFFFFF) - 0x80000000


class Znode:
    """One znode. `children` is None until the first child; their paths map to None, in order.

    The whole paths, because those objects are there anyway, as keys of the tree.
    """

    __slots__ = ("acl", "children", "cversion", "data", "owner", "stat")

    def __init__(
        self,
        data: bytes | None,
        stat: bytes,
        acl: int,
        owner: int,
        cversion: int,
        children: dict[bytes, None] | None,
    ) -> None:
        self.data = data
        self.stat = stat
        self.acl = acl
        self.owner = owner
        self.cversion = cversion
        self.children = children

    def child_count(self) -> int:
        """The number of children."""
        return len(self.children) if self.children else 0

    def persisted_stat(self) -> bytes:
        """The 60 bytes of StatPersisted, as snapshots have it."""
        stat = self.stat
        return b"".join(
            (
                stat[:36],
                _pack_cversion(self.cversion),
                stat[40:44],
                _pack_owner(self.owner),
                stat[60:],
            )
        )

    def restat(self, cversion: int, pzxid: int) -> None:
        """Rebuild the Stat after children came or went: new persisted cversion and pzxid."""
        stat = self.stat
        children = self.children
        count = len(children) if children else 0
        self.cversion = cversion
        shown = 2 * cversion - count
        if not -0x80000000 <= shown <= 0x7FFFFFFF:
            shown = int32(shown)
        self.stat = _pack_after_children(stat[:36], shown, stat[40:56], count, pzxid)

    def pzxid(self) -> int:
        """The zxid of the last change of the children."""
        return int.from_bytes(self.stat[60:], "big", signed=True)

    def digest(self, path: bytes) -> int:
        """The node's share of the tree digest: a CRC32 over path, data and Stat (AdHash v2)."""
        stat = self.stat
        crc = crc32(path)
        if self.data:
            crc = crc32(self.data, crc)
        if self.owner or self.cversion:
            middle = stat[16:36] + _pack_cversion(self.cversion) + stat[40:44]
            return crc32(stat[:16] + stat[60:] + middle + _pack_owner(self.owner), crc)
        if stat[56:60] == b"\0\0\0\0":
            return crc32(stat[:16] + stat[60:] + stat[16:52], crc)
        # Children without a creation counted: only the system nodes of a fresh tree.
        return crc32(stat[:16] + stat[60:] + stat[16:36] + b"\0\0\0\0" + stat[40:52], crc)


def from_persisted(data: bytes | None, acl: int, persisted: bytes, shown_owner: int) -> Znode:
    """A znode without children, from the 60 bytes of a snapshot.

    `shown_owner` is what clients see as ephemeralOwner: 0 but for ephemerals.
    """
    czxid, mzxid, ctime, mtime, version, cversion, aversion, owner, pzxid = _unpack_persisted(
        persisted
    )
    length = len(data) if data else 0
    shown = 2 * cversion
    if not -0x80000000 <= shown <= 0x7FFFFFFF:
        shown = int32(shown)
    stat = pack_stat(
        czxid, mzxid, ctime, mtime, version, shown, aversion, shown_owner, length, 0, pzxid
    )
    return Znode(data, stat, acl, owner, cversion, None)
