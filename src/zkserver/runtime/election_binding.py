"""The listeners of an election port: one for each of the server's own addresses.

A port that is taken, or an address that the machine does not have yet, is tried again once a
second. With several addresses one is enough to take part in elections: the others are tried
further beside it, and one that stays out of reach makes one line.

Source: what Apache ZooKeeper's servers do. Left out: TLS.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from zkserver.base.errors import ExitCode, FatalError

Address = tuple[str, int]

PAUSE_S = 1.0


class Binding:
    """Listeners for `answer` to take callers; `retries`: so many attempts each, 0: for ever."""

    def __init__(
        self,
        server_id: int,
        loop: asyncio.AbstractEventLoop,
        answer: Callable[[], asyncio.Protocol],
        report: Callable[..., None],
        retries: int,
    ) -> None:
        self._server_id = server_id
        self._loop = loop
        self._answer = answer
        self._report = report
        self._retries = retries
        self._listeners: list[asyncio.AbstractServer] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._is_closed = False

    async def open(self, addresses: Sequence[Address]) -> None:
        """Bind, until one address is bound. Raises FatalError when none can be had."""
        if len(addresses) == 1:
            await self._bind(*addresses[0])
            return
        self._tasks = [self._loop.create_task(self._bind(*each)) for each in addresses]
        for task in self._tasks:
            task.add_done_callback(self._given_up)
        waiting = list(self._tasks)
        while waiting and not self._listeners and not self._is_closed:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            waiting = [task for task in waiting if task not in done]
        if self._is_closed:
            return
        if not self._listeners:
            # All have ended: the first one's error is as good as any.
            await self._tasks[0]

    def close(self) -> None:
        """Listen no more, and try no more."""
        self._is_closed = True
        for task in self._tasks:
            task.cancel()
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        self._tasks.clear()

    def _given_up(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._report("an address of the election port is given up", problem=str(error))

    async def _bind(self, host: str, port: int) -> None:
        shown = f"{host or '*'}:{port}"
        attempts = 0
        while True:
            try:
                listener = await self._loop.create_server(self._answer, host or None, port)
            except (OSError, UnicodeError) as error:
                attempts += 1
                problem = f"cannot listen for elections on {shown}: {error}"
                if attempts == self._retries:
                    raise FatalError(
                        ExitCode.UNABLE_TO_BIND_QUORUM_PORT,
                        f"{problem}. Give server.{self._server_id} another address or port",
                    ) from error
                self._report("the election port cannot be bound yet", problem=problem)
                await asyncio.sleep(PAUSE_S)
            else:
                break
        if self._is_closed:
            listener.close()
            return
        self._listeners.append(listener)
        self._report("election port is open", address=shown)
