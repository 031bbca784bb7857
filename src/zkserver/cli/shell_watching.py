"""The commands of the shell about watches and quotas.

A quota of /a is kept in /zookeeper/quota/a/zookeeper_limits; the servers keep what is used
beside it in zookeeper_stats. The text of both: "count=N,bytes=M", with "=;key=value" behind
it for hard limits; -1 stands for no limit. A znode that has a quota may have none above and
none below it.
"""

from __future__ import annotations

from zkserver.cli.shell_arguments import Arguments, CommandError, Option, Syntax
from zkserver.cli.shell_commands import command
from zkserver.cli.shell_session import Shell
from zkserver.client import AddWatchMode, WatcherType, errors

QUOTA_ROOT = "/zookeeper/quota"
LIMITS, STATS = "zookeeper_limits", "zookeeper_stats"
_FIELDS = {"n": "count", "b": "bytes", "N": "countHardLimit", "B": "bytesHardLimit"}
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


def quota_path(path: str, leaf: str) -> str:
    """Where the limits or the usage of a path are kept."""
    return f"{QUOTA_ROOT}{path}/{leaf}"


def parse_quota(text: str) -> dict[str, int]:
    """The numbers of a quota text; -1 where there is no limit."""
    found = dict.fromkeys(("count", "bytes", "bytesHardLimit", "countHardLimit"), -1)
    for part in text.replace(";", ",").split(","):
        key, _, value = part.partition("=")
        if key in found and value.rstrip("=").lstrip("-").isdigit():
            found[key] = int(value.rstrip("="))
    return found


def quota_text(limits: dict[str, int]) -> str:
    """Limits as servers read them."""
    return (
        f"count={limits['count']},bytes={limits['bytes']}=;"
        f"byteHardLimit={limits['bytesHardLimit']};countHardLimit={limits['countHardLimit']}"
    )


_GROUP = tuple(
    Option(name, about, takes_argument=True, group="quota")
    for name, about in (
        ("n", "num soft quota"), ("b", "bytes soft quota"),
        ("N", "num hard quota"), ("B", "bytes hard quota"),
    )
)  # fmt: skip
