"""A client's connection, from bytes to replies, without its socket.

A connection begins with a four-letter word or a ConnectRequest. Once its session
is settled, every chunk of bytes is cut into frames in one pass: reads are answered
into `out` at once; writes go to the pipeline; a read behind a write of the same
connection waits in `waiting` until that write is applied. `flush` hands all that
has gathered to the transport in one piece.

A client that does not read stops being read itself: beyond the transport's high
water mark nothing more is taken from it, and one whose watch events pile up past
`MAX_UNREAD_BYTES` is dropped.
"""

from __future__ import annotations

from collections import deque
from struct import Struct, error
from typing import TYPE_CHECKING, Protocol

from zkserver.base import auth
from zkserver.base import opcodes as op
from zkserver.base.acl import AclList, Id
from zkserver.base.errors import ClientError, ErrorCode, LinkError
from zkserver.jute.codec import JuteError, unpack_int
from zkserver.server import greeting, local_answers
from zkserver.server.reads import HANDLERS, MALFORMED, Handler, malformed, pack_reply
from zkserver.server.run import Run
from zkserver.server.stats import Latency
from zkserver.session import handshake
from zkserver.tree.znode import Znode

if TYPE_CHECKING:
    from zkserver.server.server import Server

_unpack_header = Struct(">iii").unpack_from
_HEADER_SIZE = 12
_MIN_REQUEST = 8
HEAVY_LIMIT_BYTES = 1 << 20
MAX_UNREAD_BYTES = 64 << 20

BEGINNING = 0
SETTLING = 1
OPEN = 2
CLOSED = 3

Read = tuple[int, int, bytes]

# What may wait for its turn: reads, and some answers under numbers that no client can send.
_ANSWERS: dict[int, Handler] = {**HANDLERS, MALFORMED: malformed, **local_answers.ANSWERS}


class Transport(Protocol):
    """What a connection needs of its socket; asyncio's transports have it."""

    def write(self, data: bytes) -> None: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def get_write_buffer_size(self) -> int: ...


