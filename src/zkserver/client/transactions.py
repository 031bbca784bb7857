"""Several operations in one request: `multi` (all or none) and `multi_read`.

`Op` makes the operations. What comes back of a multi is one `OpResult` each; when one of
them fails, all do: the exception is that of the first culprit and its `results` has one
entry per operation: None for those before it, the error itself, `RuntimeInconsistency`
behind. The parts of a multi_read fail each for itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from struct import Struct
from typing import Any, NamedTuple

from zkserver.base import opcodes as op
from zkserver.client import replies, requests
from zkserver.client.errors import RuntimeInconsistency, ZooKeeperError, error_for
from zkserver.client.records import OPEN_ACL_UNSAFE, Acl, CreateMode, Stat
from zkserver.jute.codec import Cursor, JuteError

_MULTI_HEADER = Struct(">i?i")
EncodePath = Callable[[str], bytes]


class Op(NamedTuple):
    """One operation inside a multi or multi_read; made by the class methods."""

    kind: int
    path: str
    data: bytes | None = None
    version: int = -1
    acl: Sequence[Acl] = ()
    mode: CreateMode = CreateMode.PERSISTENT
    ttl_ms: int | None = None

    @classmethod
    def create(
        cls,
        path: str,
        data: bytes | None = b"",
        *,
        acl: Sequence[Acl] = OPEN_ACL_UNSAFE,
        mode: CreateMode = CreateMode.PERSISTENT,
        ttl_ms: int | None = None,
    ) -> Op:
        """Create a znode, of any kind."""
        return cls(create_kind(mode, op.CREATE), path, data, -1, acl, mode, ttl_ms)

    @classmethod
    def delete(cls, path: str, version: int = -1) -> Op:
        """Delete a znode."""
        return cls(op.DELETE, path, None, version)

    @classmethod
    def set(cls, path: str, data: bytes | None, version: int = -1) -> Op:
        """Change a znode's data."""
        return cls(op.SET_DATA, path, data, version)

    @classmethod
    def check(cls, path: str, version: int = -1) -> Op:
        """Only go on if the znode is there, with this version."""
        return cls(op.CHECK, path, None, version)

    @classmethod
    def get(cls, path: str) -> Op:
        """For multi_read: data and Stat."""
        return cls(op.GET_DATA, path)

    @classmethod
    def get_children(cls, path: str) -> Op:
        """For multi_read: the names of the children."""
        return cls(op.GET_CHILDREN, path)

    @property
    def is_read(self) -> bool:
        """Whether it belongs into a multi_read."""
        return self.kind in (op.GET_DATA, op.GET_CHILDREN)

    def body(self, encode: EncodePath) -> bytes:
        """Its record."""
        if self.is_read:
            return requests.path_watch(encode(self.path), False)
        if self.kind == op.SET_DATA:
            return requests.set_data(encode(self.path), self.data, self.version)
        if self.kind in (op.DELETE, op.CHECK):
            return requests.path_int(encode(self.path), self.version)
        return requests.create(encode(self.path), self.data, self.acl, self.mode, self.ttl_ms)


class OpResult(NamedTuple):
    """What an operation of a multi gave: the path of a create, the Stat of a set."""

    op: Op
    path: str | None = None
    stat: Stat | None = None


def create_kind(mode: CreateMode, plain: int) -> int:
    """The opcode that makes a znode of this mode; `plain` is that of ordinary ones."""
    if mode.has_ttl:
        return op.CREATE_TTL
    return op.CREATE_CONTAINER if mode == CreateMode.CONTAINER else plain


Part = Callable[[Op, Cursor, int], Any]


def _parts(ops: Sequence[Op], data: bytes, position: int, stop: int, part: Part) -> list[Any]:
    """What `part` makes of each record of a MultiResponse; an exception for an error."""
    found: list[Any] = []
    for one in ops:
        kind, done, _ = _MULTI_HEADER.unpack_from(data, position)
        if done or position + _MULTI_HEADER.size > stop:
            raise JuteError("a multi with too few results")
        cursor = Cursor(data, position + _MULTI_HEADER.size, stop)
        if kind == op.ERROR:
            code = cursor.int()
            found.append(error_for(code, one.path) if code else None)
        else:
            found.append(part(one, cursor, kind))
        position = cursor.position
    return found


def write_decoder(ops: Sequence[Op], strip: replies.Strip) -> replies.Decode:
    """Reads the reply to a multi of these operations; raises the error that it reports."""

    def part(one: Op, cursor: Cursor, kind: int) -> OpResult:
        path = stat = None
        if kind in (op.CREATE, op.CREATE2):
            path = strip(cursor.text() or "")
        if kind in (op.CREATE2, op.SET_DATA):
            stat = _stat(cursor)
        return OpResult(one, path, stat)

    def decode(data: bytes, position: int, stop: int) -> list[OpResult]:
        results = _parts(ops, data, position, stop, part)
        errors = [one for one in results if isinstance(one, ZooKeeperError)]
        if not errors:
            return results
        real = [one for one in errors if not isinstance(one, RuntimeInconsistency)]
        culprit = (real or errors)[0]
        culprit.results = tuple(results)
        raise culprit

    return decode


def read_decoder(ops: Sequence[Op]) -> replies.Decode:
    """Reads the reply to a multi_read: (data, Stat), names, or an exception for each."""

    def part(_one: Op, cursor: Cursor, kind: int) -> object:
        if kind == op.GET_DATA:
            data = cursor.buffer() or b""
            return data, _stat(cursor)
        return [name.decode("utf-8", "replace") for name in cursor.buffers() if name is not None]

    return lambda data, position, stop: _parts(ops, data, position, stop, part)


def _stat(cursor: Cursor) -> Stat:
    start = cursor.position
    found = replies.stat(cursor.data, start, cursor.end)
    cursor.position = start + replies.STAT_BYTES
    return found


class Transaction:
    """Gathers operations; `commit` sends them as one multi.

    As a context manager it commits at the end of the block, unless that ends in an
    exception; what the multi gave is in `results` then.
    """

    def __init__(self, multi: Callable[[Sequence[Op]], asyncio.Future[list[OpResult]]]) -> None:
        self.operations: list[Op] = []
        self.results: list[OpResult] = []
        self._multi = multi

    def create(
        self,
        path: str,
        data: bytes | None = b"",
        *,
        acl: Sequence[Acl] = OPEN_ACL_UNSAFE,
        mode: CreateMode = CreateMode.PERSISTENT,
        ttl_ms: int | None = None,
    ) -> Transaction:
        """Create a znode."""
        return self._add(Op.create(path, data, acl=acl, mode=mode, ttl_ms=ttl_ms))

    def delete(self, path: str, version: int = -1) -> Transaction:
        """Delete a znode."""
        return self._add(Op.delete(path, version))

    def set(self, path: str, data: bytes | None, version: int = -1) -> Transaction:
        """Change a znode's data."""
        return self._add(Op.set(path, data, version))

    def check(self, path: str, version: int = -1) -> Transaction:
        """Only if the znode has this version."""
        return self._add(Op.check(path, version))

    def _add(self, operation: Op) -> Transaction:
        self.operations.append(operation)
        return self

    def commit(self) -> asyncio.Future[list[OpResult]]:
        """Send them."""
        return self._multi(tuple(self.operations))

    async def __aenter__(self) -> Transaction:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.results = await self.commit()
