"""The last elections of one peer, kept to be told: who said what when, who won, what came of it.

`Story` is written by the driver of an `Election` and read by whoever shows it (the console). It
takes no part: an election with it and without decides alike. Bounded: the last `KEPT` elections,
and of each the first `LONGEST` lines, for an election without a quorum goes on for ever.

All times are given by the caller: `now_ms` of the monotonic clock, `wall_ms` of the calendar's.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from zkserver.election.votes import Vote
from zkserver.jute.notifications import Notification, PeerState

KEPT = 20
LONGEST = 400


class Happening(StrEnum):
    """What a line tells of: this peer's own vote, another's word, the end of the election."""

    PROPOSES = "proposes"
    HEARS = "hears"
    DECIDES = "decides"


class Line(NamedTuple):
    """`after_ms` the election began, `server_id` was in `state` and for `vote` in `round`."""

    after_ms: int
    happening: Happening
    server_id: int
    state: PeerState
    vote: Vote
    round: int


@dataclass(slots=True)
class Chapter:
    """One election and what came of it.

    `took_ms` is None while it goes on, `serves_after_ms` until the peer serves under the leader;
    `end` is why the role was over, "" while it lasts. `left_out` counts lines beyond the limit.
    """

    began_wall_ms: int
    began_ms: int
    lines: list[Line] = field(default_factory=list)
    took_ms: int | None = None
    winner: Vote | None = None
    role: PeerState = PeerState.LOOKING
    epoch: int | None = None
    serves_after_ms: int | None = None
    end: str = ""
    left_out: int = 0


class Story:
    """The chapters of a peer, oldest first."""

    def __init__(self, server_id: int) -> None:
        self.server_id = server_id
        self.chapters: deque[Chapter] = deque(maxlen=KEPT)

    def begin(self, now_ms: int, wall_ms: int) -> None:
        """This peer looks for a leader."""
        self.chapters.append(Chapter(wall_ms, now_ms))

    def proposes(self, vote: Vote, election_round: int, now_ms: int) -> None:
        """This peer tells its vote; told again, it is no news."""
        looking = PeerState.LOOKING
        chapter = self._open()
        if chapter is None:
            return
        for line in reversed(chapter.lines):
            if line.happening is Happening.PROPOSES:
                if (line.vote, line.round) == (vote, election_round):
                    return
                break
        self._add(now_ms, Happening.PROPOSES, self.server_id, looking, vote, election_round)

    def hears(self, sender: int, said: Notification, now_ms: int) -> None:
        """Another peer has said something."""
        if self._open() is not None:
            vote = Vote(said.leader, said.zxid, said.peer_epoch)
            self._add(now_ms, Happening.HEARS, sender, said.state, vote, said.round)

    def decides(self, vote: Vote, role: PeerState, election_round: int, now_ms: int) -> None:
        """The election is over for this peer."""
        chapter = self._open()
        if chapter is not None:
            self._add(now_ms, Happening.DECIDES, self.server_id, role, vote, election_round)
            chapter.winner, chapter.role = vote, role
            chapter.took_ms = now_ms - chapter.began_ms

    def serves(self, epoch: int, now_ms: int) -> None:
        """The peer is in step with the leader, or leads."""
        if self.chapters and self.chapters[-1].serves_after_ms is None:
            chapter = self.chapters[-1]
            chapter.epoch, chapter.serves_after_ms = epoch, now_ms - chapter.began_ms

    def ends(self, reason: str) -> None:
        """The role that this election led to is over."""
        if self.chapters:
            self.chapters[-1].end = reason

    def _open(self) -> Chapter | None:
        """The election that goes on, if one does."""
        chapter = self.chapters[-1] if self.chapters else None
        return chapter if chapter is not None and chapter.took_ms is None else None

    def _add(
        self,
        now_ms: int,
        happening: Happening,
        server_id: int,
        state: PeerState,
        vote: Vote,
        election_round: int,
    ) -> None:
        chapter = self.chapters[-1]
        if len(chapter.lines) >= LONGEST and happening is not Happening.DECIDES:
            chapter.left_out += 1
            return
        after_ms = now_ms - chapter.began_ms
        chapter.lines.append(Line(after_ms, happening, server_id, state, vote, election_round))
