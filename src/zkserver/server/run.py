"""Writes on their way to the disk: in runs by who waits for them, and in batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zkserver.prep.prep import Prepared

if TYPE_CHECKING:
    from zkserver.server.connection import Connection


class Run:
    """Writes of one connection (None: of the server itself) with no read between them.

    `writes` are `prep.Prepared`; `kind` is the last one's opcode, `since_ms` when the
    first came, `large_bytes` what they take of the budget for large requests.
    """

    __slots__ = ("connection", "kind", "large_bytes", "since_ms", "writes")

    def __init__(self, connection: Connection | None, since_ms: int) -> None:
        self.connection = connection
        self.since_ms = since_ms
        self.kind = 0
        self.large_bytes = 0
        self.writes: list[Prepared] = []


class Batch:
    """Transactions that go to the disk together: their log entries, and who waits for them."""

    __slots__ = ("entries", "runs")

    def __init__(self) -> None:
        self.entries: list[bytes] = []
        self.runs: list[Run] = []
