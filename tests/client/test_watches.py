"""Watches of every kind, told to zkserver and to Apache's server."""

from __future__ import annotations

import asyncio

import pytest

from zkserver.client import (
    AddWatchMode,
    Client,
    EventType,
    SessionState,
    WatcherType,
    WatchEvent,
    errors,
)

CREATED, DELETED = EventType.NODE_CREATED, EventType.NODE_DELETED
CHANGED, CHILDREN = EventType.NODE_DATA_CHANGED, EventType.NODE_CHILDREN_CHANGED


class Seen:
    """A watcher that keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[WatchEvent] = []

    def __call__(self, event: WatchEvent) -> None:
        self.events.append(event)

    @property
    def short(self) -> list[tuple[EventType, str]]:
        return [(event.type, event.path) for event in self.events]


async def test_one_shot_watches(hosts: str) -> None:
    async with Client(hosts) as client:
        exists, data, children, gone = Seen(), Seen(), Seen(), Seen()
        assert await client.exists("/t", exists) is None
        await client.create("/t")
        assert exists.short == [(CREATED, "/t")]
        assert exists.events[0].state is SessionState.CONNECTED
        await client.get("/t", data)
        await client.get_children("/t", children)
        await client.exists("/t", gone)
        await client.create("/t/a")
        assert children.short == [(CHILDREN, "/t")]
        await client.set("/t", b"1")
        await client.set("/t", b"2")
        assert data.short == gone.short == [(CHANGED, "/t")]
        await client.get_children_with_stat("/t/a", children)
        await client.get("/t/a", data)
        await client.delete("/t/a")
        assert children.short[1:] == data.short[1:] == [(DELETED, "/t/a")]
        assert len(exists.events) == 1


async def test_a_failed_read_sets_no_watch(hosts: str) -> None:
    async with Client(hosts) as client:
        seen = Seen()
        for read in (client.get, client.get_children):
            with pytest.raises(errors.NoNode):
                await read("/t", seen)
        await client.create("/t")
        await client.delete("/t")
        assert seen.events == []
        with pytest.raises(TypeError, match="unhashable"):
            await client.get("/t", [].__class__())


async def test_a_watcher_is_called_once_for_each_event(hosts: str) -> None:
    async with Client(hosts) as client:
        await client.create("/t")
        seen, every = Seen(), Seen()
        client.on_event(every)
        await asyncio.gather(
            client.get("/t", seen),
            client.get("/t", seen),
            client.exists("/t", seen),
            client.get_children("/t", seen),
            client.add_watch("/t", AddWatchMode.PERSISTENT, seen),
            client.add_watch("/t", AddWatchMode.PERSISTENT_RECURSIVE, seen),
        )
        await client.delete("/t")
        assert seen.short == every.short == [(DELETED, "/t")]


async def test_persistent_watches(hosts: str) -> None:
    async with Client(hosts) as client, Client(hosts) as other:
        # Apache's server before 3.9 forgets one of two modes on the same path.
        one, tree = Seen(), Seen()
        await other.add_watch("/t", AddWatchMode.PERSISTENT, one)
        await client.add_watch("/t", AddWatchMode.PERSISTENT_RECURSIVE, tree)
        await client.create("/t")
        await client.create("/t/a")
        await client.set("/t/a", b"1")
        await client.set("/t", b"1")
        await client.delete("/t/a")
        await client.delete("/t")
        await other.sync("/t")
        below = [(CREATED, "/t/a"), (CHANGED, "/t/a"), (DELETED, "/t/a")]
        assert one.short == [(CREATED, "/t"), (CHILDREN, "/t"), (CHANGED, "/t"), (CHILDREN, "/t"), (DELETED, "/t")]
        assert tree.short == [(CREATED, "/t"), *below[:2], (CHANGED, "/t"), below[2], (DELETED, "/t")]


async def test_a_watcher_hears_of_a_change_before_its_reply(hosts: str) -> None:
    async with Client(hosts) as client:
        story: list[object] = []
        await client.create("/t")
        read = client.get("/t", lambda event: story.append(event.type))
        read.add_done_callback(lambda _: story.append("read"))
        change = client.set("/t", b"1")
        change.add_done_callback(lambda _: story.append("set"))
        await change
        assert story == ["read", CHANGED, "set"]


async def test_remove_watches(hosts: str) -> None:
    async with Client(hosts) as client:
        await client.create("/t")
        first, second, child = Seen(), Seen(), Seen()
        with pytest.raises(errors.NoWatcher):
            await client.remove_watches("/t", WatcherType.ANY)
        await client.get("/t", first)
        await client.get("/t", second)
        await client.get_children("/t", child)
        await client.remove_watches("/t", WatcherType.DATA, watcher=first)
        assert first.short == [(EventType.DATA_WATCH_REMOVED, "/t")]
        with pytest.raises(errors.NoWatcher):
            await client.remove_watches("/t", WatcherType.DATA, watcher=first)
        await client.remove_watches("/t", WatcherType.CHILDREN)
        assert child.short == [(EventType.CHILD_WATCH_REMOVED, "/t")]
        await client.create("/t/a")
        await client.set("/t", b"1")
        assert second.short == [(CHANGED, "/t")]
        assert len(first.events) == len(child.events) == 1
        await client.add_watch("/t", AddWatchMode.PERSISTENT, first)
        await client.add_watch("/t", AddWatchMode.PERSISTENT_RECURSIVE, second)
        await client.remove_watches("/t", WatcherType.ANY)
        assert first.short[1:] == second.short[1:] == [(EventType.PERSISTENT_WATCH_REMOVED, "/t")]


async def test_the_iterator_of_a_watch(hosts: str) -> None:
    async with Client(hosts) as client, Client(hosts) as other:
        async with client.watch("/t", recursive=True) as watch:
            await other.create("/t")
            await other.create("/t/a")
            assert [(await anext(watch)).path for _ in range(2)] == ["/t", "/t/a"]
            await other.delete("/t/a")
            assert (await anext(watch)).type is DELETED
        assert [event async for event in watch] == []
        with pytest.raises(errors.NoWatcher):
            await client.remove_watches("/t", WatcherType.PERSISTENT_RECURSIVE)
        # Without `async with` the watch begins with the first step.
        step = asyncio.ensure_future(anext(client.watch("/t")))
        await asyncio.sleep(0)
        await client.sync("/t")
        await other.set("/t", b"1")
        assert (await step).type is CHANGED


async def test_values_as_they_change(hosts: str) -> None:
    async with Client(hosts) as client, Client(hosts) as other:
        data, children = client.watch_data("/t"), client.watch_children("/t")
        assert await anext(data) is None
        assert await anext(children) is None
        await other.create("/t", b"1")
        assert (await anext(data))[0] == b"1"
        assert await anext(children) == []
        await other.create("/t/a")
        assert await anext(children) == ["a"]
        for number in range(20):
            other.set("/t", b"%d" % number)
        await other.sync("/t")
        value = b""
        while value != b"19":
            value = (await anext(data))[0]
        await other.delete("/t/a")
        assert await anext(children) == []
        await other.delete("/t")
        assert await anext(data) is None
        await client.close()
        assert [one async for one in data] == []
        await children.aclose()


async def test_what_ends_a_session_ends_its_watches(own: str) -> None:
    client = Client(own)
    await client.start()
    seen = Seen()
    await client.add_watch("/t", AddWatchMode.PERSISTENT, seen)
    watch = client.watch("/t")
    await watch.start()
    await client.close()
    await asyncio.sleep(0)
    assert [(event.type, event.state) for event in seen.events] == [(EventType.NONE, SessionState.CLOSED)]
    assert [event async for event in watch] == []
