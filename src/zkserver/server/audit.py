"""The audit log: who changed what, one event per change, from the server that owns the connection.

Pipelines that audit are classes of their own, chosen when a role is made (`audited`): without
audit.enable nothing of this is on the way of a request. They keep what each write asked for until
its transaction has been applied, and then tell the host (`server.Host.audit`): session, user, ip,
operation, znode, znode_type, acl, result, in this order, each where it has a meaning.

As observed of Apache ZooKeeper 3.9.5:

* A multi that succeeds is told by its parts, without its checks; one that fails is one
  multiOperation. The znode type of a part with a sequence number is left out.
* A znode is named as it was created, after a failure as it was asked for.
* The ephemerals of a session that ends are told by every server, also by those that the session
  never had a connection to, as deeds of the user that runs the server.
* Containers and TTL nodes that the server deletes are not told, nor are sessions.
* The entries of an ACL stand one behind the other without anything between.

What cannot be read, and what a server refuses before it is a transaction, is not told.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from zkserver.base import auth
from zkserver.base import opcodes as op
from zkserver.base.acl import AclList
from zkserver.jute import txns
from zkserver.jute.codec import JuteError
from zkserver.jute.txns import Txn
from zkserver.prep.prep import CREATE_KINDS, decode_record
from zkserver.server.leading import LeaderPipeline
from zkserver.server.learning import LearnerPipeline
from zkserver.server.local_sessions import LocalLeaderPipeline, LocalLearnerPipeline
from zkserver.server.pipeline import Pipeline
from zkserver.server.run import Run

if TYPE_CHECKING:
    from zkserver.server.connection import Connection
    from zkserver.server.server import Server
    from zkserver.tree.tree import DataTree
    from zkserver.zab.effects import Entry

Fields = dict[str, str]

_OPERATIONS = {
    **dict.fromkeys(CREATE_KINDS, "create"),
    op.DELETE: "delete",
    op.DELETE_CONTAINER: "delete",
    op.SET_DATA: "setData",
    op.SET_ACL: "setAcl",
    op.MULTI: "multiOperation",
    op.RECONFIG: "reconfig",
}
_EPHEMERAL_DELETION = "ephemeralZNodeDeletionOnSessionCloseOrExpire"
# By the flags of a create.
_ZNODE_TYPES = (
    "persistent",
    "ephemeral",
    "persistent_sequential",
    "ephemeral_sequential",
    "container",
    "persistent_with_ttl",
    "persistent_sequential_with_ttl",
)
_SEQUENTIAL_FLAGS = (2, 3, 6)
_PERMISSIONS = ((4, "c"), (8, "d"), (1, "r"), (2, "w"), (16, "a"))
_MASK64 = 0xFFFFFFFFFFFFFFFF
SUCCESS, FAILURE, INVOKED = "success", "failure", "invoked"


class Asked(NamedTuple):
    """A write that is under way: who asked, and for what."""

    session_id: int
    user: str
    ip: str
    kind: int
    body: bytes


def asked_by(connection: Connection, kind: int, body: bytes) -> Asked:
    """A client's write, with its user as it is shown at this moment."""
    infos = auth.client_infos(connection.ids, connection.server.providers)
    # What a client has shown stands before the address that it came from.
    user = ",".join(name for _, name in reversed(infos))
    return Asked(connection.session_id, user, connection.address, kind, body)


def events(asked: Asked, txn: Txn) -> list[Fields]:
    """What to tell of a write and the transaction that came of it."""
    kind, body = txn[4], txn[5]
    try:
        fields = decode_record(asked.kind, asked.body)
    except JuteError:
        return []
    if asked.kind == op.DELETE_CONTAINER:
        # Its record is a path alone.
        fields = (fields,)
    if asked.kind == op.MULTI:
        parts = body if isinstance(body, tuple) else ()
        if kind == op.ERROR or any(part[0] == op.ERROR for part in parts):
            return [_event(asked, op.MULTI, None, is_success=False)]
        return [
            _event(asked, part_kind, part_fields, path=part[1][0], in_multi=True)
            for (part_kind, part_fields), part in zip(fields, parts, strict=True)
            if part_kind in _OPERATIONS
        ]
    if kind == op.ERROR or not isinstance(body, tuple):
        return [_event(asked, asked.kind, fields, is_success=False)]
    return [_event(asked, asked.kind, fields, path=body[0])]


