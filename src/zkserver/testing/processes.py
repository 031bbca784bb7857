"""The production processes as guests of a test: where one would end the process, its life ends.

`Hosted` goes before a process in a class's bases. It says when clients are accepted, tells the
`Watch` what a test may wait for, and keeps what made the server give up. All else is production's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from zkserver.base.config import Config
from zkserver.base.errors import ExitCode, FatalError
from zkserver.jute.notifications import PeerState
from zkserver.runtime.peer import PeerProcess
from zkserver.runtime.process import Process
from zkserver.runtime.standalone import StandaloneProcess
from zkserver.server.run import Batch
from zkserver.server.server import Server
from zkserver.testing.loop import LifeEnded
from zkserver.testing.machine import TestingMachine
from zkserver.testing.watch import Watch
from zkserver.zab.effects import Entry


class Hosted(Process):
    """`cause` is why it has given up, once it has.

    One that is `held` has bound its ports, and goes on when it is `let_go`. The servers of an
    ensemble begin their first election together: else two of them may decide without the third.
    """

    accepts_clients: Callable[[], None]

    def __init__(
        self,
        config: Config,
        loop: asyncio.AbstractEventLoop,
        machine: TestingMachine,
        watch: Watch,
        *,
        held: bool = False,
    ) -> None:
        super().__init__(config, loop, machine.precise_ms(), machine)
        self.watch = watch
        self._held = loop.create_future() if held else None
        self.cause: BaseException | None = None

    def directory_sizes(self) -> tuple[int, int]:
        """Bytes of snapshots and of logs, on whichever disk it is."""
        disk, layout = self.machine.disk, self.layout
        snapshots, logs = (
            sum(disk.size(f"{folder}/{name}") for name in disk.names(folder))
            for folder in (layout.snapshot_folder, layout.log_folder)
        )
        return snapshots, logs

    def finish(self) -> None:
        """Stop as on SIGTERM, held or not."""
        self.let_go()
        self._finish(ExitCode.EXECUTION_FINISHED)

    def let_go_of_port(self) -> None:
        """Close the client port: one that fails early has bound it, and no loop knows of it yet."""
        for listener in self._sockets:
            listener.close()

    async def _accept(self, factory: Callable[[], asyncio.Protocol]) -> None:
        await super()._accept(factory)
        self.accepts_clients()
        if self._held is not None:
            await self._held

    def let_go(self) -> None:
        """Go on, if it was held."""
        if self._held is not None and not self._held.done():
            self._held.set_result(None)

    def fail(self, error: FatalError) -> None:
        """The server gives up."""
        self.cause = error
        super().fail(error)

    def unexpected(self, loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        """The loop caught an exception, which may be fatal."""
        error = context.get("exception")
        self.cause = error if isinstance(error, BaseException) else None
        super().unexpected(loop, context)

    def _exit_now(self, exit_code: int) -> None:
        raise LifeEnded(exit_code)


class HostedStandalone(Hosted, StandaloneProcess):
    """A standalone server."""

    @property
    def leads(self) -> bool:
        """Whether sessions expire by this server's word."""
        return True

    def _answer(self, batch: Batch, sync_ms: float) -> None:
        super()._answer(batch, sync_ms)
        self.watch.changed()


class HostedPeer(Hosted, PeerProcess):
    """A server of an ensemble."""

    @property
    def serving_server(self) -> Server | None:
        """Who serves clients; None while there is no leader that is followed."""
        return self.server

    @property
    def leads(self) -> bool:
        """Whether this server serves as the leader."""
        return self.server is not None and self.state is PeerState.LEADING

    @property
    def leader_id(self) -> int | None:
        """The server that this one leads or follows as it serves."""
        return None if self.server is None else self.facts.leader_id

    def committed(self, entries: list[Entry]) -> None:
        """Txns were applied."""
        super().committed(entries)
        self.watch.changed()

    def _note_state(self, detail: str) -> None:
        super()._note_state(detail)
        self.watch.changed()
