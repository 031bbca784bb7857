"""`Prep`: the next zxid, the changes in flight, and the dispatch by operation."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from typing import Any, NamedTuple, Protocol

from zkserver.base import auth
from zkserver.base import opcodes as op
from zkserver.base.acl import ANYONE, AclList, Id
from zkserver.base.auth import Providers
from zkserver.base.errors import ClientError, ErrorCode
from zkserver.jute import requests, txns
from zkserver.jute.codec import JuteError
from zkserver.jute.txns import Txn
from zkserver.prep import operations
from zkserver.prep.changes import Changes, Journal
from zkserver.session.tracker import SessionTracker
from zkserver.tree.tree import DataTree

CREATE_KINDS = frozenset((op.CREATE, op.CREATE2, op.CREATE_CONTAINER, op.CREATE_TTL))
WRITES = frozenset(
    (
        *CREATE_KINDS,
        op.DELETE,
        op.DELETE_CONTAINER,
        op.SET_DATA,
        op.SET_ACL,
        op.MULTI,
        op.RECONFIG,
        op.CREATE_SESSION,
        op.CLOSE_SESSION,
    )
)
"""The operations that become transactions."""
# Java gives these their zxid before it reads their record.
_COUNTED_UNREAD = frozenset((op.MULTI, op.CREATE_SESSION))

Prepared = tuple[Txn, int | None, bytes]
"""A transaction, the tree digest after it (None: it has none), and its log entry."""


class Caller(Protocol):
    """Who asks: a session (0: the server itself) and the identities it has shown."""

    @property
    def session_id(self) -> int: ...
    @property
    def ids(self) -> Sequence[Id]: ...


class Rules(NamedTuple):
    """What of the configuration decides here."""

    skip_acl: bool = False
    enforce_quota: bool = False
    close_session_txn: bool = True
    reconfig_enabled: bool = False


def _nobody(_path: bytes) -> None:
    """Who is told of refusals where nobody counts them."""


def decode_record(kind: int, body: bytes) -> Any:
    """The fields of a write's record. Raises `JuteError` if it cannot be read."""
    if kind == op.SET_DATA:
        return requests.set_data(body)[0]
    if kind in CREATE_KINDS:
        return requests.create(body, with_ttl=kind == op.CREATE_TTL)[0]
    if kind == op.DELETE:
        return requests.path_version(body)[0]
    if kind == op.SET_ACL:
        return requests.set_acl(body)
    if kind == op.MULTI:
        return requests.multi(body)
    if kind == op.DELETE_CONTAINER:
        return requests.container_path(body)
    if kind == op.CREATE_SESSION:
        return requests.create_session(body)
    if kind == op.RECONFIG:
        return requests.reconfig(body)
    return None


