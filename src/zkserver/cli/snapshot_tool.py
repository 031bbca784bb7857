"""Snapshots: every znode as text or JSON, and sums by subtree.

Output is that of Apache's SnapshotFormatter and SnapshotRecursiveSummary, znodes in the order in
which theirs come (`tree.java_order`). The tree is held in memory, what is printed of it is not.

A snapshot is plain, gzip or snappy by what it begins with; its name does not matter. Unlike
Apache's tools these check the checksums, and print nothing of a snapshot that does not read.
"""

from __future__ import annotations

import json
import os
import time
from base64 import b64encode
from collections.abc import Iterator

from zkserver.base.errors import ExitCode
from zkserver.base.stat import Stat
from zkserver.cli import java_time
from zkserver.cli.output import Advance, Output
from zkserver.cli.serve import CommandError
from zkserver.jute.codec import decode_text
from zkserver.runtime.disk import RealDisk
from zkserver.storage.compression import (
    GZIP_MAGIC,
    SNAPPY_MAGIC,
    CompressionError,
    decompressing,
)
from zkserver.storage.disk import Disk, chunks
from zkserver.storage.layout import snapshot_zxid
from zkserver.storage.snapshot_reader import MAGIC, SnapshotError, SnapshotInfo, read
from zkserver.tree.comparison import TreeSummary
from zkserver.tree.java_order import children_in_order, ids_in_order
from zkserver.tree.tree import DataTree

FIRST_INODE = 1000
PROGRAM = {"progname": "SnapshotFormatter.java", "progver": "0.01"}


def load(path: str, output: Output) -> tuple[DataTree, SnapshotInfo]:
    """Read a snapshot; CommandError or SnapshotError, with its path, if that cannot be done."""
    if not os.path.isfile(path) or not os.access(path, os.R_OK):
        raise CommandError(f"File doesn't exist or not readable: {path}")
    disk = RealDisk()
    tree = DataTree(extended_types=True)
    try:
        with output.progress(
            f"Reading {os.path.basename(path)}", disk.size(path), prints=False
        ) as advance:
            pieces = decompressing(_counted(disk, path, advance), _compression(disk, path))
            info = read(pieces, tree)
    except (SnapshotError, CompressionError) as error:
        raise SnapshotError(f"{path}: not a snapshot that can be read: {error}") from error
    return tree, info


def _counted(disk: Disk, path: str, advance: Advance) -> Iterator[bytes]:
    for piece in chunks(disk, path):
        yield piece
        advance(len(piece))


def _compression(disk: Disk, path: str) -> str:
    """How a snapshot is compressed, by its first bytes."""
    magic = disk.read(path, 0, len(SNAPPY_MAGIC))
    for known, compression in ((MAGIC, ""), (GZIP_MAGIC, "gz"), (SNAPPY_MAGIC, "snappy")):
        if magic.startswith(known):
            return compression
    if not magic:
        raise SnapshotError("it is empty")
    raise SnapshotError(
        f'it begins with {magic[:4].hex()}, which is neither 5a4b534e, "ZKSN", nor gzip nor snappy'
    )


def view(path: str, output: Output, *, data: bool = False) -> int:
    """Print all znodes with their Stats (and their data in base64), then the sessions."""
    tree, info = load(path, output)
    with output.progress("Printing", len(tree.nodes), prints=True, unit="znodes") as advance:
        newest = _view_nodes(tree, output, advance, data=data)
    output.line("----\nSession Details (sid, timeout, ephemeralCount):")
    for session_id in ids_in_order(info.sessions):
        count = len(tree.ephemerals.get(session_id, ()))
        output.line(f"{session_id:#016x}, {info.sessions[session_id]}, {count}")
    named = snapshot_zxid(os.path.basename(path)) or 0
    output.line(f"----\nLast zxid: 0x{max(named, newest):x}")
    return ExitCode.EXECUTION_FINISHED


