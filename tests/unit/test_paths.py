"""Path rules, and the small arithmetic of paths."""

from __future__ import annotations

import pytest

from zkserver.base import paths

GOOD = [
    "/",
    "/a",
    "/a/b",
    "/a b",
    "/.hidden",
    "/a/...",
    "/a.b/..c/d..",
    "/\u00a0",
    "/\ud7ff",
    "/\uf900",
    "/\uffef",
    "/größe/漢字",
]

BAD = [
    (b"", "it is empty"),
    (b"a", "it does not start with a slash"),
    (b"//", "it ends with a slash"),
    (b"/a/", "it ends with a slash"),
    (b"//a", "a component is empty (at 1)"),
    (b"/a//b", "a component is empty (at 3)"),
    (b"/.", 'a component is "." or ".." (at 1)'),
    (b"/a/./b", 'a component is "." or ".." (at 3)'),
    (b"/a/..", 'a component is "." or ".." (at 4)'),
    (b"/../a", 'a component is "." or ".." (at 2)'),
    (b"/a\x00b", "it holds a null character (at 2)"),
    (b"/a\x01", "a character is not allowed (at 2)"),
    (b"/a\x1f", "a character is not allowed (at 2)"),
    (b"/a\n", "a character is not allowed (at 2)"),
    (b"/\x7f", "a character is not allowed (at 1)"),
    ("/é\u0080".encode(), "a character is not allowed (at 2)"),
    ("/\u009f".encode(), "a character is not allowed (at 1)"),
    ("/\ue000".encode(), "a character is not allowed (at 1)"),
    ("/\uf8ff".encode(), "a character is not allowed (at 1)"),
    ("/\ufff0".encode(), "a character is not allowed (at 1)"),
    ("/\uffff".encode(), "a character is not allowed (at 1)"),
    ("/a😀".encode(), "a character is not allowed (at 2)"),
    (b"/a\xff", "a character is not allowed (at 2)"),
    (b"/a\xc3", "a character is not allowed (at 2)"),
    (b"/\xc0\x80", "a character is not allowed (at 1)"),
    (b"/\xed\xa0\x80", "a character is not allowed (at 1)"),
]


@pytest.mark.parametrize("path", GOOD)
def test_path_that_may_name_a_znode(path: str) -> None:
    assert paths.validate(path.encode()) is None


@pytest.mark.parametrize(("path", "reason"), BAD)
def test_path_that_may_not(path: bytes, reason: str) -> None:
    assert paths.validate(path) == reason


@pytest.mark.parametrize(
    ("path", "parent", "name"),
    [
        (b"/", b"", b""),
        (b"/a", b"", b"a"),
        (b"/a/b", b"/a", b"b"),
        (b"/a/b/c", b"/a/b", b"c"),
    ],
)
def test_split(path: bytes, parent: bytes, name: bytes) -> None:
    assert paths.split(path) == (parent, name)


@pytest.mark.parametrize(
    ("path", "namespace"),
    [(b"/", None), (b"", None), (b"/a", b"a"), (b"/a/b/c", b"a"), (b"//", None), (b"/a/", b"a")],
)
def test_top_namespace(path: bytes, namespace: bytes | None) -> None:
    assert paths.top_namespace(path) == namespace


def test_special_paths_are_those_that_a_fresh_tree_has() -> None:
    assert sorted(paths.SPECIAL) == [
        b"",
        b"/",
        b"/zookeeper",
        b"/zookeeper/config",
        b"/zookeeper/quota",
    ]
