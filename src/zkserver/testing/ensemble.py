"""`ZooKeeperEnsemble`: several servers for a test, and the links between them.

    with ZooKeeperEnsemble(3) as ensemble:
        client = KazooClient(ensemble.hosts)
        ensemble.leader.kill()
        ensemble.wait_until_serving()

Each server has a thread of its own, so that one can stand still while the others go on. All share
one clock, which `advance` puts on. Server ids count from 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from zkserver.base.config import Config
from zkserver.testing import sessions
from zkserver.testing.advancing import advance
from zkserver.testing.aio import AsyncZooKeeperEnsemble
from zkserver.testing.clock import Clock
from zkserver.testing.errors import NotRunningError, TestingError
from zkserver.testing.life import LIMIT_S, Hosted, Life
from zkserver.testing.links import Links
from zkserver.testing.loop import ServerLoop
from zkserver.testing.machine import TestingMachine
from zkserver.testing.processes import HostedPeer
from zkserver.testing.scope import Scope
from zkserver.testing.server import (
    DEFAULT_TICK_TIME_MS,
    HOST,
    MEMORY_FOLDER,
    Session,
    TestServer,
    reserve_port,
    session_id_of,
)
from zkserver.testing.watch import Watch

SERVING_LIMIT_S = 20.0
_CLIENT, _QUORUM, _ELECTION = range(3)
_DEFAULTS = {"initLimit": "10", "syncLimit": "5"}


class EnsembleServer(TestServer):
    """One server of an ensemble. `members` are the server lines of all."""

    members: Mapping[str, str]

    def __init__(
        self,
        server_id: int,
        links: Links,
        data_dir: Path | None,
        tick_time_ms: int,
        properties: Mapping[str, str],
        clock: Clock,
        watch: Watch,
    ) -> None:
        super().__init__(
            f"zookeeper-{server_id}", data_dir, tick_time_ms, properties, clock, watch
        )
        self.server_id = server_id
        self._links = links
        self._reserved = [reserve_port() for _ in range(3)]
        links.own(server_id, self._port_of(_QUORUM), self._port_of(_ELECTION))

    def _port_of(self, kind: int) -> int:
        port: int = self._reserved[kind].getsockname()[1]
        return port

    @property
    def address(self) -> str:
        """What stands behind server.N= in the configuration."""
        return f"{HOST}:{self._port_of(_QUORUM)}:{self._port_of(_ELECTION)}"

    def _keys(self) -> dict[str, str]:
        folder = self._data_dir or MEMORY_FOLDER
        return {**_DEFAULTS, **super()._keys(), "dataDir": folder, **self.members}

    def _make_process(
        self, config: Config, loop: ServerLoop, machine: TestingMachine, *, held: bool
    ) -> Hosted:
        return HostedPeer(config, loop, machine, self._watch, held=held)

    @property
    def peer(self) -> HostedPeer | None:
        """The process of the present life, if it runs and does not stand still."""
        process = self.process
        return process if isinstance(process, HostedPeer) and not self.is_paused else None

    @property
    def is_serving(self) -> bool:
        """Whether it leads or follows, as far as it knows, and serves clients."""
        return self.peer is not None and self.peer.serving_server is not None

    def let_go(self) -> None:
        """Let a life go on that was begun `held`."""
        peer = self.peer
        if peer is not None:
            self.life.call(peer.let_go)

    def settle_links(self) -> None:
        """Links have been cut or healed; one that stands still sees it when it goes on."""
        if self.is_running:
            future = self.life.submit(self.life.settle_links)
            if not self.is_paused:
                self.life.result(future)


class ZooKeeperEnsemble(Scope[AsyncZooKeeperEnsemble]):
    """`servers` servers. A context manager, with `with` and with `async with`.

    `data_dir`: a folder for the files of all, which stay; None: in memory. Other arguments are
    those of `ZooKeeper`, for every server.
    """

    def __init__(
        self,
        servers: int = 3,
        *,
        data_dir: str | Path | None = None,
        tick_time_ms: int = DEFAULT_TICK_TIME_MS,
        properties: Mapping[str, str] | None = None,
    ) -> None:
        if servers < 2:
            raise ValueError("an ensemble has at least two servers; ZooKeeper() is one alone")
        self._tick_time_ms = tick_time_ms
        self._clock = Clock()
        self._watch = Watch()
        self._links = Links()
        self._make = (servers, None if data_dir is None else Path(data_dir), properties or {})
        self._servers: list[EnsembleServer] = []

    # Life

    def start(self) -> None:
        """Begin all servers, and wait until all serve. Raises what kept one from starting."""
        if any(server.is_running for server in self._servers):
            raise TestingError("the ensemble runs already")
        count, folder, properties = self._make
        self._servers.clear()
        with ExitStack() as undoing:
            undoing.callback(self._end_all)
            for number in range(1, count + 1):
                own = None if folder is None else folder / str(number)
                self._servers.append(
                    EnsembleServer(
                        number,
                        self._links,
                        own,
                        self._tick_time_ms,
                        properties,
                        self._clock,
                        self._watch,
                    )
                )
            members = {f"server.{each.server_id}": each.address for each in self._servers}
            for server in self._servers:
                server.members = members
                server.begin(held=True)
            for server in self._servers:
                server.let_go()
            self.wait_until_serving()
            undoing.pop_all()

    def close(self) -> None:
        """End all servers and give their ports back. Raises what made one give up, if any has."""
        self._end_all()
        failures = [failure for server in self._servers for failure in server.failures]
        if failures:
            raise failures[0]

    def _end_all(self) -> None:
        with ExitStack() as ending:
            for server in self._servers:
                ending.callback(server.release)
                ending.callback(server.end, Life.stop)

    @property
    def aio(self) -> AsyncZooKeeperEnsemble:
        """The same with coroutines, for a test that is one and has this from a fixture."""
        return AsyncZooKeeperEnsemble(self)

    # Who is who

    @property
    def servers(self) -> Sequence[EnsembleServer]:
        """All servers, by id."""
        return tuple(self._servers)

    @property
    def hosts(self) -> str:
        """The connection string of all servers."""
        return ",".join(server.hosts for server in self._servers)

    @property
    def leader(self) -> EnsembleServer:
        """The server that leads a majority. Raises NotRunningError while there is none."""
        found = self._leader()
        if found is None:
            raise NotRunningError("there is no leader now; wait_until_serving() waits for one")
        return found

    @property
    def followers(self) -> Sequence[EnsembleServer]:
        """The servers that follow the leader, as far as its links reach."""
        leader = self._leader()
        if leader is None:
            return ()
        return tuple(
            each
            for each in self._reach(leader)
            if each is not leader and _follows(each, leader)
        )

    def _leader(self) -> EnsembleServer | None:
        for server in self._servers:
            peer = server.peer
            leads = peer is not None and peer.leads
            if leads and 2 * len(self._reach(server)) > len(self._servers):
                return server
        return None

    def _reach(self, server: EnsembleServer) -> list[EnsembleServer]:
        """The servers that run and have a whole link to this one, itself among them."""
        return [
            each
            for each in self._servers
            if each is server
            or (each.peer is not None and not self._is_cut(server, each))
        ]

    def _is_cut(self, one: EnsembleServer, other: EnsembleServer) -> bool:
        return self._links.is_cut(one.server_id, other.server_id)

    def wait_until_serving(self, *, timeout_s: float | None = None) -> None:
        """Wait until there is a leader, and every server that it can reach serves clients.

        Servers that were killed, stand still or are cut off from the leader are not waited for.
        Raises TestingError after `timeout_s` (20).
        """
        if timeout_s is None:
            timeout_s = SERVING_LIMIT_S
        if not self._watch.wait_for(self._is_serving, timeout_s):
            states = ", ".join(f"{each.name}: {_state(each)}" for each in self._servers)
            raise TestingError(f"no leader with a majority within {timeout_s:g} s ({states})")

    def _is_serving(self) -> bool:
        leader = self._leader()
        return leader is not None and all(
            _follows(each, leader) for each in self._reach(leader)
        )

    # Faults

    def cut(self, one: EnsembleServer, *others: EnsembleServer) -> None:
        """Let nothing pass between a server and others; with none given, all others.

        Clients reach every server all the same. Nothing is lost: it passes after `heal`.
        """
        for other in others or self._servers:
            if other is not one:
                self._links.cut(one.server_id, other.server_id)
        self._settle_links()

    def heal(self) -> None:
        """Let everything pass between all servers."""
        self._links.heal()
        self._settle_links()

    def _settle_links(self) -> None:
        for server in self._servers:
            server.settle_links()
        self._watch.changed()

    def drop_connections(self, session: Session | None = None) -> int:
        """Hang up on one session's client, or on all clients; how many connections that were."""
        session_id = None if session is None else session_id_of(session)
        count = 0
        for server in self._servers:
            if server.peer is not None:
                count += server.drop_connections(session_id)
            if count and session_id is not None:
                # It had one connection; what it has elsewhere by now is the next one.
                break
        return count

    # Sessions and time

    def expire(self, session: Session) -> None:
        """End a session as if its client had been silent for too long.

        On every server that the leader reaches, its ephemeral znodes are gone when this returns.
        Raises ValueError if there is no such session.
        """
        leader = self.leader
        reached = self._reach(leader)
        sessions.expire(leader, reached, self._watch, session_id_of(session))

    def advance(
        self, ms: int = 0, *, ticks: int = 0, heartbeats: bool = True
    ) -> None:
        """Put the clocks of all servers on, and do all that falls due meanwhile.

        As `ZooKeeper.advance`. What silence brings comes too: a server that is cut off or stands
        still is given up by the others after syncLimit ticks (5).
        """
        by_ms = ms + ticks * self._tick_time_ms
        advance(self._clock, self._servers, by_ms, self._tick_time_ms, heartbeats=heartbeats)
        leader = self._leader()
        if leader is not None and self._is_serving():
            sessions.wait_until_applied(leader, self._reach(leader), self._watch, LIMIT_S)


def _follows(server: EnsembleServer, leader: EnsembleServer) -> bool:
    peer = server.peer
    return peer is not None and peer.leader_id == leader.server_id


def _state(server: EnsembleServer) -> str:
    if server.is_paused:
        return "stands still"
    peer = server.peer
    if peer is None:
        return "does not run"
    return peer.state.name.lower() + (", serves" if server.is_serving else "")
