"""Hosts and the links between them, with the promises of TCP and no others.

* Each direction of a connection is FIFO; bytes are lost only with the connection.
* A cut holds what is on its way; after it heals, everything arrives (TCP sends again).
* A host that lost power says nothing: its peers learn of it when they send to the
  host that came back, by a reset. A killed process's sockets are closed by its host.

Faults are set between pairs of hosts, by direction. A pair is (sender, receiver). A host may have
further names, as a machine with two interfaces has two addresses; each name may fall silent.
"""

from __future__ import annotations

import asyncio
import errno
import random
from collections.abc import Callable
from typing import Any

from zkserver.sim.events import EventLog
from zkserver.sim.grudges import Grudge
from zkserver.sim.loop import NOBODY, Life, SimLoop
from zkserver.sim.observer import BEGINS, Observer
from zkserver.sim.transport import End

Pair = tuple[str, str]

MIN_DELAY_S = 0.000_1
TYPICAL_DELAY_S = 0.001
LONG_DELAY_S = 0.05
LONG_DELAY_CHANCE = 0.02
# After how long a host asks again, and again, for a connection that nobody answers.
CONNECT_WAITS_S = (1.0, 2.0, 4.0, 8.0, 16.0)


class Listener:
    """A bound port. Connections that nobody has accepted yet wait in its queue."""

    def __init__(self, network: Network, life: Life, port: int) -> None:
        self.life = life
        self.port = port
        self._network = network
        self._factory: Callable[[], asyncio.BaseProtocol] | None = None
        self._waiting: list[End] = []

    def getsockname(self) -> tuple[str, int]:
        """As a socket's: host and port."""
        return self.life.host, self.port

    def accept(self, factory: Callable[[], asyncio.BaseProtocol]) -> None:
        """Give every connection, also those that wait, a protocol of the factory's."""
        self._factory = factory
        waiting, self._waiting = self._waiting, []
        for end in waiting:
            self.life.call(self._open, end)

    def arrived(self, end: End) -> None:
        """A client is connected."""
        if self._factory is None:
            self._waiting.append(end)
        else:
            self.life.call(self._open, end)

    def _open(self, end: End) -> None:
        if self._factory is not None:
            end.open(self._factory())

    def close(self) -> None:
        """Accept no more."""
        self._network.unlisten(self)


