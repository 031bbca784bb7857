"""Servers for tests that are coroutines: inside `async with`, what waits is awaited.

    async with ZooKeeper() as zk:
        await zk.expire(session_id)

Names and arguments are those of `ZooKeeper` and `ZooKeeperEnsemble`. What waits for a server waits
in a thread of the loop's pool, so clients on the test's loop go on meanwhile. The servers run in
threads of their own either way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from zkserver.testing.server import Session, TestServer

if TYPE_CHECKING:
    from zkserver.testing.ensemble import EnsembleServer, ZooKeeperEnsemble
    from zkserver.testing.zookeeper import ZooKeeper


class _AsyncServer:
    """What both kinds of servers have; see `TestServer` for each name."""

    def __init__(self, sync: TestServer) -> None:
        self._server = sync

    @property
    def hosts(self) -> str:
        """The connection string for clients."""
        return self._server.hosts

    @property
    def port(self) -> int:
        """The port that clients come to."""
        return self._server.port

    @property
    def is_running(self) -> bool:
        """Whether it runs or stands still."""
        return self._server.is_running

    @property
    def is_paused(self) -> bool:
        """Whether it stands still."""
        return self._server.is_paused

    async def kill(self) -> None:
        """See `TestServer.kill`."""
        await asyncio.to_thread(self._server.kill)

    async def revive(self) -> None:
        """See `TestServer.revive`."""
        await asyncio.to_thread(self._server.revive)

    async def pause(self) -> None:
        """See `TestServer.pause`."""
        await asyncio.to_thread(self._server.pause)

    async def resume(self) -> None:
        """See `TestServer.resume`."""
        await asyncio.to_thread(self._server.resume)

    async def drop_connections(self, session: Session | None = None) -> int:
        """See `TestServer.drop_connections`."""
        return await asyncio.to_thread(self._server.drop_connections, session)


class AsyncZooKeeper(_AsyncServer):
    """A `ZooKeeper`, which is `sync`, with coroutines."""

    def __init__(self, sync: ZooKeeper) -> None:
        super().__init__(sync)
        self.sync = sync

    async def expire(self, session: Session) -> None:
        """See `ZooKeeper.expire`."""
        await asyncio.to_thread(self.sync.expire, session)

    async def advance(
        self, ms: int = 0, *, ticks: int = 0, heartbeats: bool = True
    ) -> None:
        """See `ZooKeeper.advance`."""
        await asyncio.to_thread(
            partial(self.sync.advance, ms, ticks=ticks, heartbeats=heartbeats)
        )


class AsyncEnsembleServer(_AsyncServer):
    """An `EnsembleServer`, which is `sync`, with coroutines."""

    def __init__(self, sync: EnsembleServer) -> None:
        super().__init__(sync)
        self.sync = sync

    @property
    def server_id(self) -> int:
        """Its number."""
        return self.sync.server_id

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AsyncEnsembleServer) and other.sync is self.sync

    def __hash__(self) -> int:
        return hash(self.sync)


class AsyncZooKeeperEnsemble:
    """A `ZooKeeperEnsemble`, which is `sync`, with coroutines."""

    def __init__(self, sync: ZooKeeperEnsemble) -> None:
        self.sync = sync

    @property
    def hosts(self) -> str:
        """The connection string of all servers."""
        return self.sync.hosts

    @property
    def servers(self) -> Sequence[AsyncEnsembleServer]:
        """All servers, by id."""
        return [AsyncEnsembleServer(each) for each in self.sync.servers]

    @property
    def leader(self) -> AsyncEnsembleServer:
        """See `ZooKeeperEnsemble.leader`."""
        return AsyncEnsembleServer(self.sync.leader)

    @property
    def followers(self) -> Sequence[AsyncEnsembleServer]:
        """See `ZooKeeperEnsemble.followers`."""
        return [AsyncEnsembleServer(each) for each in self.sync.followers]

    async def wait_until_serving(self, *, timeout_s: float | None = None) -> None:
        """See `ZooKeeperEnsemble.wait_until_serving`."""
        await asyncio.to_thread(partial(self.sync.wait_until_serving, timeout_s=timeout_s))

    async def cut(self, one: AsyncEnsembleServer, *others: AsyncEnsembleServer) -> None:
        """See `ZooKeeperEnsemble.cut`."""
        await asyncio.to_thread(self.sync.cut, one.sync, *[each.sync for each in others])

    async def heal(self) -> None:
        """See `ZooKeeperEnsemble.heal`."""
        await asyncio.to_thread(self.sync.heal)

    async def drop_connections(self, session: Session | None = None) -> int:
        """See `ZooKeeperEnsemble.drop_connections`."""
        return await asyncio.to_thread(self.sync.drop_connections, session)

    async def expire(self, session: Session) -> None:
        """See `ZooKeeperEnsemble.expire`."""
        await asyncio.to_thread(self.sync.expire, session)

    async def advance(
        self, ms: int = 0, *, ticks: int = 0, heartbeats: bool = True
    ) -> None:
        """See `ZooKeeperEnsemble.advance`."""
        await asyncio.to_thread(
            partial(self.sync.advance, ms, ticks=ticks, heartbeats=heartbeats)
        )
