"""The asyncio client of ZooKeeper, and its synchronous face.

`Client` (`client`, `operations`) is one session: an operation writes a request into the
turn's buffer and returns a future. `session` keeps the session over many connections,
`connection` is one of them, `hosts` says whom to try next. `requests` and `replies` are the
bytes. `watches` knows whom an event is for, `watching` makes async iterators of watches.
`transactions` has multi, `records` the values, `errors` one class per code. `sync` has
`SyncClient`, `quotas` and `trees` what Apache's shell does in several requests.

docs/client.md is the way in. Left out: SASL.
"""

from zkserver.client import errors, quotas
from zkserver.client.client import Client
from zkserver.client.records import (
    ADMIN,
    ALL,
    CREATE,
    CREATOR_ALL_ACL,
    DELETE,
    OPEN_ACL_UNSAFE,
    READ,
    READ_ACL_UNSAFE,
    WRITE,
    Acl,
    AddWatchMode,
    CreateMode,
    EventType,
    SessionState,
    Stat,
    WatcherType,
    WatchEvent,
)
from zkserver.client.sync import SyncClient
from zkserver.client.transactions import Op, OpResult, Transaction
from zkserver.client.trees import delete_all, walk
from zkserver.client.watching import Watch

__all__ = [
    "ADMIN",
    "ALL",
    "CREATE",
    "CREATOR_ALL_ACL",
    "DELETE",
    "OPEN_ACL_UNSAFE",
    "READ",
    "READ_ACL_UNSAFE",
    "WRITE",
    "Acl",
    "AddWatchMode",
    "Client",
    "CreateMode",
    "EventType",
    "Op",
    "OpResult",
    "SessionState",
    "Stat",
    "SyncClient",
    "Transaction",
    "Watch",
    "WatchEvent",
    "WatcherType",
    "delete_all",
    "errors",
    "quotas",
    "walk",
]
