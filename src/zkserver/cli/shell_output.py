"""What the shell prints: the forms that scripts read, and what is for the eye only.

`Output` knows whether a person looks on. If not, standard output has the bytes that Apache's
shell has, and nothing else. On a terminal there are colours (unless NO_COLOR is set), data
is shown as what it is, and errors have a hint behind them.

The functions give text: a Stat, an ACL, a hex dump, a watch event, as Apache prints them.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Sequence

from zkserver.base import acl as permissions
from zkserver.cli.java_time import plain_date
from zkserver.cli.shell_arguments import encode
from zkserver.client import Acl, EventType, Stat, WatchEvent

LETTERS = (
    ("c", permissions.CREATE), ("d", permissions.DELETE), ("r", permissions.READ),
    ("w", permissions.WRITE), ("a", permissions.ADMIN),
)  # fmt: skip
"""The permissions in the order in which they are printed."""

_STYLES = {
    "name": "36", "value": "32", "dim": "2", "error": "31", "hint": "2;3", "event": "35",
    "good": "32", "warning": "33", "title": "1",
}  # fmt: skip
_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")
_DUMP_LIMIT_BYTES = 1024
"""A person who did not ask for a hex dump sees no more of it."""
_PRETTY_LIMIT_BYTES = 256 * 1024
"""JSON longer than this is shown as it is: to parse and colour it would take seconds."""


class Output:
    """Standard output and standard error of one shell."""

    def __init__(self, is_terminal: bool) -> None:
        """`is_terminal`: a person reads standard output."""
        self.is_terminal = is_terminal
        self.has_colours = (
            is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        )

    def line(self, text: str = "") -> None:
        """A line on standard output."""
        if self.is_terminal:
            sys.stdout.write(text + "\n")
        else:
            sys.stdout.buffer.write(encode(text) + b"\n")

    def data(self, data: bytes) -> None:
        """Bytes and a line's end on standard output, as they are."""
        sys.stdout.flush()
        sys.stdout.buffer.write(data + b"\n")

    def error(self, text: str) -> None:
        """A line on standard error, behind all that was printed before."""
        sys.stdout.flush()
        if self.is_terminal:
            sys.stderr.write(self.styled(text, "error") + "\n")
        else:
            sys.stderr.buffer.write(encode(text) + b"\n")
        sys.stderr.flush()

    def note(self, text: str) -> None:
        """A message of success, on standard error as Apache's shell does."""
        if self.is_terminal:
            self.line(self.styled(text, "good"))
        else:
            self.error(text)

    def hint(self, text: str) -> None:
        """What to do next: for a person only."""
        if self.is_terminal and text:
            self.line(self.styled(text, "hint"))

    def flush(self) -> None:
        """Hand all to the system."""
        sys.stdout.flush()

    def styled(self, text: str, style: str) -> str:
        """The text with the colour of a style, where there are colours."""
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if self.has_colours else text

    @property
    def width(self) -> int:
        """Columns of the terminal."""
        return shutil.get_terminal_size().columns

    # What has a form of its own on a terminal

    def stat(self, stat: Stat) -> None:
        """A Stat, one field a line."""
        for name, value in stat_fields(stat):
            if self.is_terminal:
                self.line(f"{self.styled(name, 'dim')} = {value}")
            else:
                self.line(f"{name} = {value}")

    def names(self, names: Sequence[str]) -> None:
        """Names in brackets; in columns where they do not fit on a terminal's line."""
        text = f"[{', '.join(names)}]"
        if not self.is_terminal:
            self.line(text)
        elif len(text) < self.width:
            shown = ", ".join(self.styled(visible(name), "name") for name in names)
            self.line(f"[{shown}]")
        else:
            for row in columns([visible(name) for name in names], self.width):
                self.line("".join(self.styled(cell, "name") for cell in row).rstrip())
            self.line(self.styled(f"{len(names)} names", "dim"))

    def event(self, event: WatchEvent) -> None:
        """A watch event or a change of the session."""
        if not self.is_terminal:
            self.line(event_text(event))
        elif event.type is EventType.NONE:
            self.line(self.styled(f"session: {event.state.java_name}", "event"))
        else:
            about = f"watch: {event.type.java_name} {visible(event.path)}"
            zxid = "" if event.zxid < 0 else self.styled(f"  zxid {event.zxid:#x}", "dim")
            self.line(self.styled(about, "event") + zxid)
        self.flush()

    def znode_data(self, data: bytes | None) -> None:
        """The data of a znode: raw for a script, readable for a person."""
        if not self.is_terminal:
            self.data(b"null" if data is None else data)
        elif data is None:
            self.line(self.styled("null", "dim"))
        elif not data:
            self.line(self.styled("(empty)", "dim"))
        else:
            self.line(self.readable(data))

    def readable(self, data: bytes) -> str:
        """JSON indented, text as text, all else as a hex dump."""
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            return self._dump(data)
        if text[:1] in ("{", "[") and len(data) <= _PRETTY_LIMIT_BYTES:
            try:
                return self._pretty(json.loads(text))
            except (ValueError, RecursionError):
                pass
        # A terminal obeys control characters: none is let through.
        return text if is_plain(text) else self._dump(data)

    def _dump(self, data: bytes) -> str:
        shown = hex_dump(data[:_DUMP_LIMIT_BYTES])
        if len(data) <= _DUMP_LIMIT_BYTES:
            return shown
        rest = f"{size_text(len(data))} in all; `get -x` shows them"
        return f"{shown}\n{self.styled(rest, 'dim')}"

    def _pretty(self, value: object) -> str:
        text = json.dumps(value, indent=2, ensure_ascii=False)
        if not is_plain(text):
            text = json.dumps(value, indent=2)
        if not self.has_colours:
            return text
        from rich.console import Console
        from rich.json import JSON

        console = Console(force_terminal=True, color_system="standard", width=self.width)
        with console.capture() as captured:
            console.print(JSON(text, indent=2), soft_wrap=True)
        return captured.get().rstrip("\n")


