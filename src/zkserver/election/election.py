"""The election of one peer, as a state machine: events and times in, effects out.

A driver calls `begin` whenever the peer has no leader (before it opens its election port, the
first time), `receive` for every notification, also once there is a leader, and `wake` when
`deadline_ms` has come. It carries out the `Effects` of each call before the next one.

Notifications may be lost with a connection. Each is sent again after a silence that doubles from
200 ms to a minute, and the driver sends the last one again on a new connection.

Differences from Apache ZooKeeper 3.9, all of them on the safe side:

* The pause before notifications are sent again runs from the last sending, not from the last
  receipt, so that a talkative peer cannot put it off.
* The finalize wait runs from the quorum on; what is heard meanwhile is counted and not dropped.
* A peer that says it is LOOKING no longer supports the leader it had before.
* A server of weight 0 changes to a vote that can win, so it decides with the others.
* A peer that answered with its leader and looks now is told this peer's vote at once. It did not
  count it when it came, and would else learn it from the next repetition, 200 ms later or more.
* Observers, and voters without a database, take part in no round. They join a leader that
  stands, and after news they ask again within 200 ms, for nobody tells them how it goes on.
  Without a database nobody leads, not even who led before it lost its disk.
* An older round is answered once, and not at all by those: a peer to whom this one is no voter
  answers whatever the round, and the two would answer each other for ever.
* A looking peer answers a non-voter with the vote it proposes, not with that of its last leader.
* A non-voter that is not looking gets no answer; it has a leader.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from zkserver.base.members import version_of_text
from zkserver.base.quorum import QuorumVerifier
from zkserver.election.votes import (
    NO_VOTE,
    UNINITIALISED_ZXID,
    Ballot,
    Vote,
    ballot_of,
    rank,
    supports,
)
from zkserver.jute.notifications import VERSION, Notification, PeerState

LOOKING = PeerState.LOOKING


class Timing(NamedTuple):
    """The waits of an election.

    `decides_early` cuts the finalize wait short when every voter within reach (`Election.reach`)
    has given the same vote. The wait is there for better votes that are still on their way, and
    from those voters none can come: votes in a round only get better. Safety never rests on it.
    """

    finalize_wait_ms: int = 200
    decides_early: bool = True
    shortest_interval_ms: int = 200
    longest_interval_ms: int = 60000


class Effects(NamedTuple):
    """What the driver does now.

    `send`: notifications, each with the id of its receiver; a newer one replaces one that waits.
    `decided`: the vote that won, once, and then `state` is the peer's role.
    `reconnect`: dial every voter that has no connection.
    `newer_config`: the text of a configuration with a higher version, heard while looking: parse
    it, `use` it and `begin` again. The notification itself is not counted.
    """

    state: PeerState
    send: tuple[tuple[int, Notification], ...] = ()
    decided: Vote | None = None
    reconnect: bool = False
    newer_config: bytes | None = None


class Election:
    """One peer's elections, one after another.

    `state` is the role, `round` the logical clock, `vote` what the peer follows or proposes
    (None before the first `begin`), `finalize_ms` when the wait for a better vote ends, if it runs,
    `deadline_ms` when to call `wake` (None: not at all).
    `config` is the text of the configuration that notifications carry.
    """

    def __init__(
        self,
        server_id: int,
        verifier: QuorumVerifier,
        config: bytes = b"",
        timing: Timing = Timing(),  # noqa: B008 (immutable)
        *,
        reconfig_enabled: bool = False,
    ) -> None:
        self.server_id = server_id
        self.state = LOOKING
        self.round = 0
        self.vote: Vote | None = None
        self._timing = timing
        self._reconfig_enabled = reconfig_enabled
        self._initial = NO_VOTE
        self._elected = NO_VOTE
        # By server id: who spoke in this round, and who has a leader, in whatever round.
        self._heard: dict[int, Ballot] = {}
        self._standing: dict[int, Ballot] = {}
        # What a peer of an older round said, and in which round with which vote it was answered.
        self._answered: dict[int, tuple[Ballot, int, Vote | None]] = {}
        self._interval_ms = timing.shortest_interval_ms
        self._notify_ms: int | None = None
        self.finalize_ms: int | None = None
        self.use(verifier, config)

    def use(self, verifier: QuorumVerifier, config: bytes) -> None:
        """Takes another configuration. A peer that is looking must `begin` again."""
        self.verifier = verifier
        self.config = config
        self._within_reach = verifier.voters

    @property
    def deadline_ms(self) -> int | None:
        """When `wake` is due: the end of the finalize wait or the next notifications."""
        if self.state is not LOOKING or self._notify_ms is None:
            return None
        if self.finalize_ms is None:
            return self._notify_ms
        return min(self._notify_ms, self.finalize_ms)

    @property
    def is_voter(self) -> bool:
        """Whether this peer votes; an observer has no vote of its own."""
        return self.server_id in self.verifier.voters

    def begin(self, zxid: int, current_epoch: int, now_ms: int) -> Effects:
        """A new round, with a vote for oneself: the last logged zxid and the current epoch."""
        self.state = LOOKING
        self.round += 1
        self._initial = Vote(self.server_id, zxid, current_epoch) if self.is_voter else NO_VOTE
        self._heard.clear()
        self._standing.clear()
        self._answered.clear()
        self._interval_ms = self._timing.shortest_interval_ms
        return self._count(self._propose(self._initial, now_ms), now_ms)

    def reach(self, server_ids: Iterable[int], now_ms: int) -> Effects:
        """Which servers there are links to; all voters, until this is called."""
        linked = frozenset(server_ids)
        self._within_reach = tuple(v for v in self.verifier.voters if v in linked)
        if self.state is LOOKING and self.finalize_ms is not None:
            return self._count((), now_ms)
        return Effects(self.state)

    def receive(self, sender: int, notification: Notification, now_ms: int) -> Effects:
        """A notification from another server."""
        if self.vote is None or sender == self.server_id:
            return Effects(self.state)
        is_looking = notification.state is LOOKING
        if self.state is LOOKING and self._is_newer(notification.config):
            return Effects(LOOKING, newer_config=notification.config)
        if self.state is not LOOKING or sender not in self.verifier.voters:
            answer = self._answer(sender, notification.version) if is_looking else ()
            return Effects(self.state, answer)
        if is_looking and notification.round < self.round and not self._only_watches:
            return Effects(LOOKING, self._answer_once(sender, ballot_of(notification)))
        missed = is_looking and self._standing.pop(sender, None) is not None
        if notification.leader not in self.verifier.voters:
            return Effects(LOOKING)
        ballot = ballot_of(notification)
        if is_looking:
            return self._hear_looking(sender, ballot, now_ms, missed=missed)
        if notification.state in (PeerState.FOLLOWING, PeerState.LEADING):
            return self._hear_standing(sender, ballot, now_ms)
        return Effects(LOOKING)

    def wake(self, now_ms: int, *, delivered: bool = True) -> Effects:
        """Time has passed. `delivered`: some queue of notifications to a peer has run empty."""
        if self.state is not LOOKING or self._notify_ms is None:
            return Effects(self.state)
        if self.finalize_ms is not None and now_ms >= self.finalize_ms:
            return self._decide(self._proposed, self.round)
        if now_ms < self._notify_ms:
            return Effects(LOOKING)
        self._interval_ms = min(2 * self._interval_ms, self._timing.longest_interval_ms)
        self._notify_ms = now_ms + self._interval_ms
        if not delivered:
            return Effects(LOOKING, reconnect=True)
        return Effects(LOOKING, self._to_voters())

    def update_election_vote(self, epoch: int) -> None:
        """The epoch of the leader that this peer has synchronised with, or leads in.

        Everybody under one leader then gives late joiners the same vote (ZOOKEEPER-1732).
        """
        if self.state is not LOOKING:
            self.vote = self._proposed._replace(peer_epoch=epoch)

    @property
    def _proposed(self) -> Vote:
        return self.vote or NO_VOTE

    def _is_newer(self, config: bytes) -> bool:
        if not self._reconfig_enabled or not config:
            return False
        version = version_of_text(config)
        return version is not None and version > self.verifier.version

    def _hear_looking(self, sender: int, ballot: Ballot, now_ms: int, *, missed: bool) -> Effects:
        if self._only_watches:
            self._note_news(self._heard.get(sender) != ballot, now_ms)
            self._heard[sender] = ballot
            return Effects(LOOKING)
        if ballot.vote.zxid == UNINITIALISED_ZXID:
            return Effects(LOOKING)
        send: tuple[tuple[int, Notification], ...] = ()
        if ballot.round > self.round:
            # Votes of the old round say nothing about the new one, nor does what was adopted.
            self.round = ballot.round
            self._heard.clear()
            send = self._propose(self._better(ballot.vote, self._initial), now_ms)
        elif self._better(ballot.vote, self._proposed) != self._proposed:
            send = self._propose(ballot.vote, now_ms)
        if missed and not send:
            send = self._answer(sender, ballot.version)
        self._heard[sender] = ballot
        return self._count(send, now_ms)

    def _hear_standing(self, sender: int, ballot: Ballot, now_ms: int) -> Effects:
        news = self._standing.get(sender) != ballot
        self._standing[sender] = ballot
        if self._only_watches:
            self._note_news(news, now_ms)
        elif ballot.round == self.round:
            self._heard[sender] = ballot
            if self._stands(self._heard, ballot):
                return self._decide(ballot.vote, ballot.round)
        if self._stands(self._standing, ballot):
            return self._decide(ballot.vote, ballot.round)
        return Effects(LOOKING)

    @property
    def _only_watches(self) -> bool:
        return not self.is_voter or self._initial.zxid == UNINITIALISED_ZXID

    def _note_news(self, news: bool, now_ms: int) -> None:
        """Nobody tells a watcher how it goes on: after news it asks again soon."""
        if news:
            self._interval_ms = self._timing.shortest_interval_ms
            soon_ms = now_ms + self._interval_ms
            self._notify_ms = min(soon_ms, self._notify_ms or soon_ms)

    def _better(self, left: Vote, right: Vote) -> Vote:
        return max(left, right, key=lambda vote: rank(vote, self.verifier))

    def _stands(self, ballots: dict[int, Ballot], wanted: Ballot) -> bool:
        """Whether the leader of `wanted` has a quorum and is known to lead.

        Two joiners could else elect a dead server on what its followers said (checkLeader).
        """
        leader = wanted.vote.leader
        if leader == self.server_id:
            is_leading = wanted.round == self.round and not self._only_watches
        else:
            is_leading = leader in ballots and ballots[leader].state is PeerState.LEADING
        return is_leading and self.verifier.is_quorum(self._supporters(ballots, wanted))

    def _supporters(self, ballots: dict[int, Ballot], wanted: Ballot) -> list[int]:
        return [peer for peer, ballot in ballots.items() if supports(ballot, wanted)]

    def _count(self, send: tuple[tuple[int, Notification], ...], now_ms: int) -> Effects:
        """Decides, waits or goes on, by who is for the vote that this peer proposes."""
        wanted = Ballot(self._proposed, self.round, LOOKING, VERSION)
        supporters = self._supporters(self._heard, wanted)
        if not self.verifier.is_quorum(supporters):
            self.finalize_ms = None
            return Effects(LOOKING, send)
        if self._timing.decides_early and all(v in supporters for v in self._within_reach):
            return self._decide(self._proposed, self.round, send)
        if self.finalize_ms is None:
            self.finalize_ms = now_ms + self._timing.finalize_wait_ms
        return Effects(LOOKING, send)

    def _propose(self, vote: Vote, now_ms: int) -> tuple[tuple[int, Notification], ...]:
        self.vote = vote
        self.finalize_ms = None
        self._notify_ms = now_ms + self._interval_ms
        if not self._only_watches:
            self._heard[self.server_id] = Ballot(vote, self.round, LOOKING, VERSION)
        return self._to_voters()

    def _decide(
        self, vote: Vote, election_round: int, send: tuple[tuple[int, Notification], ...] = ()
    ) -> Effects:
        self.vote = self._elected = vote
        self.round = election_round
        self._notify_ms = self.finalize_ms = None
        if vote.leader == self.server_id:
            self.state = PeerState.LEADING
        else:
            self.state = PeerState.FOLLOWING if self.is_voter else PeerState.OBSERVING
        return Effects(self.state, send, vote)

    def _to_voters(self) -> tuple[tuple[int, Notification], ...]:
        told = self._notification(self._proposed)
        return tuple((v, told) for v in self.verifier.voters if v != self.server_id)

    def _answer_once(self, receiver: int, ballot: Ballot) -> tuple[tuple[int, Notification], ...]:
        """Tells a peer of an older round, unless it has been told and says the same again."""
        said = ballot, self.round, self.vote
        if self._answered.get(receiver) == said:
            return ()
        self._answered[receiver] = said
        return self._answer(receiver, ballot.version)

    def _answer(self, receiver: int, version: int) -> tuple[tuple[int, Notification], ...]:
        # Peers of version 0 never update the epoch and compare whole votes: they get the vote
        # as it was elected.
        is_old = version == 0 and self.state is not LOOKING
        return ((receiver, self._notification(self._elected if is_old else self._proposed)),)

    def _notification(self, vote: Vote) -> Notification:
        leader, zxid, peer_epoch = vote
        return Notification(self.state, leader, zxid, self.round, peer_epoch, VERSION, self.config)
