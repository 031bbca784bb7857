"""The links of one role, by number: a leader's and an observer master's many, a learner's one.

What their bytes mean is the role's affair (`user`). A link that is made while nobody wants it, or
is opened too late, is closed at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Protocol

from zkserver.runtime import logs
from zkserver.runtime.machine import Machine
from zkserver.runtime.quorum_port import QuorumLink
from zkserver.server.database import Database
from zkserver.storage import tree_stream
from zkserver.zab.effects import LEADER_LINK

log = logs.get_log("peer")


class LinkUser(Protocol):
    """Who is told what happens on the links."""

    def link_up(self, link: int) -> None:
        """A link stands."""

    def receive(self, link: int, data: bytes) -> None:
        """Bytes have come."""

    def link_down(self, link: int, reason: str) -> None:
        """It broke; not told of one that was hung up."""


class QuorumLinks:
    """See the module's docstring. `server.role.LinkHost` to whoever sends."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, machine: Machine, database: Database
    ) -> None:
        self.user: LinkUser | None = None
        self.by_number: dict[int, QuorumLink] = {}
        self._loop = loop
        self._machine = machine
        self._database = database
        self._last_number = LEADER_LINK

    def make_to_learner(self, *, no_delay: bool) -> QuorumLink:
        """The link for a learner that connects."""
        self._last_number += 1
        return self._make(self._last_number, no_delay=no_delay)

    def make_to_leader(self, *, no_delay: bool) -> QuorumLink:
        """The link for the leader that is connected to."""
        return self._make(LEADER_LINK, no_delay=no_delay)

    def _make(self, number: int, *, no_delay: bool) -> QuorumLink:
        return QuorumLink(number, self._opened, self._received, self._lost, no_delay=no_delay)

    def close(self) -> None:
        """Hang all of them up; nobody is told of anything any more."""
        self.user = None
        links, self.by_number = self.by_number, {}
        for link in links.values():
            link.hang_up()

    # To the other end

    def transmit(self, link: int, data: bytes) -> None:
        """Bytes for a link."""
        if link in self.by_number:
            self.by_number[link].write(data)

    def transmit_tree(self, link: int) -> None:
        """The tree as it is now."""
        if link in self.by_number:
            database = self._database
            pieces = partial(tree_stream.pieces, database.tree, database.timeouts_ms())
            self._machine.send_tree(self._loop, self.by_number[link], pieces)

    def hang_up(self, link: int, reason: str) -> None:
        """Close a link, with one line."""
        log.info("closing a learner's link", link=link, reason=reason)
        there = self.by_number.pop(link, None)
        if there is not None:
            there.hang_up()

    def waiting_bytes(self) -> Mapping[int, int]:
        """What each link has been given and not sent yet."""
        return {number: link.waiting_bytes for number, link in self.by_number.items()}

    # From the other end

    def _opened(self, link: QuorumLink) -> None:
        if self.user is None:
            link.hang_up()
            return
        self.by_number[link.number] = link
        self.user.link_up(link.number)

    def _received(self, number: int, data: bytes) -> None:
        if self.user is not None:
            self.user.receive(number, data)

    def _lost(self, number: int, reason: str) -> None:
        if self.by_number.pop(number, None) is not None and self.user is not None:
            self.user.link_down(number, reason)
