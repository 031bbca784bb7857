"""Writes on their way to the disk: in runs by who waits for them, and in batches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING

from zkserver.prep.prep import Prepared

if TYPE_CHECKING:
    from zkserver.server.connection import Connection


class Run:
    """Writes of one connection (None: of the server itself) with no read between them.

    `writes` are `prep.Prepared`; `kind` is the last one's opcode, `since_ms` when the
    first came, `large_bytes` what they take of the budget for large requests. One without
    writes is a barrier: what stands behind it waits for something else, a sync's word.
    """

    __slots__ = ("connection", "kind", "large_bytes", "since_ms", "writes")

    def __init__(self, connection: Connection | None, since_ms: int) -> None:
        self.connection = connection
        self.since_ms = since_ms
        self.kind = 0
        self.large_bytes = 0
        self.writes: list[Prepared] = []

    def __len__(self) -> int:
        return len(self.writes)


class Forwards(Run):
    """Writes of one connection that the leader was sent; `cxids` are those not yet answered.

    `answered` counts the others.
    """

    __slots__ = ("answered", "cxids")

    def __init__(self, connection: Connection | None, since_ms: int) -> None:
        super().__init__(connection, since_ms)
        self.answered = 0
        self.cxids: deque[int] = deque()

    def __len__(self) -> int:
        return len(self.cxids)


class Asker(ABC):
    """Who has asked the leader through a learner, and is no client of that."""

    @abstractmethod
    def synced(self) -> None:
        """Its sync is done."""

    @abstractmethod
    def settled(self, session_id: int, *, is_valid: bool) -> None:
        """Whether the session that it asked after lives."""


class Batch:
    """Transactions that go to the disk together: their log entries, and who waits for them."""

    __slots__ = ("entries", "runs")

    def __init__(self) -> None:
        self.entries: list[bytes] = []
        self.runs: list[Run] = []
