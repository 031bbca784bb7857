"""The commands of the shell about watches and quotas.

A quota of /a is kept in /zookeeper/quota/a/zookeeper_limits; the servers keep what is used
beside it in zookeeper_stats. The text of both: "count=N,bytes=M", with "=;key=value" behind
it for hard limits; -1 stands for no limit. A znode that has a quota may have none above and
none below it.
"""

from __future__ import annotations

from zkserver.cli.shell_arguments import Arguments, CommandError, Option, Syntax, number
from zkserver.cli.shell_registry import command
from zkserver.cli.shell_session import Shell
from zkserver.client import AddWatchMode, WatcherType, errors, quotas
from zkserver.tree.quota import parse

QUOTA_ROOT = "/zookeeper/quota"
LIMITS = "zookeeper_limits"
_CONFLICT_HINT = "One quota may not hold another: `delquota` that one first."
_KINDS = {
    "c": WatcherType.CHILDREN,
    "d": WatcherType.DATA,
    "p": WatcherType.PERSISTENT,
    "r": WatcherType.PERSISTENT_RECURSIVE,
    "a": WatcherType.ANY,
}


@command(
    Syntax(
        "addWatch",
        "[-m mode] path # optional mode is one of [PERSISTENT, PERSISTENT_RECURSIVE] - "
        "default is PERSISTENT_RECURSIVE",
        "watch a path until the watch is removed",
        (Option("m", "mode", takes_argument=True),), 1,
    )
)  # fmt: skip
async def add_watch(shell: Shell, arguments: Arguments) -> None:
    """A watch that stays; by default on all below, too."""
    path = arguments.words[0]
    name = arguments.values.get("m", "PERSISTENT_RECURSIVE").upper()
    if name not in AddWatchMode.__members__:
        raise arguments.syntax.misused()
    mode = AddWatchMode[name]
    await shell.ask(shell.connected.add_watch(path, mode, shell.watcher), path)


@command(
    Syntax(
        "removewatches", "path [-c|-d|-a] [-l]", "remove watches of this session",
        (
            Option("c", "child watcher type"), Option("d", "data watcher type"),
            Option("p", "persistent watcher type"),
            Option("r", "persistent recursive watcher type"),
            Option("a", "any watcher type"),
            Option("l", "remove locally when there is no server connection"),
        ),
        1,
    )
)  # fmt: skip
async def remove_watches(shell: Shell, arguments: Arguments) -> None:
    """Watches of one kind, or of all."""
    path = arguments.words[0]
    kind = next((kind for name, kind in _KINDS.items() if name in arguments), WatcherType.ANY)
    request = shell.connected.remove_watches(path, kind, local="l" in arguments)
    await shell.ask(request, path)


# Quotas

_KIND_NAMES = {
    "n": "znodes", "b": "size_bytes", "N": "znodes_hard", "B": "size_bytes_hard",
}  # fmt: skip


@command(
    Syntax(
        "setquota", "-n|-b|-N|-B val path", "limit a subtree",
        tuple(
            Option(name, about, takes_argument=True, group="quota")
            for name, about in (
                ("n", "num soft quota"), ("b", "bytes soft quota"),
                ("N", "num hard quota"), ("B", "bytes hard quota"),
            )
        ),
        1, required_group="quota",
    )
)  # fmt: skip
async def set_quota(shell: Shell, arguments: Arguments) -> None:
    """One limit; those that are set already stay."""
    path = arguments.words[0]
    ((option, word),) = arguments.values.items()
    try:
        limit = number(word)
        # Counts are Java's int, sizes its long.
        if limit >= 1 << (31 if option in "nN" else 63):
            raise ValueError
    except (ValueError, CommandError):
        raise CommandError(
            "NumberFormatException happens when parsing the option value", 0
        ) from None
    if option in "nN" and limit <= 0:
        raise CommandError("the num quota must be greater than zero", 0)
    if limit < 0:
        raise CommandError("the bytes quota must be greater than or equal to zero", 0)
    client = shell.connected
    if path == "/":
        raise CommandError("Path must not end with / character", hint="The root has no quota.")
    if f"{path}/".startswith(f"{QUOTA_ROOT}/"):
        raise CommandError(f"cannot set a quota under the path: {QUOTA_ROOT}")
    stat = await shell.ask(client.exists(path), path)
    if stat is None:
        raise CommandError(f"{path} does not exist.")
    try:
        setting = quotas.set_quota(client, path, **{_KIND_NAMES[option]: limit})
        limits = await shell.ask(setting, path)
    except quotas.QuotaConflict as error:
        raise CommandError(str(error).replace(QUOTA_ROOT, ""), hint=_CONFLICT_HINT) from None
    quota = await shell.ask(quotas.get_quota(client, path), path)
    if quota is not None:
        warn_of_usage(shell, limits, quota)


def warn_of_usage(shell: Shell, limits: quotas.Limits, quota: quotas.Quota) -> None:
    """Say so when more is used already than a limit allows."""
    of_count = [limit for limit in (limits.znodes, limits.znodes_hard) if limit is not None]
    of_bytes = [
        limit for limit in (limits.size_bytes, limits.size_bytes_hard) if limit is not None
    ]
    for what, noun, limit, used in (
        ("count", "count", of_count, quota.znodes), ("bytes", "bytes", of_bytes, quota.size_bytes),
    ):  # fmt: skip
        if any(one < used for one in limit):
            text = (
                f"[Warning]: the {what} quota you create is less than the existing {noun}:{used}"
            )
            shell.output.line(shell.output.styled(text, "warning"))


@command(Syntax("listquota", "path", "the limits of a subtree and what it uses", (), 1))
async def list_quota(shell: Shell, arguments: Arguments) -> None:
    """Limits and usage as the servers keep them."""
    path, output = arguments.words[0], shell.output
    say = output.line if output.is_terminal else output.error
    say(f"absolute path is {QUOTA_ROOT}{path}/{LIMITS}")
    if path == "/":
        raise CommandError(f"quota for {path} does not exist.", 0, "The root has no quota.")
    try:
        quota = await shell.ask(quotas.get_quota(shell.connected, path), path)
    except errors.InvalidPath:
        quota = None
    if quota is None:
        raise CommandError(f"quota for {path} does not exist.", 0)
    say(f"Output quota for {path} {shown(quota.limits_text)}")
    say(f"Output stat for {path} {shown(quota.usage_text)}")


def shown(text: bytes) -> str:
    """The text of a quota znode, its fields in order."""
    return parse(text).to_bytes().decode()


@command(
    Syntax(
        "delquota", "[-n|-b|-N|-B] path", "take limits of a subtree away",
        tuple(
            Option(name, about, group="quota")
            for name, about in (
                ("n", "num soft quota"), ("b", "bytes soft quota"),
                ("N", "num hard quota"), ("B", "bytes hard quota"),
            )
        ),
        1,
    )
)  # fmt: skip
async def delete_quota(shell: Shell, arguments: Arguments) -> None:
    """One limit, or the whole quota."""
    path = arguments.words[0]
    kinds = [_KIND_NAMES[option] for option in arguments.values]
    deleting = quotas.delete_quota(shell.connected, path, kinds)
    try:
        there_was_one = await shell.ask(deleting, path)
    except errors.InvalidPath:
        there_was_one = False
    if not there_was_one:
        shell.output.line(f"Quota does not exist for {path}")
