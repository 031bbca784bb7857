"""Whole subtrees: `walk` through one, `delete_all` of one, in few round trips.

Both ask for many znodes at once and keep a bounded number of requests on their way. They see
no single moment of the tree: what others create or delete meanwhile may be met or not.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from zkserver.client.errors import NoNode
from zkserver.client.operations import Operations

WINDOW = 500
DELETE_BATCH = 1000


def join(parent: str, name: str) -> str:
    """The path of a child."""
    return f"/{name}" if parent == "/" else f"{parent}/{name}"


async def walk(client: Operations, path: str = "/") -> AsyncIterator[str]:
    """`path` and all paths below it, parents first, siblings sorted.

    Raises NoNode if `path` itself is missing; others that vanish are passed over.
    """
    asked: dict[str, asyncio.Future[list[str]]] = {}
    stack = [path]
    try:
        while stack:
            if stack[-1] not in asked:
                for ahead in stack[: -WINDOW - 1 : -1]:
                    if ahead not in asked:
                        asked[ahead] = client.get_children(ahead)
            here = stack.pop()
            try:
                names = await asked.pop(here)
            except NoNode:
                if here == path:
                    raise
                continue
            yield here
            stack.extend(join(here, name) for name in sorted(names, reverse=True))
    finally:
        for future in asked.values():
            future.cancel()


async def delete_all(client: Operations, path: str, batch_size: int = DELETE_BATCH) -> int:
    """Delete a znode with all below it, children first; how many were deleted.

    At most `batch_size` deletions are on their way at a time. What is gone already is no
    error; a child that somebody creates meanwhile is: NotEmpty.
    """
    if batch_size < 1:
        raise ValueError("the batch size must be positive")
    found = [one async for one in walk(client, path)]
    on_way: deque[asyncio.Future[None]] = deque()
    deleted = 0
    try:
        while found or on_way:
            while found and len(on_way) < batch_size:
                on_way.append(client.delete(found.pop()))
            try:
                await on_way.popleft()
                deleted += 1
            except NoNode:
                continue
    finally:
        for future in on_way:
            future.cancel()
    return deleted
