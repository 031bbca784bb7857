"""Text of a configuration file to entries, in Java's properties syntax, and what may be wrong.

The syntax is that of `java.util.Properties.load`: one `key=value` a line, also `key:value` or
`key value`; lines whose first character is `#` or `!` are comments; a backslash at the end of a
line continues it on the next; `\\t \\n \\r \\f \\uXXXX` and a backslash before any other
character are escapes. White space before a value is dropped, white space after it is kept:
who reads a value trims it, or refuses it, as ZooKeeper does key by key.

Java reads such a file as ISO-8859-1, so who reads one for `parse` should decode it as that.

Entries keep their order and their line numbers: the last of two equal keys wins, and every
message about a value names its line.

Left out: writing properties and XML properties, which ZooKeeper's start does not use, and the
empty key that Java makes of a lone backslash at the very end of a file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from zkserver.base.errors import ExitCode, FatalError

WHITE_SPACE = " \t\f"
COMMAND_LINE = "command line"

_NATURAL_LINE = re.compile(r"\r\n|\r|\n")
_TRAILING_BACKSLASHES = re.compile(r"\\*\Z")
_KEY_AND_VALUE = re.compile(
    r"((?:[^\\=: \t\f]|\\.)*)[ \t\f]*[=:]?[ \t\f]*(.*)", re.DOTALL
)
_ESCAPE = re.compile(r"\\(u([0-9a-fA-F]{4})?|.)", re.DOTALL)
_LETTERS = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}

# String.trim of Java drops all of these at both ends.
_TRIMMED = "".join(map(chr, range(0x21)))


class Entry(NamedTuple):
    """One key and its value; `line_number` counts from 1 and is that of the key's first line."""

    line_number: int
    key: str
    value: str


class Place(NamedTuple):
    """Where something was written: a file and a line; line 0 means the whole file."""

    file_name: str
    line_number: int = 0

    def __str__(self) -> str:
        return f"{self.file_name}:{self.line_number}" if self.line_number else self.file_name


class Given(NamedTuple):
    """A key as somebody wrote it, with its place. `value` is as it stood, not trimmed."""

    place: Place
    key: str
    value: str


class ConfigError(FatalError):
    """A configuration that is refused: `place: key = value: what is allowed`.

    `value` is None where the fault is that a key is missing. `warnings` is what else was found
    before: a key that is missing may be there under a misspelt name. Ends the start with Java's
    exit code for a wrong invocation.
    """

    def __init__(self, place: Place, key: str, value: str | None, problem: str) -> None:
        self.warnings: tuple[ConfigWarning, ...] = ()
        self.place = place
        self.key = key
        self.value = value
        self.problem = problem
        about = key if value is None else f"{key} = {shown(value)}"
        parts = [part for part in (str(place), about, problem) if part]
        super().__init__(ExitCode.INVALID_INVOCATION, ": ".join(parts))


class ConfigWarning(NamedTuple):
    """Something in the configuration that works, though perhaps not as its writer thinks."""

    place: Place
    key: str
    problem: str

    def __str__(self) -> str:
        return ": ".join(part for part in (str(self.place), self.key, self.problem) if part)


def shown(value: str) -> str:
    """`value` for a message: quoted where nothing or white space would hide."""
    if value and value.isprintable() and value == value.strip():
        return value
    return repr(value)


def trim(text: str) -> str:
    """`text` without the characters up to U+0020 at its ends, as Java's String.trim."""
    return text.strip(_TRIMMED)


def parse(text: str, file_name: str = "") -> list[Entry]:
    """The entries of a properties text, in order, equal keys included.

    `file_name` is for the message only. Raises `ConfigError` for `\\u` without four hexadecimal
    digits, as Java does.
    """
    return [_entry(number, line, file_name) for number, line in _logical_lines(text)]


def natural_lines(text: str) -> list[str]:
    """The lines of a properties text as they stand; the numbers of `Entry` count these."""
    lines = _NATURAL_LINE.split(text)
    return lines if lines[-1] else lines[:-1]


def continues(line: str) -> bool:
    """Whether the line after this one belongs to it: it ends in a backslash that means that."""
    trailing = _TRAILING_BACKSLASHES.search(line)
    return trailing is not None and len(trailing.group()) % 2 == 1


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines with their continuations joined, comments and blank lines left out."""
    content = ""
    first_number = 0
    continued = False
    for number, natural in enumerate(_NATURAL_LINE.split(text), 1):
        line = natural.lstrip(WHITE_SPACE)
        if not content:
            # A lone backslash joins nothing to nothing: what follows is a line of its own.
            if not line or line[0] in "#!":
                continue
            first_number = number
        continued = continues(line)
        content += line[:-1] if continued else line
        if not continued:
            yield first_number, content
            content = ""
    if continued and content:
        yield first_number, content


def _entry(number: int, line: str, file_name: str) -> Entry:
    match = _KEY_AND_VALUE.fullmatch(line)
    key, value = match.groups() if match else (line, "")
    place = Place(file_name, number)
    return Entry(number, _unescape(key, place), _unescape(value, place))


def _unescape(text: str, place: Place) -> str:
    if "\\" not in text:
        return text

    def character(match: re.Match[str]) -> str:
        letter, digits = match.groups()
        if digits is not None:
            return chr(int(digits, 16))
        if letter == "u":
            raise ConfigError(place, "", None, "\\u must be followed by four hexadecimal digits")
        return _LETTERS.get(letter, letter)

    unescaped = _ESCAPE.sub(character, text)
    # Two escaped surrogates are one character, as in Java's strings.
    return unescaped.encode("utf-16-be", "surrogatepass").decode("utf-16-be", "surrogatepass")
