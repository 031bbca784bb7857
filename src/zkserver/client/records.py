"""What goes in and comes out of the client: modes, ACLs, Stat, events, states.

Names and numbers are those of Apache's client (CreateMode, AddWatchMode, Watcher.Event).
Times are milliseconds since 1970 by the server's clock.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, IntEnum
from typing import NamedTuple

from zkserver.base import acl as perms


class CreateMode(IntEnum):
    """What kind of znode `create` makes; the numbers are the flags of the wire."""

    PERSISTENT = 0
    EPHEMERAL = 1
    PERSISTENT_SEQUENTIAL = 2
    EPHEMERAL_SEQUENTIAL = 3
    CONTAINER = 4
    PERSISTENT_WITH_TTL = 5
    PERSISTENT_SEQUENTIAL_WITH_TTL = 6

    @property
    def is_sequential(self) -> bool:
        """Whether the server appends a number of ten digits to the name."""
        return self in (2, 3, 6)

    @property
    def has_ttl(self) -> bool:
        """Whether it needs a time to live."""
        return self in (5, 6)


class AddWatchMode(IntEnum):
    """The two kinds of watch that stay until they are removed."""

    PERSISTENT = 0
    PERSISTENT_RECURSIVE = 1


class WatcherType(IntEnum):
    """Which watches of a path `remove_watches` takes away."""

    CHILDREN = 1
    DATA = 2
    ANY = 3
    PERSISTENT = 4
    PERSISTENT_RECURSIVE = 5


class EventType(IntEnum):
    """What happened to a znode; NONE when it is about the session."""

    NONE = -1
    NODE_CREATED = 1
    NODE_DELETED = 2
    NODE_DATA_CHANGED = 3
    NODE_CHILDREN_CHANGED = 4
    DATA_WATCH_REMOVED = 5
    CHILD_WATCH_REMOVED = 6
    PERSISTENT_WATCH_REMOVED = 7

    @property
    def java_name(self) -> str:
        """As Apache's client prints it: NodeCreated."""
        return self.name.title().replace("_", "")


class SessionState(Enum):
    """Where a session stands. The last three are for good."""

    CONNECTING = "Disconnected"
    CONNECTED = "SyncConnected"
    CONNECTED_READ_ONLY = "ConnectedReadOnly"
    EXPIRED = "Expired"
    AUTH_FAILED = "AuthFailed"
    CLOSED = "Closed"

    @property
    def java_name(self) -> str:
        """The KeeperState that Apache's client has for it."""
        return self.value

    @property
    def is_connected(self) -> bool:
        """Whether a server is there, if only for reads."""
        return self in (SessionState.CONNECTED, SessionState.CONNECTED_READ_ONLY)

    @property
    def is_over(self) -> bool:
        """Whether the session has ended."""
        return self in (SessionState.EXPIRED, SessionState.AUTH_FAILED, SessionState.CLOSED)


class WatchEvent(NamedTuple):
    """Something a watch saw, or a change of the session (type NONE).

    `state` is the session's when it came. `zxid` is the transaction that fired the watch;
    -1 where the server does not say (events it catches up on after a reconnect, servers
    older than 3.9).
    """

    type: EventType
    state: SessionState
    path: str
    zxid: int = -1


Watcher = Callable[[WatchEvent], object]


class Acl(NamedTuple):
    """One entry of an ACL: permission bits for an identity of a scheme."""

    perms: int
    scheme: str
    id: str


READ, WRITE, CREATE, DELETE, ADMIN, ALL = (
    perms.READ, perms.WRITE, perms.CREATE, perms.DELETE, perms.ADMIN, perms.ALL,
)  # fmt: skip
OPEN_ACL_UNSAFE = (Acl(ALL, "world", "anyone"),)
READ_ACL_UNSAFE = (Acl(READ, "world", "anyone"),)
CREATOR_ALL_ACL = (Acl(ALL, "auth", ""),)


class Stat(NamedTuple):
    """The bookkeeping of a znode, with ZooKeeper's names. `ctime` and `mtime` in ms."""

    czxid: int
    mzxid: int
    ctime: int
    mtime: int
    version: int
    cversion: int
    aversion: int
    ephemeral_owner: int
    data_length: int
    num_children: int
    pzxid: int
