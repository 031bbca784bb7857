"""One connection to one server: frames, the order of replies, pings.

The hot path of the client ends here. `send` takes what the session has gathered in a turn of
the loop and writes it in one piece; `data_received` cuts a chunk into frames in one pass and
resolves the future of each reply. Replies come in the order of the requests, so those that
wait stand in a deque, and one whose xid is not that of the first ends the connection: from
there on nothing can be told apart.

Times are those of Apache's client: a ping after a third of the session timeout without a
word from here (never more than 10 s), the end after two thirds without a word from there.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from struct import Struct, error
from typing import Any, Protocol, cast

from zkserver.base import opcodes as op
from zkserver.base.errors import LinkError
from zkserver.client import replies
from zkserver.client.errors import AuthFailed, ConnectionLoss, ZooKeeperError, error_for
from zkserver.client.hosts import Host
from zkserver.jute.codec import JuteError, buffer, pack_int, unpack_int

Landing = Callable[[int], None]
"""Told the code of the reply, once; that of ConnectionLoss if there will be none."""
Pending = tuple[int, "asyncio.Future[Any]", replies.Decode, str | None, Landing | None]
"""xid, future, decoder, path for errors, what else to do with the code of the reply."""

log = logging.getLogger("zkserver.client")

_unpack_head = Struct(">iiqi").unpack_from
_HEAD_BYTES = 20
_REPLY_HEADER_BYTES = 16
_PING = buffer(pack_int(op.XID_PING) + pack_int(op.PING))
LONGEST_SILENCE_S = 10.0
_LATE_S = 0.1
_BAD_FRAME = (LinkError, JuteError, error, ValueError, IndexError)


class Owner(Protocol):
    """What a connection tells its session."""

    last_zxid: int
    max_response_bytes: int

    def greeted(self, connection: Connection, response: replies.ConnectResponse) -> None: ...
    def event(self, event: replies.Event, zxid: int) -> None: ...
    def auth_refused(self, error: ZooKeeperError) -> None: ...
    def lost(self, connection: Connection, reason: str) -> None: ...
    def writable(self) -> None: ...


class Connection(asyncio.Protocol):
    """A socket with a session on it. `greeting` is what it says first.

    `settled` is done when the session's answer has come (an error if it never will),
    `ended` when the connection is gone.
    """

    def __init__(
        self, owner: Owner, host: Host, greeting: bytes, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.host = host
        self.pending: deque[Pending] = deque()
        self.settled: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()
        self.is_choked = False
        self._owner = owner
        self._greeting = greeting
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._auths: deque[asyncio.Future[None] | None] = deque()
        self._parts: list[bytes] = []
        self._missing = 0
        self._has_session = False
        self._reason = ""
        self._last_heard_s = self._last_sent_s = 0.0
        self._read_timeout_s = self._ping_after_s = 0.0
        self._next_look_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    # Writing

    def send(self, frames: Sequence[bytes], entries: Sequence[Pending]) -> None:
        """Write requests whose replies go to `entries`, in one piece."""
        self.pending.extend(entries)
        self.write(b"".join(frames))

    def write(self, data: bytes) -> None:
        """Write whole frames."""
        if self._transport is not None:
            self._last_sent_s = self._loop.time()
            self._transport.write(data)

    def send_auth(self, frame: bytes, future: asyncio.Future[None] | None) -> None:
        """Write an AuthPacket. Its reply may overtake others, so it waits by itself."""
        self._auths.append(future)
        self.write(frame)

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is there: ask for the session."""
        self._transport = cast(asyncio.Transport, transport)
        if self.settled.done():
            transport.close()
            return
        self._last_heard_s = self._loop.time()
        self.write(self._greeting)

    def pause_writing(self) -> None:
        """The socket takes no more: requests gather in the session."""
        self.is_choked = True

    def resume_writing(self) -> None:
        """It does again."""
        self.is_choked = False
        self._owner.writable()

    def data_received(self, data: bytes) -> None:
        """Cut a chunk into frames and give each to whom it is for."""
        if self.ended.done():
            # A transport with TLS hands over what it reads while it closes.
            return
        self._last_heard_s = self._loop.time()
        if self._parts:
            self._parts.append(data)
            self._missing -= len(data)
            if self._missing > 0:
                return
            data = b"".join(self._parts)
            self._parts = []
        try:
            position = 0 if self._has_session else self._settle(data)
            position = self._take_replies(data, position) if self._has_session else position
            self._keep_rest(data, position)
        except _BAD_FRAME as found:
            self.end(str(found) if isinstance(found, LinkError) else f"a reply ends early: {found}")

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone: what was asked may have been done or not."""
        self._gone(self._reason or (str(exc) if exc else "the server closed the connection"))

    # Frames

    def _settle(self, data: bytes) -> int:
        """The first frame, which has no header."""
        if len(data) < 4 or len(data) < 4 + unpack_int(data)[0]:
            return 0
        stop = 4 + int(unpack_int(data)[0])
        response = replies.connect(data[4:stop])
        self._has_session = True
        self._read_timeout_s = response.timeout_ms * 2 / 3000
        self._ping_after_s = min(response.timeout_ms / 3000, LONGEST_SILENCE_S)
        self._owner.greeted(self, response)
        if not self.settled.done():
            self.settled.set_result(None)
        if response.timeout_ms > 0 and not self.ended.done():
            self._next_look_s = self._loop.time()
            self._watch_clock()
        return stop

    def _take_replies(self, data: bytes, position: int) -> int:
        """All whole frames from `position` on; gives where the rest begins."""
        end = len(data)
        pending = self.pending
        owner = self._owner
        while end - position >= _HEAD_BYTES:
            size, xid, zxid, code = _unpack_head(data, position)
            start = position + _HEAD_BYTES
            stop = position + 4 + size
            if stop > end or size < _REPLY_HEADER_BYTES:
                break
            position = stop
            if xid <= 0:
                self._unasked(xid, zxid, code, data, start, stop)
                continue
            if not pending:
                raise LinkError(f"reply to xid {xid}, but nothing was asked")
            wanted, future, decode, path, landing = pending.popleft()
            if wanted != xid:
                pending.appendleft((wanted, future, decode, path, landing))
                raise LinkError(f"reply to xid {xid}, but the one to {wanted} is due")
            if zxid > 0:
                owner.last_zxid = zxid
            if landing is not None:
                landing(code)
            if future.done():
                continue
            if code == 0:
                try:
                    future.set_result(decode(data, start, stop))
                except ZooKeeperError as refused:
                    future.set_exception(refused)
                except _BAD_FRAME:
                    pending.appendleft((wanted, future, decode, path, None))
                    raise
            elif code == -101 and decode is replies.stat_if_there:
                future.set_result(None)
            else:
                future.set_exception(error_for(code, path))
        return position

    def _keep_rest(self, data: bytes, position: int) -> None:
        """Remember the frame that has come in part."""
        rest = len(data) - position
        if not rest:
            return
        self._parts = [data[position:] if position else data]
        if rest < 4:
            self._missing = 4 - rest
            return
        size = unpack_int(data, position)[0]
        least = _REPLY_HEADER_BYTES if self._has_session else 0
        if not least <= size <= self._owner.max_response_bytes:
            raise LinkError(f"a frame of {size} bytes")
        self._missing = 4 + size - rest

    def _unasked(self, xid: int, zxid: int, code: int, data: bytes, start: int, stop: int) -> None:
        """A watch event, or the reply to a ping, an AuthPacket or a setWatches."""
        if xid == op.XID_NOTIFICATION:
            self._owner.event(replies.watcher_event(data, start, stop), zxid)
        elif xid == op.XID_AUTH and self._auths:
            future = self._auths.popleft()
            refused = None if code == 0 else error_for(code)
            if future is not None and not future.done():
                if refused is None:
                    future.set_result(None)
                else:
                    future.set_exception(refused)
            if isinstance(refused, AuthFailed):
                self._owner.auth_refused(refused)
        elif xid not in (op.XID_PING, op.XID_SET_WATCHES):
            raise LinkError(f"reply to xid {xid}, which was not asked")

    # The clock

    def _watch_clock(self) -> None:
        """Ping when it is time; end when the server has been silent for too long."""
        now_s = self._loop.time()
        due_s = self._last_heard_s + self._read_timeout_s
        is_late = now_s - self._next_look_s > _LATE_S
        if now_s >= due_s and not is_late:
            silent_ms = round((now_s - self._last_heard_s) * 1000)
            self.end(f"no word from the server for {silent_ms} ms")
            return
        ping_s = self._last_sent_s + self._ping_after_s
        if now_s >= ping_s:
            if not self.is_choked:
                self.write(_PING)
            ping_s = now_s + self._ping_after_s
        # After a late timer the words of the server may wait in the socket: read them first.
        self._next_look_s = max(now_s, min(ping_s, due_s))
        self._timer = self._loop.call_at(self._next_look_s, self._watch_clock)

    # The end

    def end(self, reason: str) -> None:
        """Break the connection off for a reason of ours, which the log names."""
        if self._reason or self.ended.done():
            return
        log.warning("connection to %s ends: %s", self.host, reason)
        self._reason = reason
        self._parts, self._missing = [], 0
        if self._transport is not None:
            self._transport.abort()
        self._gone(reason)

    def close(self, reason: str) -> None:
        """Close, at once: a server that reads nothing would hold back an end in peace for ever."""
        self._reason = self._reason or reason
        transport = self._transport
        if transport is not None and transport.get_write_buffer_size():
            transport.abort()
        elif transport is not None:
            transport.close()
        self._gone(reason)

    def _gone(self, reason: str) -> None:
        if self.ended.done():
            return
        if self._timer is not None:
            self._timer.cancel()
        self.ended.set_result(None)
        if not self.settled.done():
            self.settled.set_exception(ConnectionLoss(None, reason))
            # Whoever waits for it may have been cancelled.
            self.settled.exception()
        self._has_session = False
        self._owner.lost(self, reason)

    def take_unanswered(self) -> tuple[list[asyncio.Future[None]], list[Pending]]:
        """AuthPackets and requests that will not be answered; none stays here."""
        auths, requests = [one for one in self._auths if one is not None], list(self.pending)
        self._auths.clear()
        self.pending.clear()
        return auths, requests