def _event(
    asked: Asked,
    kind: int,
    fields: Any,
    *,
    path: bytes | None = None,
    is_success: bool = True,
    in_multi: bool = False,
) -> Fields:
    """One event; `path` is what was created, otherwise the request's path is told."""
    found = {
        "session": f"0x{asked.session_id & _MASK64:x}",
        "user": asked.user,
        "ip": asked.ip,
        "operation": _OPERATIONS[kind],
    }
    if fields is not None and kind != op.RECONFIG:
        shown = fields[0] if path is None else path
        if shown is not None:
            found["znode"] = shown.decode("utf-8", "backslashreplace")
    if kind in CREATE_KINDS:
        flags = fields[3]
        is_known = 0 <= flags < len(_ZNODE_TYPES)
        if is_known and not (in_multi and flags in _SEQUENTIAL_FLAGS):
            found["znode_type"] = _ZNODE_TYPES[flags]
    if kind == op.SET_ACL and fields[1] is not None:
        found["acl"] = _acl_text(fields[1])
    found["result"] = SUCCESS if is_success else FAILURE
    return found


def _acl_text(acl: AclList) -> str:
    return "".join(
        f"{who.scheme}:{who.id}:" + "".join(letter for bit, letter in _PERMISSIONS if perms & bit)
        for perms, who in acl
    )


def _ended(user: str, txn: Txn, left: Sequence[bytes]) -> list[Fields]:
    """The ephemerals that went with a session; `left` are its own as they were before.

    `user` runs the server.
    """
    body = txn[5]
    paths = left if body is None else body[0]
    session = f"0x{txn[0] & _MASK64:x}"
    return [
        {
            "session": session,
            "user": user,
            "operation": _EPHEMERAL_DELETION,
            "znode": path.decode("utf-8", "backslashreplace"),
            "result": SUCCESS,
        }
        for path in paths
    ]


def user_of(environment: Mapping[str, str]) -> str:
    """The user that runs the server, to whom its own deeds are put down."""
    return environment.get("user.name", "")


def server_event(user: str, operation: str, result: str) -> Fields:
    """The server's start or stop; `user` runs it."""
    return {"user": user, "operation": operation, "result": result}


def _left_by(tree: DataTree, txn: Txn) -> list[bytes]:
    """The ephemerals of a session that an old kind of closeSession ends without naming them."""
    if txn[4] != op.CLOSE_SESSION or txn[5] is not None:
        return []
    return list(tree.ephemerals.get(txn[0], ()))


class AuditedTxns(Pipeline):
    """Over a pipeline that prepares: what was asked is kept by the zxid of its transaction."""

    def __init__(self, server: Server, *arguments: Any) -> None:
        super().__init__(server, *arguments)
        self._user = user_of(server.host.environment())
        self._asked: dict[int, Asked] = {}

    def submit(
        self, connection: Connection, kind: int, cxid: int, data: bytes, start: int, stop: int
    ) -> bool:
        """See `Pipeline`."""
        before = self.prep.zxid
        is_taken = super().submit(connection, kind, cxid, data, start, stop)
        zxid = self.prep.zxid
        if is_taken and zxid != before and kind in _OPERATIONS:
            self._asked[zxid] = asked_by(connection, kind, data[start:stop])
        return is_taken

    def _finish(self, run: Run, *, is_whole: bool = True) -> int:
        writes = list(run.writes)
        tree, tell = self.server.tree, self.server.host.audit
        left = [_left_by(tree, write[0]) for write in writes]
        done = super()._finish(run, is_whole=is_whole)
        for (txn, _, _), paths in zip(writes, left, strict=True):
            asked = self._asked.pop(txn[2], None)
            if asked is not None:
                found = events(asked, txn)
            elif txn[4] == op.CLOSE_SESSION:
                found = _ended(self._user, txn, paths)
            else:
                continue
            for fields in found:
                tell(fields)
        return done


