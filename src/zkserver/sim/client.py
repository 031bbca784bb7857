"""A client of the bare protocol, which writes down all it sees; in the simulated world, for one.

It keeps one session over many connections, pipelines its requests, sets watches and
brings them along when it reconnects. On a lost connection what was not answered is
of unknown outcome. It runs until `stop`. On a loop of asyncio only `connect` has to differ.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Sequence
from struct import Struct

from zkserver.base import opcodes as op
from zkserver.base.acl import OPEN_ACL
from zkserver.base.stat import STAT, Stat
from zkserver.jute import codec
from zkserver.sim import history as words
from zkserver.sim.history import Frame, History, Request, Session
from zkserver.sim.world import World

_REPLY = Struct(">iqi")
_CONNECT = Struct(">iqiq")
_CONNECT_REPLY = Struct(">iiq")
PASSWORD_BYTES = 16
REPLY_TIMEOUT_S = 4.0
OPCODES = {
    words.CREATE: op.CREATE,
    words.CREATE_EPHEMERAL: op.CREATE,
    words.SET: op.SET_DATA,
    words.DELETE: op.DELETE,
    words.GET: op.GET_DATA,
    words.EXISTS: op.EXISTS,
    words.CLOSE: op.CLOSE_SESSION,
    words.SYNC: op.SYNC,
}
EPHEMERAL = 1
LARGE_CHANCE = 0.02
SYNC_CHANCE = 0.05


def record_of(request: Request) -> bytes:
    """The body of a request, without its header."""
    path = codec.buffer(request.path)
    if request.kind in (words.CREATE, words.CREATE_EPHEMERAL):
        flags = EPHEMERAL if request.kind == words.CREATE_EPHEMERAL else 0
        return path + codec.buffer(request.data) + codec.acl(OPEN_ACL) + codec.pack_int(flags)
    if request.kind == words.SET:
        return path + codec.buffer(request.data) + codec.pack_int(request.version)
    if request.kind == words.DELETE:
        return path + codec.pack_int(request.version)
    if request.kind == words.SYNC:
        return path
    return b"" if request.kind == words.CLOSE else path + bytes((request.watch,))


class Link(asyncio.Protocol):
    """One connection of a client."""

    def __init__(self, client: SimClient) -> None:
        self.client = client
        self.number = client.history.connections
        client.history.connections += 1
        self.transport: asyncio.Transport | None = None
        self.pending: deque[Request | None] = deque()
        # Done when the session is settled, and then when nothing is pending or all is lost.
        self.waiter: asyncio.Future[None] = client.loop.create_future()
        self.settled = False
        self.lost = False
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the session."""
        self.transport = transport  # type: ignore[assignment]
        client = self.client
        head = _CONNECT.pack(0, client.last_zxid, client.timeout_ms, client.session_id)
        self.write([head + codec.buffer(client.password) + b"\0"])

    def write(self, frames: list[bytes]) -> None:
        """Send frames in one piece."""
        if self.transport is not None:
            self.transport.write(b"".join(map(codec.buffer, frames)))

    def data_received(self, data: bytes) -> None:
        """Cut frames."""
        data = self._rest + data
        while len(data) >= 4 and len(data) >= 4 + (size := codec.unpack_int(data)[0]):
            payload, data = data[4 : 4 + size], data[4 + size :]
            if self.settled:
                self._frame(payload)
            else:
                self._settle(payload)
        self._rest = data

    def _settle(self, payload: bytes) -> None:
        _, timeout_ms, session_id = _CONNECT_REPLY.unpack_from(payload)
        self.settled = True
        password = payload[20 : 20 + PASSWORD_BYTES]
        self.client.settled(session_id if timeout_ms else 0, password, timeout_ms)
        self.wake()

    def _frame(self, payload: bytes) -> None:
        xid, zxid, error = _REPLY.unpack_from(payload)
        client = self.client
        if xid == op.XID_NOTIFICATION:
            event_type, _, size = Struct(">iii").unpack_from(payload, _REPLY.size)
            path = payload[-size:]
            number = client.note(f"gets event {event_type} on {path.decode()}, zxid {zxid}")
            client.session.frames.append(
                Frame(self.number, zxid, number, path=path, event_type=event_type)
            )
            client.watched.pop(path, None)
            return
        client.last_zxid = max(client.last_zxid, zxid)
        if xid in (op.XID_PING, op.XID_SET_WATCHES):
            client.session.frames.append(Frame(self.number, zxid, client.note(f"gets xid {xid}")))
            return
        request = self.pending.popleft() if self.pending else None
        if request is None or request.xid != xid:
            what = f"{client.name}: xid {xid} answers before {request}"
            client.history.complain("SessionOrder", what, client.world.events.last_number)
            self.abort()
            return
        self._complete(request, zxid, error, payload[_REPLY.size :])
        if not self.pending:
            self.wake()

    def _complete(self, request: Request, zxid: int, error: int, record: bytes) -> None:
        client = self.client
        request.outcome, request.error, request.zxid = words.DONE, error, zxid
        if not error and request.kind in (words.GET, words.EXISTS, words.SET):
            request.stat = Stat.unpack(record[-STAT.size :])
            if request.kind == words.GET:
                request.result = record[4 : -STAT.size]
        request.completed_s = client.loop.time()
        request.completed = client.note(f"xid {request.xid} is answered: {error}, zxid {zxid}")
        client.session.frames.append(Frame(self.number, zxid, request.completed, request))
        if request.watch and (not error or request.kind == words.EXISTS):
            client.watched[request.path] = request.stat is not None

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """What is pending will never be answered."""
        self.lost = True
        self.pending.clear()
        self.wake()

    def wake(self) -> None:
        """Let the client go on."""
        if not self.waiter.done():
            self.waiter.set_result(None)

    def abort(self) -> None:
        """Give the connection up."""
        if self.transport is not None:
            self.transport.abort()


