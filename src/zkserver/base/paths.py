"""Paths: what a znode may be called.

Paths are the UTF-8 bytes that the client sent. The rules are ZooKeeper's: a path
starts with a slash, has no empty, "." or ".." component, does not end in a slash
unless it is the root, and holds no control, surrogate, private-use or special
character. Bytes that are no UTF-8 stand for U+FFFD there, which is forbidden;
so are characters beyond U+FFFF, because Java sees them as two surrogates.
"""

from __future__ import annotations

import re

_PLAIN_NAME = rb"[\x20-\x2d\x30-\x7e][\x20-\x2e\x30-\x7e]*"
# Nearly all paths are of such names.
_is_plain = re.compile(rb"(?:/%b)+" % _PLAIN_NAME).fullmatch

is_plain_name = re.compile(_PLAIN_NAME).fullmatch
"""Whether a component is printable ASCII that does not start with a dot: no rule is against it."""

_find_fault = re.compile(
    r"(?P<null>\x00)"
    r"|(?P<empty>(?<=/)/)"
    r"|(?P<relative>(?:(?<=/)|(?<=/\.))\.(?=/|\Z))"
    r"|[\x01-\x1f\x7f-\x9f\ud800-\uf8ff\ufff0-\uffff\U00010000-\U0010ffff]"
).search

_FAULTS = {
    "null": "it holds a null character",
    "empty": "a component is empty",
    "relative": 'a component is "." or ".."',
    None: "a character is not allowed",
}

SPECIAL: frozenset[bytes] = frozenset(
    (b"", b"/", b"/zookeeper", b"/zookeeper/quota", b"/zookeeper/config")
)
"""Paths that the tree always has; no client may delete them."""


def validate(path: bytes) -> str | None:
    """None when `path` may name a znode, else the reason why not.

    Positions in a reason count characters from 0.
    """
    if _is_plain(path):
        return None
    return _judge(path)


def _judge(path: bytes) -> str | None:
    if not path:
        return "it is empty"
    if path[0] != 0x2F:
        return "it does not start with a slash"
    if len(path) == 1:
        return None
    if path[-1] == 0x2F:
        return "it ends with a slash"
    fault = _find_fault(path.decode("utf-8", "replace"), 1)
    if fault is None:
        return None
    return f"{_FAULTS[fault.lastgroup]} (at {fault.start()})"


def split(path: bytes) -> tuple[bytes, bytes]:
    """The parent and the name: everything before and after the last slash.

    The parent of b"/a" is b"", which is a name of the root inside the tree.
    """
    parent, _, name = path.rpartition(b"/")
    return parent, name


def top_namespace(path: bytes) -> bytes | None:
    """The first component, by which metrics are kept; None for the root."""
    parts = path.rstrip(b"/").split(b"/", 2)
    return parts[1] if len(parts) > 1 else None