def _view_nodes(tree: DataTree, output: Output, advance: Advance, *, data: bool) -> int:
    """Print the znodes; the newest zxid in them."""
    output.line(f"ZNode Details (count={tree.znode_count()}):")
    created, modified = (java_time.Clock(java_time.plain_date) for _ in range(2))
    newest = 0
    todo = [b""]
    while todo:
        path = todo.pop()
        node = tree.nodes[path]
        stat = Stat.unpack(node.stat)
        newest = max(newest, stat.mzxid, stat.pzxid)
        content = node.data or b""
        last = (
            f"  data = {b64encode(content).decode()}\n"
            if data
            else f"  dataLength = {len(content)}\n"
        )
        output.write(
            b"----\n"
            + (shown(path) or b"/")
            + (
                f"\n  cZxid = {_hex(stat.czxid)}\n"
                f"  ctime = {created.text(stat.ctime_ms)}\n"
                f"  mZxid = {_hex(stat.mzxid)}\n"
                f"  mtime = {modified.text(stat.mtime_ms)}\n"
                f"  pZxid = {_hex(stat.pzxid)}\n"
                f"  cversion = {node.cversion}\n"
                f"  dataVersion = {stat.version}\n"
                f"  aclVersion = {stat.aversion}\n"
                f"  ephemeralOwner = {_hex(node.owner)}\n{last}"
            ).encode()
        )
        if node.children:
            todo += reversed(children_in_order(node.children))
        advance(1)
    return newest


def shown(path: bytes) -> bytes:
    """A path as it is printed: UTF-8, with U+FFFD for what is none."""
    return path if path.isascii() else decode_text(path).encode()


def _hex(value: int) -> str:
    """At least 16 characters with the 0x, of 64 bits without sign."""
    return f"{value & 0xFFFFFFFFFFFFFFFF:#016x}"


def view_json(path: str, output: Output) -> int:
    """Print the tree as JSON that ncdu reads: names and sizes, an array for a znode and its own."""
    tree, _ = load(path, output)
    head = json.dumps({**PROGRAM, "timestamp": time.time_ns() // 1_000_000}, separators=(",", ":"))
    output.write(f"[1,0,{head}".encode())
    inode = FIRST_INODE
    # A path, or None for the end of an array.
    todo: list[bytes | None] = [b""]
    while todo:
        path_or_end = todo.pop()
        if path_or_end is None:
            output.write(b"]")
            continue
        node = tree.nodes[path_or_end]
        inode += 1
        name = json.dumps(_name(path_or_end), ensure_ascii=False).encode()
        size_bytes = len(node.data or b"")
        output.write(
            b',%b{"name":%b,"asize":%d,"dsize":%d,"dev":0,"ino":%d}'
            % (b"[" if node.children else b"", name, size_bytes, size_bytes, inode)
        )
        if node.children:
            todo.append(None)
            todo += reversed(children_in_order(node.children))
    output.write(b"]")
    return ExitCode.EXECUTION_FINISHED


def _name(path: bytes) -> str:
    return decode_text(path[path.rindex(b"/") + 1 :]) if path else "/"


def summary(path: str, start: str, depth: int, output: Output) -> int:
    """Print znodes and bytes below every znode with children, from `start` down to `depth`.

    Depth 0 has no limit; 1 is the start and its children, and so on.
    """
    tree, _ = load(path, output)
    top_name = os.fsencode(start)
    top = b"" if top_name == b"/" else top_name
    if top not in tree.nodes:
        raise CommandError(f"{path}: there is no znode {start}", ExitCode.UNEXPECTED_ERROR)
    sums = TreeSummary(tree)
    todo = [(top, 0)]
    while todo:
        found, level = todo.pop()
        node = tree.nodes[found]
        if not node.children or depth < 0 or (depth and level > depth):
            continue
        subtree = sums.subtree(found)
        if subtree is not None:
            name = shown(found) if level else top_name
            dashes = b"--" * level
            output.write(
                b"%b %b\n%b   children: %d\n%b   data: %d\n"
                % (dashes, name, dashes, subtree.descendants, dashes, subtree.size_bytes)
            )
        todo += [(child, level + 1) for child in reversed(children_in_order(node.children))]
    output.line("")
    return ExitCode.EXECUTION_FINISHED
