"""Servers of both kinds in one ensemble: starting them in an order, and comparing their trees.

What decides an election is history, then the server id; so the greatest id among equals leads, if
nobody can do without it.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from kazoo.client import KazooClient
from kazoo.exceptions import ConnectionClosedError, ConnectionLoss, OperationTimeoutError
from kazoo.handlers.threading import KazooTimeoutError

from tests.support.ensemble_processes import EnsembleProcesses
from tests.support.server_process import NotStarted, ServerProcess
from zkserver.runtime.disk import RealDisk
from zkserver.storage.layout import Layout
from zkserver.storage.recovery import Restored, RestoreSettings, restore
from zkserver.tree.tree import DataTree

# Set by `make mixed`: every mix of five, and what else takes long.
ALL_MIXES = bool(os.environ.get("ZKSERVER_ALL_MIXES"))
WAIT_S = 30.0
# Apache's servers say at INFO how they synchronise: Debian's logs by slf4j-simple, others by log4j.
LOUD = {
    "org.slf4j.simpleLogger.log.org.apache.zookeeper.server.quorum": "info",
    "log4j2.level": "INFO",
    # Otherwise each server prepares 64 MiB files.
    "zookeeper.preAllocSize": "64",
}
LOST = (ConnectionLoss, ConnectionClosedError, OperationTimeoutError)

Result = TypeVar("Result")


def eventually(what: Callable[[], Result], timeout_s: float = WAIT_S) -> Result:
    """What `what` gives as soon as it is true; what it raises of lost connections is waited out."""
    deadline = time.monotonic() + timeout_s
    while True:
        problem: Exception | None = None
        try:
            if found := what():
                return found
        except (*LOST, KazooTimeoutError, NotStarted, OSError, AssertionError) as error:
            problem = error
        if time.monotonic() > deadline:
            raise NotStarted(f"not within {timeout_s} s") from problem
        time.sleep(0.03)  # polling with a deadline


def start_with_leader(ensemble: EnsembleProcesses, leader: int, quorum: Sequence[int] = ()) -> None:
    """Start all servers so that this one leads: the best of a quorum that needs each of its own.

    By default the quorum is the leader and the smallest ids, with a majority of all.
    """
    everyone = range(1, len(ensemble.servers) + 1)
    if not quorum:
        quorum = [leader, *[n for n in everyone if n != leader][: len(everyone) // 2]]
    launch(ensemble, quorum)
    ensemble.wait_serving()
    assert ensemble.leader() == leader, ensemble.modes()
    launch(ensemble, [number for number in everyone if number not in quorum])
    ensemble.wait_serving()


def launch(ensemble: EnsembleProcesses, numbers: Sequence[int]) -> None:
    """Start these, without waiting."""
    for number in numbers:
        ensemble.server(number).launch()


def freeze(server: ServerProcess) -> None:
    """SIGSTOP, and wait until no thread of it runs any more."""
    process = server.process
    assert process is not None
    process.send_signal(signal.SIGSTOP)

    def is_frozen() -> bool:
        tasks = Path(f"/proc/{process.pid}/task").iterdir()
        return all((task / "stat").read_text().rpartition(")")[2].split()[0] == "T" for task in tasks)

    eventually(is_frozen)


def stop_all(ensemble: EnsembleProcesses) -> None:
    """Stop all at once, so that no election comes in between that would change epochs."""
    running = [server.process for server in ensemble.servers if server.process is not None]
    for process in running:
        process.terminate()
    for server in ensemble.servers:
        server.stop()


def client_of(server: ServerProcess, timeout_s: float = 10.0, **options: object) -> KazooClient:
    """A client that knows this server alone, with a session."""
    client = KazooClient(f"127.0.0.1:{server.port}", timeout=timeout_s, **options)
    client.start(timeout=WAIT_S)
    return client


def end(*clients: KazooClient) -> None:
    """End the sessions."""
    for client in clients:
        client.stop()
        client.close()


def everything(client: KazooClient, path: str = "/") -> dict[str, tuple[object, ...]]:
    """Data, ACL, Stat and children of all znodes but /zookeeper's, whose quotas count elsewhere."""
    data, stat = client.get(path)
    names = sorted(client.get_children(path))
    found = {path: (data, tuple(stat), client.get_acls(path)[0], names)}
    for name in names:
        if (child := path.rstrip("/") + "/" + name) != "/zookeeper":
            found.update(everything(client, child))
    return found


def assert_equal_trees(ensemble: EnsembleProcesses) -> dict[str, tuple[object, ...]]:
    """Every server that runs shows the same tree to its clients."""
    views = {}
    clients = {n: client_of(s) for n, s in enumerate(ensemble.servers, 1) if s.process is not None}
    for number, client in clients.items():
        eventually(lambda client=client: client.sync("/"))
        views[number] = everything(client)
    end(*clients.values())
    first, *others = views.values()
    for other in others:
        assert other == first
    return first


def read_directory(server: ServerProcess) -> tuple[DataTree, Restored]:
    """What zkserver's recovery makes of a stopped server's directory, whoever wrote it."""
    tree = DataTree()
    layout = Layout.of(str(server.data_dir))
    warnings: list[str] = []
    restored = restore(RealDisk(), layout, tree, RestoreSettings(), warnings.append)
    # Apache's server writes a snapshot while txns are applied, and the digest in it may lag behind
    # the znodes by one. All later digests have to agree. And when it has to synchronise twice, it
    # logs the same txns twice: while they are replayed again the tree is ahead of the digests.
    is_repeated = any("had a zxid below the one before" in warning for warning in warnings)
    if not is_repeated and (
        restored.first_mismatch_zxid != restored.snapshot_zxid or restored.digest_mismatches > 1
    ):
        assert not restored.digest_mismatches, (server.folder, restored, warnings)
    return tree, restored


def assert_equal_directories(ensemble: EnsembleProcesses) -> None:
    """All are stopped, and what is on their disks is one history with one digest."""
    found = {}
    for number, server in enumerate(ensemble.servers, 1):
        assert server.process is None
        tree, restored = read_directory(server)
        found[number] = (restored.last_zxid, tree.digest, sorted(restored.sessions))
    assert len(set(map(str, found.values()))) == 1, found


def log_of(server: ServerProcess) -> str:
    """All that the server has printed."""
    return server.log_file.read_text(errors="replace")


def line_count(server: ServerProcess, text: str) -> int:
    """How many lines of the log hold the text."""
    return sum(text in line for line in log_of(server).splitlines())


def make(folder: Path, kinds: str, **options: object) -> EnsembleProcesses:
    """An ensemble whose Apache servers say how they synchronise."""
    properties = LOUD | options.pop("properties", {})  # type: ignore[operator]
    return EnsembleProcesses(folder, kinds, properties=properties, **options)  # type: ignore[arg-type]
