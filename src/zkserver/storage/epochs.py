"""The files of epochs, in the snapshot folder: decimal text, no newline.

acceptedEpoch and currentEpoch are Apache ZooKeeper's. currentEpoch.tmp is an announcement (see
`zab.epochs`): txns of that epoch may be in the log before currentEpoch says so. It has to survive
a crash like the others, so nothing is ever written in place, and what is being written is called
`<name>.new`, never `<name>.tmp` as with Apache's server.

Invariants:

* a crash at any point leaves the old value or the new one, in each file by itself;
* currentEpoch is written beside the announcement and not by renaming it: a rename touches two
  names, and of those a crash may keep the removal and lose the new one. Then neither would say
  what the log may hold. So the announcement stays, also when currentEpoch has its value. It is
  spent by then: it speaks for epochs above currentEpoch only, until the next one replaces it.

Apache's server does write currentEpoch.tmp in place, so a crash of it may leave that file empty
or cut short. Empty or ill-formed it counts as absent, and a beginning of a number is a smaller
one: it then vouches for less, and the start is refused rather than wrong. The other two files
are only ever renamed into place, so there ill-formed content is damage and an error.
"""

from __future__ import annotations

import re

from zkserver.storage.disk import Disk, replace_file
from zkserver.storage.layout import StorageError
from zkserver.zab.effects import EpochFile

# Half of a positive zxid.
MAX_EPOCH = 0x7FFFFFFF
_READ_BYTES = 64
_EPOCH = re.compile(rb"([0-9]{1,19})\r?\n?")


def read_epoch(disk: Disk, folder: str, name: str) -> int | None:
    """The epoch in the file `name` (a value of `EpochFile`), None for a file that is not there.

    Raises StorageError for content that is no epoch, but see the module for currentEpoch.tmp;
    OSError if the disk fails.
    """
    file = EpochFile(name)
    path = f"{folder}/{name}"
    if not disk.exists(path):
        return None
    content = disk.read(path, 0, _READ_BYTES)
    match = _EPOCH.fullmatch(content)
    if match is not None and int(match[1]) <= MAX_EPOCH:
        return int(match[1])
    if file is EpochFile.CURRENT_TO_COME:
        return None
    raise StorageError(
        f"{path}: {content!r} is no epoch, which is a decimal number up to {MAX_EPOCH}. Restore "
        "the data directory from a backup; or, while the other servers serve without this one, "
        f"empty {folder} and let it start anew"
    )


def write_epoch(disk: Disk, folder: str, name: str, epoch: int) -> None:
    """Put `epoch` into the file `name` (a value of `EpochFile`); durable on return.

    Reads nothing. Raises OSError if the disk fails; nothing may be written after that.
    """
    replace_file(disk, folder, EpochFile(name).value, b"%d" % epoch)
