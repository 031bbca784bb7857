"""How a line becomes a command: words, options, and what is refused, as commons-cli does it."""

from __future__ import annotations

import pytest

from zkserver.cli.shell_arguments import CommandError, Option, Syntax, parse, path_fault, split_line

LS = Syntax("ls", "[-s] [-w] [-v n] path", "", (
    Option("s", "stat"), Option("w", "watch"), Option("v", "version", takes_argument=True),
), 1)
QUOTA = Syntax("setquota", "-n|-N val path", "", (
    Option("n", "soft", takes_argument=True, group="g"), Option("N", "hard", takes_argument=True, group="g"),
), 1, required_group="g")


@pytest.mark.parametrize(("line", "words"), [
    ("ls /", ["ls", "/"]),
    ("  ls \t -s   /a ", ["ls", "-s", "/a"]),
    ("create '/a b' \"c d\"", ["create", "/a b", "c d"]),
    ('set /a ""', ["set", "/a", ""]),
    ('set /a "it\'s"', ["set", "/a", "it's"]),
    ('set /a x"y z"w', ["set", "/a", 'x"y', 'z"w']),
    ('set /a "unterminated', ["set", "/a", "unterminated"]),
    (r"set /a b\ c", ["set", "/a", "b\\", "c"]),
    ("set /a {\"k\":1}", ["set", "/a", '{"k":1}']),
])  # fmt: skip
def test_a_line_is_cut_into_words(line: str, words: list[str]) -> None:
    assert split_line(line) == words


@pytest.mark.parametrize(("words", "left", "values"), [
    (["/a"], ["/a"], {}),
    (["-s", "/a"], ["/a"], {"s": ""}),
    (["/a", "-s"], ["/a"], {"s": ""}),
    (["-sw", "/a"], ["/a"], {"s": "", "w": ""}),
    (["-v", "3", "/a"], ["/a"], {"v": "3"}),
    (["-v", "-1", "/a"], ["/a"], {"v": "-1"}),
    (["-v3", "/a"], ["/a"], {"v": "3"}),
    (["-v=3", "/a"], ["/a"], {"v": "3"}),
    (["-sv3", "/a"], ["/a"], {"s": "", "v": "3"}),
    (["--", "-s"], ["-s"], {}),
    (["-", "/a"], ["-", "/a"], {}),
])  # fmt: skip
def test_options_stand_anywhere(words: list[str], left: list[str], values: dict[str, str]) -> None:
    found = parse(LS, words)
    assert (found.words, found.values) == (left, values)


@pytest.mark.parametrize(("syntax", "words", "message"), [
    (LS, [], "ls [-s] [-w] [-v n] path"),
    (LS, ["-z", "/a"], "org.apache.commons.cli.UnrecognizedOptionException: Unrecognized option: -z"),
    (LS, ["-sz", "/a"], "org.apache.commons.cli.UnrecognizedOptionException: Unrecognized option: -sz"),
    (LS, ["--s", "/a"], "org.apache.commons.cli.UnrecognizedOptionException: Unrecognized option: --s"),
    (LS, ["/a", "-5"], "org.apache.commons.cli.UnrecognizedOptionException: Unrecognized option: -5"),
    (LS, ["/a", "-v"], "org.apache.commons.cli.MissingArgumentException: Missing argument for option: v"),
    (LS, ["-v", "-s", "/a"], "org.apache.commons.cli.MissingArgumentException: Missing argument for option: v"),
    (QUOTA, ["/a"], "org.apache.commons.cli.MissingOptionException: Missing required option: [-n soft, -N hard]"),
    (QUOTA, ["-n", "1", "-N", "2", "/a"], "org.apache.commons.cli.AlreadySelectedException: The option 'N' was "
     "specified but an option from this group has already been selected: 'n'"),
])  # fmt: skip
def test_what_is_wrong_is_refused(syntax: Syntax, words: list[str], message: str) -> None:
    with pytest.raises(CommandError) as refused:
        parse(syntax, words)
    assert refused.value.message == message
    assert refused.value.exit_code == 1


@pytest.mark.parametrize(("path", "fault"), [
    ("/", ""),
    ("/a/b", ""),
    ("", "Path length must be > 0"),
    ("a", "Path must start with / character"),
    ("/a/", "Path must not end with / character"),
    ("//a", 'Invalid path string "//a" caused by empty node name specified @1'),
    ("/a/../b", 'Invalid path string "/a/../b" caused by relative paths not allowed'),
    ("/a\x01", 'Invalid path string "/a\x01" caused by invalid character @2'),
])  # fmt: skip
def test_a_bad_path_is_named_as_java_names_it(path: str, fault: str) -> None:
    assert path_fault(path).startswith(fault)
    assert bool(path_fault(path)) == bool(fault)