class Network:
    """All hosts of a world. `chance` decides about delays and where writes are split."""

    def __init__(self, loop: SimLoop, chance: random.Random, events: EventLog) -> None:
        self.loop = loop
        self.chance = chance
        self.events = events
        self.lives: dict[str, Life] = {}
        self.all_lives: list[Life] = []
        self.ends: dict[End, None] = {}
        self._listeners: dict[tuple[str, int], Listener] = {}
        self._cut: dict[Pair, None] = {}
        self._slowness: dict[Pair, float] = {}
        self._refusing: dict[str, None] = {}
        # Further names of hosts, and the names by which nobody is reached.
        self._hosts: dict[str, str] = {}
        self._silent: dict[str, None] = {}
        self._next_port = 50_000
        self.observer: Observer | None = None
        loop.network = self

    # Hosts

    def name(self, name: str, host: str) -> None:
        """Give a host one more name to be called by."""
        self._hosts[name] = host

    def boot(self, host: str) -> Life:
        """A new life of a host; the one before must have ended."""
        life = self.lives[host] = Life(self.loop, host)
        self.all_lives.append(life)
        if self.observer is not None:
            self.observer.life(host, BEGINS)
        return life

    def kill(self, host: str) -> None:
        """End the host's process; its sockets are closed for it, and peers hear of that."""
        self._end(host, lambda end: end.process_died())

    def power_off(self, host: str) -> None:
        """End the host without a word to anybody."""
        self._end(host, lambda end: end.vanish())

    def _end(self, host: str, say: Callable[[End], None]) -> None:
        life = self.lives[host]
        life.end()
        for listener in [each for each in self._listeners.values() if each.life is life]:
            listener.close()
        for end in [each for each in self.ends if each.life is life]:
            say(end)

    # Faults

    def apply(self, grudge: Grudge) -> None:
        """Let each host be deaf to those the grudge names, besides what is cut already."""
        for receiver, senders in grudge.items():
            for sender in senders:
                self.cut(sender, receiver)

    def cut(self, sender: str, receiver: str) -> None:
        """Nothing from `sender` reaches `receiver` until `heal`."""
        self._cut[sender, receiver] = None

    def silence(self, name: str) -> None:
        """Nothing passes on connections that were made to this name, until `heal`."""
        self._silent[name] = None

    def is_silent(self, name: str) -> bool:
        """Whether nothing passes to this name and from it."""
        return name in self._silent

    def heal(self) -> None:
        """End all cuts, silence, refusals and slowness; what was held goes on its way."""
        self._cut.clear()
        self._silent.clear()
        self._slowness.clear()
        self._refusing.clear()
        for end in list(self.ends):
            end.line_is_back()

    def slow(self, sender: str, receiver: str, factor: float) -> None:
        """Multiply delays of one direction."""
        self._slowness[sender, receiver] = factor

    def refuse(self, host: str) -> None:
        """The host answers every attempt to connect with a reset."""
        self._refusing[host] = None

    def reset(self, host: str) -> int:
        """Reset all connections of a host, both ends; how many there were."""
        ends = [end for end in self.ends if end.life.host == host]
        for end in ends:
            end.reset()
            end.peer.reset()
        return len(ends)

    def forget(self, host: str) -> int:
        """Make the host's connections half-open: its side is gone, the other is not told."""
        ends = [end for end in self.ends if end.life.host == host]
        for end in ends:
            end.drop_silently()
        return len(ends)

    def is_cut(self, sender: str, receiver: str) -> bool:
        """Whether nothing passes in this direction now."""
        return (sender, receiver) in self._cut

    def is_up(self, life: Life) -> bool:
        """Whether a host is there to answer, be it in another life."""
        return self.lives[life.host].alive

    # Links

    def delay_s(self, sender: str, receiver: str) -> float:
        """How long the next piece takes."""
        chance = self.chance
        delay_s = MIN_DELAY_S + chance.random() * TYPICAL_DELAY_S
        if chance.random() < LONG_DELAY_CHANCE:
            delay_s += chance.random() * LONG_DELAY_S
        return delay_s * self._slowness.get((sender, receiver), 1.0)

    def at(
        self, when_s: float, callback: Callable[..., object], *args: Any
    ) -> asyncio.TimerHandle:
        """Do something of the network's own at a virtual time."""
        return self.loop.call_at(when_s, callback, *args, context=NOBODY)

    def listen(self, life: Life, port: int) -> Listener:
        """Bind a port of a host. Raises OSError if it is taken."""
        if (life.host, port) in self._listeners:
            raise OSError(errno.EADDRINUSE, "Address already in use")
        listener = self._listeners[life.host, port] = Listener(self, life, port)
        return listener

    def unlisten(self, listener: Listener) -> None:
        """Free a port; connections that nobody accepted are reset."""
        self._listeners.pop((listener.life.host, listener.port), None)
        for end in [each for each in self.ends if each.life is listener.life]:
            if not end.is_open:
                end.reset()
                end.peer.reset()

    async def connect(self, life: Life, host: str, port: int, give_up_s: float) -> End:
        """The client's end of a new connection, still to be opened. Raises OSError."""
        answer: asyncio.Future[End] = self.loop.create_future()
        timer = self.at(self.loop.time() + give_up_s, _give_up, answer, host, port)
        self._attempt(life, host, port, answer, 0)
        try:
            return await answer
        finally:
            timer.cancel()

    def _attempt(
        self, life: Life, host: str, port: int, answer: asyncio.Future[End], number: int
    ) -> None:
        if answer.done():
            return
        if number < len(CONNECT_WAITS_S):
            again_s = self.loop.time() + CONNECT_WAITS_S[number]
            self.at(again_s, self._attempt, life, host, port, answer, number + 1)
        there = self._hosts.get(host, host)
        if self.is_cut(life.host, there) or self.is_cut(there, life.host) or self.is_silent(host):
            return
        there_s = self.loop.time() + self.delay_s(life.host, there)
        self.at(there_s, self._asked, life, host, port, answer)

    def _asked(self, life: Life, host: str, port: int, answer: asyncio.Future[End]) -> None:
        there = self._hosts.get(host, host)
        server = self.lives.get(there)
        if answer.done() or not life.alive or server is None or not server.alive:
            return
        back_s = self.loop.time() + self.delay_s(there, life.host)
        listener = self._listeners.get((there, port))
        if listener is None or there in self._refusing:
            self.at(back_s, _refuse, answer, host, port)
            return
        client_port, self._next_port = self._next_port, self._next_port + 1
        ours = End(self, life, (life.host, client_port), (host, port))
        theirs = End(self, server, (host, port), (life.host, client_port))
        ours.peer, theirs.peer = theirs, ours
        ours.server_name = theirs.server_name = host
        self.ends[ours] = self.ends[theirs] = None
        self.events.note(life.host, f"connected from port {client_port} to {host}:{port}")
        listener.arrived(theirs)
        self.at(back_s, _answer, answer, ours)


def _answer(answer: asyncio.Future[End], end: End) -> None:
    if answer.done():
        # Whoever asked has given up, or another attempt was quicker.
        end.abort()
    else:
        answer.set_result(end)


def _refuse(answer: asyncio.Future[End], host: str, port: int) -> None:
    if not answer.done():
        answer.set_exception(ConnectionRefusedError(errno.ECONNREFUSED, f"{host}:{port} refused"))


def _give_up(answer: asyncio.Future[End], host: str, port: int) -> None:
    if not answer.done():
        answer.set_exception(TimeoutError(errno.ETIMEDOUT, f"{host}:{port} does not answer"))
