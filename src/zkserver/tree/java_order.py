"""The order in which Java's hash tables give out what they hold.

Apache's tools walk the children of a znode in the order of a `HashSet`, sessions in that of a
`HashMap`. To print the same lines the order is computed here: an element stands in the bucket of
its hash, the higher half of it folded onto the lower; elements of one bucket stand as they came in;
and the table doubles whenever it is filled to more than three quarters, which keeps those orders.

A string's hash is the polynomial of its UTF-16 units over 31, in 32 bits (java.lang.String). Left
out: Java makes a tree of a bucket of nine and more, which may move one of them to the front.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import mul
from typing import TypeVar

from zkserver.jute.codec import decode_text

CHILDREN_CAPACITY = 8
"""How large the table of a znode's children is at first."""
MAP_CAPACITY = 16

_MASK = 0xFFFFFFFF
_LONGEST = 256
# 31 to the power of 255, …, 1, 0.
_POWERS = [pow(31, power, 1 << 32) for power in range(_LONGEST - 1, -1, -1)]

T = TypeVar("T")


def hash_of_text(text: bytes) -> int:
    """The hash of a string that is given in UTF-8, without sign."""
    units: Sequence[int] = text
    if not text.isascii():
        units = _units(decode_text(text).encode("utf-16-be"))
    value = 0
    for start in range(0, len(units), _LONGEST):
        part = units[start : start + _LONGEST]
        value = value * pow(31, len(part), 1 << 32) + sum(
            map(mul, part, _POWERS[_LONGEST - len(part) :])
        )
    return value & _MASK


def _units(packed: bytes) -> list[int]:
    return [high << 8 | low for high, low in zip(packed[::2], packed[1::2], strict=True)]


def children_in_order(paths: Iterable[bytes]) -> list[bytes]:
    """The paths of a znode's children, by their names as Apache's tools walk them."""
    return _in_order(
        list(paths), CHILDREN_CAPACITY, lambda path: hash_of_text(path[path.rindex(b"/") + 1 :])
    )


def ids_in_order(ids: Iterable[int]) -> list[int]:
    """Session ids as a HashMap<Long, …> gives them out."""
    return _in_order(list(ids), MAP_CAPACITY, lambda value: (value ^ value >> 32) & _MASK)


def _in_order(elements: list[T], capacity: int, hash_of: Callable[[T], int]) -> list[T]:
    if len(elements) < 2:
        return elements
    while len(elements) * 4 > capacity * 3:
        capacity *= 2
    mask = capacity - 1

    def bucket(element: T) -> int:
        value = hash_of(element)
        return (value ^ value >> 16) & mask

    elements.sort(key=bucket)
    return elements
