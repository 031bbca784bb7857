"""Where a server's files are and what they are called.

    dataDir/version-2/snapshot.<zxid>[.gz|.snappy]
    dataLogDir/version-2/log.<zxid of the first transaction>
    dataLogDir/initialize       says that an empty database is meant to be empty
    dataDir/version-2/receivedSnapshot, emptiedHasNoVote
                                what a crash must not hide: see `truncation`, `emptying`

zxids in names are unpadded hexadecimal. Only these exact forms are ours: a file
that was renamed to `log.5.bad` is out of the way (Apache ZooKeeper would still
read that one as log 5).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from zkserver.base.errors import ExitCode, FatalError
from zkserver.base.zxid import hex_zxid
from zkserver.storage.disk import Disk

VERSION_FOLDER = "version-2"
COMPRESSIONS = ("", "gz", "snappy")
RECEIVED_NAME = "receivedSnapshot"

_SNAPSHOT = re.compile(r"snapshot\.([0-9a-f]{1,16})(?:\.(gz|snappy))?")
_LOG = re.compile(r"log\.([0-9a-f]{1,16})")
_TEMPORARY = re.compile(r"\.snapshot\..*\.tmp")
_MAX_ZXID = 0x7FFFFFFFFFFFFFFF


class StorageError(FatalError):
    """Files that cannot be used as they are; the message says which and what to do."""

    def __init__(self, message: str, exit_code: ExitCode = ExitCode.UNEXPECTED_ERROR) -> None:
        super().__init__(exit_code, message)


@dataclass(frozen=True)
class Layout:
    """The folders of a server, made with `Layout.of`."""

    snapshot_folder: str
    log_folder: str
    initialize_path: str

    @classmethod
    def of(cls, data_dir: str, data_log_dir: str | None = None) -> Layout:
        """The layout below dataDir and dataLogDir (None: the same)."""
        data_dir = data_dir.rstrip("/")
        log_dir = data_dir if data_log_dir is None else data_log_dir.rstrip("/")
        return cls(
            f"{data_dir}/{VERSION_FOLDER}",
            f"{log_dir}/{VERSION_FOLDER}",
            f"{log_dir}/initialize",
        )

    def snapshot_path(self, name: str) -> str:
        """The path of a snapshot file."""
        return f"{self.snapshot_folder}/{name}"

    def log_path(self, name: str) -> str:
        """The path of a log file."""
        return f"{self.log_folder}/{name}"


def log_name(zxid: int) -> str:
    """The name of the log whose first transaction is `zxid`."""
    return f"log.{hex_zxid(zxid)}"


def snapshot_name(zxid: int, compression: str = "") -> str:
    """The name of the snapshot begun after `zxid`."""
    return f"snapshot.{hex_zxid(zxid)}" + (f".{compression}" if compression else "")


def temporary_name(name: str, mark: str = "") -> str:
    """What a snapshot is called while it is written; Apache ZooKeeper overlooks the name.

    `mark` (a process id) keeps two writers of one snapshot apart.
    """
    return f".{name}.{mark}.tmp" if mark else f".{name}.tmp"


def is_temporary(name: str) -> bool:
    """Whether `name` is a snapshot that was not finished."""
    return _TEMPORARY.fullmatch(name) is not None


def log_zxid(name: str) -> int | None:
    """The zxid in a log's name, None for other files."""
    return _zxid(_LOG.fullmatch(name))


def snapshot_zxid(name: str) -> int | None:
    """The zxid in a snapshot's name, None for other files."""
    return _zxid(_SNAPSHOT.fullmatch(name))


def compression_of(name: str) -> str:
    """The compression that a snapshot's name tells: "", "gz" or "snappy"."""
    match = _SNAPSHOT.fullmatch(name)
    return (match[2] or "") if match else ""


def _zxid(match: re.Match[str] | None) -> int | None:
    if match is None:
        return None
    zxid = int(match[1], 16)
    return zxid if zxid <= _MAX_ZXID else None


def sorted_logs(names: list[str]) -> list[tuple[int, str]]:
    """The logs among `names`, (zxid, name), oldest first."""
    return sorted((zxid, name) for name in names if (zxid := log_zxid(name)) is not None)


def sorted_snapshots(names: list[str]) -> list[tuple[int, str]]:
    """The snapshots among `names`, (zxid, name), newest first."""
    found = [(zxid, name) for name in names if (zxid := snapshot_zxid(name)) is not None]
    return sorted(found, key=lambda pair: (-pair[0], pair[1]))


def logs_from(logs: list[tuple[int, str]], zxid: int) -> list[tuple[int, str]]:
    """Of sorted logs, those that may hold `zxid` or later ones."""
    before = [first for first, _ in logs if first <= zxid]
    oldest = before[-1] if before else 0
    return [pair for pair in logs if pair[0] >= oldest]


def prepare(disk: Disk, layout: Layout, autocreate: bool) -> None:
    """Make the folders if they are missing and refuse ones that cannot be right.

    `autocreate` is zookeeper.datadir.autocreate. Raises StorageError (exit code 3).
    """
    roles = {layout.log_folder: "dataLogDir"}
    # One folder for both is dataDir's: dataLogDir need not have been set.
    roles[layout.snapshot_folder] = "dataDir"
    for folder, role in roles.items():
        if not disk.exists(folder):
            if not autocreate:
                raise _unusable(
                    f"{role}: the folder {folder} is missing and zookeeper.datadir.autocreate "
                    "is false; make it by hand, or correct the path"
                )
            try:
                disk.make_folder(folder)
            except OSError as error:
                raise _unusable(f"{role}: cannot make the folder {folder}: {error}") from error
        if not disk.writable(folder):
            raise _unusable(f"{role}: no permission to write in the folder {folder}")
    if layout.log_folder != layout.snapshot_folder:
        _check_content(disk, layout.log_folder, "snapshot.", "dataLogDir", "snapshots")
        _check_content(disk, layout.snapshot_folder, "log.", "dataDir", "transaction logs")


def _check_content(disk: Disk, folder: str, prefix: str, role: str, what: str) -> None:
    # Two directories that were swapped or merged would look like an empty
    # database (ZOOKEEPER-2967).
    found = sorted(name for name in disk.names(folder) if name.startswith(prefix))
    if found:
        raise _unusable(
            f"{role}: {folder} has {what} in it ({found[0]}), which belong in the other "
            "folder; check dataDir and dataLogDir, or move the files"
        )


def _unusable(message: str) -> StorageError:
    return StorageError(message, ExitCode.UNABLE_TO_ACCESS_DATADIR)
