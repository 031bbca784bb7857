"""A ZooKeeper inside a test: real servers on threads of the test's own process, and their faults.

    with ZooKeeper() as zk:                       # one server, in memory, on a free port
        client = KazooClient(zk.hosts)

    with ZooKeeperEnsemble(3) as ensemble:        # three of them
        ensemble.leader.kill()

With pytest there are the fixtures `zookeeper` and `zookeeper_ensemble` (`testing.plugin`);
docs/testing.md is the page for those who use it.

How it is made. A server is a production process, `StandaloneProcess` or `PeerProcess`, on an event
loop in a thread (`life`), over a machine of the test's (`machine`): a disk in memory, the log and
snapshots written by the loop, no signals, no forks, no settings of the interpreter touched. Faults
come through seams that production has anyway: the machine, and the loop that a process is given
(`loop`), whose clock can be put on and whose links can be cut. Nothing of the server is replaced
beyond that, so what a client meets is what it meets in production, only nearer.

| module | what it holds |
| --- | --- |
| `zookeeper`, `ensemble` | what a test holds in its hands |
| `server`, `life` | one server over all its lives; one of them |
| `aio` | the same with coroutines |
| `processes`, `machine`, `memory_disk`, `clock`, `loop`, `links` | where production meets us |
| `sessions`, `advancing`, `watch` | ending sessions, letting time pass, waiting |
| `plugin` | pytest's fixtures |

Names here are imported when they are asked for: the plugin is loaded by every run of pytest where
zkserver is installed, and costs those nothing that do not use it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zkserver.testing.aio import AsyncZooKeeper, AsyncZooKeeperEnsemble
    from zkserver.testing.ensemble import EnsembleServer, ZooKeeperEnsemble
    from zkserver.testing.errors import NotRunningError, ServerFailedError, TestingError
    from zkserver.testing.zookeeper import ZooKeeper

__all__ = [
    "AsyncZooKeeper",
    "AsyncZooKeeperEnsemble",
    "EnsembleServer",
    "NotRunningError",
    "ServerFailedError",
    "TestingError",
    "ZooKeeper",
    "ZooKeeperEnsemble",
]

_HOMES = {
    "AsyncZooKeeper": "aio",
    "AsyncZooKeeperEnsemble": "aio",
    "EnsembleServer": "ensemble",
    "NotRunningError": "errors",
    "ServerFailedError": "errors",
    "TestingError": "errors",
    "ZooKeeper": "zookeeper",
    "ZooKeeperEnsemble": "ensemble",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(import_module(f"{__name__}.{home}"), name)
