"""`Server`: one standalone server, tied together, without its sockets.

The runtime makes one from what was restored, gives every accepted socket a
`Connection`, calls `tick` now and then, and stands in for the outside as `Host`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from zkserver.base import opcodes as op
from zkserver.base.acl import Id
from zkserver.base.auth import Providers
from zkserver.base.config import Config
from zkserver.base.errors import LinkError
from zkserver.server import four_letter
from zkserver.server.connection import CLOSED, Connection
from zkserver.server.containers import ContainerReaper
from zkserver.server.peer_words import PeerFacts
from zkserver.server.reads import Handler
from zkserver.server.stats import ServerStats
from zkserver.server.throttle import ConnectionThrottle, LargeRequests
from zkserver.session import handshake
from zkserver.session.handshake import ConnectRequest
from zkserver.session.tracker import SessionTracker
from zkserver.tree.tree import DataTree

# A standalone Apache server calls itself 1 in session ids, whatever its myid.
STANDALONE_ID = 1


class Host(Protocol):
    """What the server asks of the process around it."""

    def batch_is_open(self) -> None:
        """Transactions wait for the disk; come for them when this turn ends."""

    def report(self, event: str, **facts: object) -> None:
        """One line for the log."""

    def audit(self, fields: Mapping[str, str]) -> None:
        """One event for the audit log; its fields in their order."""

    def random(self) -> float:
        """A number from 0 up to 1."""

    def client_port(self) -> int:
        """The port that clients come to."""

    def environment(self) -> dict[str, str]:
        """Facts about the machine and the process, by name."""

    def directory_sizes(self) -> tuple[int, int]:
        """Bytes of snapshots and of logs."""

    def descriptor_counts(self) -> tuple[int, int]:
        """Open file descriptors, and how many there may be."""


class Requests(Protocol):
    """The way of requests that are not answered on the spot; it differs by role.

    `mode` is the role's name. `handlers` answer from the tree, `writes` are what `submit` takes,
    by opcode. `is_authority`: sessions expire by this server's word.
    """

    @property
    def mode(self) -> str: ...
    @property
    def handlers(self) -> Mapping[int, Handler]: ...
    @property
    def writes(self) -> frozenset[int]: ...
    @property
    def is_authority(self) -> bool: ...

    def submit(
        self, connection: Connection, kind: int, cxid: int, data: bytes, start: int, stop: int
    ) -> bool:
        """Take a client's write, its record being `data[start:stop]`; False: it cannot be read."""

    def submit_internal(self, kind: int, session_id: int, body: bytes = b"") -> None:
        """A write of the server's own; an authority only."""

    def open_session(self, connection: Connection) -> None:
        """Have the connection's new session logged; the connection waits for it."""

    def resume_session(
        self, connection: Connection, session_id: int, password: bytes | None
    ) -> None:
        """A client comes back with its session: `Server.settle` it, now or later."""

    def end_run(self) -> None:
        """A read waits behind the last write."""

    def abandoned(self, connection: Connection) -> int:
        """How many requests of a closed connection are under way no more."""


