"""zxid: the 64-bit number of a transaction, its epoch above and a counter below."""

from __future__ import annotations


def make_zxid(epoch: int, counter: int) -> int:
    """Join an epoch (32 bits) and a counter (32 bits)."""
    return epoch << 32 | counter


def epoch_of(zxid: int) -> int:
    """The epoch, the high half."""
    return zxid >> 32


def counter_of(zxid: int) -> int:
    """The counter, the low half."""
    return zxid & 0xFFFFFFFF


def hex_zxid(zxid: int) -> str:
    """`zxid` as file names and Java's messages have it: unsigned hex, unpadded."""
    return format(zxid & 0xFFFFFFFFFFFFFFFF, "x")
