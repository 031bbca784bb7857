"""One function per write: its checks in order, the changes it makes, its txn body.

Each takes the `Prep` it works for, the caller (`Caller`: session, identities), the
zxid and wall-clock time (ms) the transaction would have, and the fields of its
request; it returns the body of the transaction (see `jute.txns`) or raises
`ClientError`, and then has changed nothing. A null path is MARSHALLINGERROR where
Java runs into a null pointer and BADARGUMENTS where its path check comes first.

`create` and `set_data` are the hot path: they take changes apart and put them
together themselves, where the others call `Changes.put`.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Any
from zlib import crc32

from zkserver.base import acl as perms
from zkserver.base import opcodes as op
from zkserver.base import paths
from zkserver.base.acl import OPEN_ACL
from zkserver.base.errors import ClientError, ErrorCode
from zkserver.base.stat import CONTAINER_OWNER
from zkserver.jute import requests
from zkserver.jute.codec import pack_int, pack_long, unpack_int
from zkserver.prep.changes import AVERSION_OFFSET, OWNER_OFFSET
from zkserver.tree import owners, quota
from zkserver.tree.tree import PROC
from zkserver.tree.znode import pack_digest_stat

if TYPE_CHECKING:
    from zkserver.prep.prep import Caller, Prep

_after_set = Struct(">8sq16sqi16s").pack
_after_children = Struct(">16sq20si12s").pack
_is_plain_name = paths.is_plain_name


def create(
    prep: Prep, kind: int, caller: Caller, zxid: int, time_ms: int, fields: requests.CreateFields
) -> Any:
    """create, create2, createContainer, createTTL."""
    path, data, acl, flags, ttl_ms = fields
    if flags or kind == op.CREATE_TTL:
        _check_mode(prep, kind, caller, flags, ttl_ms)
    if caller.session_id not in prep.live_sessions:
        raise ClientError(prep.session_refusal)
    if path is None:
        raise ClientError(ErrorCode.MARSHALLINGERROR)
    changes = prep.changes
    by_path = changes.by_path
    parent_path, slash, name = path.rpartition(b"/")
    is_plain = _is_plain_name(name)
    parent = by_path.get(parent_path)
    if not slash or ((parent is None or not is_plain) and b"\0" in path):
        raise ClientError(ErrorCode.BADARGUMENTS)
    if acl is not OPEN_ACL:
        acl = prep.fix_up_acl(acl, caller)
    if parent is None or parent[1] is None:
        parent = changes.node(parent_path)
    _, stat60, version, cversion, owner, path_crc, crc, size, count, parent_acl, digest = parent
    if parent_acl is not OPEN_ACL:
        prep.check_acl(parent_acl, perms.CREATE, caller)
    if flags in requests.SEQUENTIAL_FLAGS:
        path += (number := b"%010d" % cversion)
        name += number
    # Its parent is there, so the rest of the path is a good one; but "//x" has one too.
    if (not is_plain or parent_path == b"/") and paths.validate(path) is not None:
        raise ClientError(ErrorCode.BADARGUMENTS)
    key = path if name else parent_path
    known = by_path.get(key)
    if key in changes.tree.nodes if known is None else known[1] is not None:
        raise ClientError(ErrorCode.NODEEXISTS)
    if owner and changes.tree.owner_types.kind(owner) == owners.NORMAL:
        raise ClientError(ErrorCode.NOCHILDRENFOREPHEMERALS)
    if prep.rules.enforce_quota:
        prep.check_quota(path, len(data) if data else 0, 1)

    if cversion != 0x7FFFFFFF:
        cversion = logged_cversion = cversion + 1
        stat60 = _after_children(stat60[:16], zxid, stat60[24:44], cversion, stat60[48:])
    else:
        # Java logs the number wrapped round, and its tree stays at the larger one.
        logged_cversion = -0x80000000
    share = 0 if path_crc is None else crc32(stat60, crc)
    count += 1
    changes.record(
        parent_path,
        (zxid, stat60, version, cversion, owner, path_crc, crc, size, count, parent_acl, share),
        digest,
    )
    owner = _owner(prep, kind, caller, flags, ttl_ms) if flags or kind != op.CREATE else 0
    stat60 = pack_digest_stat(zxid, zxid, zxid, time_ms, time_ms, 0, 0, 0, owner)
    if path_crc is None or parent_path == PROC:
        path_crc, crc, share = None, 0, 0
    else:
        path_crc = crc32(path)
        crc = crc32(data, path_crc) if data else path_crc
        share = crc32(stat60, crc)
    size = len(data) if data else 0
    changes.record(path, (zxid, stat60, 0, 0, owner, path_crc, crc, size, 0, acl, share), 0)
    if kind == op.CREATE_CONTAINER or kind == op.CREATE_TTL:
        ttl = (ttl_ms,) if kind == op.CREATE_TTL else ()
        return path, data, acl, logged_cversion, *ttl
    ephemeral = flags in requests.EPHEMERAL_FLAGS
    if ephemeral:
        changes.put_ephemeral(zxid, owner, path)
    return path, data, acl, ephemeral, logged_cversion


def _check_mode(prep: Prep, kind: int, caller: Caller, flags: int, ttl_ms: int) -> None:
    if flags not in requests.CREATE_FLAGS:
        raise ClientError(ErrorCode.BADARGUMENTS)
    types = prep.changes.tree.owner_types
    if flags in requests.TTL_FLAGS:
        if not types.extended:
            raise ClientError(ErrorCode.UNIMPLEMENTED)
        if not 0 < ttl_ms <= types.ttl_max_ms or kind != op.CREATE_TTL:
            raise ClientError(ErrorCode.BADARGUMENTS)
    elif kind == op.CREATE_TTL:
        raise ClientError(ErrorCode.BADARGUMENTS)
    elif flags in requests.EPHEMERAL_FLAGS and caller.session_id not in prep.sessions.live:
        # Another server's local session, for all that is known here: it must not own one.
        raise ClientError(ErrorCode.SESSIONEXPIRED)


def _owner(prep: Prep, kind: int, caller: Caller, flags: int, ttl_ms: int) -> int:
    """The ephemeralOwner of a new znode: the opcode, not the flag, makes a container."""
    if kind == op.CREATE_CONTAINER:
        return CONTAINER_OWNER
    if kind == op.CREATE_TTL:
        return prep.changes.tree.owner_types.ttl_owner(ttl_ms)
    return caller.session_id if flags in requests.EPHEMERAL_FLAGS else 0


def _parent_of_deletable(path: bytes | None) -> bytes:
    if path is None:
        raise ClientError(ErrorCode.MARSHALLINGERROR)
    parent_path, slash, _ = path.rpartition(b"/")
    if not slash or b"\0" in path or path in paths.SPECIAL:
        raise ClientError(ErrorCode.BADARGUMENTS)
    return parent_path


def _remove(prep: Prep, zxid: int, parent_path: bytes, path: bytes, node: Any) -> None:
    changes = prep.changes
    parent = changes.node(parent_path)
    stat60 = parent[1]
    stat60 = stat60[:16] + pack_long(zxid) + stat60[24:]
    changes.put(zxid, parent_path, parent, stat60, parent[3], parent[8] - 1, parent[9])
    changes.delete(zxid, path, node)


def delete(prep: Prep, caller: Caller, zxid: int, fields: Any) -> Any:
    """delete: needs DELETE on the parent and no children."""
    path, version = fields
    prep.check_session(caller)
    parent_path = _parent_of_deletable(path)
    parent = prep.changes.node(parent_path)
    prep.check_acl(parent[9], perms.DELETE, caller)
    node = prep.changes.node(path)
    _next_version(node[2], version)
    if node[8] > 0:
        raise ClientError(ErrorCode.NOTEMPTY)
    _remove(prep, zxid, parent_path, path, node)
    return (path,)


def delete_container(prep: Prep, zxid: int, path: bytes) -> Any:
    """deleteContainer: anybody may ask, only a childless node that no session owns goes."""
    parent_path = _parent_of_deletable(path)
    node = prep.changes.node(path)
    if node[8] > 0:
        raise ClientError(ErrorCode.NOTEMPTY)
    if prep.changes.tree.owner_types.kind(node[4]) == owners.NORMAL:
        raise ClientError(ErrorCode.BADVERSION)
    prep.changes.node(parent_path)
    _remove(prep, zxid, parent_path, path, node)
    return (path,)


def set_data(prep: Prep, caller: Caller, zxid: int, time_ms: int, fields: Any) -> Any:
    """setData: needs WRITE."""
    path, data, expected = fields
    if caller.session_id not in prep.live_sessions:
        raise ClientError(prep.session_refusal)
    changes = prep.changes
    change = changes.by_path.get(path) if path else None
    if change is None or change[1] is None:
        _check_path(path)
        change = changes.node(path)
    _, stat60, version, cversion, owner, path_crc, crc, old_size, count, acl, digest = change
    if acl is not OPEN_ACL:
        prep.check_acl(acl, perms.WRITE, caller)
    size = len(data) if data else 0
    if prep.rules.enforce_quota:
        prep.check_quota(path, size - old_size, 0)
    if expected != version and expected != -1:
        raise ClientError(ErrorCode.BADVERSION)
    version = version + 1 if version != 0x7FFFFFFF else -0x80000000
    stat60 = _after_set(stat60[:8], zxid, stat60[16:32], time_ms, version, stat60[44:])
    share = 0
    if path_crc is not None:
        crc = crc32(data, path_crc) if size else path_crc
        share = crc32(stat60, crc)
    changes.record(
        path if path != b"/" else b"",
        (zxid, stat60, version, cversion, owner, path_crc, crc, size, count, acl, share),
        digest,
    )
    return path, data, version


def set_acl(prep: Prep, caller: Caller, zxid: int, fields: Any) -> Any:
    """setACL: needs ADMIN; the expected version is compared with aversion."""
    path, acl, version = fields
    prep.check_session(caller)
    _check_path(path)
    acl = prep.fix_up_acl(acl, caller)
    node = prep.changes.node(path)
    prep.check_acl(node[9], perms.ADMIN, caller)
    stat60 = node[1]
    version = _next_version(unpack_int(stat60, AVERSION_OFFSET)[0], version)
    stat60 = stat60[:AVERSION_OFFSET] + pack_int(version) + stat60[OWNER_OFFSET:]
    key = b"" if path == b"/" else path
    prep.changes.put(zxid, key, node, stat60, node[3], node[8], acl)
    return path, acl, version


def check(prep: Prep, caller: Caller, fields: Any) -> Any:
    """check, inside a multi: needs READ; changes nothing."""
    path, version = fields
    prep.check_session(caller)
    _check_path(path)
    node = prep.changes.node(path)
    prep.check_acl(node[9], perms.READ, caller)
    return path, _next_version(node[2], version)


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
