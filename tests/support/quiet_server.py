"""A server without sockets, files and clocks: connections are fed by hand, the disk is a list."""

from __future__ import annotations

from tests.support import wire
from zkserver.base.auth import Providers
from zkserver.base.config import defaults
from zkserver.server.connection import Connection
from zkserver.server.pipeline import Pipeline
from zkserver.server.run import Batch
from zkserver.server.server import Server
from zkserver.tree.tree import DataTree

STARTED_WALL_MS = 1_700_000_000_000


class QuietHost:
    """Writes down what the server asks of its process."""

    def __init__(self) -> None:
        self.reports: list[tuple[str, dict[str, object]]] = []

    def batch_is_open(self) -> None:
        """The test takes batches when it likes."""

    def report(self, event: str, **facts: object) -> None:
        self.reports.append((event, facts))

    def random(self) -> float:
        return 0.5

    def client_port(self) -> int:
        return 2181

    def environment(self) -> dict[str, str]:
        return {}

    def directory_sizes(self) -> tuple[int, int]:
        return 0, 0

    def descriptor_counts(self) -> tuple[int, int]:
        return 0, 0


class Wire:
    """A transport that keeps what it was given."""

    def __init__(self) -> None:
        self.sent = b""
        self.closed = False

    def write(self, data: bytes) -> None:
        self.sent += data

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        """Nothing is read here."""

    def resume_reading(self) -> None:
        """Nothing is read here."""

    def get_write_buffer_size(self) -> int:
        return 0


class QuietClient:
    """A connection with an open session, and its requests in short."""

    def __init__(self, quiet: QuietServer) -> None:
        self.wire = Wire()
        self.connection = Connection(quiet.server, self.wire, "127.0.0.1", 1)
        quiet.server.add(self.connection)
        self.receive(wire.connect_request())
        quiet.sync()
        self.frames()

    def receive(self, *payloads: bytes) -> None:
        """Bytes from the client: these frames, in one chunk."""
        self.connection.receive(b"".join(wire.text(payload) for payload in payloads))

    def frames(self) -> list[bytes]:
        """The payloads that the server has sent since the last call."""
        sent, self.wire.sent = self.wire.sent, b""
        found = []
        while sent:
            stop = 4 + int.from_bytes(sent[:4], "big")
            found.append(sent[4:stop])
            sent = sent[stop:]
        return found


class QuietServer:
    """The server; `sync` is the disk that has written everything."""

    def __init__(self, **settings: object) -> None:
        self.host = QuietHost()
        self.tree = DataTree()
        self.log: list[bytes] = []
        config = defaults(data_dir="/none", client_port=2181, **settings)
        self.now_ms = 1000
        self.server = Server(
            config,
            self.tree,
            {},
            Providers(),
            self.host,
            lambda: self.now_ms,
            lambda: STARTED_WALL_MS + self.now_ms,
        )
        self.server.pipeline = Pipeline(self.server)

    def take(self) -> Batch:
        """The next batch goes to the disk."""
        batch = self.server.pipeline.take_batch()
        self.log += batch.entries
        return batch

    def sync(self) -> None:
        """Everything open is written, synced, applied and answered."""
        while (batch := self.take()).entries:
            self.server.pipeline.durable(batch)
