"""What a peer keeps from role to role: the tree, the sessions, the last committed txns.

A role serves clients from it, through a `Server`, or only keeps it in step; either way every
committed txn goes through `DataTree.apply`. The server that did not prepare a txn works the tree
digest out anew and compares it with the one in the txn: a difference means that its tree is
another one than the leader's, and ends the process before a client could read it.

A tree that came behind SNAP may be of a later moment than its packet says (Apache's leader sends
it while txns are applied), so after one the comparison is silent until it has once agreed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from struct import Struct

from zkserver.base import opcodes as op
from zkserver.base.errors import ExitCode, FatalError
from zkserver.base.zxid import hex_zxid
from zkserver.jute import txns
from zkserver.jute.codec import JuteError, pack_int
from zkserver.jute.txns import DIGEST_VERSION, Txn
from zkserver.server.stats import ServerStats
from zkserver.session.tracker import SessionTracker
from zkserver.tree.tree import CONFIG, DataTree
from zkserver.zab.committed_log import CommittedLog
from zkserver.zab.effects import Entry

# mzxid; mtime and version.
_pack_modified = Struct(">q").pack
_pack_changed = Struct(">qi").pack


def unreadable(zxid: int, error: JuteError) -> FatalError:
    """The end of a server that cannot read a txn: its tree would not be the leader's."""
    return FatalError(
        ExitCode.UNEXPECTED_ERROR,
        f"the leader's txn 0x{hex_zxid(zxid)} is none that this server knows ({error}). "
        "A newer ZooKeeper may have made it",
    )


class Database:
    """`make_tree` makes an empty tree, with the features that the configuration wants.

    `stats` count the digests that differ; those of nobody if there are none.
    """

    def __init__(
        self,
        make_tree: Callable[[], DataTree],
        committed: CommittedLog,
        stats: ServerStats | None = None,
    ) -> None:
        self.make_tree = make_tree
        self.tree = make_tree()
        self.committed = committed
        # The timeouts (ms) of sessions; while clients are served, `tracker` has them.
        self._timeouts_ms: dict[int, int] = {}
        self.tracker: SessionTracker | None = None
        self._epoch_zxid = 0
        self._history_zxid = -1
        self._stats = ServerStats() if stats is None else stats
        self._has_agreed = False

    @property
    def last_zxid(self) -> int:
        """The last zxid of the history; -1 for a server that has no database yet.

        While clients are served the tree's may be the start of the epoch, which no txn has.
        """
        at_start = self._epoch_zxid and self.tree.last_zxid == self._epoch_zxid
        return self._history_zxid if at_start else self.tree.last_zxid

    def replace(
        self,
        tree: DataTree,
        timeouts_ms: dict[int, int],
        committed: Iterable[Entry] = (),
        *,
        is_exact: bool,
    ) -> None:
        """Another tree, read from disk or from a leader. `is_exact`: its digest is known good."""
        self.tree = tree
        self._timeouts_ms = timeouts_ms
        self._has_agreed = is_exact
        self.committed.clear()
        for entry in committed:
            self.committed.append(entry)

    def set_config(self, text: bytes, version: int, wall_ms: int) -> None:
        """The znode /zookeeper/config holds the ensemble's configuration, as of its version.

        No transaction does that: every server writes its own when it begins to serve, as in Java.
        """
        node = self.tree.nodes[CONFIG]
        stat = node.stat
        self.tree.data_size_bytes += len(text) - len(node.data or b"")
        node.data = text
        node.stat = b"".join(
            (
                stat[:8],
                _pack_modified(version),
                stat[16:24],
                _pack_changed(wall_ms, -1),
                stat[36:52],
                pack_int(len(text)),
                stat[56:],
            )
        )

    def timeouts_ms(self) -> dict[int, int]:
        """Timeouts by session id; a copy."""
        return dict(self._timeouts_ms) if self.tracker is None else self.tracker.timeouts()

    def serve(self, tracker: SessionTracker, epoch_zxid: int) -> None:
        """From now on a server keeps the sessions, in the epoch that begins at `epoch_zxid`.

        Everybody who serves in an epoch is at its start at least: a client that has seen that
        zxid is welcome everywhere, be it of a leader, or of a learner that was sent the tree then.
        """
        self.tracker = tracker
        self._history_zxid = self.last_zxid
        self._epoch_zxid = epoch_zxid
        self.tree.last_zxid = max(self.tree.last_zxid, epoch_zxid)

    def stop_serving(self) -> None:
        """The server is gone; its sessions are not. The zxid is that of a txn again."""
        self._timeouts_ms = self.timeouts_ms()
        self.tracker = None
        self.tree.last_zxid = self.last_zxid
        self._epoch_zxid = 0

    def keep(self, entry: Entry) -> None:
        """Apply a logged txn of a role that has ended, and count it as history."""
        self.committed.append(entry)
        self.apply(entry)

    def apply(self, entry: Entry) -> None:
        """Apply a txn while nobody is served. Raises `FatalError` where trees differ."""
        try:
            txn, digest = txns.decode(entry[1])
        except JuteError as error:
            raise unreadable(entry[0], error) from error
        self.tree.apply(txn)
        self.compare(entry[0], digest)
        self.note_session(txn)

    def compare(self, zxid: int, digest: tuple[int, int] | None) -> None:
        """The tree is what it was on the leader after `zxid`, or the process ends."""
        tree = self.tree
        if digest is None or digest[0] != DIGEST_VERSION or not tree.digest_enabled:
            return
        if digest[1] == tree.digest:
            self._has_agreed = True
            return
        self._stats.digest_mismatches += 1
        if self._has_agreed:
            raise FatalError(
                ExitCode.UNEXPECTED_ERROR,
                f"after 0x{hex_zxid(zxid)} this tree is another one than the leader's: digest "
                f"{tree.digest:x}, not {digest[1]:x}. Empty this server's version-2 folders and "
                "start it again: it will take a copy of the leader's tree",
            )

    def note_session(self, txn: Txn) -> None:
        """Keep the timeouts in step with createSession and closeSession."""
        session_id, _, _, _, kind, body = txn
        if kind == op.CREATE_SESSION and body is not None:
            self._timeouts_ms[session_id] = body[0]
        elif kind == op.CLOSE_SESSION:
            self._timeouts_ms.pop(session_id, None)
