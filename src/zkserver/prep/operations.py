"""One function per write: its checks in order, the changes it makes, its txn body.

Each takes the `Prep` it works for, the caller (`Caller`: session, identities), the
zxid and wall-clock time (ms) the transaction would have, and the fields of its
request; it returns the body of the transaction (see `jute.txns`) or raises
`ClientError`, and then has changed nothing. A null path is MARSHALLINGERROR where
Java runs into a null pointer and BADARGUMENTS where its path check comes first.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Any

from zkserver.base import acl as perms
from zkserver.base import opcodes as op
from zkserver.base import paths
from zkserver.base.acl import OPEN_ACL
from zkserver.base.errors import ClientError, ErrorCode
from zkserver.base.stat import CONTAINER_OWNER
from zkserver.jute import requests
from zkserver.prep.changes import (
    AVERSION,
    CVERSION,
    OWNER,
    VERSION,
    pack_int,
    pack_long,
    unpack_int,
    unpack_long,
)
from zkserver.tree import owners, quota
from zkserver.tree.znode import int32, pack_digest_stat

if TYPE_CHECKING:
    from zkserver.prep.prep import Caller, Prep

_after_set = Struct(">8sq16sqi16s").pack
_after_children = Struct(">16sq20si12s").pack


def create(prep: Prep, kind: int, caller: Caller, zxid: int, time_ms: int, fields: Any) -> Any:
    """create, create2, createContainer, createTTL."""
    path, data, acl, flags, ttl_ms = fields
    changes = prep.changes
    if flags not in requests.CREATE_FLAGS:
        raise ClientError(ErrorCode.BADARGUMENTS)
    if flags or kind == op.CREATE_TTL:
        _check_ttl(prep, kind, flags, ttl_ms)
    if caller.session_id not in prep.live_sessions:
        raise ClientError(ErrorCode.SESSIONEXPIRED)
    if path is None:
        raise ClientError(ErrorCode.MARSHALLINGERROR)
    parent_path, slash, _ = path.rpartition(b"/")
    if not slash or b"\0" in path:
        raise ClientError(ErrorCode.BADARGUMENTS)
    if acl is not OPEN_ACL:
        acl = prep.fix_up_acl(acl, caller)
    parent = changes.by_path.get(parent_path)
    if parent is None or parent[1] is None:
        parent = changes.node(parent_path)
    _, stat60, parent_data, child_count, parent_acl, parent_digest = parent
    if parent_acl is not OPEN_ACL:
        prep.check_acl(parent_acl, perms.CREATE, caller)
    cversion = unpack_int(stat60, CVERSION)[0]
    if flags in requests.SEQUENTIAL_FLAGS:
        path += b"%010d" % cversion
    if paths.validate(path) is not None:
        raise ClientError(ErrorCode.BADARGUMENTS)
    if changes.exists(path if path != b"/" else b""):
        raise ClientError(ErrorCode.NODEEXISTS)
    if stat60[OWNER:] != _NOBODY:
        owner = unpack_long(stat60, OWNER)[0]
        if changes.tree.owner_types.kind(owner) == owners.NORMAL:
            raise ClientError(ErrorCode.NOCHILDRENFOREPHEMERALS)
    if prep.rules.enforce_quota:
        prep.check_quota(path, len(data) if data else 0, 1)

    cversion = int32(cversion + 1)
    stat60 = _after_children(stat60[:16], zxid, stat60[24:44], cversion, stat60[48:])
    changes.put(
        zxid, parent_path, stat60, parent_data, child_count + 1, parent_acl, parent_digest
    )
    ephemeral = flags in requests.EPHEMERAL_FLAGS
    body: tuple[Any, ...]
    owner = 0
    if kind == op.CREATE_CONTAINER:
        owner = CONTAINER_OWNER
        body = path, data, acl, cversion
    elif kind == op.CREATE_TTL:
        owner = changes.tree.owner_types.ttl_owner(ttl_ms)
        body = path, data, acl, cversion, ttl_ms
    else:
        if ephemeral:
            owner = caller.session_id
            changes.put_ephemeral(owner, path)
        body = path, data, acl, ephemeral, cversion
    stat60 = pack_digest_stat(zxid, zxid, zxid, time_ms, time_ms, 0, 0, 0, owner)
    changes.put(zxid, path, stat60, data, 0, acl, 0)
    return body


_NOBODY = pack_long(0)


def _check_ttl(prep: Prep, kind: int, flags: int, ttl_ms: int) -> None:
    types = prep.changes.tree.owner_types
    if flags in requests.TTL_FLAGS:
        if not types.extended:
            raise ClientError(ErrorCode.UNIMPLEMENTED)
        if not 0 < ttl_ms <= types.ttl_max_ms or kind != op.CREATE_TTL:
            raise ClientError(ErrorCode.BADARGUMENTS)
    elif kind == op.CREATE_TTL:
        raise ClientError(ErrorCode.BADARGUMENTS)


def _parent_of_deletable(path: bytes | None) -> bytes:
    if path is None:
        raise ClientError(ErrorCode.MARSHALLINGERROR)
    parent_path, slash, _ = path.rpartition(b"/")
    if not slash or b"\0" in path or path in paths.SPECIAL:
        raise ClientError(ErrorCode.BADARGUMENTS)
    return parent_path


def _remove(prep: Prep, zxid: int, parent_path: bytes, path: bytes, node: Any) -> None:
    changes = prep.changes
    _, stat60, data, child_count, acl, digest = changes.node(parent_path)
    stat60 = stat60[:16] + pack_long(zxid) + stat60[24:]
    changes.put(zxid, parent_path, stat60, data, child_count - 1, acl, digest)
    changes.delete(zxid, path, node[5])


def delete(prep: Prep, caller: Caller, zxid: int, fields: Any) -> Any:
    """delete: needs DELETE on the parent and no children."""
    path, version = fields
    prep.check_session(caller)
    parent_path = _parent_of_deletable(path)
    parent = prep.changes.node(parent_path)
    prep.check_acl(parent[4], perms.DELETE, caller)
    node = prep.changes.node(path)
    _next_version(unpack_int(node[1], VERSION)[0], version)
    if node[3] > 0:
        raise ClientError(ErrorCode.NOTEMPTY)
    _remove(prep, zxid, parent_path, path, node)
    return (path,)


def delete_container(prep: Prep, zxid: int, path: bytes) -> Any:
    """deleteContainer: anybody may ask, only a childless node that no session owns goes."""
    parent_path = _parent_of_deletable(path)
    node = prep.changes.node(path)
    if node[3] > 0:
        raise ClientError(ErrorCode.NOTEMPTY)
    owner = unpack_long(node[1], OWNER)[0]
    if prep.changes.tree.owner_types.kind(owner) == owners.NORMAL:
        raise ClientError(ErrorCode.BADVERSION)
    prep.changes.node(parent_path)
    _remove(prep, zxid, parent_path, path, node)
    return (path,)


def set_data(prep: Prep, caller: Caller, zxid: int, time_ms: int, fields: Any) -> Any:
    """setData: needs WRITE."""
    path, data, version = fields
    if caller.session_id not in prep.live_sessions:
        raise ClientError(ErrorCode.SESSIONEXPIRED)
    changes = prep.changes
    change = changes.by_path.get(path) if path else None
    if change is None or change[1] is None:
        _check_path(path)
        change = changes.node(path)
    _, stat60, old_data, child_count, acl, digest = change
    if acl is not OPEN_ACL:
        prep.check_acl(acl, perms.WRITE, caller)
    if prep.rules.enforce_quota:
        growth = (len(data) if data else 0) - (len(old_data) if old_data else 0)
        prep.check_quota(path, growth, 0)
    current = unpack_int(stat60, VERSION)[0]
    if version != current and version != -1:
        raise ClientError(ErrorCode.BADVERSION)
    version = current + 1 if current != 0x7FFFFFFF else -0x80000000
    stat60 = _after_set(stat60[:8], zxid, stat60[16:32], time_ms, version, stat60[44:])
    key = b"" if path == b"/" else path
    changes.put(zxid, key, stat60, data, child_count, acl, digest)
    return path, data, version


def set_acl(prep: Prep, caller: Caller, zxid: int, fields: Any) -> Any:
    """setACL: needs ADMIN; the expected version is compared with aversion."""
    path, acl, version = fields
    prep.check_session(caller)
    _check_path(path)
    acl = prep.fix_up_acl(acl, caller)
    _, stat60, data, child_count, old_acl, digest = prep.changes.node(path)
    prep.check_acl(old_acl, perms.ADMIN, caller)
    version = _next_version(unpack_int(stat60, AVERSION)[0], version)
    stat60 = stat60[:AVERSION] + pack_int(version) + stat60[OWNER:]
    key = b"" if path == b"/" else path
    prep.changes.put(zxid, key, stat60, data, child_count, acl, digest)
    return path, acl, version


def check(prep: Prep, caller: Caller, fields: Any) -> Any:
    """check, inside a multi: needs READ; changes nothing."""
    path, version = fields
    prep.check_session(caller)
    _check_path(path)
    node = prep.changes.node(path)
    prep.check_acl(node[4], perms.READ, caller)
    return path, _next_version(unpack_int(node[1], VERSION)[0], version)


def close_session(prep: Prep, session_id: int, zxid: int) -> Any:
    """closeSession: the ephemerals that will go with the session, in one transaction."""
    paths_to_delete = prep.changes.ephemerals_of(session_id)
    for path in paths_to_delete:
        parent_path = path.rpartition(b"/")[0]
        _remove(prep, zxid, parent_path, path, prep.changes.node(path))
    prep.sessions.set_closing(session_id)
    return (tuple(paths_to_delete),) if prep.rules.close_session_txn else None


def _check_path(path: bytes | None) -> None:
    if path is None or paths.validate(path) is not None:
        raise ClientError(ErrorCode.BADARGUMENTS)


def _next_version(current: int, expected: int) -> int:
    if expected != -1 and expected != current:
        raise ClientError(ErrorCode.BADVERSION)
    return current + 1 if current != 0x7FFFFFFF else -0x80000000


def quota_exceeded(prep: Prep, path: bytes, size_bytes: int, count: int) -> bool:
    """Whether a change of this size would pass a hard limit of the nearest quota.

    Compared with the usage as applied, not with what is in flight, as in Java.
    """
    tree = prep.changes.tree
    prefix = tree.quota_prefix(path)
    if prefix is None:
        return False
    limits_node = tree.nodes.get(quota.limit_path(prefix))
    stats_node = tree.nodes.get(quota.stat_path(prefix))
    if limits_node is None or stats_node is None:
        return False
    limits = quota.parse(limits_node.data)
    usage = quota.parse(stats_node.data)
    if count and -1 < limits.count_hard_limit < usage.count + count:
        return True
    return bool(size_bytes) and -1 < limits.size_bytes_hard_limit < usage.size_bytes + size_bytes
