"""`TestServer`: one server in the test's process, over all its lives.

It has a port and a disk that stay, and a life that begins, is killed, and begins anew. Faults that
strike one server alone are here; what concerns sessions or time is asked of `ZooKeeper` or of
`ZooKeeperEnsemble`, which see the whole.

Methods are for the test's thread and return when what they say has happened.
"""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

from zkserver.base import config as configuration
from zkserver.base import settings
from zkserver.base.config import Config, ConfigSource
from zkserver.runtime.logs import get_log
from zkserver.session.ids import signed
from zkserver.testing.clock import Clock
from zkserver.testing.errors import NotRunningError, ServerFailedError, TestingError
from zkserver.testing.folder_disk import FolderDisk
from zkserver.testing.life import Hosted, Life
from zkserver.testing.links import Links
from zkserver.testing.loop import ServerLoop
from zkserver.testing.machine import TestingMachine
from zkserver.testing.memory_disk import MemoryDisk
from zkserver.testing.watch import Watch

log = get_log("testing")

HOST = "127.0.0.1"
DEFAULT_TICK_TIME_MS = 500
# Where a server in memory thinks that its files are.
MEMORY_FOLDER = "/zookeeper"

_DEFAULTS = {
    "clientPortAddress": HOST,
    "maxClientCnxns": "0",
    "maxSessionTimeout": "40000",
    "preAllocSize": "64",
    "admin.enableServer": "false",
    "4lw.commands.whitelist": "*",
}


class KazooClient(Protocol):
    """What has a session as kazoo's clients have one: its id and its password."""

    @property
    def client_id(self) -> tuple[int, bytes] | None: ...


@runtime_checkable
class OwnClient(Protocol):
    """What has a session as the clients of `zkserver.client` have one; 0 is none."""

    @property
    def session_id(self) -> int: ...


Session = int | KazooClient | OwnClient
"""A session: its id, or a client that has one, of kazoo or of `zkserver.client`."""


def session_id_of(session: Session) -> int:
    """The id (signed) of a session. Raises ValueError for a client that has none."""
    if isinstance(session, int):
        return signed(session)
    if isinstance(session, OwnClient):
        session_id = session.session_id
    else:
        session_id = session.client_id[0] if session.client_id is not None else 0
    if not session_id:
        raise ValueError("the client has no session")
    return signed(session_id)


def reserve_port() -> socket.socket:
    """A socket that keeps a free port of the loopback address, so that no other test gets it.

    It does not listen, so a server may; while none does, clients are refused.
    """
    raw = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    raw.bind((HOST, 0))
    return raw


def make_config(
    keys: Mapping[str, str], properties: Mapping[str, str], server_id: int | None = None
) -> Config:
    """The configuration of a server: our keys, then the test's, which win.

    A test's key is one of zoo.cfg, or a Java property by its full name.
    """
    java = {name: value for name, value in properties.items() if settings.find_property(name)}
    lines = {**keys, **{name: it for name, it in properties.items() if name not in java}}
    source = ConfigSource(
        file_name="the test's properties",
        text="".join(f"{name}={value}\n" for name, value in lines.items()),
        properties=java,
        read_text=lambda _: None if server_id is None else str(server_id),
    )
    config, warnings = configuration.load(source)
    for warning in warnings:
        log.warn(str(warning))
    return config


