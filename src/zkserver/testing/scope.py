"""`with` and `async with` for what runs servers: begun with the block, ended behind it."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Generic, Self, TypeVar

from zkserver.testing.errors import TestingError

Coroutines = TypeVar("Coroutines")


class Scope(ABC, Generic[Coroutines]):
    """Has `start` and `close`; `aio` is the same with coroutines."""

    @abstractmethod
    def start(self) -> None:
        """Begin to serve."""

    @abstractmethod
    def close(self) -> None:
        """End all that runs. Raises what made a server give up, if one has."""

    @property
    @abstractmethod
    def aio(self) -> Coroutines:
        """The same with coroutines, for a test that is one and has this from a fixture."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.close()
        except TestingError:
            # What the test itself has raised says more.
            if error is None:
                raise

    async def __aenter__(self) -> Coroutines:
        """Start in a thread; who is cancelled meanwhile leaves nothing that runs."""
        starting = asyncio.ensure_future(asyncio.to_thread(self.start))
        try:
            await asyncio.shield(starting)
        except asyncio.CancelledError:
            await asyncio.wait([starting])
            if starting.exception() is None:
                await asyncio.to_thread(self.close)
            raise
        return self.aio

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await asyncio.to_thread(self.__exit__, kind, error, traceback)
