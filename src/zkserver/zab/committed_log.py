"""The last committed txns in memory, from which learners are brought up to date.

Invariants: zxids rise by one within an epoch, and an epoch begins at counter 1; there are never
more than `limit` entries. A log with a gap would hand a learner a history with a gap
(ZOOKEEPER-4925), so an entry that would make one is refused.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from zkserver.base.errors import ExitCode, FatalError
from zkserver.base.zxid import counter_of, epoch_of, hex_zxid
from zkserver.zab.effects import Entry

# Java's least and default for zookeeper.commitLogCount.
DEFAULT_LIMIT = 500


def follows(zxid: int, previous: int) -> bool:
    """Whether no zxid lies between: the next counter, or the first of a later epoch."""
    if epoch_of(zxid) == epoch_of(previous):
        return zxid == previous + 1
    return zxid > previous and counter_of(zxid) == 1


class CommittedLog:
    """Entries in order, oldest first. Empty: `first` and `last` are None."""

    __slots__ = ("_entries",)

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        self._entries: deque[Entry] = deque(maxlen=limit)

    def append(self, entry: Entry) -> None:
        """Add a committed txn; one that is there already is passed over.

        Raises `FatalError` for one that would leave a gap.
        """
        entries = self._entries
        if entries:
            last = entries[-1][0]
            if entry[0] <= last:
                return
            if entry[0] != last + 1 and not follows(entry[0], last):
                raise FatalError(
                    ExitCode.UNEXPECTED_ERROR,
                    f"committed {hex_zxid(entry[0])} after {hex_zxid(last)}: txns are missing",
                )
        entries.append(entry)

    def cut(self, zxid: int) -> None:
        """Forget what is above `zxid`."""
        while self._entries and self._entries[-1][0] > zxid:
            self._entries.pop()

    def clear(self) -> None:
        """Forget everything: the history was replaced by a snapshot."""
        self._entries.clear()

    @property
    def first(self) -> int | None:
        """The oldest zxid."""
        return self._entries[0][0] if self._entries else None

    @property
    def last(self) -> int | None:
        """The newest zxid."""
        return self._entries[-1][0] if self._entries else None

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)
