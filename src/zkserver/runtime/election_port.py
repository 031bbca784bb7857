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

Left out: TLS, SASL. Addresses of one server are tried in turn, the one that worked last first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from zkserver.base.errors import ExitCode, FatalError
from zkserver.jute.notifications import (
    InitialMessage,
    Notification,
    encode_initial_message,
    encode_notification,
    frame,
)
from zkserver.runtime.election_links import Call, Caller, Link

Address = tuple[str, int]

# Before the next dial, after one that failed or a link that was lost.
PAUSE_S = 0.1
# How long a greater id that has hung up may take to call back.
CALL_BACK_S = 1.0
BIND_PAUSE_S = 1.0


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


class ElectionPort:
    """The election port of server `server_id`.

    `addresses`: the election addresses of every server by id, its own too; it is read anew for
    each dial, so its owner may change it. `heard(server_id, notification)` comes for each
    notification, `links_changed()` soon after `reach` has changed, `report(event, **facts)` for
    each line for the log. A dial to one server takes at most `connect_timeout_ms`, a caller's
    introduction `introduction_timeout_ms`, which is the same if it is not given. `bind_host`:
    None binds the own addresses (the first one, unless `multi_address_enabled`), "" all
    interfaces. `bind_retries`: so many attempts, 0: for ever.
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
        self._bind_host = bind_host
        self._bind_retries = bind_retries
        self._multi_address_enabled = multi_address_enabled
        self._tcp_keep_alive = tcp_keep_alive
        self._listeners: list[asyncio.AbstractServer] = []
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
        for host, port in own:
            listener = await self._bind(host, port)
            if self._is_closed:
                listener.close()
            else:
                self._listeners.append(listener)

    def send(self, receiver: int, notification: Notification) -> None:
        """Queue a notification, in place of one that waits; dial if there is no link."""
        if self._is_closed or receiver == self.server_id:
            return
        if receiver not in self._links and not self._addresses.get(receiver):
            return
        self._queued[receiver] = frame(encode_notification(notification))
        self._flush(receiver)
        self._dial(receiver)

    def reconnect(self) -> None:
        """Dial every server that has no link and is not being dialled."""
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
        for listener in self._listeners:
            listener.close()
        for dial in self._dials.values():
            dial.stop()
        for connection in (*self._links.values(), *self._callers):
            connection.drop()
        for kept in (self._dials, self._links, self._callers, self._queued, self._last):
            kept.clear()
        self._listeners.clear()

    # Dialling.

    def _dial(self, server_id: int) -> None:
        """Dial a server unless it has a link or is being dialled."""
        if server_id not in self._links and server_id not in self._dials:
            self._start_dial(server_id, tuple(self._addresses.get(server_id, ())))

    def _start_dial(self, server_id: int, addresses: Sequence[Address]) -> None:
        if self._is_closed or not addresses:
            return
        now_s = self._loop.time()
        worked = self._worked.get(server_id)
        by_luck = sorted(addresses, key=lambda address: address != worked)
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
        """Try the addresses in turn, until one answers; all of them share the time."""
        problems = []
        share_s = self._timeout_s / len(dial.addresses)
        for address in dial.addresses:
            try:
                async with asyncio.timeout(share_s):
                    made = partial(self._dialled, dial, address)
                    await self._loop.create_connection(made, *address)
                return
            except (OSError, UnicodeError) as error:
                # A name that no resolver would take is a UnicodeError.
                problem = str(error) or f"no answer within {round(1000 * share_s)} ms"
                problems.append(f"{address[0]}:{address[1]}: {problem}")
            if self._dials.get(dial.server_id) is not dial:
                return
        dial.task = None
        self._fail(dial, "; ".join(problems))

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
            # The server called, so it has no such link.
            link.drop()
            self.link_lost(link, "the server has called, and cannot be called back")
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

    async def _bind(self, host: str, port: int) -> asyncio.AbstractServer:
        shown = f"{host or '*'}:{port}"
        attempts = 0
        while True:
            try:
                listener = await self._loop.create_server(self._answer, host or None, port)
            except (OSError, UnicodeError) as error:
                attempts += 1
                problem = f"cannot listen for elections on {shown}: {error}"
                if attempts == self._bind_retries:
                    raise FatalError(
                        ExitCode.UNABLE_TO_BIND_QUORUM_PORT,
                        f"{problem}. Give server.{self.server_id} another address or port",
                    ) from error
                self._report("the election port cannot be bound yet", problem=problem)
                await asyncio.sleep(BIND_PAUSE_S)
            else:
                self._report("election port is open", address=shown)
                return listener

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
