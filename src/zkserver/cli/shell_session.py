"""A shell's session: its client, its history, and how a line becomes a command.

A `Shell` is the same whether a line comes from a terminal, from a pipe or from the command
line. It connects without waiting; a command that needs a server waits until one is there, or
until each was tried once and none had a session to give: that is ConnectionLoss, as Apache's
shell says it. `exit_code` is the last command's.

Every error ends here, as one line on standard error: those of the server with the words of
Apache's shell, all others as `CommandError`.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from zkserver.cli.shell_arguments import CommandError, path_fault, split_line
from zkserver.cli.shell_output import Output
from zkserver.client import Client, EventType, SessionState, WatchEvent, errors

NOT_FOUND = 127
"""The exit code of an unknown command, as a Unix shell has it."""
HISTORY_LINES = 11
NOTICE_S = 1.0
"""When a person is told that a command waits."""
_WATCH_S = 0.02
"""How often a waiting command looks whether every server was tried in vain."""
_MESSAGES: dict[type[errors.ZooKeeperError], str] = {
    errors.NoNode: "Node does not exist: {}",
    errors.NoChildrenForEphemerals: "Ephemerals cannot have children: {}",
    errors.NodeExists: "Node already exists: {}",
    errors.NotEmpty: "Node not empty: {}",
    errors.NotReadOnly: "Not a read-only call: {}",
    errors.InvalidAcl: "Acl is not valid : {}",
    errors.NoAuth: "Insufficient permission : {}",
    errors.BadArguments: "Arguments are not valid : {}",
    errors.BadVersion: "version No is not valid : {}",
    errors.QuotaExceeded: "Quota has exceeded : {}",
    errors.ReconfigInProgress: "Another reconfiguration is in progress -- concurrent reconfigs "
    "not supported (yet)",
    errors.NewConfigNoQuorum: "No quorum of new config is connected and up-to-date with the "
    "leader of last commmitted config - try invoking reconfiguration after new servers are "
    "connected and synced",
}
_HINTS: dict[type[errors.ZooKeeperError], str] = {
    errors.NoNode: "`ls` of a znode above shows what is there; parents must be created first.",
    errors.NodeExists: "`set` changes its data, `get -s` shows it.",
    errors.NotEmpty: "`deleteall` removes a znode with all below it.",
    errors.NoAuth: "`getAcl` shows who may, `whoami` who you are; `addauth digest user:password` "
    "takes on an identity.",
    errors.BadVersion: "`stat` shows the version now.",
    errors.InvalidAcl: "An ACL reads scheme:id:permissions, such as world:anyone:cdrwa or "
    "auth::cdrwa; auth needs `addauth` first.",
    errors.QuotaExceeded: "`listquota` shows the limits and what is used.",
    errors.Unimplemented: "The server does not offer this. Znodes with a TTL need "
    "zookeeper.extendedTypesEnabled=true there.",
    errors.ReconfigDisabled: "Set reconfigEnabled=true in the servers' zoo.cfg.",
    errors.NotReadOnly: "This server has no quorum: it serves reads only for now.",
    errors.NoWatcher: "Only watches of this session can be removed.",
    errors.SessionExpired: "`connect` begins a new session.",
    errors.AuthFailed: "`connect` begins a new session, without these credentials.",
    errors.NoChildrenForEphemerals: "Create it beside the ephemeral znode.",
    errors.RequestTooLarge: "Split the data over several znodes, or raise jute.maxbuffer of all "
    "servers.",
}
_REMOVALS = (
    EventType.DATA_WATCH_REMOVED,
    EventType.CHILD_WATCH_REMOVED,
    EventType.PERSISTENT_WATCH_REMOVED,
)
_ERRNO = re.compile(r"\[Errno -?\d+\] (Connect call failed \(.*\))?")
_PATH_HINT = "A path begins with a slash and ends without one: /zoo/animals."
Reply = TypeVar("Reply")


@dataclass
class Start:
    """What the command line asked for."""

    hosts: str = "localhost:2181"
    timeout_ms: int = 30_000
    is_read_only: bool = False
    waits_for_connection: bool = False
    tls: ssl.SSLContext | None = None


class Shell:
    """One shell with its session."""

    def __init__(self, start: Start, output: Output) -> None:
        self.start = start
        self.output = output
        self.client: Client | None = None
        self.history: list[str] = []
        self.prints_watches = True
        self.exit_code = 0
        self.is_over = False
        self._starting: asyncio.Task[None] | None = None

    # The session

    async def connect(self, hosts: str | None = None) -> None:
        """Begin a session, in place of the one before. Raises CommandError for bad hosts."""
        start = self.start
        try:
            client = Client(
                hosts or start.hosts,
                session_timeout_ms=start.timeout_ms,
                read_only=start.is_read_only,
                ssl=start.tls,
            )
        except ValueError as error:
            raise CommandError(str(error), hint="Write host:port,host:port/chroot.") from None
        await self.close()
        start.hosts = hosts or start.hosts
        self.client = client
        self.client.on_event(self._saw)
        self._starting = asyncio.get_running_loop().create_task(self._start(self.client))

    async def _start(self, client: Client) -> None:
        # How the session ended is told as an event, and to each command that needs it.
        with suppress(errors.ZooKeeperError):
            await client.start()

    def _saw(self, event: WatchEvent) -> None:
        if self.prints_watches:
            # Who reads us may have gone: the next command finds that out.
            with suppress(BrokenPipeError):
                self.output.event(event)

    def watcher(self, event: WatchEvent) -> None:
        """What is set as watcher. `_saw` hears of all that a server tells; removals are ours."""
        if event.type in _REMOVALS:
            self._saw(event)

    async def close(self, *, quietly: bool = False) -> None:
        """End the session, if there is one; `quietly`: without its last event."""
        client, self.client = self.client, None
        if client is None:
            return
        if quietly:
            self.prints_watches = False
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.wait([self._starting])
        await client.close()
        # The last event is called on the loop's next turn.
        await asyncio.sleep(0)

    @property
    def state_name(self) -> str:
        """The state as Apache's prompt has it."""
        if self.client is None:
            return "CLOSED"
        return self.client.state.name.replace("_", "")

    @property
    def connected(self) -> Client:
        """The client, with or without a server just now. Raises CommandError."""
        if self.client is None:
            raise CommandError("Not connected", 0, "`connect` begins a new session.")
        return self.client

    async def ask(self, request: Awaitable[Reply], path: str | None = None) -> Reply:
        """The reply to a request; ConnectionLoss when no server can be had."""
        client, loop = self.connected, asyncio.get_running_loop()
        future = asyncio.ensure_future(request)
        began_s, has_told = loop.time(), not self.output.is_terminal
        try:
            while not future.done():
                is_connecting = client.state is SessionState.CONNECTING
                if is_connecting and client.failed_rounds > 0:
                    raise errors.ConnectionLoss(path)
                await asyncio.wait([future], timeout=_WATCH_S if is_connecting else NOTICE_S)
                if not has_told and loop.time() - began_s >= NOTICE_S:
                    has_told = True
                    self.output.hint(f"Waiting for {self.start.hosts}; Ctrl-C cancels.")
            return future.result()
        finally:
            future.cancel()

    async def wait_until_connected(self) -> None:
        """For -waitforconnection: a session within the session timeout, or CommandError."""
        client = self.connected
        try:
            await client.start(self.start.timeout_ms)
        except errors.ZooKeeperError as error:
            raise CommandError(str(error), hint=self.unreachable()) from None

    # Commands

    async def execute_line(self, line: str) -> None:
        """Carry out a line; remembers it for `history`."""
        if not line.strip():
            return
        self.history.append(line)
        await self.execute(split_line(line) or [""])

    async def execute(self, words: Sequence[str]) -> None:
        """Carry out a command, and tell what went wrong; sets `exit_code`."""
        from zkserver.cli.shell_registry import run

        try:
            await run(self, words)
            # Who quits leaves with the code of the command before, as in Apache's shell.
            self.exit_code = self.exit_code if self.is_over else 0
        except CommandError as error:
            self.fail(error)
        except errors.ZooKeeperError as error:
            self.fail(self.explain(error))
        self.output.flush()

    def fail(self, error: CommandError) -> None:
        """Tell of an error on standard error, and keep its exit code."""
        if error.exit_code or not self.output.is_terminal:
            self.exit_code = error.exit_code
        if error.message == "Not connected":
            self.output.line(error.message)
        elif error.message:
            # A person need not know the names of Java's classes.
            shown = error.message.rpartition("Exception: ")[2]
            self.output.error(shown if self.output.is_terminal else error.message)
        self.output.hint(error.hint)

    def explain(self, error: errors.ZooKeeperError) -> CommandError:
        """An error of the server or the client, in the words of Apache's shell."""
        if isinstance(error, errors.InvalidPath):
            return CommandError(path_fault(error.path or ""), hint=_PATH_HINT)
        hint = next((_HINTS[kind] for kind in type(error).__mro__ if kind in _HINTS), "")
        if isinstance(error, errors.ConnectionLoss):
            hint = self.unreachable()
        for kind, message in _MESSAGES.items():
            if isinstance(error, kind):
                path = "null" if error.path is None else error.path
                return CommandError(message.format(path), hint=hint)
        return CommandError(str(error), hint=hint)

    def unreachable(self) -> str:
        """Why there is no server, for a person."""
        why = "" if self.client is None else self.client.last_failure
        if not why:
            return "The connection broke: whether the command took effect is not known."
        # asyncio says "[Errno 111] Connect call failed ('127.0.0.1', 2181)".
        why = re.sub(r"\[Errno -?\d+\] (Connect call failed \(.*\))?", "", why)
        return f"No server answers ({why or 'refused'}). Is it running, and is -server right?"
