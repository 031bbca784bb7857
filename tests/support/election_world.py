"""Several elections over links in virtual time; prints what changes.

A link is one FIFO queue in each direction. Cutting it loses what is in the queues; when it comes
up again each side sends its last notification once more. Every notification goes through the
codec. Nothing moves by itself: a script or a test says what is delivered and when time passes.
"""

from __future__ import annotations

from collections import deque
from itertools import groupby

from zkserver.base.quorum import QuorumVerifier
from zkserver.base.zxid import counter_of, epoch_of
from zkserver.election.election import Effects, Election, Timing
from zkserver.election.votes import NONE, Vote
from zkserver.jute.notifications import (
    Notification,
    PeerState,
    decode_notification,
    encode_notification,
)

LOOKING = PeerState.LOOKING


def shown_zxid(zxid: int) -> str:
    return "-1" if zxid == -1 else f"{epoch_of(zxid):x}:{counter_of(zxid):x}"


def shown_vote(vote: Vote | None) -> str:
    """n2(1:8): the leader and its zxid, with the epoch where it is not the zxid's."""
    if vote is None or vote.leader == NONE:
        return "nobody"
    zxid = shown_zxid(vote.zxid)
    if vote.zxid != -1 and epoch_of(vote.zxid) == vote.peer_epoch:
        return f"n{vote.leader}({zxid})"
    return f"n{vote.leader}(epoch {vote.peer_epoch:x}, {zxid})"


def shown_notification(told: Notification) -> str:
    vote = shown_vote(Vote(told.leader, told.zxid, told.peer_epoch))
    return f"{told.state.name} {vote} round {told.round}"


