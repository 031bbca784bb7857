"""Snapshots under the tools: what they print of good ones and say of bad ones."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tools import snapshots
from tests.tools.conftest import Tool
from zkserver.cli import snapshot_tool
from zkserver.cli.output import guarded
from zkserver.tree.java_order import children_in_order, hash_of_text, ids_in_order
from zkserver.tree.tree import DataTree

TREE = snapshots.random_tree(3, 60, snapshots.plain_name)
SCRIPTS = (
    ("zkserver", "snapshot", "view"),
    ("zkserver", "snapshot", "summary"),
    ("zkSnapShotToolkit.sh", "-d"),
)


@pytest.fixture(name="file")
def _file(tmp_path: Path) -> Path:
    return snapshots.save(tmp_path / "data", TREE)


@pytest.mark.parametrize("compression", ["gz", "snappy"])
def test_compression_changes_nothing(tool: Tool, tmp_path: Path, compression: str) -> None:
    plain = snapshots.save(tmp_path / "plain", TREE)
    packed = snapshots.save(tmp_path / "packed", TREE, compression)
    assert packed.read_bytes() != plain.read_bytes()
    for command in (("view", "--data"), ("view",), ("summary",)):
        expected = tool("zkserver", "snapshot", *command, plain)
        assert expected.code == 0
        assert tool("zkserver", "snapshot", *command, packed) == expected
        # What it begins with counts, whatever the name says.
        renamed = tmp_path / plain.name
        renamed.write_bytes(packed.read_bytes())
        assert tool("zkserver", "snapshot", *command, renamed) == expected
    done = tool("zkserver", "snapshot", "compare", plain, packed)
    assert "Analysis for depth 1\nAnalysis for depth 2\n" in done.out
    assert "Node /" not in done.out


def test_the_same_under_both_names(tool: Tool, file: Path) -> None:
    assert tool("zkserver", "snapshot", "view", file) == tool("zkSnapShotToolkit.sh", file)
    assert tool("zkserver", "snapshot", "view", "-d", file) == tool(
        "zkSnapShotToolkit.sh", "-d", file
    )
    ours = tool("zkserver", "snapshot", "summary", "--depth", 1, file, "/")
    assert ours == tool("zkSnapshotRecursiveSummaryToolkit.sh", file, "/", 1)
    assert ours.out.startswith(" /\n   children: ")


def test_json_has_every_znode(tool: Tool, file: Path) -> None:
    done = tool("zkserver", "snapshot", "view", "--json", file)

    def names(part: object) -> int:
        return sum(map(names, part)) if isinstance(part, list) else 1

    major, minor, program, root = json.loads(done.out)
    assert (major, minor, program["progname"]) == (1, 0, "SnapshotFormatter.java")
    assert names(root) == len(TREE.nodes)


def test_a_tree_of_one_long_branch(tool: Tool, tmp_path: Path) -> None:
    tree = DataTree()
    path = b""
    for depth in range(1, 3000):
        path += b"/d"
        snapshots.create(tree, path, depth)
    file = snapshots.save(tmp_path, tree)
    assert tool("zkserver", "snapshot", "view", file).out.count("/d\n  cZxid") == 2999
    assert tool("zkserver", "snapshot", "view", "--json", file).out.count('"name":"d"') == 2999
    assert "   children: 3002\n" in tool("zkserver", "snapshot", "summary", file).out
    assert tool("zkserver", "snapshot", "compare", file, file).code == 0


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script[-1])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (b"ZKLG\0\0\0\2" + bytes(40), 'it begins with 5a4b4c47, which is neither 5a4b534e, "ZKSN"'),
        (b"\x28\xb5\x2f\xfd" + bytes(40), "it begins with 28b52ffd, which is neither"),
        (b"\x1f\x8b" + bytes(40), "not gzip"),
        (b"\x82SNAPPY\0\0\0\0\1\0\0\0\1\0\0\0\5abc", "the snappy stream ends early"),
        ("cut", "it ends early"),
        ("flipped", "the checksum at byte"),
        (None, "File doesn't exist or not readable"),
    ],
)
def test_what_is_no_snapshot_is_refused_in_one_line(
    tool: Tool, file: Path, script: tuple[str, ...], content: bytes | str | None, message: str
) -> None:
    good = file.read_bytes()
    if content is None:
        file.unlink()
    elif content == "cut":
        file.write_bytes(good[: len(good) // 2])
    elif content == "flipped":
        place = good.index(b"dddd")
        file.write_bytes(good[:place] + b"e" + good[place + 1 :])
    else:
        file.write_bytes(content)  # type: ignore[arg-type]
    done = tool(*script, file)
    assert done.code == (2 if content is None else 1)
    assert done.out == ""
    assert message in done.err
    assert str(file) in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("zkSnapShotToolkit.sh", [], "USAGE: SnapshotFormatter [-d|-json] snapshot_file"),
        ("zkSnapShotToolkit.sh", ["-x", "f"], "USAGE"),
        ("zkSnapShotToolkit.sh", ["a", "b", "c"], "USAGE"),
        ("zkSnapShotToolkit.sh", ["-d", "-json", "f"], "Cannot specify both data dump (-d) and"),
        ("zkSnapshotRecursiveSummaryToolkit.sh", ["f", "/"], "SnapshotRecursiveSummary  <snap"),
        ("zkSnapshotRecursiveSummaryToolkit.sh", ["f", "/", "x"], "USAGE"),
        ("zkSnapshotComparer.sh", [], "Missing required options: l, r, b, n\nusage"),
        ("zkSnapshotComparer.sh", ["-l", "a", "-r", "b", "-n", "1"], "required option: b\n"),
        ("zkSnapshotComparer.sh", ["-z"], "Unrecognized option: -z"),
        ("zkSnapshotComparer.sh", ["--left"], "Missing argument for option: left"),
        ("zkSnapshotComparer.sh", ["-la", "-rb", "-n1", "-bx"], "'x' is no number"),
        ("zkserver", ["snapshot", "view", "-d", "--json", "f"], "exclude each other"),
        ("zkserver", ["snapshot", "summary", "--depth=-1", "f"], "Invalid value"),
    ],
)
def test_bad_use_ends_with_2(tool: Tool, name: str, arguments: list[str], message: str) -> None:
    done = tool(name, *arguments)
    assert done.code == 2
    assert message in done.err


def test_a_summary_of_a_znode_that_is_not_there(tool: Tool, file: Path) -> None:
    done = tool("zkserver", "snapshot", "summary", file, "/nothing")
    assert done == (1, "", f"{file}: there is no znode /nothing\n")


def test_looking_around_ends_with_the_input(tool: Tool, file: Path) -> None:
    done = tool("zkserver", "snapshot", "compare", "-i", file, file, answers="/nothing\n")
    assert done.code == 0
    assert "Path /nothing is neither found in left tree nor right tree.\n" in done.out
    assert done.out.count("Current depth is 0") == 2


def test_java_s_hash_of_a_string() -> None:
    assert hash_of_text(b"") == 0
    assert hash_of_text(b"hello") == 99162322
    assert hash_of_text("ü€😀".encode()) == hash_by_units("ü€😀")
    text = "".join(chr(random.Random(5).randrange(0x20, 0x7F)) for _ in range(1000))
    assert hash_of_text(text.encode()) == hash_by_units(text)


def hash_by_units(text: str) -> int:
    packed = text.encode("utf-16-be")
    value = 0
    for high, low in zip(packed[::2], packed[1::2], strict=True):
        value = (value * 31 + (high << 8 | low)) & 0xFFFFFFFF
    return value


def test_the_order_of_java_s_tables() -> None:
    # Bucket 3 of 8 takes both in the order they came; a seventh name doubles the table.
    assert children_in_order([b"/c", b"/k", b"/a"]) == [b"/a", b"/c", b"/k"]
    assert children_in_order([b"/k", b"/c", b"/a"]) == [b"/a", b"/k", b"/c"]
    letters = [b"/%c" % letter for letter in b"kcabdef"]
    assert children_in_order(letters) == [b"/a", b"/b", b"/c", b"/d", b"/e", b"/f", b"/k"]
    assert ids_in_order([17, 1, 16]) == [16, 17, 1]


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(["", "gz", "snappy"]),
    st.lists(st.tuples(st.integers(0, 5000), st.binary(max_size=9)), min_size=1, max_size=4),
)
def test_no_bytes_end_in_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, compression: str, changes: list[tuple[int, bytes]]
) -> None:
    folder = tmp_path_factory.mktemp("bytes")
    file = snapshots.save(folder, TREE, compression)
    data = file.read_bytes()
    for place, new in changes:
        data = data[:place] + new + data[place + len(new) :]
    file.write_bytes(data)
    assert guarded(lambda output: snapshot_tool.view(str(file), output)) in (0, 1)
