"""Two snapshots side by side: where znodes and bytes have come and gone (SnapshotComparer).

The lines are Apache's. Interactively one looks around: Enter prints the next depth, a number that
depth, a path the children of that znode; the end of the input ends it.
"""

from __future__ import annotations

import os
import re
import sys
import time
from dataclasses import dataclass

from zkserver.base.errors import ExitCode
from zkserver.cli.output import Output
from zkserver.cli.snapshot_tool import load, shown
from zkserver.tree.comparison import Difference, TreeSummary, compare

PROMPT = """\
- Press enter to move to print current depth layer;
- Type a number to jump to and print all nodes at a given depth;
- Enter an ABSOLUTE path to print the immediate subtree of a node. Path must start with '/'."""

_is_number = re.compile(r"[+-]?[0-9]+").fullmatch


@dataclass(frozen=True)
class Settings:
    """From which difference on a znode is printed, and how much is said of the others."""

    size_bytes: int
    nodes: int
    is_debug: bool = False
    is_interactive: bool = False


def run(left_path: str, right_path: str, settings: Settings, output: Output) -> int:
    """Compare two snapshots and print it."""
    left, right = _read(left_path, output), _read(right_path, output)
    for tree in (left, right):
        _say_figures(tree, output)
    comparison = _Comparison(left, right, settings, output)
    if settings.is_interactive:
        comparison.look_around()
    else:
        comparison.all_layers()
    return ExitCode.EXECUTION_FINISHED


def _read(path: str, output: Output) -> TreeSummary:
    begin_s = time.perf_counter()
    tree, _ = load(path, output)
    read_s = time.perf_counter()
    name = os.path.basename(path)
    output.line(f"Deserialized snapshot in {name} in {read_s - begin_s:f} seconds")
    sums = TreeSummary(tree)
    output.line(f"Processed data tree in {time.perf_counter() - read_s:f} seconds")
    return sums


def _say_figures(tree: TreeSummary, output: Output) -> None:
    whole = tree.subtree(b"")
    output.line(f"Node count: {tree.node_count()}")
    output.line(f"Total size: {whole.size_bytes if whole else 0}")
    output.line(f"Max depth: {len(tree.layers)}")
    for depth, layer in enumerate(tree.layers):
        output.line(f"Count of nodes at depth {depth}: {len(layer)}")
    output.line("")


class _Comparison:
    """Prints differences of two trees by layer or by znode."""

    def __init__(
        self, left: TreeSummary, right: TreeSummary, settings: Settings, output: Output
    ) -> None:
        self._left = left
        self._right = right
        self._settings = settings
        self._output = output
        self._depths = max(len(left.layers), len(right.layers))

    def all_layers(self) -> None:
        """Every depth, the root first."""
        self._say_thresholds()
        for depth in range(self._depths):
            self._layer(depth)
        self._output.line("All layers compared.")

    def look_around(self) -> None:
        """Do what standard input says, until the last layer was printed or the input ends."""
        output = self._output
        depth = 0
        while depth < self._depths:
            output.line(f"Current depth is {depth}\n{PROMPT}")
            output.flush()
            words = sys.stdin.readline()
            if not words:
                return
            word = words.rstrip("\r\n")
            self._say_thresholds()
            if not word:
                self._layer(depth)
                depth += 1
            elif word.startswith("/"):
                self._children(os.fsencode(word))
            elif _is_number(word) is None:
                output.line(
                    f"Input {word} is not valid. Depth must be in range [0, {self._depths - 1}]. "
                    "Path must be an absolute path which starts with '/'."
                )
            elif not 0 <= int(word) < self._depths:
                output.line(f"Depth must be in range [0, {self._depths - 1}]")
                continue
            else:
                depth = int(word)
                self._layer(depth)
            output.line("")
        output.line("All layers compared.")

    def _say_thresholds(self) -> None:
        self._output.line(
            f"Printing analysis for nodes difference larger than {self._settings.size_bytes} bytes "
            f"or node count difference larger than {self._settings.nodes}."
        )

    def _layer(self, depth: int) -> None:
        self._output.line(f"Analysis for depth {depth}")
        self._differences(self._left.layer(depth), self._right.layer(depth))

    def _children(self, path: bytes) -> None:
        self._output.line(f"Analysis for node {os.fsdecode(path)}")
        if self._left.subtree(path) is None and self._right.subtree(path) is None:
            self._output.line(
                f"Path {os.fsdecode(path)} is neither found in left tree nor right tree."
            )
            return
        self._differences(self._left.children(path), self._right.children(path))

    def _differences(self, left_paths: list[bytes], right_paths: list[bytes]) -> None:
        settings, write = self._settings, self._output.write
        says_all = settings.is_debug or settings.is_interactive
        for step in compare(self._left, self._right, left_paths, right_paths):
            if settings.is_debug and step.left is not None and step.right is not None:
                both = shown(step.left), shown(step.right)
                write(b"Comparing %b to %b\n%b\n" % (*both, _who(step)))
            if step.exceeds(settings.size_bytes, settings.nodes):
                write(_difference(step))
            elif says_all:
                write(_filtered(step))


def _who(step: Difference) -> bytes:
    if step.of_left is None:
        return b"right is less"
    return b"left is less" if step.of_right is None else b"same"


def _difference(step: Difference) -> bytes:
    path = shown(step.path)
    if step.of_left is not None and step.of_right is not None:
        return b"Node %b found in both trees. Delta: %d bytes, %d descendants\n" % (
            path,
            *step.delta(),
        )
    side, subtree = (b"left", step.of_left) if step.of_left else (b"right", step.of_right)
    return b"Node %b found only in %b tree. Descendant size: %d. Descendant count: %d\n" % (
        path,
        side,
        *(subtree or (0, 0)),
    )


def _filtered(step: Difference) -> bytes:
    path = shown(step.path)
    left, right = step.of_left, step.of_right
    if left is not None and right is not None:
        return b"Filtered node %b of left size %d, right size %d\n" % (
            path,
            left.size_bytes,
            right.size_bytes,
        )
    if left is not None:
        return b"Filtered left node %b of size %d\n" % (path, left.size_bytes)
    return b"Filtered right node %b of size %d\n" % (path, right.size_bytes if right else 0)