class SimClient:
    """`servers` are hosts, one of which is taken by chance for each connection.

    `think_s` is the longest pause between two rounds of requests, `retry_s` that after a server
    did not take the connection. On a server that says nothing for `reply_timeout_s` it gives up.
    """

    def __init__(
        self,
        world: World,
        history: History,
        name: str,
        servers: Sequence[str],
        port: int,
        timeout_ms: int,
    ) -> None:
        self.world = world
        self.loop = world.loop
        self.history = history
        self.name = name
        self.timeout_ms = timeout_ms
        self.think_s = 0.5
        # Whether it asks for syncs, too.
        self.syncs = False
        self.link: Link | None = None
        self.retry_s = 1.0
        self.reply_timeout_s = REPLY_TIMEOUT_S
        self.chance: random.Random = world.chance(f"client {name}")
        self.last_zxid = 0
        self.session_id = 0
        self.password = bytes(PASSWORD_BYTES)
        self.session = Session(0, name)
        # Paths of this session's watches, and whether a znode was there.
        self.watched: dict[bytes, bool] = {}
        self.rounds = 0
        self.stopping = False
        # Asked one by one before anything else, if need be on several connections.
        self.script: list[Request] = []
        self.servers = servers
        self._port = port
        self._xid = 0
        self._writes = 0

    def note(self, what: str) -> int:
        """An event of this client."""
        return self.world.events.note(self.name, what)

    def settled(self, session_id: int, password: bytes, timeout_ms: int) -> None:
        """The server has answered the handshake; 0: the session is gone."""
        number = self.note(f"has session 0x{session_id:x}")
        if session_id and session_id == self.session_id:
            return
        if self.session_id:
            self.session.ended, self.session.expired = number, True
        self.session_id, self.password = session_id, password if session_id else bytes(16)
        self.watched.clear()
        if session_id:
            if session_id in self.history.sessions:
                what = f"0x{session_id:x} was given out twice"
                self.history.complain("SessionIds", what, number)
            self.session = Session(session_id, self.name, opened=number, timeout_ms=timeout_ms)
            self.history.sessions[session_id] = self.session

    async def run(self) -> None:
        """Live until `stop`, and close the session then."""
        while not self.is_done:
            try:
                servers = self.servers
                server = servers[0] if len(servers) == 1 else self.chance.choice(servers)
                link = await self.connect(server)
            except OSError:
                await self.pause(self.retry_s)
                continue
            await self._use(link)
            await self.pause(0.2)

    async def connect(self, server: str) -> Link:
        """A connection to a server. Raises OSError."""
        link: Link
        _, link = await self.loop.create_connection(
            lambda: Link(self), server, self._port, give_up_s=self.reply_timeout_s
        )
        return link

    @property
    def is_done(self) -> bool:
        """Whether it was asked to stop and has no session any more."""
        return self.stopping and not self.session_id and not self.script

    def stop(self) -> None:
        """Close the session after the round that is under way."""
        self.stopping = True

    def hop(self) -> None:
        """Leave the server, whatever is under way, and try another one soon."""
        if self.link is not None:
            self.link.abort()

    async def pause(self, most_s: float) -> None:
        """Wait for up to so long."""
        waiter = self.loop.create_future()
        self.loop.call_later(self.chance.random() * most_s, waiter.set_result, None)
        await waiter

    async def _wait(self, link: Link) -> bool:
        """Until the waiter is done; False if the connection is lost by then."""
        timer = self.loop.call_later(self.reply_timeout_s, link.abort)
        await link.waiter
        timer.cancel()
        link.waiter = self.loop.create_future()
        return not link.lost

    async def _use(self, link: Link) -> None:
        if not await self._wait(link) or not self.session_id:
            link.abort()
            return
        self.link = link
        self._bring_watches(link)
        while not link.lost:
            if self.script:
                self.script[0].session_id = self.session_id
                if not await self._ask(link, self.script[:1]):
                    return
                del self.script[0]
                continue
            if self.stopping:
                await self._ask(link, [self.request(words.CLOSE)])
                return
            count = self.chance.choice((1, 1, 2, 3, 6))
            if not await self._ask(link, [self.choose() for _ in range(count)]):
                return
            self.rounds += 1
            await self.pause(self.think_s)

    def _bring_watches(self, link: Link) -> None:
        if self.watched:
            there = [path for path, found in self.watched.items() if found]
            absent = [path for path, found in self.watched.items() if not found]
            head = codec.pack_int(op.XID_SET_WATCHES) + codec.pack_int(op.SET_WATCHES)
            body = codec.pack_long(self.last_zxid) + codec.vector(there) + codec.vector(absent)
            link.write([head + body + codec.vector(())])

    async def _ask(self, link: Link, requests: list[Request]) -> bool:
        """Send requests in one piece and wait for all replies; False if the link is lost."""
        frames = []
        for request in requests:
            self.history.requests.append(request)
            request.invoked_s = self.loop.time()
            request.invoked = self.note(
                f"asks {request.kind} {request.path.decode()} {request.short_data} "
                f"v{request.version} w{int(request.watch)} xid {request.xid}"
            )
            link.pending.append(request)
            head = codec.pack_int(request.xid) + codec.pack_int(OPCODES[request.kind])
            frames.append(head + record_of(request))
        link.write(frames)
        alive = await self._wait(link)
        last = requests[-1]
        if last.kind == words.CLOSE and last.outcome == words.DONE:
            self.session.ended, self.session.end_zxid = last.completed, last.zxid
            self.session_id = 0
        return alive

    def request(
        self, kind: str, path: bytes = b"", data: bytes = b"", version: int = -1
    ) -> Request:
        """A request with the next xid, not asked yet."""
        self._xid += 1
        return Request(self.name, self.session_id, self._xid, kind, path, data, version)

    def choose(self) -> Request:
        """A random request. Every write has data of its own, so that reads tell which it was."""
        chance = self.chance
        self._writes += 1
        data = f"{self.name}-{self._writes}".encode()
        if chance.random() < LARGE_CHANCE:
            # Over many sectors and segments, and more than a window.
            data += b"." * chance.choice((700, 6000, 200_000))
        shared = b"/r%d" % chance.randrange(4)
        place = b"/e%d" % chance.randrange(4)
        if self.syncs and chance.random() < SYNC_CHANCE:
            return self.request(words.SYNC, shared)
        draw = chance.random()
        if draw < 0.25:
            return self.request(words.SET, shared, data)
        if draw < 0.32:
            return self.request(words.SET, shared, data, version=chance.randrange(4))
        if draw < 0.45:
            return self.request(words.CREATE, shared, data)
        if draw < 0.5:
            return self.request(words.DELETE, shared)
        if draw < 0.6:
            return self.request(words.CREATE_EPHEMERAL, place, data)
        if draw < 0.63:
            return self.request(words.DELETE, place)
        kind = words.GET if draw < 0.88 else words.EXISTS
        request = self.request(kind, shared if chance.random() < 0.7 else place)
        request.watch = chance.random() < 0.5
        return request
