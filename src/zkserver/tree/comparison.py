"""Trees by their subtrees: how many znodes and bytes are where, and how two trees differ.

A subtree's size is the data of all its znodes, its top included; its count leaves the top out.
Layers are the znodes of one depth in the order of their paths; the root is depth 0. Two trees are
compared layer by layer, by merging: a znode is in the left tree, in the right one, or in both.
Only sizes and counts are compared, never data: this tells where a tree has grown.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from zkserver.tree.tree import DataTree


class Subtree(NamedTuple):
    """A znode with all below it: bytes of data in all, and znodes below the top."""

    size_bytes: int
    descendants: int


class Difference(NamedTuple):
    """A step of the comparison of two layers.

    `left` and `right` are the next paths of both sides, None where a side has no more. The step is
    about `path`, which is in the left tree if `of_left` is not None, in the right one likewise.
    """

    left: bytes | None
    right: bytes | None
    path: bytes
    of_left: Subtree | None
    of_right: Subtree | None

    def exceeds(self, size_bytes: int, nodes: int) -> bool:
        """Whether size or count differ by more than that; a side without the znode has none."""
        ours, theirs = self.of_left or Subtree(0, 0), self.of_right or Subtree(0, 0)
        size_delta, node_delta = self.delta()
        if self.of_left is None or self.of_right is None:
            alone = theirs if self.of_left is None else ours
            return alone.size_bytes > size_bytes or alone.descendants > nodes
        return abs(size_delta) > size_bytes or abs(node_delta) > nodes

    def delta(self) -> tuple[int, int]:
        """Bytes and znodes that the right side has more."""
        ours, theirs = self.of_left or Subtree(0, 0), self.of_right or Subtree(0, 0)
        return theirs.size_bytes - ours.size_bytes, theirs.descendants - ours.descendants


class TreeSummary:
    """The subtrees and layers of a tree, which must not change meanwhile."""

    def __init__(self, tree: DataTree) -> None:
        self._nodes = tree.nodes
        sizes = {path: len(node.data or b"") for path, node in tree.nodes.items()}
        counts = dict.fromkeys(sizes, 0)
        self.layers: list[list[bytes]] = []
        # Parents stand before their children.
        for path in reversed(sizes):
            if path:
                parent = path[: path.rindex(b"/")]
                sizes[parent] += sizes[path]
                counts[parent] += counts[path] + 1
        self._sizes = sizes
        self._counts = counts
        for path in sizes:
            depth = path.count(b"/")
            while len(self.layers) <= depth:
                self.layers.append([])
            self.layers[depth].append(path)
        for layer in self.layers:
            layer.sort()

    def subtree(self, path: bytes) -> Subtree | None:
        """The subtree at `path` (b"" is the root), or None."""
        size_bytes = self._sizes.get(path)
        return None if size_bytes is None else Subtree(size_bytes, self._counts[path])

    def layer(self, depth: int) -> list[bytes]:
        """The paths of one depth; none below the deepest."""
        return self.layers[depth] if depth < len(self.layers) else []

    def children(self, path: bytes) -> list[bytes]:
        """The paths of a znode's children in their order; none if it is not there."""
        node = self._nodes.get(path)
        return sorted(node.children) if node is not None and node.children else []

    def node_count(self) -> int:
        """All znodes, the root once."""
        return len(self._sizes)


def compare(
    left: TreeSummary, right: TreeSummary, left_paths: list[bytes], right_paths: list[bytes]
) -> Iterator[Difference]:
    """Go along both sorted lists of paths at once: one step for each path that is in either."""
    ours, theirs = iter(left_paths), iter(right_paths)
    a, b = next(ours, None), next(theirs, None)
    while a is not None or b is not None:
        if b is None or (a is not None and a < b):
            path = a or b""
            yield Difference(a, b, path, left.subtree(path), None)
            a = next(ours, None)
        elif a is None or b < a:
            yield Difference(a, b, b, None, right.subtree(b))
            b = next(theirs, None)
        else:
            yield Difference(a, b, b, left.subtree(b), right.subtree(b))
            a, b = next(ours, None), next(theirs, None)
