"""The transaction logs of servers, kept where the servers cannot reach them.

A server that receives a leader's tree removes its logs, and when all have done so nobody has the
beginning any more, which a checker needs. A thread looks every few milliseconds and makes hard
links: a log that is cut in place is cut here, too. When files go and others of the same time stay,
that was a cut (TRUNC), and they go here; when all go at once, that was a tree (SNAP), and they are
kept as a chain of their own.

The last txns of a chain may never have been committed. But a chain that goes on in a later epoch
tells where the epoch before ended, for every leader begins with all that is committed.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

from zkserver.base.zxid import epoch_of
from zkserver.runtime.disk import RealDisk
from zkserver.storage.layout import StorageError, log_zxid
from zkserver.storage.logreader import LogReader

LOOK_EVERY_S = 0.01
KEPT = "kept-"
Chain = dict[int, bytes]


class LogArchive:
    """Of the servers whose `version-2` folders are given by number. A context manager.

    What is kept of a server is beside that folder, for hard links do not leave a file system.
    """

    def __init__(self, sources: dict[int, Path]) -> None:
        self._sources = sources
        self._chains = dict.fromkeys(sources, 0)
        self._seen: dict[int, dict[str, int]] = {number: {} for number in sources}
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> LogArchive:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if not self._ends.is_set():
            self._ends.set()
            self._thread.join()
            self._look_at_all()

    def _watch(self) -> None:
        while not self._ends.wait(LOOK_EVERY_S):
            self._look_at_all()

    def _look_at_all(self) -> None:
        for number, source in self._sources.items():
            with suppress(FileNotFoundError):
                self._look(number, source)

    def _place(self, number: int) -> Path:
        return self._sources[number].parent / f"{KEPT}{self._chains[number]}"

    def _look(self, number: int, source: Path) -> None:
        names = [name for name in os.listdir(source) if log_zxid(name) is not None]
        now = {name: os.stat(source / name).st_ino for name in names}
        before = self._seen[number]
        if now == before:
            return
        if before and not before.items() & now.items():
            self._chains[number] += 1
        place = self._place(number)
        place.mkdir(parents=True, exist_ok=True)
        for name, inode in before.items():
            if now.get(name) != inode:
                with suppress(FileNotFoundError):
                    (place / name).unlink()
        for name, inode in now.items():
            if before.get(name) != inode or not (place / name).exists():
                os.link(source / name, place / name)
        self._seen[number] = now

    def chains(self) -> list[Chain]:
        """What each chain holds, by zxid."""
        return [
            read_chain(place)
            for source in self._sources.values()
            for place in sorted(source.parent.glob(f"{KEPT}*"))
        ]


def read_chain(place: Path) -> Chain:
    """The txns in the logs of one folder."""
    disk = RealDisk()
    chain: Chain = {}
    firsts = [(log_zxid(name) or 0, name) for name in os.listdir(place)]
    for first, name in sorted(firsts):
        with suppress(StorageError):
            for zxid, entry, _, _ in LogReader(disk, str(place), [(first, name)], first - 1):
                chain[zxid] = entry
    return chain


def committed(chains: list[Chain], ends: list[Chain]) -> Chain:
    """All that chains tell of, without what an epoch's end has cut off.

    `ends` are the logs that servers have when all is over: they are believed throughout.
    """
    last_of_epoch: dict[int, int] = {}
    for chain in (*chains, *ends):
        zxids = sorted(chain)
        for zxid, following in pairwise(zxids):
            if epoch_of(zxid) != epoch_of(following):
                last_of_epoch[epoch_of(zxid)] = zxid
    found: Chain = {}
    for chain in chains:
        for zxid, entry in chain.items():
            if zxid <= last_of_epoch.get(epoch_of(zxid), zxid):
                found[zxid] = entry
    for chain in ends:
        found |= chain
    return dict(sorted(found.items()))
