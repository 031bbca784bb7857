"""The commands of the shell that keep subtrees in files: export and import. Apache's has neither.

An exported file is JSON: `{"format": "zkserver subtree 1", "root", "exported", "znodes": [...]}`.
Each znode has its path below the root ("" is the root itself), parents first; `data` as text or
`data_base64`, neither for null; `acl` as the text that setAcl takes. `mode` ("persistent",
"container", "ttl" with `ttl_ms`) is honoured by import; export leaves it out, because servers
tell clients of a container or a TTL nothing. Ephemeral znodes are left out.

Import gives the same tree however often it is run. What is there already and differs stays, and
is counted, unless it is told to overwrite. A znode with children is made with an ACL that lets
this session add them; it gets its own ACL when they are there.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import os
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from zkserver.cli.shell_arguments import Arguments, CommandError, Option, Syntax, path_fault
from zkserver.cli.shell_output import LETTERS, permission_letters
from zkserver.cli.shell_registry import command
from zkserver.cli.shell_session import Shell
from zkserver.client import ALL, CREATE, OPEN_ACL_UNSAFE, Acl, CreateMode, Stat, errors
from zkserver.client.trees import join

FORMAT = "zkserver subtree 1"
WINDOW = 200
"""So many znodes are asked for at once."""


class Progress(Protocol):
    """Told how much is done."""

    def advance(self, count: int) -> None: ...


class _Silent:
    def advance(self, count: int) -> None:
        """Nobody looks."""


@contextmanager
def progress_bar(shell: Shell, title: str, total: int) -> Iterator[Progress]:
    """A bar on a terminal, nothing elsewhere."""
    if not shell.output.is_terminal:
        yield _Silent()
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TextColumn("znodes"))
    with Progress(*columns, transient=True) as bar:
        task = bar.add_task(title, total=total)

        class Advancing:
            def advance(self, count: int) -> None:
                bar.advance(task, count)

        yield Advancing()


async def windowed(
    shell: Shell, paths: Sequence[str], ask: Any
) -> AsyncIterator[tuple[str, Any]]:
    """Each path with what it was answered (a value or an exception), `WINDOW` at once."""
    for start in range(0, len(paths), WINDOW):
        some = paths[start : start + WINDOW]
        asked = asyncio.gather(*map(ask, some), return_exceptions=True)
        for path, reply in zip(some, await shell.ask(asked, some[0]), strict=True):
            yield path, reply


# export


@command(
    Syntax(
        "export", "[-f] path file", "write a subtree to a JSON file",
        (Option("f", "replace the file"),), 2,
    ),
    is_ours=True,
)  # fmt: skip
async def export(shell: Shell, arguments: Arguments) -> None:
    """Data and ACLs of a subtree, without its ephemeral znodes."""
    path, name = arguments.words[:2]
    if Path(name).exists() and "f" not in arguments:
        raise CommandError(f"{name} is there already", hint="-f replaces it.")
    total = await shell.ask(shell.connected.get_all_children_number(path), path) + 1
    znodes: list[dict[str, object]] = []
    ephemerals = masked = 0
    with progress_bar(shell, "export", total) as progress:
        level = [path]
        while level:
            below: list[str] = []
            async for one, reply in windowed(shell, level, lambda p: _whole(shell, p)):
                progress.advance(1)
                if isinstance(reply, errors.NoNode) and one != path:
                    continue
                if isinstance(reply, BaseException):
                    raise reply
                data, stat, acl, names = reply
                if stat.ephemeral_owner:
                    ephemerals += 1
                    continue
                masked += any(e.scheme == "digest" and e.id.endswith(":x") for e in acl)
                znodes.append(_record(one[len(path) :] if path != "/" else one, data, acl))
                below += [join(one, child) for child in sorted(names) if one != "/" or
                          child != "zookeeper"]
            level = below
    if path == "/":
        znodes[0]["path"] = ""
    written = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    document = {"format": FORMAT, "root": path, "exported": written, "znodes": znodes}
    _write(name, json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    left_out = _left_out(path, ephemerals)
    shell.output.line(f"Exported {len(znodes)} znodes of {path} to {name}{left_out}")
    if masked:
        shell.output.error(
            f"{masked} ACLs have digest:user:x in the place of a hash: servers show it to those "
            "only who have the permission a (addauth, then export again)"
        )


def _left_out(path: str, ephemerals: int) -> str:
    parts = [f"{ephemerals} ephemeral"] if ephemerals else []
    parts += ["/zookeeper"] if path == "/" else []
    return f"; left out: {', '.join(parts)}" if parts else ""


async def _whole(shell: Shell, path: str) -> tuple[bytes | None, Stat, list[Acl], list[str]]:
    client = shell.connected
    (data, stat), (acl, _), names = await asyncio.gather(
        client.get_or_null(path), client.get_acl(path), client.get_children(path)
    )
    return data, stat, acl, names


def _record(path: str, data: bytes | None, acl: Sequence[Acl]) -> dict[str, object]:
    """A znode as the file has it."""
    record: dict[str, object] = {"path": path}
    if data is not None:
        try:
            record["data"] = data.decode("utf-8")
        except UnicodeDecodeError:
            record["data_base64"] = base64.b64encode(data).decode()
    record["acl"] = [
        f"{entry.scheme}:{entry.id}:{permission_letters(entry.perms)}" for entry in acl
    ]
    return record


def _write(name: str, text: str) -> None:
    """A whole file, or none."""
    partial = f"{name}.{os.getpid()}.partial"
    try:
        Path(partial).write_text(text, "utf-8")
        os.replace(partial, name)
    except OSError as error:
        raise CommandError(f"{name} cannot be written: {error.strerror}") from None


# import


class Wanted(NamedTuple):
    """A znode to be made."""

    path: str
    data: bytes | None
    acl: tuple[Acl, ...]
    mode: CreateMode
    ttl_ms: int | None
    has_children: bool


@command(
    Syntax(
        "import", "[-o] file path", "make a subtree of a JSON file",
        (Option("o", "overwrite what is there and differs"),), 2,
    ),
    is_ours=True,
)  # fmt: skip
async def import_file(shell: Shell, arguments: Arguments) -> None:
    """What an exported file holds, below a path; run again, it changes nothing."""
    name, path = arguments.words[:2]
    if fault := path_fault(path):
        raise CommandError(fault)
    wanted = read_file(name, path)
    await _make_parents(shell, path)
    counts = dict.fromkeys(("created", "same", "overwritten", "different"), 0)
    to_close: list[Wanted] = []
    helping = await _own_acl(shell)
    with progress_bar(shell, "import", len(wanted)) as progress:
        for level in _levels(wanted):
            for start in range(0, len(level), WINDOW):
                some = level[start : start + WINDOW]
                making = (_make(shell, one, helping, "o" in arguments, to_close) for one in some)
                for outcome in await shell.ask(asyncio.gather(*making), path):
                    counts[outcome] += 1
                progress.advance(len(some))
        for one in reversed(to_close):
            await shell.ask(shell.connected.set_acl(one.path, one.acl), one.path)
    told = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    shell.output.line(f"Imported {name} to {path}: {told}")
    if counts["different"]:
        raise CommandError(
            f"{counts['different']} znodes are there already and differ: they were left alone "
            "(import -o overwrites them)"
        )


def read_file(name: str, root: str) -> list[Wanted]:
    """The znodes of an exported file. Raises CommandError for what is none."""
    try:
        document = json.loads(Path(name).read_text("utf-8"))
    except OSError as error:
        raise CommandError(f"{name} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise CommandError(f"{name} is no JSON: {error}") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise CommandError(f'{name} is no export: its "format" is not "{FORMAT}"')
    try:
        records = document["znodes"]
        parents = {record["path"].rpartition("/")[0] for record in records if record["path"]}
        found = [_wanted(record, root, record["path"] in parents) for record in records]
    except (KeyError, TypeError, AttributeError, ValueError, binascii.Error) as error:
        raise CommandError(f"{name} is damaged: {type(error).__name__} {error}") from None
    for one in found:
        if fault := path_fault(one.path):
            raise CommandError(f"{name}: {fault}")
    return found


_MODES = {
    "persistent": CreateMode.PERSISTENT,
    "container": CreateMode.CONTAINER,
    "ttl": CreateMode.PERSISTENT_WITH_TTL,
}


def _wanted(record: dict[str, Any], root: str, has_children: bool) -> Wanted:
    data: bytes | None = None
    if "data_base64" in record:
        data = base64.b64decode(record["data_base64"], validate=True)
    elif "data" in record:
        data = record["data"].encode("utf-8")
    acl: tuple[Acl, ...] = OPEN_ACL_UNSAFE
    if "acl" in record:
        acl = tuple(_acl_entry(text) for text in record["acl"])
    mode = _MODES[record.get("mode", "persistent")]
    ttl_ms = int(record["ttl_ms"]) if mode.has_ttl else None
    below = record["path"]
    if below and not below.startswith("/"):
        raise ValueError(f"a path is empty or begins with a slash, but not {below!r}")
    path = below or "/" if root == "/" else root + below
    return Wanted(path, data, acl, mode, ttl_ms, has_children)


def _acl_entry(text: str) -> Acl:
    scheme, _, rest = text.partition(":")
    name, _, letters = rest.rpartition(":")
    bits = dict(LETTERS)
    return Acl(sum(bits[letter] for letter in set(letters)), scheme, name)


def _levels(wanted: Sequence[Wanted]) -> Iterator[list[Wanted]]:
    """The znodes by depth: all parents of a level are in those before it."""
    by_depth: dict[int, list[Wanted]] = {}
    for one in wanted:
        depth = 0 if one.path == "/" else one.path.count("/")
        by_depth.setdefault(depth, []).append(one)
    for depth in sorted(by_depth):
        yield by_depth[depth]


async def _make_parents(shell: Shell, path: str) -> None:
    """The znodes above the root of an import, as far as they are missing."""
    position = path.find("/", 1)
    while position != -1:
        with suppress(errors.NodeExists):
            await shell.ask(shell.connected.create(path[:position], None), path)
        position = path.find("/", position + 1)


async def _own_acl(shell: Shell) -> tuple[Acl, ...]:
    """Entries that let this session do all: for znodes whose children are still to come."""
    identities = await shell.ask(shell.connected.who_am_i())
    return tuple(Acl(ALL, scheme, name) for scheme, name in identities if scheme != "super")


async def _make(
    shell: Shell, one: Wanted, helping: tuple[Acl, ...], overwrites: bool, to_close: list[Wanted]
) -> str:
    """Make one znode, or see what is there; what came of it."""
    client = shell.connected
    is_open = any(e.scheme == "world" and e.perms & CREATE for e in one.acl)
    needs_help = one.has_children and not is_open
    acl = one.acl + helping if needs_help else one.acl
    refusal: errors.ZooKeeperError | None = None
    if one.path != "/":
        try:
            await client.create(one.path, one.data, acl=acl, mode=one.mode, ttl_ms=one.ttl_ms)
        except (errors.NodeExists, errors.NoAuth) as error:
            # Who may not create here is told so even of what is there.
            refusal = error
        else:
            if needs_help:
                to_close.append(one)
            return "created"
    try:
        (data, _), (there, _) = await asyncio.gather(
            client.get_or_null(one.path), client.get_acl(one.path)
        )
    except errors.NoNode:
        raise refusal or errors.NoNode(one.path) from None
    same_acl = sorted(there) == sorted(one.acl)
    if data == one.data and same_acl:
        return "same"
    if not overwrites:
        return "different"
    if data != one.data:
        await client.set(one.path, one.data)
    if not same_acl:
        await client.set_acl(one.path, acl)
        if needs_help:
            to_close.append(one)
    return "overwritten"
