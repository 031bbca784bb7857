"""The words of a command line: splitting, options, usage texts.

Commands are read as Apache's shell reads them, which leaves that to commons-cli: options may
stand before and behind the path; those of one letter may be joined (-sw) and may have their
argument attached (-v3, -v=3); `--` ends the options. What is refused, and with which words,
scripts see, so the texts here are commons-cli's.

A `Syntax` describes one command. `parse` gives `Arguments`, or raises `CommandError`, the
one exception for all that a command tells a person and an exit code.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from zkserver.base import paths

_WORD = re.compile(r"""[^"'\s]\S*|"([^"]*)"|'([^']*)'""")
_FAULTS = (
    ("null", "null character not allowed"),
    ("empty", "empty node name specified"),
    ('".."', "relative paths not allowed"),
)
_REFUSAL = "org.apache.commons.cli."
_NEGATIVE_NUMBER = re.compile(r"-\d+(\.\d*)?$")


class CommandError(Exception):
    """A command that failed: what standard error says, the exit code, a hint for a person."""

    def __init__(self, message: str, exit_code: int = 1, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code
        self.hint = hint


@dataclass(frozen=True)
class Option:
    """An option, named without its hyphen. Of those of one `group` only one may be given."""

    name: str
    about: str
    takes_argument: bool = False
    group: str = ""

    @property
    def shown(self) -> str:
        """As usage texts have it."""
        return f"-{self.name} <arg>" if self.takes_argument else f"-{self.name}"


@dataclass(frozen=True)
class Syntax:
    """How a command is written. `arguments` is what usage texts have behind its name.

    `words` is how many words it needs beside its options. `has_long_usage`: a missing word
    is answered with the options, too. `required_group`: one of its options must be there.
    `is_plain`: it has no options, and what looks like one is a word.
    """

    name: str
    arguments: str
    about: str
    options: tuple[Option, ...] = ()
    words: int = 0
    has_long_usage: bool = False
    required_group: str = ""
    is_plain: bool = False

    @property
    def usage(self) -> str:
        """One line."""
        return f"{self.name} {self.arguments}"

    @property
    def long_usage(self) -> str:
        """The usage with a line for each option, and an empty line."""
        width = max((len(option.shown) for option in self.options), default=0)
        lines = [self.usage]
        lines += [
            f" {option.shown:<{width}}   {option.about}"
            for option in sorted(self.options, key=lambda option: option.name.lower())
        ]
        return "\n".join(lines) + "\n"

    def option(self, name: str) -> Option | None:
        """The option of that name."""
        return next((option for option in self.options if option.name == name), None)

    def misused(self) -> CommandError:
        """What answers a command that lacks a word."""
        return CommandError(self.long_usage if self.has_long_usage else self.usage)


@dataclass
class Arguments:
    """A command taken apart: the words behind its name, and the options with their values."""

    syntax: Syntax
    words: list[str] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)

    def __contains__(self, option: str) -> bool:
        return option in self.values

    def integer(self, option: str, default: int) -> int:
        """The value of an option as a number."""
        return number(self.values[option]) if option in self.values else default


def number(word: str) -> int:
    """A whole number. Raises CommandError in Java's words."""
    if re.fullmatch(r"[+-]?[0-9]+", word) is None:
        raise CommandError(
            f'For input string: "{word}"', hint="A whole number belongs there, such as 3 or -1."
        )
    return int(word)


def path_fault(path: str) -> str:
    """Why a path can name no znode, in the words of Java's client; "" if it can."""
    reason = paths.validate(encode(path))
    if reason is None:
        return ""
    if not path:
        return "Path length must be > 0"
    if not path.startswith("/"):
        return "Path must start with / character"
    if path.endswith("/"):
        return "Path must not end with / character"
    what, _, place = reason.rpartition(" (at ")
    cause = next((words for ours, words in _FAULTS if ours in what), "invalid character")
    return f'Invalid path string "{path}" caused by {cause} @{place.rstrip(")")}'


def encode(text: str) -> bytes:
    """Text as UTF-8; what came in as other bytes goes out as the same bytes."""
    return text.encode("utf-8", "surrogateescape")


def split_line(line: str) -> list[str]:
    """The words of a line; quotes keep words together, and are taken off."""
    found = []
    for match in _WORD.finditer(line):
        quoted = match[1] if match[1] is not None else match[2]
        found.append(match[0] if quoted is None else quoted)
    return found


def parse(syntax: Syntax, words: Sequence[str]) -> Arguments:
    """Take the words behind a command's name apart. Raises CommandError."""
    if syntax.is_plain:
        return Arguments(syntax, list(words))
    parser = _Parser(syntax)
    for word in words:
        parser.take(word)
    parser.end()
    if len(parser.found.words) < syntax.words:
        raise syntax.misused()
    return parser.found


class _Parser:
    """Takes words one by one, like commons-cli's DefaultParser without long options."""

    def __init__(self, syntax: Syntax) -> None:
        self.syntax = syntax
        self.found = Arguments(syntax)
        self._waiting: Option | None = None
        self._chosen: dict[str, str] = {}
        self._only_words = False

    def take(self, word: str) -> None:
        if self._only_words:
            self.found.words.append(word)
        elif word == "--":
            self._only_words = True
        elif self._waiting is not None and self._is_argument(word):
            self._give(word)
        elif word.startswith("-") and word != "-":
            self._take_options(word)
        else:
            self.found.words.append(word)

    def _is_argument(self, word: str) -> bool:
        if _NEGATIVE_NUMBER.match(word):
            return True
        name = word.lstrip("-").partition("=")[0]
        is_option = word.startswith("-") and len(word) > 1 and bool(name)
        known = self.syntax.option(name) or self.syntax.option(name[:1])
        return not (is_option and known is not None)

    def _give(self, value: str) -> None:
        if self._waiting is not None:
            self.found.values[self._waiting.name] = value
            self._waiting = None

    def _take_options(self, word: str) -> None:
        name, equals, value = word[1:].partition("=")
        option = self.syntax.option(name)
        if equals and len(name) == 1 and option is not None and option.takes_argument:
            self._choose(option)
            self._give(value)
        elif not equals and option is not None:
            self._choose(option)
        else:
            self._take_joined(word)

    def _take_joined(self, word: str) -> None:
        """-sw, -v3, -sv3: letter by letter, until one takes the rest as its argument."""
        for position, letter in enumerate(word[1:], 1):
            option = self.syntax.option(letter)
            if option is None:
                raise self._refused("UnrecognizedOption", f"Unrecognized option: {word}")
            self._choose(option)
            if self._waiting is not None and position + 1 < len(word):
                self._give(word[position + 1 :])
                return

    def _choose(self, option: Option) -> None:
        self._check_waiting()
        if option.group:
            other = self._chosen.setdefault(option.group, option.name)
            if other != option.name:
                raise self._refused(
                    "AlreadySelected",
                    f"The option '{option.name}' was specified but an option from this group "
                    f"has already been selected: '{other}'",
                )
        if option.takes_argument:
            self._waiting = option
        else:
            self.found.values[option.name] = ""

    def _check_waiting(self) -> None:
        if self._waiting is not None:
            raise self._refused(
                "MissingArgument", f"Missing argument for option: {self._waiting.name}"
            )

    def end(self) -> None:
        self._check_waiting()
        group = self.syntax.required_group
        if group and group not in self._chosen:
            options = (option for option in self.syntax.options if option.group == group)
            shown = ", ".join(f"-{option.name} {option.about}" for option in options)
            raise self._refused("MissingOption", f"Missing required option: [{shown}]")

    def _refused(self, kind: str, reason: str) -> CommandError:
        return CommandError(
            f"{_REFUSAL}{kind}Exception: {reason}", hint=f"Write: {self.syntax.usage}"
        )
