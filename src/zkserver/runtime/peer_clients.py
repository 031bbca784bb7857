"""Who a peer's clients meet: its role's server, a read-only one, or nobody.

Nobody still answers the four-letter words, and hangs up on clients, which then try elsewhere.
With readonlymode.enabled a peer that has looked for a leader for a while serves reads, over the
database as it stands: nothing changes it until the next role begins.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from zkserver.base.config import Config
from zkserver.runtime import logs
from zkserver.runtime.client_port import ClientProtocol
from zkserver.server import four_letter
from zkserver.server.read_only import GRACE_MS, ReadOnlyPipeline
from zkserver.server.server import Host, Server
from zkserver.server.stats import ServerStats

log = logs.get_log("peer")

_WORD_SIZE = 4
_STMK_SIZE = 12


class Unserved(asyncio.Protocol):
    """A client that comes while nobody serves: a word is answered, all else is hung up on.

    Apache's server hangs up on a client at the same moment, when its first length has come.
    """

    def __init__(
        self, config: Config, host: Host, loop: asyncio.AbstractEventLoop, stats: ServerStats
    ) -> None:
        self._config = config
        self._host = host
        self._stats = stats
        self._loop = loop
        self._received = b""
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It has until the usual time to say something."""
        self._transport = cast(asyncio.Transport, transport)
        limit_s = self._config.sessionless_timeout_ms / 1000
        self._timer = self._loop.call_later(limit_s, transport.close)

    def data_received(self, data: bytes) -> None:
        """The first four bytes decide."""
        transport, self._received = self._transport, self._received + data
        received = self._received
        if transport is None or len(received) < _WORD_SIZE or transport.is_closing():
            return
        word = received[:_WORD_SIZE]
        if word not in four_letter.WORDS:
            self._stats.connections_unserved += 1
        else:
            is_whole = word != b"stmk" or len(received) >= _STMK_SIZE
            if not is_whole and four_letter.is_allowed(self._config, "stmk"):
                return
            answer = four_letter.answer_unserved(self._config, self._host, received)
            transport.write(answer.encode())
        transport.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """The socket is gone."""
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()


class PeerClients:
    """See the module's docstring.

    `open_server` makes a server over the database, without sessions; `global_sessions` are the
    ensemble's, as the database knows them.
    """

    def __init__(
        self,
        config: Config,
        host: Host,
        loop: asyncio.AbstractEventLoop,
        open_server: Callable[[], Server],
        global_sessions: Callable[[], dict[int, int]],
        stats: ServerStats,
    ) -> None:
        self._config = config
        self._stats = stats
        self._host = host
        self._loop = loop
        self._open_server = open_server
        self._global_sessions = global_sessions
        self._timer: asyncio.TimerHandle | None = None
        # The server of a peer that looks for a leader and serves reads meanwhile.
        self.reads: Server | None = None
        # The server of the role, if it takes clients.
        self.server: Server | None = None

    def make_protocol(self) -> asyncio.Protocol:
        """For a client that has just been accepted."""
        server = self.server or self.reads
        if server is None:
            return Unserved(self._config, self._host, self._loop, self._stats)
        return ClientProtocol(server, self._config.client_tcp_keep_alive)

    def begin_looking(self, *, has_database: bool = True) -> None:
        """There is no leader; after a while reads may be served, where there is what to read."""
        self.server = None
        if has_database and self._config.read_only_mode_enabled:
            grace_ms = max(GRACE_MS, self._config.tick_time_ms)
            self._timer = self._loop.call_later(grace_ms / 1000, self._serve_reads)

    def _serve_reads(self) -> None:
        self._timer = None
        server = self.reads = self._open_server()
        server.pipeline = ReadOnlyPipeline(server, self._global_sessions())
        log.info("serves reads while there is no leader")

    def end_looking(self) -> None:
        """A vote has won: whoever reads here is to come again."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        server, self.reads = self.reads, None
        if server is not None:
            for connection in list(server.connections):
                connection.close()

    def tick(self, now_ms: int) -> None:
        """Sessions of readers expire."""
        if self.reads is not None:
            self.reads.tick(now_ms)