class TestServer(ABC):
    """`data_dir`: the folder for its files; None: in memory."""

    # pytest looks for classes of this name.
    __test__ = False

    server_id = 0

    def __init__(
        self,
        name: str,
        data_dir: str | Path | None,
        tick_time_ms: int,
        properties: Mapping[str, str],
        clock: Clock,
        watch: Watch,
    ) -> None:
        self.name = name
        self._data_dir = None if data_dir is None else str(data_dir)
        self._tick_time_ms = tick_time_ms
        self._properties = dict(properties)
        self._clock = clock
        self._watch = watch
        self._links: Links | None = None
        self._disk: MemoryDisk | FolderDisk = MemoryDisk() if data_dir is None else FolderDisk()
        self._reserved: list[socket.socket] = []
        self._life: Life | None = None
        self._failures: list[ServerFailedError] = []
        self._config: Config | None = None

    # Life

    @property
    def port(self) -> int:
        """The port that clients come to, the same in all its lives."""
        if not self._reserved:
            raise NotRunningError(f"{self.name} was not started")
        port: int = self._reserved[0].getsockname()[1]
        return port

    @property
    def hosts(self) -> str:
        """The connection string for clients."""
        return f"{HOST}:{self.port}"

    @property
    def is_running(self) -> bool:
        """Whether it runs or stands still; not after it was killed or has given up."""
        return self._life is not None and self._life.is_alive

    @property
    def is_paused(self) -> bool:
        """Whether it stands still."""
        return self._life is not None and self._life.is_paused

    @property
    def process(self) -> Hosted | None:
        """The process of the present life; to be looked into with care, for it runs elsewhere."""
        return self._life.process if self._life is not None and self._life.is_alive else None

    @property
    def life(self) -> Life:
        """The present life. Raises NotRunningError if there is none."""
        if self._life is None or not self._life.is_alive:
            raise NotRunningError(f"{self.name} does not run")
        return self._life

    def _keys(self) -> dict[str, str]:
        return {
            **_DEFAULTS,
            "tickTime": str(self._tick_time_ms),
            "dataDir": self._data_dir or MEMORY_FOLDER,
            "clientPort": str(self.port),
        }

    def begin(self, *, held: bool = False) -> None:
        """Begin a life; one that is `held` waits until its process is let go."""
        if self.is_running:
            raise TestingError(f"{self.name} runs already")
        if not self._reserved:
            self._reserved.append(reserve_port())
        if self._config is None:
            self._config = make_config(self._keys(), self._properties, self.server_id or None)
        config = self._config
        machine = TestingMachine(self._clock, self._disk)

        def make_process(loop: ServerLoop) -> Hosted:
            return self._make_process(config, loop, machine, held=held)

        def make_loop() -> ServerLoop:
            return ServerLoop(self._clock, self._links, self.server_id)

        self._life = Life(self.name, make_loop, make_process, self._watch)
        self._life.start()

    @abstractmethod
    def _make_process(
        self, config: Config, loop: ServerLoop, machine: TestingMachine, *, held: bool
    ) -> Hosted:
        """The production process of its kind."""

    def end(self, act: Callable[[Life], None]) -> None:
        """End the present life, if there is one."""
        life, self._life = self._life, None
        if life is None:
            return
        act(life)
        if life.failure is not None:
            self._failures.append(life.failure)
        self._disk = self._disk.after_kill()

    def release(self) -> None:
        """Give the ports back."""
        for raw in self._reserved:
            raw.close()
        self._reserved.clear()
        self._config = None

    def forget_failures(self) -> None:
        """What was before a new start concerns it no more. For one that does not run."""
        self._failures.clear()
        self._life = None

    @property
    def failures(self) -> list[ServerFailedError]:
        """Why lives ended by themselves."""
        return [*self._failures, *self._failure_now()]

    def _failure_now(self) -> list[ServerFailedError]:
        life = self._life
        return [] if life is None or life.failure is None else [life.failure]

    # Faults

    def kill(self) -> None:
        """End the server as `kill -9` and a loss of power do at once.

        What was not synced is lost from a disk in memory. Clients see a reset, and are refused
        until `revive`.
        """
        if not self.is_running:
            raise NotRunningError(f"{self.name} does not run")
        self.end(Life.kill)

    def revive(self) -> None:
        """Start the server again after `kill`, on the same port, with what its disk has."""
        if not self.is_running:
            self.end(Life.kill)
        self.begin()

    def pause(self) -> None:
        """Let the server stand still, as SIGSTOP does: it accepts, reads and answers nothing."""
        self.life.pause()

    def resume(self) -> None:
        """Let the server go on after `pause`; what has come meanwhile is served then."""
        self.life.resume()

    def drop_connections(self, session: Session | None = None) -> int:
        """Hang up on one session's client, or on all clients; how many connections that were.

        Sessions live on: clients come again, here or elsewhere.
        """
        session_id = None if session is None else session_id_of(session)
        life = self.life
        return life.call(lambda: _drop(life.process, session_id))


def _drop(process: Hosted | None, session_id: int | None) -> int:
    server = None if process is None else process.active_server()
    if server is None:
        return 0
    found = [
        each
        for each in list(server.connections)
        if session_id is None or each.session_id == session_id
    ]
    for connection in found:
        connection.transport.abort()
    return len(found)
