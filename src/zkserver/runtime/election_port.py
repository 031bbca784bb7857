"""The election port: one connection to each other server, and a queue of one notification for it.

Which connection stands. Between two servers there is one link, opened by the greater id. When a
smaller id calls, its connection is closed after its initial message and this side calls back, to
the configured address, or to the one it told if its id is unknown. Who calls has no link, so
one that stands here is suspected to be half-open: the new one takes its place when it stands, and
if it cannot be had, the old one is dropped. To reach a greater id means to call, to be hung up
on, and to be called back. A link from a greater id replaces an older one from it.

Invariants:

* At most one link and at most one dial for each server; a dial ends within the time for it, and
  one that fails, or a link that is lost, is followed by a pause of 100 ms before the next.
* A notification waits in its queue until there is a link that has nothing left to write. A newer
  one replaces it. On a new link an empty queue sends the last one again.
* A stranger (no id yet, garbage, silence) costs its connection and one line, and nobody else
  anything. A server that cannot be reached makes one line, until it was reached.
* Nothing is called back from within `send` or `reconnect`.

After a failed dial only `send` and `reconnect` dial again, as in Apache's server: the election's
repetitions set the pace, and who comes back calls by itself.

Everything is on the loop that is given, real or simulated; nothing here knows which.

Source: docs/replication.md, and what Apache ZooKeeper's servers do on the wire. Differences: its
server drops its link before it calls back; it ends a call to a greater id itself; and an
observer without an id is dialled back to by it, here its connection stands.

Several addresses of one server are raced (`address_race`), the one that worked last first; the
first that accepts is taken, within the time for that. A link that has been told something and has
said nothing for as long may stand on an address that is out of reach, and nobody would ever know:
the next `send` or `reconnect` dials anew beside it, its address last, and it is dropped as a
half-open one is. Apache's server asks by ICMP instead, before it dials and of links that stand.
Without that check, addresses are tried in turn, and links are believed.

Left out: TLS, SASL.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any

from zkserver.jute.notifications import (
    InitialMessage,
    Notification,
    encode_initial_message,
    encode_notification,
    frame,
)
from zkserver.runtime import address_race
from zkserver.runtime.election_binding import Binding
from zkserver.runtime.election_links import Call, Caller, Link

Address = tuple[str, int]

# Before the next dial, after one that failed or a link that was lost.
PAUSE_S = 0.1
# How long a greater id that has hung up may take to call back.
CALL_BACK_S = 1.0


class _Dial:
    """How far this side has got in reaching a server: it pauses, connects, or waits for a call."""

    def __init__(self, server_id: int, addresses: Sequence[Address], began_s: float) -> None:
        self.server_id = server_id
        self.addresses = addresses
        self.began_s = began_s
        self.timer: asyncio.TimerHandle | None = None
        self.task: asyncio.Task[None] | None = None
        self.call: Call | None = None

    def stop(self) -> None:
        """Leave it, wherever it is."""
        if self.timer is not None:
            self.timer.cancel()
        if self.task is not None:
            self.task.cancel()
        if self.call is not None:
            self.call.drop()
        self.let_go()

    def let_go(self) -> None:
        """Keep nothing that keeps this."""
        self.timer = self.task = self.call = None


async def _attempt(
    connecting: Coroutine[Any, Any, object], address: Address, limit_s: float
) -> str | None:
    """Wait for a connection; None, or why there is none."""
    try:
        async with asyncio.timeout(limit_s):
            outcome = await connecting
    except (OSError, UnicodeError) as error:
        # A name that no resolver would take is a UnicodeError.
        problem = str(error) or f"no answer within {round(1000 * limit_s)} ms"
        return f"{address[0]}:{address[1]}: {problem}"
    return outcome if isinstance(outcome, str) else None


class ElectionPort:
    """The election port of server `server_id`.

    `addresses`: the election addresses of every server by id, its own too; it is read anew for
    each dial, so its owner may change it. `heard(server_id, notification)` comes for each
    notification, `links_changed()` soon after `reach` has changed, `report(event, **facts)` for
    each line for the log. A dial to one server takes at most `connect_timeout_ms`, a caller's
    introduction `introduction_timeout_ms`, which is the same if it is not given. `bind_host`:
    None binds the own addresses (the first one, unless `multi_address_enabled`), "" all
    interfaces. `bind_retries`: so many attempts, 0: for ever. `reach_timeout_ms`: how long one of
    several addresses may take to accept, and a link to say something; None: they are not raced.
    """

    def __init__(
        self,
        server_id: int,
        addresses: Mapping[int, Sequence[Address]],
        loop: asyncio.AbstractEventLoop,
        heard: Callable[[int, Notification], None],
        links_changed: Callable[[], None],
        report: Callable[..., None],
        *,
        connect_timeout_ms: int = 5000,
        introduction_timeout_ms: int | None = None,
        bind_host: str | None = None,
        bind_retries: int = 3,
        multi_address_enabled: bool = False,
        reach_timeout_ms: int | None = None,
        tcp_keep_alive: bool = False,
    ) -> None:
        self.server_id = server_id
        self._addresses = addresses
        self._loop = loop
        self._heard = heard
        self._links_changed = links_changed
        self._report = report
        self._timeout_s = connect_timeout_ms / 1000
        self._introduction_s = (introduction_timeout_ms or connect_timeout_ms) / 1000
        self._reach_s = None if reach_timeout_ms is None else reach_timeout_ms / 1000
        self._bind_host = bind_host
        self._multi_address_enabled = multi_address_enabled
        self._tcp_keep_alive = tcp_keep_alive
        self._binding = Binding(server_id, loop, self._answer, report, bind_retries)
        self._callers: dict[Caller, None] = {}
        self._next_anonymous = -1
        # By server id, all of them.
        self._links: dict[int, Link] = {}
        self._dials: dict[int, _Dial] = {}
        self._failing: dict[int, str] = {}
        self._not_before_s: dict[int, float] = {}
        self._worked: dict[int, Address] = {}
        self._queued: dict[int, bytes] = {}
        self._last: dict[int, bytes] = {}
        self._ran_empty = False
        self._will_tell = False
        self._is_closed = False

    # What the owner calls.

    async def open(self) -> None:
        """Bind. Raises FatalError when the address cannot be had, after all retries."""
        own = self._own_addresses()
        if self._bind_host is not None:
            own = tuple(dict.fromkeys((self._bind_host, port) for _, port in own))
        await self._binding.open(own)

    def send(self, receiver: int, notification: Notification) -> None:
        """Queue a notification, in place of one that waits; dial if no link is to be trusted."""
        if self._is_closed or receiver == self.server_id:
            return
        if receiver not in self._links and not self._addresses.get(receiver):
            return
        self._queued[receiver] = frame(encode_notification(notification))
        self._flush(receiver)
        self._dial(receiver)

    def reconnect(self) -> None:
        """Dial every server that has no link to be trusted and is not being dialled."""
        for server_id in self._addresses:
            if server_id != self.server_id:
                self._dial(server_id)

    def reach(self) -> list[int]:
        """Who has a link, or is being dialled and has not failed to be since its last link."""
        hoped = [server_id for server_id in self._dials if server_id not in self._failing]
        return sorted({*self._links, *hoped})

    @property
    def is_delivered(self) -> bool:
        """Whether some queue has run empty since the last call."""
        ran_empty, self._ran_empty = self._ran_empty, False
        return ran_empty

    def close(self) -> None:
        """Listen no more, drop all connections, call nobody back."""
        self._is_closed = True
        self._binding.close()
        for dial in self._dials.values():
            dial.stop()
        for connection in (*self._links.values(), *self._callers):
            connection.drop()
        for kept in (self._dials, self._links, self._callers, self._queued, self._last):
            kept.clear()

    # Dialling.

    def _dial(self, server_id: int) -> None:
        """Dial a server unless it has a link to be trusted or is being dialled."""
        link = self._links.get(server_id)
        if server_id not in self._dials and (link is None or self._is_silent(link)):
            self._start_dial(server_id, tuple(self._addresses.get(server_id, ())))

    def _is_silent(self, link: Link) -> bool:
        """Whether it was told something, long ago, and the server has another address."""
        if self._reach_s is None or link.unanswered_since_s is None:
            return False
        is_late = self._loop.time() - link.unanswered_since_s > self._reach_s
        return is_late and len(self._addresses.get(link.server_id, ())) > 1

    def _start_dial(self, server_id: int, addresses: Sequence[Address]) -> None:
        if self._is_closed or not addresses:
            return
        now_s = self._loop.time()
        worked = self._worked.get(server_id)
        # Who is dialled in spite of a link may be out of reach where that stands.
        is_suspect = self._reach_s is not None and server_id in self._links
        by_luck = sorted(addresses, key=lambda address: (address == worked) is is_suspect)
        begins_s = max(now_s, self._not_before_s.get(server_id, now_s))
        dial = self._dials[server_id] = _Dial(server_id, by_luck, begins_s)
        if begins_s > now_s:
            dial.timer = self._loop.call_at(begins_s, self._connect, dial)
        else:
            self._connect(dial)
        self._change()

    def _connect(self, dial: _Dial) -> None:
        dial.timer = None
        dial.task = self._loop.create_task(self._try_all(dial))

    async def _try_all(self, dial: _Dial) -> None:
        """Race the addresses, or try them in turn, until one answers."""
        if self._reach_s is not None and len(dial.addresses) > 1:
            problems = await self._race(dial, self._reach_s)
        else:
            problems = await self._take_turns(dial)
        if problems and self._dials.get(dial.server_id) is dial:
            dial.task = None
            self._fail(dial, "; ".join(problems))

    async def _take_turns(self, dial: _Dial) -> list[str]:
        """Why no address answers, nothing if one does; all of them share the time."""
        problems = []
        share_s = self._timeout_s / len(dial.addresses)
        for address in dial.addresses:
            made = partial(self._dialled, dial, address)
            problem = await _attempt(self._loop.create_connection(made, *address), address, share_s)
            if problem is None or self._dials.get(dial.server_id) is not dial:
                return []
            problems.append(problem)
        return problems

    async def _race(self, dial: _Dial, reach_s: float) -> list[str]:
        """The same for all of them at once."""
        limit_s = min(reach_s, self._timeout_s)
        one = address_race.FirstMade(self._loop)

        async def attempt(address: Address) -> str | None:
            made = partial(self._dialled, dial, address)
            return await _attempt(one.connect(made, *address), address, limit_s)

        return await address_race.first(
            self._loop, [partial(attempt, address) for address in dial.addresses]
        )

    def _dialled(self, dial: _Dial, address: Address) -> asyncio.Protocol:
        """The protocol of a connection that has just been made."""
        self._worked[dial.server_id] = address
        if dial.server_id < self.server_id:
            return self._new_link(dial.server_id, partial(self._linked, dial), self._greeting())
        return Call(self._greeting(), partial(self._called_up, dial), partial(self._let_off, dial))

    def _linked(self, dial: _Dial, link: Link) -> None:
        """A smaller id has our initial message: this is the link."""
        if self._dials.get(dial.server_id) is dial:
            # Its task is about to end; to cancel it would close the link.
            del self._dials[dial.server_id]
            dial.let_go()
            self._take(link)
        else:
            link.drop()

    def _called_up(self, dial: _Dial, call: Call) -> None:
        """A greater id has our initial message: it is to hang up."""
        if self._dials.get(dial.server_id) is dial:
            dial.task, dial.call = None, call
            self._await_call(dial, self._timeout_s)
        else:
            call.drop()

    def _let_off(self, dial: _Dial) -> None:
        """A greater id has hung up: it is to call back."""
        if self._dials.get(dial.server_id) is dial:
            dial.call = None
            self._await_call(dial, CALL_BACK_S)

    def _await_call(self, dial: _Dial, patience_s: float) -> None:
        if dial.timer is not None:
            dial.timer.cancel()
        dial.timer = self._loop.call_later(patience_s, self._fail, dial, "it does not call back")

    def _fail(self, dial: _Dial, problem: str) -> None:
        server_id = dial.server_id
        if self._dials.get(server_id) is not dial:
            return
        del self._dials[server_id]
        dial.stop()
        self._worked.pop(server_id, None)
        self._not_before_s[server_id] = self._loop.time() + PAUSE_S
        if server_id not in self._failing:
            self._report("no election link to a server", server=server_id, problem=problem)
        self._failing[server_id] = problem
        link = self._links.get(server_id)
        if link is not None:
            # The server called, so it has no such link; or it is silent here.
            link.drop()
            self.link_lost(link, "it is half-open or silent, and the server cannot be reached")
        self._forget_stranger(server_id)
        self._change()

    def _new_link(
        self, server_id: int, made: Callable[[Link], None], greeting: bytes = b""
    ) -> Link:
        now_s = self._loop.time()
        keep_alive = self._tcp_keep_alive
        return Link(self, server_id, made, now_s, greeting=greeting, keep_alive=keep_alive)

    def _greeting(self) -> bytes:
        return encode_initial_message(
            self.server_id,
            tuple(self._addresses[self.server_id]),
            multi_address_enabled=self._multi_address_enabled,
        )

    # Binding.

    def _own_addresses(self) -> tuple[Address, ...]:
        own = tuple(self._addresses[self.server_id])
        return own if self._multi_address_enabled else own[:1]

    def _answer(self) -> Caller:
        return Caller(self, self._loop, self._introduction_s)

    # What callers tell.

    def called(self, caller: Caller) -> None:
        """A connection was accepted."""
        if self._is_closed:
            caller.drop()
        else:
            self._callers[caller] = None

    def hung_up(self, caller: Caller) -> None:
        """A caller is gone."""
        self._callers.pop(caller, None)

    def refuse(self, caller: Caller, reason: str) -> None:
        """A caller is hung up on, with one line."""
        self._report("an election connection is refused", peer=caller.peer, reason=reason)
        self._callers.pop(caller, None)
        caller.drop()

    def introduced(self, caller: Caller, message: InitialMessage, rest: bytes) -> None:
        """A caller has an id: a greater one has a link now, a smaller one is called back."""
        server_id = message.server_id
        if message.is_anonymous:
            server_id, self._next_anonymous = self._next_anonymous, self._next_anonymous - 1
        elif server_id == self.server_id:
            self.refuse(caller, f"it says that it is server {server_id}, as this one is")
            return
        elif server_id < 0:
            self.refuse(caller, f"server id {server_id} is below 0")
            return
        elif server_id < self.server_id:
            self._callers.pop(caller, None)
            caller.drop()
            self._call_back(message)
            return
        self._callers.pop(caller, None)
        caller.become(self._new_link(server_id, self._take), rest)

    def _call_back(self, message: InitialMessage) -> None:
        server_id = message.server_id
        new_s = self._loop.time() - PAUSE_S
        link = self._links.get(server_id)
        if link is not None and link.since_s > new_s:
            # The two called each other at the same time.
            return
        dial = self._dials.get(server_id)
        if dial is not None:
            if dial.began_s > new_s:
                return
            # The server is up now, and asking anew is quicker than what has hung so long.
            del self._dials[server_id]
            dial.stop()
        addresses = self._addresses.get(server_id) or message.addresses
        if addresses:
            self._start_dial(server_id, tuple(addresses))
        else:
            self._report("a server has called and told no address", server=server_id)

    # What links tell.

    def _take(self, link: Link) -> None:
        """A link stands: it takes the place of an older one and of a dial."""
        server_id = link.server_id
        if self._is_closed:
            link.drop()
            return
        dial = self._dials.pop(server_id, None)
        if dial is not None:
            dial.stop()
        older = self._links.get(server_id)
        if older is not None:
            older.drop()
        self._links[server_id] = link
        self._failing.pop(server_id, None)
        self._report("election link is up", server=server_id, peer=link.peer)
        if server_id in self._last:
            self._queued.setdefault(server_id, self._last[server_id])
        self._flush(server_id)
        self._change()

    def heard_on(self, link: Link, notification: Notification) -> None:
        """A notification came."""
        link.unanswered_since_s = None
        self._heard(link.server_id, notification)

    def link_writable(self, link: Link) -> None:
        """A link has room again."""
        self._flush(link.server_id)

    def link_broken(self, link: Link, reason: str) -> None:
        """A link on which came what does not read is dropped."""
        link.drop()
        self.link_lost(link, reason)

    def link_lost(self, link: Link, reason: str) -> None:
        """A link is gone: dial again if a notification waits, at once if the link was old.

        A server that has died refuses then, and nobody waits for its vote any more.
        """
        server_id = link.server_id
        if self._links.get(server_id) is not link:
            return
        del self._links[server_id]
        self._not_before_s[server_id] = link.since_s + PAUSE_S
        self._report("election link is lost", server=server_id, reason=reason)
        if server_id in self._queued:
            self._dial(server_id)
        self._forget_stranger(server_id)
        self._change()

    def _flush(self, server_id: int) -> None:
        link = self._links.get(server_id)
        if link is not None and link.is_writable and server_id in self._queued:
            payload = self._last[server_id] = self._queued.pop(server_id)
            link.write(payload)
            if link.unanswered_since_s is None:
                link.unanswered_since_s = self._loop.time()
            self._ran_empty = True

    def _forget_stranger(self, server_id: int) -> None:
        """Of who is no server of the configuration nothing is kept without a connection."""
        if server_id in self._addresses or server_id in self._links or server_id in self._dials:
            return
        for kept in (self._failing, self._not_before_s, self._worked, self._queued, self._last):
            kept.pop(server_id, None)

    def _change(self) -> None:
        """Tell the owner that links have changed, soon and once."""
        if not self._will_tell:
            self._will_tell = True
            self._loop.call_soon(self._tell)

    def _tell(self) -> None:
        self._will_tell = False
        if not self._is_closed:
            self._links_changed()