class Prep:
    """Turns requests into transactions; see the package's docstring.

    `zxid` is the last one given out. `sessions` is asked whether a caller's
    session is open, and told when one begins to close.
    """

    def __init__(
        self,
        tree: DataTree,
        sessions: SessionTracker,
        providers: Providers,
        rules: Rules | None = None,
    ) -> None:
        self.tree = tree
        self.sessions = sessions
        self.providers = providers
        self.rules = rules or Rules()
        self.changes = Changes(tree)
        # Whose requests are taken, and what is said to others.
        self.live_sessions: Container[int] = sessions.live
        self.session_refusal = ErrorCode.SESSIONEXPIRED
        # Told of the path of a write that a quota refuses.
        self.quota_refused: Callable[[bytes], object] = _nobody
        self.zxid = tree.last_zxid

    def prepare(
        self, kind: int, caller: Caller, cxid: int, body: bytes, time_ms: int
    ) -> Prepared | None:
        """The transaction for a request of type `kind`.

        A refused request gives an ERROR transaction. None means that the record
        cannot be read: it takes no zxid, and the client is to be told
        MARSHALLINGERROR.
        """
        try:
            fields = decode_record(kind, body)
        except JuteError as fault:
            if kind not in _COUNTED_UNREAD or isinstance(fault, requests.NullAclError):
                return None
            self.zxid += 1
            return self.refused(caller, cxid, time_ms, ErrorCode.MARSHALLINGERROR)
        self.zxid = zxid = self.zxid + 1
        try:
            result = self._dispatch(kind, caller, zxid, time_ms, fields)
        except ClientError as refusal:
            return self.refused(caller, cxid, time_ms, refusal.code)
        return self._accepted((caller.session_id, cxid, zxid, time_ms, kind, result))

    def refused(self, caller: Caller, cxid: int, time_ms: int, code: int) -> Prepared:
        """The ERROR transaction that the newest zxid is spent on."""
        txn = caller.session_id, cxid, self.zxid, time_ms, op.ERROR, (int(code),)
        return txn, None, txns.encode(txn, None)

    def prepare_moved(
        self, kind: int, caller: Caller, cxid: int, body: bytes, time_ms: int
    ) -> Prepared | None:
        """As `prepare`, for a session that lives and has moved to another server since.

        What asks for a session is refused with SESSIONMOVED, each operation of a multi for itself.
        """
        live_sessions, self.live_sessions = self.live_sessions, ()
        self.session_refusal = ErrorCode.SESSIONMOVED
        try:
            return self.prepare(kind, caller, cxid, body, time_ms)
        finally:
            self.live_sessions = live_sessions
            self.session_refusal = ErrorCode.SESSIONEXPIRED

    def prepare_create_session(
        self, session_id: int, timeout_ms: int, time_ms: int
    ) -> Prepared:
        """The transaction that opens a session."""
        self.zxid = zxid = self.zxid + 1
        return self._accepted((session_id, 0, zxid, time_ms, op.CREATE_SESSION, (timeout_ms,)))

    def _accepted(self, txn: Txn) -> Prepared:
        digest = self.changes.digest if self.tree.digest_enabled else None
        return txn, digest, txns.encode(txn, digest)

    def applied(self, zxid: int) -> None:
        """The tree holds everything up to `zxid` now."""
        self.changes.applied(zxid)

    def _dispatch(self, kind: int, caller: Caller, zxid: int, time_ms: int, fields: Any) -> Any:
        if kind in CREATE_KINDS:
            return operations.create(self, kind, caller, zxid, time_ms, fields)
        if kind == op.SET_DATA:
            return operations.set_data(self, caller, zxid, time_ms, fields)
        if kind == op.DELETE:
            return operations.delete(self, caller, zxid, fields)
        if kind == op.MULTI:
            return self._multi(caller, zxid, time_ms, fields)
        if kind == op.CLOSE_SESSION:
            return operations.close_session(self, caller.session_id, zxid)
        if kind == op.SET_ACL:
            return operations.set_acl(self, caller, zxid, fields)
        if kind == op.CHECK:
            return operations.check(self, caller, fields)
        if kind == op.DELETE_CONTAINER:
            return operations.delete_container(self, zxid, fields)
        if kind == op.CREATE_SESSION:
            return (fields,)
        if kind == op.RECONFIG:
            # No ensemble to reconfigure: the answers of a standalone Apache server.
            if not self.rules.reconfig_enabled:
                raise ClientError(ErrorCode.RECONFIGDISABLED)
            self.check_session(caller)
            raise ClientError(ErrorCode.UNIMPLEMENTED)
        # A read among the operations of a write multi: Java has no txn for it.
        raise ClientError(ErrorCode.MARSHALLINGERROR)

    def _multi(self, caller: Caller, zxid: int, time_ms: int, operations_: Any) -> Any:
        """All or nothing: what the operations before a failing one did is undone.

        The failing one carries its code, those behind it RUNTIMEINCONSISTENCY.
        """
        for kind, fields in operations_:
            # Java meets a null pointer in both cases.
            if fields[0] is None or kind in (op.GET_DATA, op.GET_CHILDREN):
                raise ClientError(ErrorCode.MARSHALLINGERROR)
        changes = self.changes
        digest_before = changes.digest
        journal: Journal = []
        changes.journal = journal
        body: list[tuple[int, Any]] = []
        failed = False
        for kind, fields in operations_:
            if failed:
                body.append((op.ERROR, (int(ErrorCode.RUNTIMEINCONSISTENCY),)))
                continue
            try:
                body.append((kind, self._dispatch(kind, caller, zxid, time_ms, fields)))
            except ClientError as refusal:
                changes.rollback(journal, digest_before)
                if refusal.code == ErrorCode.MARSHALLINGERROR:
                    # Not a refusal to Java but a fault, which fails the request as a whole.
                    changes.journal = None
                    raise
                failed = True
                body.append((op.ERROR, (int(refusal.code),)))
        changes.journal = None
        return tuple(body)

    # What the operations ask

    def check_session(self, caller: Caller) -> None:
        """Raises SESSIONEXPIRED unless the caller's session is open."""
        if caller.session_id not in self.live_sessions:
            raise ClientError(self.session_refusal)

    def check_acl(self, acl: AclList, perm: int, caller: Caller) -> None:
        """Raises NOAUTH unless `acl` grants any of `perm` to the caller."""
        for granted, who in acl:
            if granted & perm and who == ANYONE:
                return
        if not auth.check_acl(acl, perm, caller.ids, self.providers, self.rules.skip_acl):
            raise ClientError(ErrorCode.NOAUTH)

    def fix_up_acl(self, acl: AclList, caller: Caller) -> AclList:
        """The list as it is stored: without doubles, "auth" expanded; or INVALIDACL."""
        if len(acl) == 1 and acl[0][1] == ANYONE:
            return acl
        return auth.fix_up_acl(acl, caller.ids, self.providers)

    def check_quota(self, path: bytes, size_bytes: int, count: int) -> None:
        """Raises QUOTAEXCEEDED when quotas are enforced and a hard limit would be passed."""
        if self.rules.enforce_quota and operations.quota_exceeded(self, path, size_bytes, count):
            self.quota_refused(path)
            raise ClientError(ErrorCode.QUOTAEXCEEDED)

