"""A peer that only elects, on real sockets, to meet Apache ZooKeeper's servers.

It drives a `zkserver.election` as docs/replication.md says: the greater id keeps the connection
that it opened, and a new connection gets the last notification once more.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

from zkserver.election.election import Effects, Election
from zkserver.jute.notifications import (
    Frames,
    Notification,
    PeerState,
    decode_initial_message,
    decode_notification,
    encode_initial_message,
    encode_notification,
    frame,
)

HOST = "127.0.0.1"


def now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


class ElectionPeer:
    """One election with a listener and links. `ports` are the election ports of all servers."""

    def __init__(self, election: Election, ports: dict[int, int]) -> None:
        self.election = election
        self.ports = ports
        self.heard: list[tuple[int, Notification]] = []
        self.links: dict[int, asyncio.StreamWriter] = {}
        self.last_sent: dict[int, bytes] = {}
        self.tasks: list[asyncio.Task[None]] = []
        self.changed = asyncio.Event()

    async def look(self, zxid: int, current_epoch: int, timeout_s: float) -> PeerState:
        """Looks for a leader and returns the role, or LOOKING after a time."""
        self._carry_out(self.election.begin(zxid, current_epoch, now_ms()))
        end_ms = now_ms() + int(1000 * timeout_s)
        while self.election.state is PeerState.LOOKING and now_ms() < end_ms:
            due_ms = min(self.election.deadline_ms or end_ms, end_ms)
            self.changed.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self.changed.wait(), max(due_ms - now_ms(), 0) / 1000)
            self._carry_out(self.election.wake(now_ms()))
        return self.election.state

    async def open(self) -> None:
        port = self.ports[self.election.server_id]
        self.listener = await asyncio.start_server(self._accept, HOST, port)

    async def close(self) -> None:
        self.listener.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for writer in self.links.values():
            writer.close()
        await self.listener.wait_closed()

    def _carry_out(self, effects: Effects) -> None:
        for receiver, told in effects.send:
            self.last_sent[receiver] = frame(encode_notification(told))
            if receiver in self.links:
                self.links[receiver].write(self.last_sent[receiver])
            else:
                self.tasks.append(asyncio.create_task(self._dial(receiver)))

    async def _dial(self, server: int) -> None:
        with suppress(OSError):
            reader, writer = await asyncio.open_connection(HOST, self.ports[server])
            own = (HOST, self.ports[self.election.server_id])
            writer.write(encode_initial_message(self.election.server_id, (own,)))
            if server > self.election.server_id:
                # It closes this one and dials back.
                await reader.read()
                writer.close()
            elif server in self.links:
                writer.close()
            else:
                await self._serve(server, reader, writer, b"")

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = b""
        while (found := decode_initial_message(data)) is None:
            chunk = await reader.read(4096)
            if not chunk:
                writer.close()
                return
            data += chunk
        message, size = found
        if message.server_id < self.election.server_id:
            writer.close()
            if message.server_id not in self.links:
                self.tasks.append(asyncio.create_task(self._dial(message.server_id)))
            return
        self.tasks.append(asyncio.current_task())
        with suppress(OSError):
            await self._serve(message.server_id, reader, writer, data[size:])

    async def _serve(
        self,
        server: int,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        chunk: bytes,
    ) -> None:
        self.links[server] = writer
        if server in self.last_sent:
            writer.write(self.last_sent[server])
        frames = Frames()
        try:
            while True:
                for payload in frames.feed(chunk):
                    told = decode_notification(payload)
                    self.heard.append((server, told))
                    self._carry_out(self.election.receive(server, told, now_ms()))
                    self.changed.set()
                chunk = await reader.read(65536)
                if not chunk:
                    return
        finally:
            if self.links.get(server) is writer:
                del self.links[server]
            writer.close()
