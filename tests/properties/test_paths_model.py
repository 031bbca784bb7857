"""Path validation against rules applied one character at a time."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from zkserver.base.paths import validate

# Characters at the edges of every range that the rules name.
EDGES = "/.a-~ \0\x01\x1f\x7f\x80\x9f\xa0\ud7ff\ue000\uf8ff\uf900\uffef\ufff0\uffff😀"

texts = st.text(st.sampled_from(EDGES) | st.characters(codec="utf-8"), max_size=12)
rooted = texts.map(lambda text: "/" + text).map(str.encode)


def is_allowed(char: str) -> bool:
    code = ord(char)
    return not (
        code <= 0x1F
        or 0x7F <= code <= 0x9F
        or 0xD800 <= code <= 0xF8FF
        or code >= 0xFFF0
    )


def is_valid(path: bytes) -> bool:
    text = path.decode("utf-8", "replace")
    if text == "/":
        return True
    if not text.startswith("/"):
        return False
    names = text[1:].split("/")
    return all(
        name not in ("", ".", "..") and all(is_allowed(char) for char in name) for name in names
    )


@given(rooted | st.binary(max_size=12) | st.binary(max_size=12).map(lambda raw: b"/" + raw))
@example(b"/.a")
@example(b"/a/..")
@example(b"/a\xed\xa0\x80")
def test_validate_agrees_with_the_rules(path: bytes) -> None:
    assert (validate(path) is None) == is_valid(path)