def is_plain(text: str) -> bool:
    """Whether a terminal shows it and does nothing else."""
    return all(letter.isprintable() or letter in "\n\t" for letter in text.replace("\r\n", "\n"))


def visible(text: str) -> str:
    """Text for one line of a terminal: control characters escaped."""
    return text if text.isprintable() else "".join(
        letter if letter.isprintable() else repr(letter)[1:-1] for letter in text
    )  # fmt: skip


def java_date(time_ms: int) -> str:
    """A moment as java.util.Date prints it, in this machine's time zone."""
    return plain_date(time.localtime(time_ms // 1000))


def stat_fields(stat: Stat) -> Iterator[tuple[str, str]]:
    """The fields of a Stat with Apache's names, in its order."""
    yield "cZxid", java_hex(stat.czxid)
    yield "ctime", java_date(stat.ctime)
    yield "mZxid", java_hex(stat.mzxid)
    yield "mtime", java_date(stat.mtime)
    yield "pZxid", java_hex(stat.pzxid)
    yield "cversion", str(stat.cversion)
    yield "dataVersion", str(stat.version)
    yield "aclVersion", str(stat.aversion)
    yield "ephemeralOwner", java_hex(stat.ephemeral_owner)
    yield "dataLength", str(stat.data_length)
    yield "numChildren", str(stat.num_children)


def java_hex(number: int) -> str:
    """A long in hexadecimal; negative ones as 64 bits."""
    return f"{number & 0xFFFFFFFFFFFFFFFF:#x}"


def permission_letters(perms: int) -> str:
    """Permissions as letters: cdrwa."""
    return "".join(letter for letter, bit in LETTERS if perms & bit)


def acl_lines(acl: Iterable[Acl]) -> Iterator[str]:
    """An ACL as getAcl prints it: two lines for an entry."""
    for entry in acl:
        yield f"'{entry.scheme},'{entry.id}"
        yield f": {permission_letters(entry.perms)}"


def event_text(event: WatchEvent) -> str:
    """An event as Apache's shell prints it."""
    return (
        f"\nWATCHER::\n\nWatchedEvent state:{event.state.java_name} "
        f"type:{event.type.java_name} path:{event.path or 'null'} zxid: {event.zxid}"
    )


def hex_dump(data: bytes) -> str:
    """Sixteen bytes a line, with a frame; empty for no bytes."""
    if not data:
        return ""
    rule = f"+{'-' * 8}+{'-' * 49}+{'-' * 16}+"
    lines = [
        f"{'':9}+{'-' * 49}+",
        f"{'':9}|{''.join(f'{column:3x}' for column in range(16))} |",
        rule,
    ]
    for start in range(0, len(data), 16):
        row = data[start : start + 16]
        text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)
        lines.append(f"|{start:08x}| {row.hex(' '):<48}|{text:<16}|")
    return "\n".join([*lines, rule])


def size_text(size_bytes: int) -> str:
    """A size for a person: 12 bytes, 3.4 KiB."""
    amount = float(size_bytes)
    for unit in _UNITS:
        if amount < 1024 or unit == _UNITS[-1]:
            break
        amount /= 1024
    return f"{size_bytes} {'byte' if size_bytes == 1 else unit}" if unit == "bytes" else (
        f"{amount:.1f} {unit}"
    )  # fmt: skip


def columns(names: Sequence[str], width: int) -> Iterator[list[str]]:
    """Rows of padded names, in columns read downwards."""
    widest = max(map(len, names), default=0) + 2
    count = max(1, width // widest)
    rows = -(-len(names) // count)
    for row in range(rows):
        yield [f"{name:<{widest}}" for name in names[row::rows]]