class Connection:
    """One client. `address` is its host, `port` its port; `ids` what it has shown so far."""

    __slots__ = (
        "address",
        "answered",
        "cxid",
        "established_ms",
        "has_read_only",
        "heavy_bytes",
        "ids",
        "last_kind",
        "last_latency_ms",
        "last_response_ms",
        "last_zxid",
        "latency",
        "out",
        "packets_received",
        "packets_sent",
        "phase",
        "port",
        "reading_paused",
        "rest",
        "server",
        "session_id",
        "session_timeout_ms",
        "since_ms",
        "transport",
        "tree",
        "waiting",
        "writing_blocked",
    )

    def __init__(self, server: Server, transport: Transport, address: str, port: int) -> None:
        self.server = server
        self.tree = server.tree
        self.transport = transport
        self.address = address
        self.port = port
        self.ids: list[Id] = [Id("ip", auth.java_address(address))]
        self.phase = BEGINNING
        self.session_id = 0
        self.session_timeout_ms = server.config.sessionless_timeout_ms
        self.has_read_only = True
        self.out: list[bytes] = []
        self.rest = b""
        # Runs on their way to the disk, and the reads (xid, opcode, body) behind them.
        self.waiting: deque[Run | Read] = deque()
        self.heavy_bytes = 0
        self.reading_paused = False
        self.writing_blocked = False
        self.answered = 0
        self.since_ms = 0
        self.packets_received = 0
        self.packets_sent = 0
        self.latency = Latency()
        self.cxid = -1
        self.last_kind: int | None = None
        self.last_zxid = 0
        self.last_latency_ms = 0
        self.last_response_ms = 0
        self.established_ms = server.wall_ms()

    # Input

    def receive(self, chunk: bytes) -> None:
        """Take what came from the socket; protocol errors close the connection."""
        if self.rest:
            chunk = self.rest + chunk
            self.rest = b""
        try:
            if self.phase == OPEN:
                self._requests(chunk)
            elif self.phase == BEGINNING:
                greeting.begin(self, chunk)
            elif self.phase == SETTLING:
                self.rest = chunk
                self.pause_reading()
        except LinkError as reason:
            self.drop(str(reason))

    def _requests(self, chunk: bytes) -> None:
        """Cut the chunk into frames and serve each; what is left over is kept."""
        server = self.server
        now_ms = server.now_ms()
        waiting = self.waiting
        limit = server.config.jute_maxbuffer
        size = len(chunk)
        position = count = answered = 0
        xid = kind = 0
        server.chunk_ms = now_ms
        server.chunk_wall_ms = 0
        pipeline = server.pipeline
        submit, handlers, writes = pipeline.submit, pipeline.handlers, pipeline.writes
        alive = server.sessions.touch(self.session_id, now_ms)
        free = alive and not server.guards_requests
        while position + _HEADER_SIZE <= size:
            length, xid, kind = _unpack_header(chunk, position)
            if not _MIN_REQUEST <= length <= limit:
                break
            stop = position + 4 + length
            if stop > size:
                break
            count += 1
            start = position + _HEADER_SIZE
            handler = handlers.get(kind)
            if handler is None:
                if not (
                    free and kind in writes and submit(self, kind, xid, chunk, start, stop)
                ):
                    alive = self._other(kind, xid, chunk[start:stop], alive)
                if kind == op.CLOSE_SESSION:
                    alive = free = False
            elif waiting or not free:
                alive = self._other(kind, xid, chunk[start:stop], alive)
            else:
                answered += 1
                try:
                    handler(self, xid, chunk, start, stop)
                except ClientError as refusal:
                    self.refuse(xid, refusal.code)
                except (JuteError, error):
                    self.refuse(xid, ErrorCode.MARSHALLINGERROR)
            position = stop
            if self.heavy_bytes > HEAVY_LIMIT_BYTES and self._wait_for_client():
                break
            if self.phase != OPEN:
                break
        if count:
            stats = server.stats
            stats.packets_received += count
            stats.bytes_received += position
            self.packets_received += count
            if answered:
                self.answered += answered
                self.note_request(xid, kind, now_ms)
            if self.out:
                self.flush()
            if answered:
                if self.last_latency_ms:
                    stats.reads.record(answered, self.last_latency_ms)
                else:
                    stats.quick_reads += answered
                if now_ms != stats.reads_sampled_ms:
                    stats.reads_sampled_ms = now_ms
                    stats.sample_reads(chunk, count, self.tree)
            if server.in_flight > server.outstanding_limit:
                server.throttle(self)
        if position < size and self.phase == OPEN:
            self._keep(chunk, position, limit)

    def _keep(self, chunk: bytes, position: int, limit: int) -> None:
        rest = chunk[position:]
        if len(rest) >= 4:
            length = unpack_int(rest)[0]
            if not _MIN_REQUEST <= length <= limit:
                raise LinkError(f"frame of {length} bytes (allowed: {_MIN_REQUEST} to {limit})")
            self.server.large_requests.check(length)
        self.rest = rest

    def _other(self, kind: int, xid: int, body: bytes, alive: bool) -> bool:
        """What cannot be answered on the spot. Returns whether the session takes more."""
        server = self.server
        if kind == op.AUTH:
            greeting.authenticate(self, xid, body)
        elif kind == op.SASL:
            greeting.answer_sasl(self, xid, body)
        elif server.schemes_missing(self.ids):
            self.out.append(
                pack_reply(16, xid, 0, int(ErrorCode.SESSIONCLOSEDREQUIRESASLAUTH))
            )
            self.close_after_output()
        elif not alive:
            return False
        elif kind in server.pipeline.handlers:
            self._queue(xid, kind, body)
        elif kind in server.pipeline.writes:
            self._write(kind, xid, body)
        else:
            self.out.append(pack_reply(16, xid, -1, int(ErrorCode.UNIMPLEMENTED)))
            self.close_after_output()
        return True

    def _write(self, kind: int, xid: int, body: bytes) -> None:
        """A write that may be large, or whose record may not read."""
        server = self.server
        large = server.large_requests
        large.begin(len(body))
        if server.pipeline.submit(self, kind, xid, body, 0, len(body)):
            if large.is_large(len(body)) and isinstance(run := self.waiting[-1], Run):
                run.large_bytes += len(body)
        else:
            large.end(len(body))
            self._queue(xid, MALFORMED, b"")

    def _queue(self, xid: int, kind: int, body: bytes) -> None:
        """A read: behind the writes in flight, or now if there are none."""
        if self.waiting:
            self.server.pipeline.end_run()
            self.server.in_flight += 1
            self.waiting.append((xid, kind, body))
        else:
            self.serve(xid, kind, body)

    def answer_in_turn(self, xid: int, kind: int, body: bytes) -> None:
        """An answer of `local_answers`: behind what is under way."""
        self._queue(xid, kind, body)

    def serve(self, xid: int, kind: int, body: bytes) -> None:
        """Answer one read now."""
        handler = self.server.pipeline.handlers.get(kind) or _ANSWERS[kind]
        try:
            handler(self, xid, body, 0, len(body))
        except ClientError as refusal:
            self.refuse(xid, refusal.code)
        except (JuteError, error):
            self.refuse(xid, ErrorCode.MARSHALLINGERROR)

    def serve_waiting(self) -> int:
        """The write before them has been answered: serve the reads at the head of `waiting`.

        Returns how many those were.
        """
        waiting = self.waiting
        served = 0
        while waiting and isinstance(read := waiting[0], tuple):
            waiting.popleft()
            self.serve(*read)
            served += 1
        self.answered += served
        return served

    def queued(self) -> int:
        """The number of requests that are under way."""
        return sum(1 if isinstance(one, tuple) else len(one) for one in self.waiting)

    def refuse(self, xid: int, code: int) -> None:
        """A reply that is a header with an error and nothing else."""
        self.out.append(pack_reply(16, xid, self.tree.last_zxid, int(code)))

    # The session

    def begin_settling(self) -> None:
        """The client asked for a session; what it sends meanwhile waits."""
        self.phase = SETTLING

    def settle(self, valid: bool) -> None:
        """The server decided about the session: tell the client, and go on or hang up."""
        if valid:
            self.phase = OPEN
            self.note_request(0, op.CREATE_SESSION, self.server.now_ms())
            self.last_zxid = self.tree.last_zxid
            self.out.append(
                handshake.connect_response(
                    self.session_id,
                    self.session_timeout_ms,
                    self.has_read_only,
                    self.server.is_read_only,
                )
            )
            self.count_sent(1)
            rest, self.rest = self.rest, b""
            self.flush()
            self.resume_reading()
            if rest:
                self.receive(rest)
        else:
            self.out.append(
                handshake.invalid_session_response(self.has_read_only, self.server.is_read_only)
            )
            self.count_sent(1)
            self.close_after_output()

    # Identity

    def may(self, acl: AclList, perm: int) -> bool:
        """Whether an ACL grants this connection any of the permissions."""
        server = self.server
        return auth.check_acl(acl, perm, self.ids, server.providers, server.config.skip_acl)

    def check_acl(self, node: Znode, perm: int) -> None:
        """Raises NOAUTH unless the znode's ACL grants any of the permissions."""
        if not self.may(self.tree.acls.get(node.acl), perm):
            raise ClientError(ErrorCode.NOAUTH)

    # Output

    def push(self, frame: bytes) -> None:
        """Add a frame that nobody asked for; it leaves with the next flush."""
        if self.phase == CLOSED:
            return
        self.out.append(frame)
        self.count_sent(1)
        self.server.unflushed[self] = None

    def count_sent(self, count: int) -> None:
        """Account for frames to the client: replies, events, the handshake's answer."""
        self.packets_sent += count
        self.server.stats.packets_sent += count

    def flush(self) -> None:
        """Give the transport all that has gathered, in one write."""
        out = self.out
        if not out:
            return
        data = b"".join(out)
        out.clear()
        self.heavy_bytes = 0
        self.server.stats.record_response(len(data))
        self.transport.write(data)
        if self.answered:
            self._record(self.answered)
            self.answered = 0
        if self.writing_blocked and self.transport.get_write_buffer_size() > MAX_UNREAD_BYTES:
            self.drop("the client does not read what it is sent", abort=True)

    def note_request(self, xid: int, kind: int, since_ms: int) -> None:
        """What `cons` tells of the last request; those of reserved xids leave the cxid."""
        if xid >= 0:
            self.cxid = xid
        self.last_kind = kind
        self.since_ms = since_ms

    def _record(self, count: int) -> None:
        """Account for replies: `count` of them, to requests that came at `since_ms`."""
        server = self.server
        now_ms = server.now_ms()
        elapsed_ms = now_ms - self.since_ms
        server.stats.latency.record(count, elapsed_ms)
        self.count_sent(count)
        self.latency.record(count, elapsed_ms)
        self.last_zxid = self.tree.last_zxid
        self.last_latency_ms = elapsed_ms
        self.last_response_ms = now_ms

    def _wait_for_client(self) -> bool:
        """After a lot of output: hand it over; whether to stop, since the client lags behind."""
        self.flush()
        if self.writing_blocked:
            self.pause_reading()
        return self.writing_blocked

    def block_writing(self) -> None:
        """The transport holds more than its high water mark."""
        self.writing_blocked = True
        self.pause_reading()

    def unblock_writing(self) -> None:
        """The transport has room again; take up what waited."""
        self.writing_blocked = False
        self.resume_reading()

    def pause_reading(self) -> None:
        """Take nothing more from the socket."""
        if not self.reading_paused and self.phase != CLOSED:
            self.reading_paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Take from the socket again, first what was left over."""
        if not self.reading_paused or self.writing_blocked or self.phase == CLOSED:
            return
        self.reading_paused = False
        self.transport.resume_reading()
        if self.rest and self.phase == OPEN:
            self.receive(b"")

    # The end

    def close_after_output(self) -> None:
        """Send what has gathered, then close."""
        self.flush()
        self.close()

    def close(self) -> None:
        """Close the socket once all output has left; the session stays."""
        if self.phase != CLOSED:
            self._end(abort=False)

    def _end(self, abort: bool) -> None:
        self.phase = CLOSED
        self.server.forget(self)
        if abort or self.writing_blocked:
            # It would wait for ever for a client that does not read.
            self.transport.abort()
        else:
            self.transport.close()

    def drop(self, reason: str, abort: bool = False) -> None:
        """Close because of what the client did, with one line of log."""
        if self.phase == CLOSED:
            return
        self.server.report(self, reason)
        if self.out:
            self.transport.write(b"".join(self.out))
            self.out.clear()
        self._end(abort)

    def lost(self) -> None:
        """The socket is gone."""
        if self.phase != CLOSED:
            self.phase = CLOSED
            self.server.forget(self)
            self.server.stats.connections_dropped += 1
