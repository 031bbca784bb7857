"""What znodes must have been at every zxid, worked out from what clients asked.

The order of zxids is taken as the order in which writes took effect; the log says
which requests got which zxid, and when sessions ended. Everything else, results,
versions and contents, is worked out anew here, without the server's code.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import NamedTuple

from zkserver.base import opcodes as op
from zkserver.base.errors import ErrorCode
from zkserver.jute.txns import Txn
from zkserver.sim import history as words
from zkserver.sim.history import History, Request

Id = tuple[int, int]

NODEEXISTS = int(ErrorCode.NODEEXISTS)
NONODE = int(ErrorCode.NONODE)
BADVERSION = int(ErrorCode.BADVERSION)
# What came from a server that its client had left, or when the session was over.
REFUSED = (int(ErrorCode.SESSIONMOVED),), (int(ErrorCode.SESSIONEXPIRED),)


class Version(NamedTuple):
    """A znode after the write of `mzxid`."""

    data: bytes
    version: int
    owner: int
    czxid: int
    mzxid: int

    def __str__(self) -> str:
        data = self.data.decode().rstrip(".")
        return f"{data}, version {self.version} of 0x{self.mzxid:x}, created by 0x{self.czxid:x}"


@dataclass
class Model:
    """`versions`: per path, (zxid, the znode from then on or None), in order of zxids.

    `expected` is the error that each write in the log must have met, by zxid.
    """

    versions: dict[bytes, list[tuple[int, Version | None]]] = field(default_factory=dict)
    expected: dict[int, int] = field(default_factory=dict)
    requests: dict[int, Request] = field(default_factory=dict)

    def at(self, path: bytes, zxid: int) -> Version | None:
        """The znode as it was when `zxid` was the last transaction."""
        changes = self.versions.get(path, [])
        place = bisect_right(changes, zxid, key=lambda change: change[0])
        return changes[place - 1][1] if place else None

    def _put(self, path: bytes, zxid: int, node: Version | None) -> None:
        self.versions.setdefault(path, []).append((zxid, node))

    def apply(self, request: Request, zxid: int) -> None:
        """The next write, in order of zxids."""
        path = request.path
        node = self.at(path, zxid)
        error = _error(request, node)
        self.expected[zxid] = error
        self.requests[zxid] = request
        if error:
            return
        if request.kind in (words.CREATE, words.CREATE_EPHEMERAL):
            owner = request.session_id if request.kind == words.CREATE_EPHEMERAL else 0
            self._put(path, zxid, Version(request.data, 0, owner, zxid, zxid))
        elif request.kind == words.SET and node is not None:
            changed = node._replace(data=request.data, version=node.version + 1, mzxid=zxid)
            self._put(path, zxid, changed)
        elif request.kind == words.DELETE:
            self._put(path, zxid, None)

    def end_session(self, session_id: int, zxid: int) -> None:
        """Its ephemerals go with it."""
        for path, changes in self.versions.items():
            node = changes[-1][1]
            if node is not None and node.owner == session_id:
                changes.append((zxid, None))
                self.versions[path] = changes


def _error(request: Request, node: Version | None) -> int:
    if request.kind in (words.CREATE, words.CREATE_EPHEMERAL):
        return NODEEXISTS if node is not None else 0
    if request.kind in (words.SET, words.DELETE):
        if node is None:
            return NONODE
        return BADVERSION if request.version not in (-1, node.version) else 0
    return 0


def build(history: History, log: list[Txn]) -> Model:
    """The model of a run. `log` is every transaction that is on disk, in order."""
    asked: dict[Id, Request] = {
        (request.session_id, request.xid): request
        for request in history.requests
        if request.kind in words.WRITES
    }
    model = Model()
    for session_id, cxid, zxid, _, kind, body in log:
        if kind == op.ERROR and body in REFUSED:
            continue
        request = asked.get((session_id, cxid))
        if request is not None and kind != op.CREATE_SESSION:
            model.apply(request, zxid)
        if kind == op.CLOSE_SESSION:
            model.end_session(session_id, zxid)
    return model
