"""Java's properties syntax. The examples were compared with java.util.Properties of Java 17."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zkserver.base.errors import ExitCode
from zkserver.base.properties import ConfigError, Entry, Place, parse, shown, trim


def pairs(text: str) -> list[tuple[str, str]]:
    return [(entry.key, entry.value) for entry in parse(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=b", [("a", "b")]),
        ("a:b", [("a", "b")]),
        ("a b", [("a", "b")]),
        ("a\tb c", [("a", "b c")]),
        ("a = b", [("a", "b")]),
        ("a  :\t b", [("a", "b")]),
        ("a==b", [("a", "=b")]),
        ("a = = b", [("a", "= b")]),
        ("a", [("a", "")]),
        ("a=", [("a", "")]),
        ("=b", [("", "b")]),
        ("  \t\fa=b", [("a", "b")]),
        ("a=b  ", [("a", "b  ")]),
        ("", []),
        ("\n\r\n  \n", []),
        ("# a=b\n! c=d\n  # e", []),
        ("a=b # no comment", [("a", "b # no comment")]),
        ("# ends in a backslash \\\na=b", [("a", "b")]),
        ("a=b\\\n   c", [("a", "bc")]),
        ("a=b\\\r\n\tc", [("a", "bc")]),
        ("a=b\\\n#c", [("a", "b#c")]),
        ("a=b\\\\\nc=d", [("a", "b\\"), ("c", "d")]),
        ("a=b\\\\\\\nc", [("a", "b\\c")]),
        ("a=b\\\n\nc=d", [("a", "b"), ("c", "d")]),
        ("a\\\n=b", [("a", "b")]),
        ("a=b\\", [("a", "b")]),
        ("\\\n# c\na=b", [("a", "b")]),
        ("a\\ b=c", [("a b", "c")]),
        ("a\\=b\\:c=d", [("a=b:c", "d")]),
        ("a=\\t\\n\\r\\f\\q\\\\", [("a", "\t\n\r\fq\\")]),
        ("a=\\ b", [("a", " b")]),
        ("\\u0061=\\u00e9\\u20AC", [("a", "é€")]),
        ("a=\\ud83d\\ude00", [("a", "😀")]),
        ("a=\\ud83d", [("a", "\ud83d")]),
        ("a=1\na=2", [("a", "1"), ("a", "2")]),
        ("a=1\rb=2\r\nc=3\nd=4", [("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")]),
        ("a=\x0b\x85b", [("a", "\x0b\x85b")]),
        ("server.1=h:1:2;3", [("server.1", "h:1:2;3")]),
    ],
)
def test_reads_as_java_does(text: str, expected: list[tuple[str, str]]) -> None:
    assert pairs(text) == expected


def test_line_numbers_are_those_of_the_first_line_of_an_entry() -> None:
    text = "# one\n\nthree=\\\n  four\r\nfive=5\rsix\n"
    assert parse(text) == [Entry(3, "three", "four"), Entry(5, "five", "5"), Entry(6, "six", "")]


@pytest.mark.parametrize("text", ["a=\\u12", "a=\\u", "\\u00g0=b", "a=\\u 1234"])
def test_refuses_a_unicode_escape_without_four_digits(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse("ok=1\n" + text, "zoo.cfg")
    assert str(refused.value) == "zoo.cfg:2: \\u must be followed by four hexadecimal digits"


def test_an_error_names_place_key_value_and_what_is_allowed() -> None:
    error = ConfigError(Place("zoo.cfg", 7), "tickTime", "0 ", "must be at least 1")
    assert str(error) == "zoo.cfg:7: tickTime = '0 ': must be at least 1"
    assert error.exit_code == ExitCode.INVALID_INVOCATION
    assert str(ConfigError(Place("zoo.cfg"), "dataDir", None, "is not set")) == (
        "zoo.cfg: dataDir: is not set"
    )


def test_values_are_shown_so_that_nothing_hides() -> None:
    assert [shown("a b"), shown(""), shown("a "), shown("a\tb")] == ["a b", "''", "'a '", "'a\\tb'"]


def test_trims_what_java_trims() -> None:
    assert trim("\x00\t a b \x1f\n") == "a b"
    assert trim("\xa0a") == "\xa0a"


def _escaped(text: str, *, is_key: bool) -> str:
    pieces = []
    for index, character in enumerate(text):
        if character in "\\=:#!" or (character == " " and (is_key or index == 0)):
            pieces.append("\\" + character)
        elif character.isascii() and character.isprintable():
            pieces.append(character)
        else:
            units = character.encode("utf-16-be", "surrogatepass").hex()
            pieces += [f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4)]
    return "".join(pieces)


@given(
    st.lists(st.tuples(st.text(min_size=1), st.text())),
    st.sampled_from(["=", ":", " = ", "\t:\f", "\\\n  ="]),
    st.sampled_from(["\n", "\r", "\r\n", "\n# comment\\\n\n"]),
)
def test_reads_back_what_was_written(
    written: list[tuple[str, str]], separator: str, line_end: str
) -> None:
    lines = [
        _escaped(key, is_key=True) + separator + _escaped(value, is_key=False) + line_end
        for key, value in written
    ]
    assert pairs("".join(lines)) == written


@given(st.text(alphabet="ab=: \t\f\\\n\r#!u0é"))
def test_any_text_reads_or_is_refused(text: str) -> None:
    try:
        entries = parse(text)
    except ConfigError:
        return
    numbers = [entry.line_number for entry in entries]
    assert numbers == sorted(set(numbers))
