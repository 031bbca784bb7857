"""A follower's observers: a role beside its own, while it serves.

`ObserverService` stands between `zab.observer_master`, the observers' links and the follower's
role. What observers ask goes to the leader on the follower's own link, in one stream with what its
clients ask, so the leader's answers come in the order of the questions; each finds the observer it
is for by an `Asker`. Txns need no such thing: every observer is told of all of them.

Sockets are the host's. The follower's tree is what a SNAP is followed by.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from zkserver.base import opcodes as op
from zkserver.base.errors import LinkError
from zkserver.jute import quorum_packets as packets
from zkserver.jute.quorum_packets import Packet, PacketType, Request
from zkserver.server.learning import LearnerRole
from zkserver.server.role import LinkHost, transmit
from zkserver.server.run import Asker
from zkserver.zab.effects import Effects, Entry
from zkserver.zab.observer_master import ObserverMaster


class ObserverLinks(LinkHost, Protocol):
    """Who has the links to observers."""

    def waiting_bytes(self) -> Mapping[int, int]:
        """What each link has been given and not sent yet."""


class ObserverHost(Protocol):
    """What the service asks of the process around it."""

    @property
    def links(self) -> ObserverLinks: ...

    def note(self, line: str) -> None:
        """A line for the log."""


class _Observer(Asker):
    """An observer that waits for the leader's word."""

    def __init__(self, link: int, service: ObserverService) -> None:
        self._link = link
        self._service = service

    def synced(self) -> None:
        """Its sync is done."""
        self._service.answer(lambda core: core.synced(self._link))

    def settled(self, session_id: int, *, is_valid: bool) -> None:
        """Whether a session lives that a client brought to it."""
        self._service.answer(lambda core: core.revalidated(self._link, session_id, is_valid))


class ObserverService:
    """See the module's docstring. It is over when the follower's role is."""

    def __init__(self, core: ObserverMaster, follower: LearnerRole, host: ObserverHost) -> None:
        self.core = core
        self._follower = follower
        self._host = host
        self._rests: dict[int, bytes] = {}

    def link_up(self, link: int) -> None:
        """An observer has connected."""
        self._rests[link] = b""
        self._perform(self.core.link_up(link))

    def link_down(self, link: int, reason: str) -> None:
        """An observer's link broke."""
        if self._rests.pop(link, None) is not None:
            self._host.note(f"the observer of link {link} is gone: {reason}")
            self._perform(self.core.link_down(link))

    def receive(self, link: int, data: bytes) -> None:
        """Bytes of an observer."""
        rest = self._rests.get(link)
        if rest is None or self._follower.has_ended:
            return
        try:
            found, self._rests[link] = packets.parse(rest + data if rest else data)
        except LinkError as error:
            self.link_down(link, str(error))
            self._host.links.hang_up(link, str(error))
            return
        if found:
            self._perform(self.core.received(link, found))

    def tick(self, now_ms: int) -> None:
        """Time has passed."""
        self._perform(self.core.tick(now_ms))

    def applied(self, entries: list[Entry]) -> None:
        """The follower's tree has these."""
        self._perform(self.core.applied(entries, self._host.links.waiting_bytes()))

    def answer(self, tell: Callable[[ObserverMaster], Effects]) -> None:
        """The leader has answered what an observer asked."""
        self._perform(tell(self.core))

    def _perform(self, out: Effects) -> None:
        host = self._host
        for line in out.notes:
            host.note(line)
        transmit(host.links, out.send)
        for link, reason in out.closed:
            self._rests.pop(link, None)
            host.links.hang_up(link, reason)
        if self._follower.server is None:
            return
        for session_id, timeout_ms in out.touched:
            self._follower.core.touch(session_id, timeout_ms)
        pipeline = self._follower.pipeline
        for link, session_id, timeout_ms in out.revalidations:
            asker = _Observer(link, self)
            data = packets.build_revalidation(session_id, timeout_ms)
            pipeline.pass_on(Packet(PacketType.REVALIDATE, -1, data), asker, session_id)
        for link, session_id, cxid, kind, body, authinfo in out.requests:
            data = packets.build_request(Request(session_id, cxid, kind, body))
            asked = Packet(PacketType.REQUEST, -1, data, authinfo)
            pipeline.pass_on(asked, _Observer(link, self) if kind == op.SYNC else None)
