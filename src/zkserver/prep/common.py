"""setData and create, the writes that nearly all clients send, without a detour.

`prep.Prep.prepare` reads a request into fields, and encodes the transaction that
comes of them. But the record of these transactions is the request's own, up to its
last number: its bytes can be cut out of the chunk and logged. What has nulls, or
bytes behind its record, or a znode name to be completed, goes the long way.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import TYPE_CHECKING

from zkserver.base import opcodes as op
from zkserver.base.acl import OPEN_ACL
from zkserver.base.errors import ClientError
from zkserver.jute.codec import OPEN_ACL_RECORD, unpack_int
from zkserver.jute.txns import DIGEST_VERSION, pack_header
from zkserver.prep import operations

if TYPE_CHECKING:
    from zkserver.prep.prep import Caller, Prep, Prepared

# The last fields of a setData transaction (version) and of a create transaction
# (ephemeral, parent's cversion), with the TxnDigest behind them.
_set_tail = Struct(">iiQ").pack
_create_tail = Struct(">?iiQ").pack

Preparer = Callable[["Prep", "Caller", int, bytes, int, int, int], "Prepared | None"]


def set_data(
    prep: Prep, caller: Caller, cxid: int, data: bytes, start: int, stop: int, time_ms: int
) -> Prepared | None:
    """setData: the request `data[start:stop]`; see `Prep.prepare` for the rest."""
    last = stop - 4
    begin = start + 4
    end = begin + unpack_int(data, start)[0] if begin < last else stop
    if (
        not begin <= end < last
        or end + 4 + unpack_int(data, end)[0] != last
        or not prep.tree.digest_enabled
    ):
        return prep.prepare(op.SET_DATA, caller, cxid, data[start:stop], time_ms)
    prep.zxid = zxid = prep.zxid + 1
    fields = data[begin:end], data[end + 4 : last], unpack_int(data, last)[0]
    try:
        body = operations.set_data(prep, caller, zxid, time_ms, fields)
    except ClientError as refusal:
        return prep.refused(caller, cxid, time_ms, refusal.code)
    session_id = caller.session_id
    digest = prep.changes.digest
    entry = (
        pack_header(session_id, cxid, zxid, time_ms, op.SET_DATA)
        + data[start:last]
        + _set_tail(body[2], DIGEST_VERSION, digest)
    )
    return (session_id, cxid, zxid, time_ms, op.SET_DATA, body), digest, entry


def create(
    prep: Prep, caller: Caller, cxid: int, data: bytes, start: int, stop: int, time_ms: int
) -> Prepared | None:
    """create with the open ACL and no flag: the request `data[start:stop]`."""
    last = stop - 4
    acl_start = last - len(OPEN_ACL_RECORD)
    begin = start + 4
    end = begin + unpack_int(data, start)[0] if begin < acl_start else stop
    if (
        not begin <= end < acl_start
        or end + 4 + unpack_int(data, end)[0] != acl_start
        or data[acl_start:stop] != _OPEN_AND_PERSISTENT
        or not prep.tree.digest_enabled
    ):
        return prep.prepare(op.CREATE, caller, cxid, data[start:stop], time_ms)
    prep.zxid = zxid = prep.zxid + 1
    fields = data[begin:end], data[end + 4 : acl_start], OPEN_ACL, 0, -1
    try:
        body = operations.create(prep, op.CREATE, caller, zxid, time_ms, fields)
    except ClientError as refusal:
        return prep.refused(caller, cxid, time_ms, refusal.code)
    session_id = caller.session_id
    digest = prep.changes.digest
    entry = (
        pack_header(session_id, cxid, zxid, time_ms, op.CREATE)
        + data[start:last]
        + _create_tail(False, body[4], DIGEST_VERSION, digest)
    )
    return (session_id, cxid, zxid, time_ms, op.CREATE, body), digest, entry


_OPEN_AND_PERSISTENT = OPEN_ACL_RECORD + bytes(4)

PREPARERS: dict[int, Preparer] = {op.SET_DATA: set_data, op.CREATE: create}
"""By opcode; all other writes go to `Prep.prepare`."""