class AuditedCommits(LearnerPipeline):
    """Over a learner's pipeline: what was asked is kept by session, in order.

    The transactions of a session come in the order of its requests. One has the cxid of its
    request and, unless it was refused, the type: no client is kept from giving all of its requests
    the same cxid. A request without a transaction would be passed over by the next one's.
    """

    def __init__(self, server: Server, *arguments: Any) -> None:
        super().__init__(server, *arguments)
        self._user = user_of(server.host.environment())
        # With the cxid; also what is not told of, for it may have the same cxid.
        self._asked: dict[int, deque[tuple[int, Asked]]] = {}

    def submit(
        self, connection: Connection, kind: int, cxid: int, data: bytes, start: int, stop: int
    ) -> bool:
        """See `LearnerPipeline`."""
        before = len(self._asks)
        is_taken = super().submit(connection, kind, cxid, data, start, stop)
        if is_taken and len(self._asks) != before and kind != op.SYNC:
            asked = asked_by(connection, kind, data[start:stop])
            self._asked.setdefault(connection.session_id, deque()).append((cxid, asked))
        return is_taken

    def committed(self, entries: Sequence[Entry]) -> None:
        """See `LearnerPipeline`."""
        server = self.server
        found: list[tuple[Txn, list[bytes]]] = []
        for _, entry in entries:
            try:
                txn, _ = txns.decode(entry)
            except JuteError:
                # `super` ends the process over it.
                break
            found.append((txn, _left_by(server.tree, txn)))
        super().committed(entries)
        for txn, paths in found:
            for fields in self._events(txn, paths):
                server.host.audit(fields)

    def _events(self, txn: Txn, paths: Sequence[bytes]) -> list[Fields]:
        asked = self._asked_for(txn)
        if txn[4] == op.CLOSE_SESSION:
            return _ended(self._user, txn, paths)
        return [] if asked is None or asked.kind not in _OPERATIONS else events(asked, txn)

    def _asked_for(self, txn: Txn) -> Asked | None:
        """The request of a client of this server that the transaction comes of."""
        session_id, cxid, kind = txn[0], txn[1], txn[4]
        queue = self._asked.get(session_id)
        if queue is None:
            return None
        for place, (asked_cxid, asked) in enumerate(queue):
            if asked_cxid == cxid and kind in (asked.kind, op.ERROR):
                for _ in range(place + 1):
                    queue.popleft()
                if not queue:
                    del self._asked[session_id]
                return asked
        return None


class _Leading(AuditedTxns, LeaderPipeline):
    """A leader's."""


class _LeadingLocally(AuditedTxns, LocalLeaderPipeline):
    """A leader's, with local sessions."""


class _LearningLocally(AuditedCommits, LocalLearnerPipeline):
    """A learner's, with local sessions."""


_AUDITED: dict[type, type] = {
    Pipeline: AuditedTxns,
    LeaderPipeline: _Leading,
    LocalLeaderPipeline: _LeadingLocally,
    LearnerPipeline: AuditedCommits,
    LocalLearnerPipeline: _LearningLocally,
}

AnyPipeline = TypeVar("AnyPipeline")


def audited(kind: type[AnyPipeline], is_enabled: bool) -> type[AnyPipeline]:
    """The class that does what the pipeline `kind` does, and tells of it if that is wanted."""
    return _AUDITED.get(kind, kind) if is_enabled else kind
