"""The commands of the shell that write: znodes, ACLs, identities, the ensemble's members.

Texts and exit codes: Apache's zkCli 3.9. `parse_acl` and `parse_data` are what `import`
and the others share.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from pathlib import Path

from zkserver.cli.shell_arguments import Arguments, CommandError, Option, Syntax, encode
from zkserver.cli.shell_commands import STAT, paths_below
from zkserver.cli.shell_output import LETTERS, Output
from zkserver.cli.shell_registry import command
from zkserver.cli.shell_session import Shell
from zkserver.client import OPEN_ACL_UNSAFE, Acl, Client, CreateMode, Op, errors

VERSION = Option("v", "version", takes_argument=True)
MAX_TTL_MS = (1 << 40) - 1
BATCH = 1000
_PERMISSIONS = dict(LETTERS)
_ACL_HINT = (
    "An ACL reads scheme:id:permissions,... such as world:anyone:cdrwa or "
    "digest:user:hash:rw,ip:10.0.0.0/8:r"
)


def parse_acl(text: str, output: Output) -> list[Acl]:
    """An ACL of "scheme:id:permissions,...". Raises CommandError; warns of unknown letters."""
    found = []
    for entry in text.split(","):
        if not entry:
            continue
        scheme, colon, rest = entry.partition(":")
        name, second, letters = rest.rpartition(":")
        if not colon or not second:
            output.error(f"{entry} does not have the form scheme:id:perm")
            continue
        for letter in letters:
            if letter not in _PERMISSIONS:
                output.error(f"Unknown perm type: {letter}")
        perms = sum({_PERMISSIONS.get(letter, 0) for letter in letters})
        found.append(Acl(perms, scheme, name))
    return found


def parse_data(word: str | None) -> bytes | None:
    """A word of the command line as data; none is null."""
    return None if word is None else encode(word)


def parse_base64(word: str) -> bytes:
    """The bytes of a base64 word. Raises CommandError."""
    try:
        return base64.b64decode(word, validate=True)
    except (binascii.Error, ValueError) as error:
        raise CommandError(f"Not base64: {error}", hint="`get -b` prints what fits.") from None


@command(
    Syntax(
        "create", "[-s] [-e] [-c] [-t ttl] path [data] [acl]", "make a znode",
        (
            Option("e", "ephemeral"), Option("s", "sequential"), Option("c", "container"),
            Option("t", "ttl", takes_argument=True),
        ),
        1,
    )
)  # fmt: skip
async def create(shell: Shell, arguments: Arguments) -> None:
    """A znode: persistent, or ephemeral, sequential, a container, with a time to live."""
    mode, ttl_ms = create_mode(arguments)
    path, *rest = arguments.words
    data = parse_data(rest[0] if rest else None)
    try:
        acl = OPEN_ACL_UNSAFE if len(rest) < 2 else tuple(parse_acl(rest[1], shell.output))
        if not acl:
            raise errors.InvalidAcl
        request = shell.connected.create(path, data, acl=acl, mode=mode, ttl_ms=ttl_ms)
        made = await shell.ask(request, path)
    except errors.InvalidAcl as error:
        if not shell.output.is_terminal:
            shell.output.error(str(error))
        raise
    except errors.EphemeralOnLocalSession:
        raise CommandError("EphemeralOnLocalSession") from None
    shell.output.note(f"Created {made}")


def create_mode(arguments: Arguments) -> tuple[CreateMode, int | None]:
    """What the options of create ask for, and the time to live. Raises CommandError."""
    is_ephemeral, is_sequential = "e" in arguments, "s" in arguments
    if "c" in arguments and (is_ephemeral or is_sequential):
        raise CommandError(
            "-c cannot be combined with -s or -e. Containers cannot be ephemeral or sequential."
        )
    if "t" in arguments:
        try:
            ttl_ms = int(arguments.values["t"])
        except ValueError:
            raise CommandError(
                "-t argument must be a long value", hint="Milliseconds, such as -t 60000."
            ) from None
        if is_ephemeral:
            raise CommandError("TTLs cannot be used with Ephemeral znodes")
        if "c" in arguments:
            raise CommandError("TTLs cannot be used with Container znodes")
        if not 0 < ttl_ms <= MAX_TTL_MS:
            raise CommandError(
                f"ttl must be positive and cannot be larger than: {MAX_TTL_MS}"
            )
        if is_sequential:
            return CreateMode.PERSISTENT_SEQUENTIAL_WITH_TTL, ttl_ms
        return CreateMode.PERSISTENT_WITH_TTL, ttl_ms
    if "c" in arguments:
        return CreateMode.CONTAINER, None
    return CreateMode(is_ephemeral + 2 * is_sequential), None


@command(
    Syntax(
        "set", "path data [-s] [-v version] [-b]", "change the data of a znode",
        (
            Option("s", "Print znode stats additionally"),
            Option("v", "Set with an expected version", takes_argument=True),
            Option("b", "Supply data in base64 format"),
        ),
        2, has_long_usage=True,
    )
)  # fmt: skip
async def set_data(shell: Shell, arguments: Arguments) -> None:
    """New data, if the version fits."""
    path, word = arguments.words[:2]
    data = parse_base64(word) if "b" in arguments else parse_data(word)
    version = arguments.integer("v", -1)
    stat = await shell.ask(shell.connected.set(path, data, version), path)
    if "s" in arguments:
        shell.output.stat(stat)


@command(Syntax("delete", "[-v version] path", "remove a znode", (VERSION,), 1))
async def delete(shell: Shell, arguments: Arguments) -> None:
    """A znode without children, if the version fits."""
    path = arguments.words[0]
    if len(arguments.words) > 1:
        shell.output.error(
            "'delete path [version]' has been deprecated. "
            "Please use 'delete [-v version] path' instead."
        )
        arguments.values["v"] = arguments.words[1]
    version = arguments.integer("v", -1)
    await shell.ask(shell.connected.delete(path, version), path)


@command(
    Syntax(
        "deleteall", "path [-b batch size]", "remove a znode with all below it",
        (Option("b", "batch size", takes_argument=True),), 1,
    )
)  # fmt: skip
async def delete_all(shell: Shell, arguments: Arguments) -> None:
    """All znodes of a subtree, deepest first, each batch in one transaction."""
    path, client = arguments.words[0], shell.connected
    try:
        batch = int(arguments.values.get("b", BATCH))
    except ValueError:
        raise CommandError("-b argument must be an int value") from None
    paths = await subtree(shell, path)
    paths.reverse()
    step = max(batch, 1)
    requests = [
        client.multi([Op.delete(one) for one in paths[start : start + step]])
        for start in range(0, len(paths), step)
    ]
    results = await shell.ask(asyncio.gather(*requests, return_exceptions=True), path)
    if any(isinstance(result, errors.ZooKeeperError) for result in results):
        shell.output.error("Failed to delete some node(s) in the subtree!")
        shell.output.hint("Someone else changed it, an ACL forbids it, or it is a system znode.")


async def subtree(shell: Shell, path: str) -> list[str]:
    """A path and all below it, parents before children, level by level."""
    client: Client = shell.connected
    found, level = [path], [path]
    while level:
        replies = [client.get_children(one) for one in level]
        below = []
        try:
            for above, reply in zip(level, replies, strict=True):
                prefix = above.rstrip("/") + "/"
                try:
                    names = await shell.ask(reply, above)
                except errors.NoNode:
                    if above == path:
                        raise
                    continue
                below += [prefix + name for name in names]
        finally:
            for reply in replies:
                reply.cancel()
        found += below
        level = below
    return found


@command(
    Syntax(
        "setAcl", "[-s] [-v version] [-R] path acl", "change who may do what",
        (STAT, VERSION, Option("R", "recursive")), 2,
    )
)  # fmt: skip
async def set_acl(shell: Shell, arguments: Arguments) -> None:
    """The ACL of a znode, or of all of a subtree."""
    path, text = arguments.words[:2]
    acl, client = parse_acl(text, shell.output), shell.connected
    version = arguments.integer("v", -1)
    if "R" in arguments:
        await set_acl_below(shell, path, acl, version)
        return
    if not acl:
        raise CommandError("Acl is not valid : null", hint=_ACL_HINT)
    stat = await shell.ask(client.set_acl(path, acl, version), path)
    if "s" in arguments:
        shell.output.stat(stat)


async def set_acl_below(shell: Shell, path: str, acl: list[Acl], version: int) -> None:
    """The ACL of each znode of a subtree. What fails is told, and the rest goes on."""
    paths = [one async for one in paths_below(shell, path)]
    if not acl:
        shell.output.error(str(errors.InvalidAcl()))
        shell.output.hint(_ACL_HINT)
        return
    requests = [shell.connected.set_acl(one, acl, version) for one in paths]
    results = await shell.ask(asyncio.gather(*requests, return_exceptions=True), path)
    for result in results:
        if isinstance(result, errors.ZooKeeperError):
            shell.output.error(str(result))


@command(Syntax("addauth", "scheme auth", "take on an identity", (), 1))
async def add_auth(shell: Shell, arguments: Arguments) -> None:
    """An identity beside those there are, for as long as the session lives."""
    scheme, *rest = arguments.words
    reply = shell.connected.add_auth(scheme, encode(rest[0]) if rest else b"")
    if shell.output.is_terminal:
        await shell.ask(reply)
    else:
        # As Apache's shell: what comes of it shows in the next command.
        reply.add_done_callback(lambda done: done.cancelled() or done.exception())


@command(
    Syntax(
        "config", "[-c] [-w] [-s]", "the members of the ensemble",
        (STAT, Option("w", "watch"), Option("c", "client connection string")),
    )
)  # fmt: skip
async def config(shell: Shell, arguments: Arguments) -> None:
    """The configuration as text, or as a connection string with its version."""
    watcher = shell.watcher if "w" in arguments else None
    data, stat = await shell.ask(shell.connected.get_config(watcher), "/zookeeper/config")
    text = data.decode("utf-8", "replace")
    shell.output.line(connection_string(text) if "c" in arguments else text)
    if "s" in arguments:
        shell.output.stat(stat)


def connection_string(text: str) -> str:
    """The client addresses in a configuration and the version: "100000000 h:p,h:p"."""
    hosts, version = [], ""
    for line in text.splitlines():
        key, _, value = line.partition("=")
        if key == "version":
            version = value
        elif key.startswith("server."):
            hosts.append(value.partition(";")[2])
    return f"{version} {','.join(hosts)}"


@command(
    Syntax(
        "reconfig",
        "[-s] [-v version] [[-file path] | [-members serverID=host:port1:port2;port3[,...]*]] | "
        "[-add serverId=host:port1:port2;port3[,...]]* [-remove serverId[,...]*]",
        "change the members of the ensemble",
        (
            STAT,
            Option("v", "required current config version", takes_argument=True),
            Option("file", "path of config file to parse for membership", takes_argument=True),
            Option("members", "comma-separated list of config strings for non-incremental "
                   "reconfig", takes_argument=True),
            Option("add", "comma-separated list of config strings for new servers",
                   takes_argument=True),
            Option("remove", "comma-separated list of server IDs to remove",
                   takes_argument=True),
        ),
    )
)  # fmt: skip
async def reconfig(shell: Shell, arguments: Arguments) -> None:
    """Add and remove members, or set them all."""
    values = arguments.values
    whole = "file" in values or "members" in values
    parts = "add" in values or "remove" in values
    if not whole and not parts:
        raise arguments.syntax.misused()
    try:
        version = int(values["v"], 16) if "v" in values else -1
    except ValueError:
        raise CommandError(
            "-v must be followed by a long (configuration version)",
            hint="`config` shows it behind version=",
        ) from None
    if whole and parts:
        raise CommandError(
            "Can't use -file or -members together with -add or -remove (mixing incremental "
            "and non-incremental modes is not allowed)"
        )
    if "file" in values and "members" in values:
        raise CommandError(
            "Can't use -file and -members together (conflicting non-incremental modes)"
        )
    members = members_of_file(values["file"]) if "file" in values else values.get("members", "")
    request = shell.connected.reconfig(
        joining=values.get("add", ""),
        leaving=values.get("remove", ""),
        new_members=members,
        from_config=version,
    )
    try:
        data, stat = await shell.ask(request)
    except errors.ZooKeeperError as error:
        # Apache's shell says nothing where it names a path elsewhere.
        error.path = error.path or ""
        raise
    shell.output.line(f"Committed new configuration:\n{data.decode('utf-8', 'replace')}")
    if "s" in arguments:
        shell.output.stat(stat)


def members_of_file(name: str) -> str:
    """The server lines of a configuration file, joined by commas. Raises CommandError."""
    try:
        text = Path(name).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise CommandError(f"Error processing {name}{name} ({why})") from None
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return ",".join(line for line in lines if line.startswith(("server.", "group", "weight")))
