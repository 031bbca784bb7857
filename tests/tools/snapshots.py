"""Snapshots for tests of the tools."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from zkserver.base import opcodes as op
from zkserver.base.acl import OPEN_ACL
from zkserver.runtime.disk import RealDisk
from zkserver.storage import snapshot
from zkserver.storage.layout import Layout
from zkserver.tree.tree import DataTree

SESSION = 0x100002B4BD30000
TIME_MS = 1_700_000_000_000
NAME_CHARACTERS = "\"\\ !%<>&'`~Aüé€一ÿ😀/"[:-1]


def plain_name(chance: random.Random) -> bytes:
    """A name of digits, short or long."""
    return b"n%d" % chance.randrange(10 ** chance.randrange(1, 9))


def odd_name(chance: random.Random) -> bytes:
    """A name of characters that JSON, CSV or Java's strings treat in a way of their own."""
    return "".join(chance.choices(NAME_CHARACTERS, k=chance.randrange(1, 6))).encode()


def random_tree(seed: int, count: int, name: Callable[[random.Random], bytes]) -> DataTree:
    """A tree of some `count` znodes, wide and deep, with data and ephemerals."""
    chance = random.Random(seed)
    tree = DataTree(extended_types=True)
    paths = [b""]
    for zxid in range(1, count):
        parent = chance.choice(paths) if chance.random() < 0.7 else b""
        path = parent + b"/" + name(chance)
        if path in tree.nodes:
            continue
        is_ephemeral = chance.random() < 0.1
        data = chance.choice((None, b"", b"d" * chance.randrange(300)))
        body = path, data, OPEN_ACL, is_ephemeral, tree.nodes[parent].cversion + 1
        time_ms = TIME_MS + zxid * 1_000_003
        tree.apply((SESSION, zxid, zxid, time_ms, op.CREATE2, body))
        if not is_ephemeral:
            paths.append(path)
    return tree


def create(tree: DataTree, path: bytes, zxid: int) -> None:
    """One znode more, without data."""
    tree.apply((SESSION, zxid, zxid, TIME_MS, op.CREATE2, (path, b"", OPEN_ACL, False, 1)))


def save(
    folder: Path,
    tree: DataTree,
    compression: str = "",
    sessions: dict[int, int] | None = None,
    **options: bool,
) -> Path:
    """A snapshot in the data directory `folder`, with many sessions unless they are given."""
    layout = Layout.of(str(folder))
    Path(layout.snapshot_folder).mkdir(parents=True, exist_ok=True)
    if sessions is None:
        chance = random.Random(1)
        sessions = {chance.getrandbits(56): chance.randrange(100000) for _ in range(40)}
        sessions[SESSION] = 30000
    saved = snapshot.save(
        RealDisk(), layout, tree, sessions, compression=compression, sync=False, **options
    )
    return Path(saved.path)
