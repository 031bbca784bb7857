"""The epochs of a server, and what a crash may have left of them.

`accepted` is what it has promised: to follow no leader of an older epoch. `current` is the last
reign whose whole initial history it has on disk. Invariant: current <= accepted.

A learner logs a leader's history before it may call that leader's epoch current, so a crash in
between leaves txns of an epoch above `current`. To tell that from a damaged directory the leader's
epoch is announced in currentEpoch.tmp, durably, before the first of those txns is written. What
is in the log then is a beginning of that leader's history, and the epoch of its last txn may be
taken as current: whoever has a txn of an epoch, without gaps, has all that the epoch began with.

Apache's server reads the same file, writes it later, and takes only the very epoch of the last
txn; a history that ends in an older epoch than the leader's leaves it unable to start.
"""

from __future__ import annotations

from typing import NamedTuple

from zkserver.base.errors import ExitCode, FatalError
from zkserver.base.zxid import epoch_of
from zkserver.zab.effects import EpochFile, StoreEpoch


class Epochs(NamedTuple):
    """The epochs to start with, and what has to be written before the start."""

    accepted: int
    current: int
    writes: tuple[StoreEpoch, ...] = ()


def recover(
    last_zxid: int, accepted: int | None, current: int | None, announced: int | None
) -> Epochs:
    """The epochs of a server whose files say so; None is a file that is not there.

    `announced` is what currentEpoch.tmp holds. `last_zxid` is the last zxid restored, -1 for none.
    Raises `FatalError` where the directory cannot be trusted.
    """
    writes = []
    logged = epoch_of(last_zxid) if last_zxid > 0 else 0
    if current is None:
        current = logged
        writes.append(StoreEpoch(EpochFile.CURRENT, current))
    if logged > current:
        if announced is None or announced < logged:
            raise FatalError(
                ExitCode.UNEXPECTED_ERROR,
                f"The current epoch, {current:x}, is older than the last zxid, {last_zxid:x}",
            )
        current = logged
        writes.append(StoreEpoch(EpochFile.CURRENT, current))
    if accepted is None:
        accepted = max(logged, current)
        writes.append(StoreEpoch(EpochFile.ACCEPTED, accepted))
    if accepted < current:
        raise FatalError(
            ExitCode.UNEXPECTED_ERROR,
            f"The accepted epoch, {accepted:x} is less than the current epoch, {current:x}",
        )
    return Epochs(accepted, current, tuple(writes))
