"""Recovery: from the files of a data directory to the tree as it was.

The newest snapshot that reads, then every logged transaction after it
(FileTxnSnapLog.restore). What may not happen is a start that looks good and has
lost something, so recovery refuses to go on, by StorageError, when

* there are logs and no snapshot, unless `trust_empty_snapshot`;
* there are snapshots and none of them reads;
* a transaction is missing or damaged (`storage.logreader` has the rule);
* the logs end before a newer snapshot that did not read.

What a crash interrupted while a leader's tree came in is ended first (`storage.truncation`); a
server that has given up its history has no database, whatever there is (`storage.emptying`). A
tail that a crash tore is cut off, and reported. The cut file gets no further
transactions; a log without a single good record is removed, so that the writer
can use its name.

A digest that differs is counted and reported, no more: the caller decides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from zkserver.base import opcodes as op
from zkserver.base.errors import ExitCode
from zkserver.base.zxid import counter_of, hex_zxid
from zkserver.jute import txns
from zkserver.jute.codec import JuteError
from zkserver.storage import emptying, snapshot, truncation
from zkserver.storage import layout as names
from zkserver.storage.disk import Disk
from zkserver.storage.layout import Layout, StorageError
from zkserver.storage.logreader import LogReader, TornTail
from zkserver.storage.snapshot import SnapshotError, TreeDigest
from zkserver.storage.txnlog import HEADER_BYTES
from zkserver.tree.tree import DataTree

SNAPSHOTS_TO_TRY = 100
PROGRESS_EVERY_TXNS = 10_000


@dataclass(frozen=True)
class RestoreSettings:
    """The properties that decide what an unusual directory means.

    `autocreate_folders` is zookeeper.datadir.autocreate, `autocreate_database`
    db.autocreate, `trust_empty_snapshot` snapshot.trust.empty; `compression` and
    `serialize_last_zxid` are for the first snapshot of a new database.
    """

    autocreate_folders: bool = True
    autocreate_database: bool = True
    trust_empty_snapshot: bool = False
    compression: str = ""
    serialize_last_zxid: bool = True


@dataclass
class Restored:
    """What recovery found.

    `last_zxid` is -1 if an empty database may not be trusted, and if the server `is_emptied`: it
    has given up its history, and no setting makes it begin anew. `snapshot_zxid` is
    None and `snapshot_path` "" without a snapshot. `log_bytes` is the size of the
    records replayed. `digest_mismatches` counts differing digests, the first at
    `first_mismatch_zxid`; `uncovered_digest_zxid` is that of a snapshot whose
    digest the logs did not reach.
    """

    last_zxid: int = 0
    sessions: dict[int, int] = field(default_factory=dict)
    snapshot_zxid: int | None = None
    snapshot_path: str = ""
    created: bool = False
    is_emptied: bool = False
    txns_replayed: int = 0
    log_bytes: int = 0
    torn: TornTail | None = None
    digest_mismatches: int = 0
    first_mismatch_zxid: int | None = None
    uncovered_digest_zxid: int | None = None


def restore(
    disk: Disk,
    layout: Layout,
    tree: DataTree,
    settings: RestoreSettings,
    warn: Callable[[str], object],
    progress: Callable[[str, int], object] | None = None,
    replayed: Callable[[int, bytes], object] | None = None,
) -> Restored:
    """Fill `tree` from the data directory, make it if it is new, and say what was found.

    `warn` gets a line for whatever an operator should know. `progress` is told now
    and then ("znodes" or "transactions", how many so far), `replayed` of the zxid and
    the entry of every transaction that was behind the snapshot. Raises StorageError if
    something is missing or damaged, or FatalError if the disk fails.
    """
    try:
        names.prepare(disk, layout, settings.autocreate_folders)
        return _Recovery(disk, layout, tree, settings, warn, progress, replayed).run()
    except OSError as error:
        raise StorageError(
            f"cannot read the data directory: {error}", ExitCode.UNABLE_TO_ACCESS_DATADIR
        ) from error


class _Recovery:
    def __init__(
        self,
        disk: Disk,
        layout: Layout,
        tree: DataTree,
        settings: RestoreSettings,
        warn: Callable[[str], object],
        progress: Callable[[str, int], object] | None,
        replayed: Callable[[int, bytes], object] | None,
    ) -> None:
        self._disk = disk
        self._layout = layout
        self._tree = tree
        self._settings = settings
        self._warn = warn
        self._progress = progress
        self._replayed = replayed
        self._result = Restored()
        # The digest of a snapshot that is ahead of its name, until replay gets there.
        self._awaited: TreeDigest | None = None
        # The zxid up to which an unreadable, newer snapshot says that there were transactions.
        self._promised_zxid = 0

    def run(self) -> Restored:
        disk, layout, result = self._disk, self._layout, self._result
        for path in snapshot.remove_unfinished(disk, layout):
            self._warn(f"{path}: removed, a snapshot that was not finished")
        if (given_up := emptying.resume(disk, layout)) is not None:
            self._warn(given_up)
            self._tree.last_zxid = result.last_zxid = -1
            result.is_emptied = True
            return result
        if (resumed := truncation.resume(disk, layout)) is not None:
            self._warn(resumed)
        logs = names.sorted_logs(disk.names(layout.log_folder))
        if not self._load_snapshot():
            if not self._holds_txns(logs):
                return self._begin_empty(logs)
            if not self._settings.trust_empty_snapshot:
                raise StorageError(
                    f"{layout.log_path(logs[0][1])}: there are transaction logs but no snapshot "
                    f"in {layout.snapshot_folder}, so what was before them is lost. Put the "
                    "snapshots back (is dataDir right?), or set zookeeper.snapshot.trust.empty="
                    "true if this directory comes from ZooKeeper 3.4 and never had one"
                )
            self._warn("no snapshot found; trusting the logs alone, for an upgrade only")
        self._remove_initialize_file()
        self._replay(logs)
        if result.last_zxid < self._promised_zxid and counter_of(self._promised_zxid):
            raise StorageError(
                f"the snapshot of 0x{hex_zxid(self._promised_zxid)} in "
                f"{layout.snapshot_folder} does not read, and the logs in "
                f"{layout.log_folder} end with 0x{hex_zxid(result.last_zxid)}: transactions "
                "are missing. Restore the directory from a backup or from another server; "
                "or, knowing that they are lost, move that snapshot out of the folder"
            )
        return result

    def _load_snapshot(self) -> bool:
        """Load the newest snapshot that reads; False if there is none at all."""
        disk, layout, result = self._disk, self._layout, self._result
        found = names.sorted_snapshots(disk.names(layout.snapshot_folder))
        tried = 0
        for zxid, name in found:
            path = layout.snapshot_path(name)
            if not snapshot.is_valid(disk, path):
                self._skip(path, zxid, "it is not complete")
                continue
            tried += 1
            if tried > SNAPSHOTS_TO_TRY:
                break
            try:
                info = snapshot.read_file(disk, path, self._tree, self._node_progress())
            except SnapshotError as error:
                self._skip(path, zxid, str(error))
                continue
            self._tree.last_zxid = zxid
            result.last_zxid = result.snapshot_zxid = zxid
            result.snapshot_path = path
            result.sessions = info.sessions
            self._take_digest(info.digest, zxid)
            return True
        if tried or self._promised_zxid:
            raise StorageError(
                f"{layout.snapshot_folder}: none of the snapshots reads (the newest is "
                f"{found[0][1]}). Restore the directory from a backup or from another "
                "server; or, knowing that all data is lost, empty the folder"
            )
        # At most an unfinished snapshot.0, what a crash at the very first start leaves.
        return False

    def _skip(self, path: str, zxid: int, reason: str) -> None:
        self._promised_zxid = max(self._promised_zxid, zxid)
        self._warn(f"{path}: not used, {reason}; trying an older snapshot")

    def _node_progress(self) -> Callable[[int], object] | None:
        progress = self._progress
        return None if progress is None else lambda count: progress("znodes", count)

    def _take_digest(self, digest: TreeDigest | None, snapshot_zxid: int) -> None:
        # A digest from before the name (a new epoch was begun in between) says
        # nothing: the snapshot is of one moment then. With digests off the tree has
        # none to compare.
        if not self._tree.digest_enabled or digest is None:
            return
        if digest.zxid <= 0 or digest.zxid < snapshot_zxid:
            return
        self._awaited = digest
        self._compare_awaited(snapshot_zxid)

    def _compare_awaited(self, zxid: int) -> None:
        awaited = self._awaited
        if awaited is not None and zxid == awaited.zxid:
            self._awaited = None
            self._compare(zxid, awaited.version, awaited.digest)

    def _compare(self, zxid: int, version: int, digest: int) -> None:
        if version == txns.DIGEST_VERSION and digest != self._tree.digest:
            result = self._result
            result.digest_mismatches += 1
            if result.first_mismatch_zxid is None:
                result.first_mismatch_zxid = zxid

    def _holds_txns(self, logs: list[tuple[int, str]]) -> bool:
        """Whether there is or was a transaction: any log but one that is named 1 and empty."""
        if not logs:
            return False
        if len(logs) > 1 or logs[0][0] > 1:
            return True
        reader = LogReader(self._disk, self._layout.log_folder, logs)
        return next(iter(reader), None) is not None

    def _begin_empty(self, logs: list[tuple[int, str]]) -> Restored:
        """A new database: nothing is there, and nothing is missing if that is trusted."""
        disk, layout, settings, result = self._disk, self._layout, self._settings, self._result
        for _, name in logs:
            disk.remove(layout.log_path(name))
            self._warn(f"{layout.log_path(name)}: removed, a log without any transaction")
        trusted = settings.autocreate_database or disk.exists(layout.initialize_path)
        if not trusted:
            self._warn(
                f"{layout.snapshot_folder}: empty, and neither zookeeper.db.autocreate nor the "
                f"file {layout.initialize_path} says that it may be"
            )
            self._tree.last_zxid = result.last_zxid = -1
            return result
        saved = snapshot.save(
            disk,
            layout,
            self._tree,
            {},
            compression=settings.compression,
            digest_enabled=self._tree.digest_enabled,
            serialize_last_zxid=settings.serialize_last_zxid,
        )
        result.created = True
        result.snapshot_zxid = 0
        result.snapshot_path = saved.path
        self._remove_initialize_file()
        return result

    def _remove_initialize_file(self) -> None:
        if self._disk.exists(self._layout.initialize_path):
            self._disk.remove(self._layout.initialize_path)

    def _replay(self, logs: list[tuple[int, str]]) -> None:
        tree, result = self._tree, self._result
        start = result.last_zxid
        folder = self._layout.log_folder
        # From the file before, even if one is named start + 1: where Apache ZooKeeper
        # gave a zxid twice, that may be the second.
        reader = LogReader(self._disk, folder, names.logs_from(logs, start), start)
        sessions = result.sessions
        check_digests = tree.digest_enabled
        count = 0
        for zxid, entry, path, offset in reader:
            try:
                txn, digest = txns.decode(entry)
            except JuteError as error:
                raise StorageError(
                    f"{path}: the transaction 0x{hex_zxid(zxid)} at offset {offset} is none "
                    f"that this server knows ({error}). A newer ZooKeeper may have written it"
                ) from error
            kind = txn[4]
            if kind == op.CREATE_SESSION and txn[5] is not None:
                sessions[txn[0]] = txn[5][0]
            elif kind == op.CLOSE_SESSION:
                sessions.pop(txn[0], None)
            tree.apply(txn)
            if self._replayed is not None:
                self._replayed(zxid, entry)
            if check_digests:
                if self._awaited is not None:
                    self._compare_awaited(zxid)
                if digest is not None and self._awaited is None:
                    self._compare(zxid, *digest)
            count += 1
            if count % PROGRESS_EVERY_TXNS == 0 and self._progress is not None:
                self._progress("transactions", count)
        result.txns_replayed = count
        result.log_bytes = reader.log_bytes
        result.last_zxid = tree.last_zxid = reader.last_zxid
        if reader.out_of_order:
            self._warn(
                f"{folder}: {reader.out_of_order} transactions had a zxid below the one "
                "before; they were replayed in the order of the file"
            )
        if self._awaited is not None and check_digests:
            result.uncovered_digest_zxid = self._awaited.zxid
        if reader.torn is not None:
            self._cut(reader.torn)

    def _cut(self, torn: TornTail) -> None:
        disk = self._disk
        if torn.offset > HEADER_BYTES:
            disk.truncate(torn.path, torn.offset)
        else:
            disk.remove(torn.path)
            disk.sync_folder(self._layout.log_folder)
        self._result.torn = torn
        self._warn(str(torn))