class World:
    """Elections by server id, the links between them, and a clock."""

    def __init__(
        self,
        verifier: QuorumVerifier,
        histories: dict[int, tuple[int, int]],
        timing: Timing,
        *,
        old_servers: tuple[int, ...] = (),
        reconfig_enabled: bool = False,
    ) -> None:
        """`histories`: last zxid and current epoch of each server, voters and others."""
        self.verifier = verifier
        self.histories = histories
        self.timing = timing
        self.old_servers = old_servers
        self.reconfig_enabled = reconfig_enabled
        self.tells_reach = True
        self.now_ms = 0
        self.lines: list[str] = []
        self.elections: dict[int, Election] = {}
        self.queues: dict[tuple[int, int], deque[bytes]] = {}
        self.last_sent: dict[tuple[int, int], bytes] = {}
        self.cuts: dict[tuple[int, int], bool] = {}

    # What a script does.

    def start(self, server: int) -> None:
        """A process starts: no round, no memory, links to all that run."""
        config = b"version=%x" % self.verifier.version
        self.elections[server] = Election(
            server, self.verifier, config, self.timing, reconfig_enabled=self.reconfig_enabled
        )
        self.look(server)
        for other in list(self.elections):
            if other != server:
                self._send_again(other, server)
        self._tell_reach()

    def look(self, server: int) -> None:
        """The server has lost its leader, or never had one."""
        election = self.elections[server]
        before = self._seen(server)
        effects = election.begin(*self.histories[server], self.now_ms)
        if before != self._seen(server):
            vote = shown_vote(election.vote)
            self.lines.append(f"n{server} LOOKING round {election.round} vote {vote}")
        self._carry_out(server, effects, self._seen(server))

    def crash(self, server: int) -> None:
        """The process ends; what it sent and what is on its way to it are lost."""
        del self.elections[server]
        self.lines.append(f"n{server} ✗")
        for link in list(self.queues):
            if server in link:
                del self.queues[link]
        for link in list(self.last_sent):
            if link[0] == server:
                del self.last_sent[link]
        self._tell_reach()

    def cut(self, left: int, right: int) -> None:
        """The connection of two servers breaks."""
        self.cuts[min(left, right), max(left, right)] = True
        for link in ((left, right), (right, left)):
            self.queues.pop(link, None)
        self._tell_reach()

    def heal(self, left: int, right: int) -> None:
        """Two servers connect again, and each sends its last notification."""
        self.cuts.pop((min(left, right), max(left, right)), None)
        if left in self.elections and right in self.elections:
            self._send_again(left, right)
            self._send_again(right, left)
        self._tell_reach()

    def deliver_one(self, sender: int, receiver: int) -> None:
        """The oldest notification of a link arrives."""
        queue = self.queues[sender, receiver]
        payload = queue.popleft()
        if not queue:
            del self.queues[sender, receiver]
        self.inject(sender, receiver, decode_notification(payload))

    def inject(self, sender: int, receiver: int, notification: Notification) -> None:
        """A notification arrives, wherever it came from."""
        before = self._seen(receiver)
        effects = self.elections[receiver].receive(sender, notification, self.now_ms)
        self._carry_out(receiver, effects, before)

    def wake(self, server: int, *, delivered: bool = True) -> None:
        """Time has come for a server."""
        before = self._seen(server)
        effects = self.elections[server].wake(self.now_ms, delivered=delivered)
        self._carry_out(server, effects, before)

    def pass_time(self, until_ms: int, *, delivered: bool = True) -> None:
        """The clock goes on, and servers wake when they are due; nothing is delivered."""
        while True:
            due = self.next_due()
            if due is None or due[0] > until_ms:
                break
            self.now_ms = max(self.now_ms, due[0])
            self._stamped(due[1], delivered)
        self.now_ms = until_ms

    def next_due(self) -> tuple[int, int] | None:
        """When the next server is due, and which."""
        due = [(e.deadline_ms, s) for s, e in self.elections.items() if e.deadline_ms is not None]
        return min(due, default=None)

    def ready(self, sender: int, receiver: int) -> bool:
        return bool(self.queues.get((sender, receiver)))

    def is_linked(self, left: int, right: int) -> bool:
        up = left in self.elections and right in self.elections
        return up and (min(left, right), max(left, right)) not in self.cuts

    # What follows from it.

    def _stamped(self, server: int, delivered: bool) -> None:
        at = len(self.lines)
        self.wake(server, delivered=delivered)
        stamp = f"at {self.now_ms} ms"
        if len(self.lines) > at and stamp not in self.lines:
            self.lines.insert(at, stamp)

    def _tell_reach(self) -> None:
        if not self.tells_reach:
            return
        for server in list(self.elections):
            linked = [s for s in sorted(self.elections) if self.is_linked(server, s) or s == server]
            before = self._seen(server)
            effects = self.elections[server].reach(linked, self.now_ms)
            self._carry_out(server, effects, before)

    def _send_again(self, sender: int, receiver: int) -> None:
        link = sender, receiver
        if link in self.last_sent and not self.ready(*link) and self.is_linked(*link):
            told = shown_notification(decode_notification(self.last_sent[link]))
            self.lines.append(f"n{sender} → n{receiver} {told} (again)")
            self._enqueue(link, self.last_sent[link])

    def _seen(self, server: int) -> tuple[PeerState, int, Vote | None, bool]:
        election = self.elections[server]
        waits = election.finalize_ms is not None
        return election.state, election.round, election.vote, waits

    def _carry_out(
        self, server: int, effects: Effects, before: tuple[PeerState, int, Vote | None, bool]
    ) -> None:
        state, election_round, vote, waits = self._seen(server)
        if election_round != before[1]:
            self.lines.append(f"n{server} round {before[1]} ⇨ {election_round}")
        if vote != before[2]:
            self.lines.append(f"n{server} vote {shown_vote(before[2])} ⇨ {shown_vote(vote)}")
        for told, group in groupby(effects.send, key=lambda pair: pair[1]):
            receivers = [receiver for receiver, _ in group]
            names = " ".join(f"n{receiver}" for receiver in receivers)
            self.lines.append(f"n{server} → {names} {shown_notification(told)}")
            for receiver in receivers:
                self._send(server, receiver, told)
        if waits and not before[3]:
            until_ms = self.elections[server].finalize_ms
            self.lines.append(f"n{server} has a quorum, waits for a better vote until {until_ms} ms")
        if before[3] and not waits and state is LOOKING:
            self.lines.append(f"n{server} waits no more")
        if effects.decided is not None:
            self.lines.append(f"n{server} LOOKING ⇨ {state.name} n{effects.decided.leader}")
        if effects.reconnect:
            self.lines.append(f"n{server} wants to connect again")
        if effects.newer_config is not None:
            self.lines.append(f"n{server} hears of a newer configuration: {effects.newer_config!r}")

    def _send(self, sender: int, receiver: int, told: Notification) -> None:
        if sender in self.old_servers:
            told = told._replace(version=0, config=b"")
        payload = encode_notification(told)
        self.last_sent[sender, receiver] = payload
        if self.is_linked(sender, receiver):
            self._enqueue((sender, receiver), payload)

    def _enqueue(self, link: tuple[int, int], payload: bytes) -> None:
        self.queues.setdefault(link, deque()).append(payload)
