"""What a server's process takes from the machine it runs on: the real one.

`Process` reaches clocks, chance, the disk and the client port only through this, so
that the simulated world can put its own in their place and run the rest unchanged.
"""

from __future__ import annotations

import asyncio
import gc
import random
import socket
from collections.abc import Callable

from zkserver.base.config import Config
from zkserver.base.errors import FatalError
from zkserver.runtime import client_port, clock, tree_sender
from zkserver.runtime.disk import RealDisk
from zkserver.runtime.quorum_port import QuorumLink
from zkserver.runtime.snapshots import Snapshots
from zkserver.runtime.storage_thread import StorageThread
from zkserver.storage.disk import Disk
from zkserver.storage.layout import Layout
from zkserver.storage.txnlog import TxnLogWriter

# Young generations are collected as usual; the old one never, since a pass over
# all znodes would stall clients. Cycles that live long are broken by hand.
GC_THRESHOLDS = (20_000, 20, 1 << 30)


class Machine:
    """Plain functions, so that the hot path calls the clock itself."""

    now_ms: Callable[[], int] = staticmethod(clock.now_ms)
    wall_ms: Callable[[], int] = staticmethod(clock.wall_ms)
    precise_ms: Callable[[], float] = staticmethod(clock.precise_ms)
    random: Callable[[], float] = staticmethod(random.random)

    def __init__(self) -> None:
        self.disk: Disk = RealDisk()

    def listen(self, address: str, port: int, backlog: int) -> list[socket.socket]:
        """The sockets of the client port, bound. Raises FatalError if it cannot be had."""
        return client_port.listen(address, port, backlog)

    def storage(
        self,
        writer: TxnLogWriter,
        loop: asyncio.AbstractEventLoop,
        written: Callable[[list[object], float], None],
        failed: Callable[[FatalError], None],
    ) -> StorageThread:
        """Who writes the log beside the loop."""
        return StorageThread(writer, self.disk, loop, written, failed)

    def snapshots(
        self,
        config: Config,
        layout: Layout,
        roll_log: Callable[[], None],
        failed: Callable[[FatalError], None],
    ) -> Snapshots:
        """Who writes snapshots."""
        return Snapshots(config, layout, roll_log, failed)

    def send_tree(
        self, loop: asyncio.AbstractEventLoop, link: QuorumLink, pieces: tree_sender.Pieces
    ) -> None:
        """Send a leader's tree as it is now, without stalling its clients."""
        tree_sender.send(loop, link, pieces)

    def hold_collector(self) -> None:
        """No cyclic garbage collection while the tree is restored."""
        gc.disable()

    def settle_collector(self) -> None:
        """What was restored is never looked at again by the collector."""
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        gc.enable()
