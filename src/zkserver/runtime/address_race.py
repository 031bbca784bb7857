"""Several addresses of one server: the first that accepts a connection is the way to it.

`first` starts one contender for each address, a little after the one before, and at once when that
one has failed, so an address that answers is not overtaken by chance and one that is silent costs
little. `FirstMade` makes sure that one connection alone is ever handed to its protocol: whichever
is made first; any other is closed before a byte was sent on it.

Apache's server asks by ICMP which addresses are reachable, then connects to one. ICMP needs rights
that a server seldom has, and its answer is not about the port; here to connect is the question.

Left out: what a name resolves to is the loop's affair, and its addresses are tried in turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, cast

# How much longer an address may take than the one before it.
STAGGER_S = 0.05

Attempt = Callable[[], Coroutine[Any, Any, str | None]]


async def first(loop: asyncio.AbstractEventLoop, attempts: Sequence[Attempt]) -> list[str]:
    """Run attempts until one ends with None, and cancel the others; what was wrong with all.

    An attempt gives None for success, else its problem. The list is empty if one succeeded.
    """
    running: list[asyncio.Task[str | None]] = []
    problems: list[str] = []
    begun = 0
    try:
        while begun < len(attempts) or running:
            if begun < len(attempts):
                running.append(loop.create_task(attempts[begun]()))
                begun += 1
            patience_s = STAGGER_S if begun < len(attempts) else None
            done, _ = await asyncio.wait(
                running, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED
            )
            # A set has no order that a simulated run could repeat.
            for task in [each for each in running if each in done]:
                running.remove(task)
                problem = task.result()
                if problem is None:
                    return []
                problems.append(problem)
        return problems
    finally:
        for task in running:
            task.cancel()


class FirstMade:
    """Connections of which one alone is to stand."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._is_made = False

    async def connect(
        self, make: Callable[[], asyncio.BaseProtocol], host: str, port: int
    ) -> str | None:
        """Connect; a protocol is made only for the first connection. None, or why it is not that.

        Raises what `create_connection` raises.
        """
        runner = _Runner(self._arrive, make)
        await self._loop.create_connection(lambda: runner, host, port)
        return None if runner.is_first else f"{host}:{port} was not the first to accept"

    def _arrive(self) -> bool:
        is_first, self._is_made = not self._is_made, True
        return is_first


class _Runner(asyncio.Protocol):
    """A connection that gives way to a protocol of its own if it is the first."""

    def __init__(
        self, arrive: Callable[[], bool], make: Callable[[], asyncio.BaseProtocol]
    ) -> None:
        self._arrive = arrive
        self._make = make
        self.is_first = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It stands."""
        self.is_first = self._arrive()
        if self.is_first:
            protocol = self._make()
            transport.set_protocol(protocol)
            protocol.connection_made(transport)
        else:
            cast(asyncio.Transport, transport).abort()
