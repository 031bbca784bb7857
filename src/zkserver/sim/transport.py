"""One end of a simulated connection: an asyncio transport over one direction each way.

What `write` takes waits in the transport's buffer until the window has room; from
then on the host owns it and delivers it, whatever becomes of the process. The buffer
makes `pause_writing` and `resume_writing`; `close` sends it first, `abort` does not.
A host that closes a socket with bytes unread resets the connection, as TCP does.
"""

from __future__ import annotations

import asyncio
import zlib
from collections import deque
from typing import TYPE_CHECKING, Any, cast

from zkserver.sim.loop import Life

if TYPE_CHECKING:
    from zkserver.sim.network import Network

Address = tuple[str, int]

WINDOW_BYTES = 128 << 10
HIGH_WATER_BYTES = 64 << 10
LOW_WATER_BYTES = 16 << 10
SPLIT_CHANCE = 0.1

DATA = "data"
FIN = "fin"
RST = "rst"
Piece = tuple[str, bytes, float]


class End(asyncio.Transport):
    """`peer` is the other end, `server_name` what the server was called by; `Network.connect`
    makes both ends.
    """

    peer: End
    server_name: str

    def __init__(self, network: Network, life: Life, own: Address, other: Address) -> None:
        super().__init__({"sockname": own, "peername": other})
        self.life = life
        self.port = own[1]
        self._network = network
        self._protocol: asyncio.Protocol | None = None
        # Outgoing: not yet in the window; pieces on their way, with their due times.
        self._buffer = bytearray()
        self._line: deque[Piece] = deque()
        self._unread_bytes = 0
        self._last_due_s = 0.0
        self._stalled = False
        self._high, self._low = HIGH_WATER_BYTES, LOW_WATER_BYTES
        self._writing_paused = False
        self._eof_written = False
        self._fin_sent = False
        # Incoming: arrived and not read.
        self._arrived: list[bytes] = []
        self._eof_arrived = False
        self._reading = True
        self._read_is_due = False
        self._closing = False
        # The socket is gone, for the process and for the host.
        self._closed = False
        self._vanished = False

    @property
    def is_open(self) -> bool:
        """Whether a process has taken the connection, or it is closed."""
        return self._protocol is not None or self._closed

    def open(self, protocol: asyncio.BaseProtocol) -> None:
        """The process takes the connection."""
        self._protocol = cast(asyncio.Protocol, protocol)
        protocol.connection_made(self)
        if self._closed:
            # It may have handed over to another one.
            lost = self.get_protocol().connection_lost
            self.life.call(lost, ConnectionResetError("reset before accepted"))
        else:
            self._wake_reader()

    # asyncio's transport

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Hand over to another protocol."""
        self._protocol = cast(asyncio.Protocol, protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """The protocol, once there is one."""
        return cast(asyncio.BaseProtocol, self._protocol)

    def is_closing(self) -> bool:
        """Whether `close` or `abort` was called, or the connection is lost."""
        return self._closing

    def is_reading(self) -> bool:
        """Whether data is delivered."""
        return self._reading and not self._closing

    def pause_reading(self) -> None:
        """Deliver nothing; the window fills up."""
        self._reading = False

    def resume_reading(self) -> None:
        """Deliver again."""
        self._reading = True
        self._wake_reader()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """In bytes; when to pause and to resume the protocol's writing."""
        self._high = HIGH_WATER_BYTES if high is None else high
        self._low = self._high // 4 if low is None else low

    def get_write_buffer_size(self) -> int:
        """Bytes that the window has no room for."""
        return len(self._buffer)

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Low and high water mark."""
        return self._low, self._high

    def write(self, data: Any) -> None:
        """Send; after the connection is lost, nothing happens."""
        if self._closed or not data or not self.life.alive:
            return
        observer = self._network.observer
        if observer is not None:
            observer.written(self, bytes(data))
        self._buffer += data
        self._pump()
        if len(self._buffer) > self._high and not self._writing_paused:
            self._writing_paused = True
            if self._protocol is not None:
                self._protocol.pause_writing()

    def can_write_eof(self) -> bool:
        """TCP can close one direction."""
        return True

    def write_eof(self) -> None:
        """Close this direction once the buffer is sent."""
        if not self._eof_written and not self._closed:
            self._eof_written = True
            self._pump()

    def close(self) -> None:
        """Read no more, send the buffer, then close."""
        if not self._closing and self.life.alive:
            self._closing = True
            if not self._buffer:
                self._finish(None)

    def abort(self) -> None:
        """Close without sending the buffer."""
        if not self._closed and self.life.alive:
            self._closing = True
            self._buffer.clear()
            self._finish(None)

    # The ends of a connection

    def process_died(self) -> None:
        """The host closes the socket of a process that is no more."""
        self._buffer.clear()
        self._closing = True
        self._finish(None)

    def vanish(self) -> None:
        """The host lost power: nothing is sent, not even what was on its way."""
        self._buffer.clear()
        self._line.clear()
        self._closing = self._closed = self._vanished = True
        self._network.ends.pop(self, None)
        self._tell_closed()

    def drop_silently(self) -> None:
        """This side is lost, and the other is not told until it sends."""
        protocol = self._protocol
        self.vanish()
        if protocol is not None:
            self.life.call(protocol.connection_lost, ConnectionResetError("link lost"))

    def reset(self) -> None:
        """A reset arrives from outside."""
        self._lose(ConnectionResetError("Connection reset by peer"))

    def _finish(self, error: OSError | None) -> None:
        """The socket closes: the other side hears of it, the protocol too."""
        if not self._closed:
            self._closed = True
            if self._arrived:
                self._post(RST)
            else:
                self._send_fin()
            self._gone(error)

    def _lose(self, error: OSError) -> None:
        if not self._closed:
            self._buffer.clear()
            self._line.clear()
            self._closing = self._closed = True
            self._gone(error)

    def _gone(self, error: OSError | None) -> None:
        if not self._line:
            self._network.ends.pop(self, None)
        self._tell_closed()
        if self._protocol is not None:
            self.life.call(self._protocol.connection_lost, error)

    def _tell_closed(self) -> None:
        observer = self._network.observer
        if observer is not None:
            observer.closed(self)

    # Sending

    def _pump(self) -> None:
        """Move from the buffer into the window what fits."""
        room = WINDOW_BYTES - self._unread_bytes
        chance = self._network.chance
        while self._buffer and room > 0:
            size = min(len(self._buffer), room)
            if size > 1 and chance.random() < SPLIT_CHANCE:
                size = 1 + int(chance.random() * (size - 1))
            piece = bytes(self._buffer[:size])
            del self._buffer[:size]
            room -= size
            self._unread_bytes += size
            self._post(DATA, piece)
        if self._writing_paused and len(self._buffer) <= self._low and not self._closed:
            self._writing_paused = False
            if self._protocol is not None:
                self.life.call(self._protocol.resume_writing)
        if self._buffer or self._closed:
            return
        if self._closing:
            self._finish(None)
        elif self._eof_written:
            self._send_fin()

    def _send_fin(self) -> None:
        if not self._fin_sent:
            self._fin_sent = True
            self._post(FIN)

    def _post(self, kind: str, data: bytes = b"") -> None:
        network = self._network
        delay_s = network.delay_s(self.life.host, self.peer.life.host)
        self._last_due_s = max(network.loop.time() + delay_s, self._last_due_s)
        self._line.append((kind, data, self._last_due_s))
        if len(self._line) == 1:
            network.at(self._last_due_s, self._deliver)

    def _deliver(self) -> None:
        """The first piece on the line is due, unless the line is cut."""
        network = self._network
        if not self._line or self._line[0][2] > network.loop.time():
            return
        if self._is_cut():
            self._stalled = True
            return
        kind, data, _ = self._line.popleft()
        self.peer.take(kind, data)
        if self._line:
            network.at(max(self._line[0][2], network.loop.time()), self._deliver)
        elif self._closed:
            network.ends.pop(self, None)

    def _is_cut(self) -> bool:
        """Whether nothing of this end reaches the other one."""
        network = self._network
        return network.is_cut(self.life.host, self.peer.life.host) or network.is_silent(
            self.server_name
        )

    def line_is_back(self) -> None:
        """A cut has healed: what it held is sent again."""
        if self._stalled:
            self._stalled = False
            network = self._network
            due_s = network.loop.time() + network.delay_s(self.life.host, self.peer.life.host)
            self._line = deque((kind, data, max(due, due_s)) for kind, data, due in self._line)
            self._last_due_s = max(self._last_due_s, due_s)
            network.at(due_s, self._deliver)

    def consumed(self, size_bytes: int) -> None:
        """The other side's process has read: the window has room again."""
        self._unread_bytes -= size_bytes
        if not self._closed:
            self._pump()

    # Receiving

    def take(self, kind: str, data: bytes) -> None:
        """A piece arrives from the other end."""
        if self._closed:
            if kind == DATA and (not self._vanished or self._network.is_up(self.life)):
                self._answer_with_reset()
            return
        if kind == RST:
            self._network.events.note(self.life.host, f"port {self.port} is reset")
            self.reset()
            return
        if kind == FIN:
            self._eof_arrived = True
        elif self._closing:
            # Still sending, but nobody reads any more.
            self.peer.consumed(len(data))
            return
        else:
            crc = zlib.crc32(data)
            self._network.events.note(
                self.life.host, f"port {self.port} gets {len(data)} bytes, crc {crc:08x}"
            )
            self._arrived.append(data)
        self._wake_reader()

    def _answer_with_reset(self) -> None:
        """There is no such connection here; a cut swallows the answer."""
        network = self._network
        here, there = self.life.host, self.peer.life.host
        if not self._is_cut():
            network.at(network.loop.time() + network.delay_s(here, there), self.peer.reset)

    def _wake_reader(self) -> None:
        wanted = self._reading and not self._closing and self._protocol is not None
        if wanted and not self._read_is_due and (self._arrived or self._eof_arrived):
            self._read_is_due = True
            self.life.call(self._read)

    def _read(self) -> None:
        self._read_is_due = False
        protocol = self._protocol
        if not self._reading or self._closing or protocol is None:
            return
        if self._arrived:
            data = b"".join(self._arrived)
            self._arrived.clear()
            loop = self._network.loop
            self._network.at(loop.time(), self.peer.consumed, len(data))
            observer = self._network.observer
            if observer is not None:
                observer.delivered(self, data)
            protocol.data_received(data)
            self._wake_reader()
        elif self._eof_arrived:
            self._eof_arrived = False
            if not protocol.eof_received():
                self.close()
