"""The operations: each a plain function that writes a request and returns its future.

What an operation takes and gives is that of Apache's client, with Python's types. A wrong
path is refused at the call (`InvalidPath`); all other errors come by the future.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from zkserver.base import opcodes as op
from zkserver.base import paths
from zkserver.base.errors import ErrorCode
from zkserver.client import replies, requests, transactions
from zkserver.client.connection import Landing
from zkserver.client.errors import InvalidPath, ZooKeeperError
from zkserver.client.hosts import strip
from zkserver.client.records import OPEN_ACL_UNSAFE, Acl, CreateMode, Stat, Watcher
from zkserver.client.session import Session
from zkserver.client.transactions import Op, OpResult, Transaction
from zkserver.client.watches import CHILD, DATA, EXIST
from zkserver.jute import codec

CONFIG_PATH = "/zookeeper/config"
_CONFIG = CONFIG_PATH.encode()


class Operations:
    """Base of `Client`: all that asks the server for something but sets no lasting watch."""

    def __init__(self, session: Session, chroot: str) -> None:
        self._session = session
        self._chroot = chroot.encode()
        self._strip = partial(strip, chroot)
        self._decoders = replies.PathDecoders(self._strip)
        self._request = session.request

    # Paths

    @property
    def chroot(self) -> str:
        """The prefix that all paths have on the server; "" without one."""
        return self._chroot.decode()

    def absolute(self, path: str) -> str:
        """The path as the server has it. Raises InvalidPath."""
        return self._path(path).decode()

    def at_root(self) -> Operations:
        """The same session without a chroot."""
        return Operations(self._session, "")

    def raw_request(
        self, kind: int, body: bytes, decode: replies.Decode, path: str
    ) -> asyncio.Future[Any]:
        """Ask for what is packed already; `path` is what errors name."""
        return self._request(kind, body, decode, path)

    def _path(self, path: str) -> bytes:
        """The path as the server has it. Raises InvalidPath."""
        raw = path.encode("utf-8", "surrogatepass")
        if fault := paths.validate(raw):
            raise InvalidPath(path, fault)
        if self._chroot:
            return self._chroot if raw == b"/" else self._chroot + raw
        return raw

    def _sequential_path(self, path: str) -> bytes:
        """A path to which the server appends a number: "/a/" is one too."""
        return self._path(path + "0")[:-1]

    def _watch(
        self, raw: bytes, watcher: Watcher | None, table: int, if_missing: int | None = None
    ) -> Landing | None:
        """What sets a watch when the reply has come."""
        if watcher is None:
            return None
        hash(watcher)  # What cannot be a key is refused here and not when the reply comes.
        watches, path = self._session.watches, raw.decode()
        watches.expect(table, path)

        def land(code: int) -> None:
            watches.arrived(table, path)
            if code == 0:
                watches.add(table, path, watcher)
            elif code == ErrorCode.NONODE and if_missing is not None:
                watches.add(if_missing, path, watcher)

        return land

    # Reads

    def exists(self, path: str, watcher: Watcher | None = None) -> asyncio.Future[Stat | None]:
        """The Stat, or None where there is no znode; a watch is set either way."""
        raw = self._path(path)
        landing = self._watch(raw, watcher, DATA, EXIST)
        body = requests.path_watch(raw, watcher is not None)
        return self._request(op.EXISTS, body, replies.stat_if_there, path, landing)

    def get(self, path: str, watcher: Watcher | None = None) -> asyncio.Future[tuple[bytes, Stat]]:
        """Data and Stat; null data reads as empty."""
        raw = self._path(path)
        landing = None if watcher is None else self._watch(raw, watcher, DATA)
        body = requests.path_watch(raw, watcher is not None)
        return self._request(op.GET_DATA, body, replies.get_data, path, landing)

    def get_or_null(
        self, path: str, watcher: Watcher | None = None
    ) -> asyncio.Future[tuple[bytes | None, Stat]]:
        """Data and Stat; null data is None."""
        raw = self._path(path)
        body = requests.path_watch(raw, watcher is not None)
        landing = self._watch(raw, watcher, DATA)
        return self._request(op.GET_DATA, body, replies.get_data_or_null, path, landing)

    def get_children(self, path: str, watcher: Watcher | None = None) -> asyncio.Future[list[str]]:
        """The names of the children, in no order."""
        raw = self._path(path)
        body = requests.path_watch(raw, watcher is not None)
        landing = self._watch(raw, watcher, CHILD)
        return self._request(op.GET_CHILDREN, body, replies.names, path, landing)

    def get_children_with_stat(
        self, path: str, watcher: Watcher | None = None
    ) -> asyncio.Future[tuple[list[str], Stat]]:
        """The names of the children and the Stat of their parent."""
        raw = self._path(path)
        body = requests.path_watch(raw, watcher is not None)
        landing = self._watch(raw, watcher, CHILD)
        return self._request(op.GET_CHILDREN2, body, replies.names_and_stat, path, landing)

    def get_acl(self, path: str) -> asyncio.Future[tuple[list[Acl], Stat]]:
        """The ACL and the Stat."""
        body = codec.buffer(self._path(path))
        return self._request(op.GET_ACL, body, replies.acl_and_stat, path)

    def get_all_children_number(self, path: str) -> asyncio.Future[int]:
        """How many znodes are below."""
        body = codec.buffer(self._path(path))
        return self._request(op.GET_ALL_CHILDREN_NUMBER, body, replies.integer, path)

    def get_ephemerals(self, prefix: str = "/") -> asyncio.Future[list[str]]:
        """The ephemeral znodes of this session whose paths begin so."""
        body = codec.buffer(self._chroot + prefix.encode())
        return self._request(op.GET_EPHEMERALS, body, self._decoders.paths, prefix)

    def sync(self, path: str) -> asyncio.Future[str]:
        """Let this server catch up with the leader; reads after it see all that was done."""
        body = codec.buffer(self._path(path))
        return self._request(op.SYNC, body, self._decoders.path, path)

    def who_am_i(self) -> asyncio.Future[list[tuple[str, str]]]:
        """The identities of this connection: (scheme, name)."""
        return self._request(op.WHO_AM_I, b"", replies.who_am_i)

    # Changes

    def create(
        self,
        path: str,
        data: bytes | None = b"",
        *,
        acl: Sequence[Acl] = OPEN_ACL_UNSAFE,
        mode: CreateMode = CreateMode.PERSISTENT,
        ttl_ms: int | None = None,
    ) -> asyncio.Future[str]:
        """Make a znode; its path, which for a sequential one has the number.

        `ttl_ms` belongs to the modes with a TTL and to no other: ValueError.
        """
        kind = transactions.create_kind(mode, op.CREATE)
        body = self._create_body(path, data, acl, mode, ttl_ms)
        # createContainer and createTTL answer with a Stat behind the path.
        return self._request(kind, body, self._decoders.path, path)

    def create_with_stat(
        self,
        path: str,
        data: bytes | None = b"",
        *,
        acl: Sequence[Acl] = OPEN_ACL_UNSAFE,
        mode: CreateMode = CreateMode.PERSISTENT,
        ttl_ms: int | None = None,
    ) -> asyncio.Future[tuple[str, Stat]]:
        """Make a znode; its path and Stat."""
        kind = transactions.create_kind(mode, op.CREATE2)
        body = self._create_body(path, data, acl, mode, ttl_ms)
        return self._request(kind, body, self._decoders.path_and_stat, path)

    def _create_body(
        self,
        path: str,
        data: bytes | None,
        acl: Sequence[Acl],
        mode: CreateMode,
        ttl_ms: int | None,
    ) -> bytes:
        if (ttl_ms is not None) != mode.has_ttl:
            raise ValueError(f"{mode.name} {'needs a' if mode.has_ttl else 'takes no'} ttl_ms")
        raw = self._sequential_path(path) if mode.is_sequential else self._path(path)
        return requests.create(raw, data, acl, mode, ttl_ms)

    def delete(self, path: str, version: int = -1) -> asyncio.Future[None]:
        """Remove a znode without children; -1 stands for any version."""
        body = requests.path_int(self._path(path), version)
        return self._request(op.DELETE, body, replies.nothing, path)

    def set(self, path: str, data: bytes | None, version: int = -1) -> asyncio.Future[Stat]:
        """Change a znode's data; its new Stat."""
        body = requests.set_data(self._path(path), data, version)
        return self._request(op.SET_DATA, body, replies.stat, path)

    def set_acl(self, path: str, acl: Sequence[Acl], version: int = -1) -> asyncio.Future[Stat]:
        """Change a znode's ACL; `version` is its aversion."""
        body = requests.set_acl(self._path(path), acl, version)
        return self._request(op.SET_ACL, body, replies.stat, path)

    def multi(self, ops: Sequence[Op]) -> asyncio.Future[list[OpResult]]:
        """Carry out all of the operations, or none and raise why."""
        if any(one.is_read for one in ops):
            raise ValueError("reads belong into multi_read")
        body = requests.multi((one.kind, one.body(self._op_path(one))) for one in ops)
        return self._request(op.MULTI, body, transactions.write_decoder(ops, self._strip))

    def _op_path(self, one: Op) -> Callable[[str], bytes]:
        is_sequential = one.mode.is_sequential
        return self._sequential_path if is_sequential else self._path

    def multi_read(
        self, ops: Sequence[Op]
    ) -> asyncio.Future[list[tuple[bytes, Stat] | list[str] | ZooKeeperError]]:
        """Several reads at one moment; where one fails its error stands among the results."""
        if not all(one.is_read for one in ops):
            raise ValueError("changes belong into multi")
        body = requests.multi((one.kind, one.body(self._path)) for one in ops)
        return self._request(op.MULTI_READ, body, transactions.read_decoder(ops))

    def transaction(self) -> Transaction:
        """A multi that is built call by call."""
        return Transaction(self.multi)

    # The ensemble, identities

    def get_config(self, watcher: Watcher | None = None) -> asyncio.Future[tuple[bytes, Stat]]:
        """The ensemble's members as text; outside of any chroot."""
        body = requests.path_watch(_CONFIG, watcher is not None)
        landing = self._watch(_CONFIG, watcher, DATA)
        return self._request(op.GET_DATA, body, replies.get_data, CONFIG_PATH, landing)

    def reconfig(
        self,
        *,
        joining: str = "",
        leaving: str = "",
        new_members: str = "",
        from_config: int = -1,
    ) -> asyncio.Future[tuple[bytes, Stat]]:
        """Change the members of the ensemble; the new configuration."""
        body = requests.reconfig(joining, leaving, new_members, from_config)
        return self._request(op.RECONFIG, body, replies.get_data)

    def add_auth(self, scheme: str, credential: bytes) -> asyncio.Future[None]:
        """Take on an identity, on this connection and all that follow."""
        return self._session.add_auth(scheme, credential)