class Server:
    """The state that connections share. Times: `now_ms` monotonic, `wall_ms` the calendar's."""

    # Whoever makes a server gives it the way that its role's requests go.
    pipeline: Requests

    def __init__(
        self,
        config: Config,
        tree: DataTree,
        session_timeouts_ms: dict[int, int],
        providers: Providers,
        host: Host,
        now_ms: Callable[[], int],
        wall_ms: Callable[[], int],
        server_id: int = STANDALONE_ID,
        stats: ServerStats | None = None,
    ) -> None:
        self.config = config
        self.tree = tree
        self.providers = providers
        self.host = host
        self.now_ms = now_ms
        self.wall_ms = wall_ms
        # Those of the process, which go on from one role of a peer to the next.
        self.stats = ServerStats() if stats is None else stats
        self.stats.begin_role()
        self.started_ms = now_ms()
        self.trace_mask: int = four_letter.DEFAULT_TRACE_MASK
        # Set by the one who makes the server, for a peer's: what it tells of the peer; whether it
        # serves reads while there is no leader; whether it has sessions of its own.
        self.peer: PeerFacts | None = None
        self.is_read_only: bool = False
        self.has_local_sessions = False
        self.sessions = SessionTracker(config.tick_time_ms, server_id, now_ms())
        for session_id, timeout_ms in session_timeouts_ms.items():
            self.sessions.add(session_id, timeout_ms, now_ms())
        self.containers = ContainerReaper(self)
        self.large_requests = LargeRequests(
            config.large_request_max_bytes,
            config.large_request_threshold,
            self.stats.rejected_large,
        )
        self.connection_throttle = ConnectionThrottle.from_config(config, now_ms())
        self.connections: dict[Connection, None] = {}
        self.by_session: dict[int, Connection] = {}
        # Connections with output that no receive of their own will flush.
        self.unflushed: dict[Connection, None] = {}
        # Writes on their way and reads behind them, of all connections.
        self.in_flight = 0
        # Both clocks, as of the chunk of requests that is being served; that of the
        # calendar is 0 until a write asks for it.
        self.chunk_ms = now_ms()
        self.chunk_wall_ms = 0
        self.outstanding_limit = config.global_outstanding_limit
        self.is_closed = False
        self._throttled: dict[Connection, None] = {}
        self._per_address: dict[str, int] = {}
        # Connections that have not asked for a session yet, oldest first, and
        # until when (monotonic ms) they may take to do so.
        self._sessionless: dict[Connection, int] = {}
        self._required_schemes = (
            config.enforce_auth_schemes if config.enforce_auth_enabled else ()
        )
        # Whether each request must be looked at before it may be served.
        self.guards_requests = bool(self._required_schemes) or self.large_requests.limited

    # Connections

    def admit(self, address: str) -> str | None:
        """Why a new connection from `address` may not stay; None if it may."""
        config = self.config
        if self.is_closed:
            return "the server's role in its ensemble has ended"
        if 0 < config.max_cnxns <= len(self.connections):
            return f"too many connections (maxCnxns={config.max_cnxns})"
        if 0 < config.max_client_cnxns <= self._per_address.get(address, 0):
            return f"too many connections from {address} (maxClientCnxns={config.max_client_cnxns})"
        return None

    def add(self, connection: Connection) -> None:
        """A connection was accepted."""
        self.connections[connection] = None
        count = self._per_address.get(connection.address, 0)
        self._per_address[connection.address] = count + 1
        self._sessionless[connection] = self.now_ms() + self.config.sessionless_timeout_ms

    def forget(self, connection: Connection) -> None:
        """A connection is closed: its watches go, its session stays."""
        if self.connections.pop(connection, self) is self:
            return
        count = self._per_address.pop(connection.address) - 1
        if count:
            self._per_address[connection.address] = count
        if self.by_session.get(connection.session_id) is connection:
            del self.by_session[connection.session_id]
        self.tree.data_watches.remove_watcher(connection)
        self.tree.child_watches.remove_watcher(connection)
        self._throttled.pop(connection, None)
        self._sessionless.pop(connection, None)
        self.in_flight -= self.pipeline.abandoned(connection)
        connection.waiting.clear()

    def close(self) -> None:
        """Close all connections, admit none, and let go of everything that keeps this.

        A cycle would outlive this server, and the tree with it, since nobody collects the old
        generation.
        """
        self.is_closed = True
        for connection in list(self.connections):
            connection.close()
        self.unflushed.clear()
        del self.pipeline, self.containers

    def report(self, connection: Connection, reason: str) -> None:
        """Say in one line why a client's connection is closed."""
        self.host.report(
            "closing connection",
            client=f"{connection.address}:{connection.port}",
            session=f"0x{connection.session_id & 0xFFFFFFFFFFFFFFFF:x}",
            reason=reason,
        )

    def connect(self, connection: Connection, request: ConnectRequest) -> None:
        """Open a new session for a connection, or give it back the one it names."""
        config = self.config
        self._sessionless.pop(connection, None)
        self.stats.connection_requests += 1
        self.stats.token_deficit.record(1, self.connection_throttle.deficit)
        if not self.connection_throttle.admit(
            self.now_ms(),
            self.host.random(),
            renew=request.session_id != 0,
            local=self.has_local_sessions,
        ):
            self.stats.connections_rejected += 1
            raise LinkError("too many connections at once (connection_throttle_tokens)")
        if self.is_read_only and not request.read_only:
            raise LinkError("the client does not want a read-only server, and there is no leader")
        if request.last_zxid_seen > self.tree.last_zxid:
            raise LinkError(
                f"the client has seen zxid 0x{request.last_zxid_seen:x}, "
                f"this server only 0x{self.tree.last_zxid:x}"
            )
        timeout_ms = handshake.negotiate(
            request.timeout_ms, config.min_session_timeout_ms, config.max_session_timeout_ms
        )
        connection.session_timeout_ms = timeout_ms
        if request.session_id == 0:
            connection.session_id = self.sessions.create(timeout_ms, self.now_ms())
            self.by_session[connection.session_id] = connection
            self.pipeline.open_session(connection)
            return
        self.stats.connection_revalidations += 1
        self.pipeline.resume_session(connection, request.session_id, request.password)

    def settle(self, connection: Connection, session_id: int, *, is_valid: bool) -> None:
        """Whether a client that came back has its session still."""
        if is_valid:
            older = self.by_session.get(session_id)
            if older is not None:
                older.close()
            connection.session_id = session_id
            self.by_session[session_id] = connection
        connection.settle(valid=is_valid)

    def end_local_session(self, session_id: int) -> None:
        """A session that nobody else knows is over: no transaction tells of it."""
        self.sessions.remove(session_id)
        connection = self.by_session.get(session_id)
        if connection is not None:
            connection.close_after_output()

    # Identity

    def schemes_missing(self, ids: list[Id]) -> bool:
        """Whether authentication is enforced and the client has shown none of the schemes."""
        required = self._required_schemes
        return bool(required) and not any(id_.scheme in required for id_ in ids)

    def four_letter_allowed(self, word: str) -> bool:
        """Whether the whitelist has a four-letter word."""
        return four_letter.is_allowed(self.config, word)

    # Flow

    def throttle(self, connection: Connection) -> None:
        """Read no more from a connection with requests in flight while there are too many."""
        if self.in_flight > self.outstanding_limit and connection.waiting:
            connection.pause_reading()
            self._throttled[connection] = None

    def flush_connections(self) -> None:
        """Send what applied writes and their events left on connections."""
        unflushed, self.unflushed = self.unflushed, {}
        for connection in unflushed:
            if connection.phase != CLOSED:
                connection.flush()
        if self._throttled and self.in_flight <= self.outstanding_limit:
            throttled, self._throttled = self._throttled, {}
            for connection in throttled:
                connection.resume_reading()

    def tick(self, now_ms: int) -> None:
        """Expire what is due: sessions, idle connections, empty containers, aged TTL nodes."""
        sessions, is_authority = self.sessions, self.pipeline.is_authority
        if is_authority or sessions.local:
            due = sessions.expired(now_ms) if is_authority else sessions.expired_local(now_ms)
            for session_id in due:
                self.stats.sessions_expired += 1
                self.host.report(
                    "session expired",
                    session=f"0x{session_id & 0xFFFFFFFFFFFFFFFF:x}",
                    timeout_ms=self.sessions.timeout_ms(session_id),
                )
                if session_id in self.sessions.local:
                    self.end_local_session(session_id)
                else:
                    self.pipeline.submit_internal(op.CLOSE_SESSION, session_id)
        if is_authority:
            self.containers.tick(now_ms)
        while self._sessionless:
            connection, until_ms = next(iter(self._sessionless.items()))
            if until_ms > now_ms:
                break
            del self._sessionless[connection]
            self.stats.sessionless_expired += 1
            connection.drop("no session was asked for in time")

    def close_orphans(self) -> None:
        """Close sessions that own ephemerals but that nobody remembers opening."""
        for session_id in [each for each in self.tree.ephemerals if each not in self.sessions]:
            self.pipeline.submit_internal(op.CLOSE_SESSION, session_id)
