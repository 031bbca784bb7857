"""A story as text: one line for each thing a person wants to know, in order of time.

    12.690  n1 stops following n3 and looks for a leader: the leader is silent for 4 ticks
    12.702  n1 and n2 vote for n2 in round 5 (its last txn is 2:1b)
    12.705  n2 is elected
    12.741  n2 leads epoch 3 and serves
    12.790  n1 serves in epoch 3, after DIFF of 4 txns
    14.120  118 txns are committed: 3:1 to 3:76
    14.121  FAULT partition one: n3 deaf to n1+n2, n1 deaf to n3, n2 deaf to n3

All of it comes from the `Story`, nothing from the run. Times are virtual seconds. Servers that do
the same within MERGE_S share a line. Broadcast is summed up between two lines: a txn counts as
committed with its first COMMIT or INFORM outside of a synchronisation. Votes are told when they
have come to rest, or when somebody acts on them.

Left out: pings, acknowledgements, what a client asks, snapshots, links that come and go.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from zkserver.sim.story import Flight, Mark, StateChange, Story

WIDTH = 100
INDENT = 12
MERGE_S = 0.5
# How far back a line may be that another server still joins.
MERGE_LINES = 6
VOTES, ROLES, BREACHES = 1, 2, 3
# Votes that nobody acts on are told after so long.
VOTES_REST_S = 1.0

_VOTE = re.compile(r"LOOKING votes (\d+) \(epoch \w+, zxid ([\w:]+), round (\d+)\)")
_COMMITS = ("COMMIT ", "INFORM ")
_SYNCS = ("DIFF ", "TRUNC ", "SNAP ")
_DULL_LOGS = ("election link is lost", "no election link to a server")


@dataclass
class Line:
    """`singular` and `plural` follow the hosts; without hosts they are the whole text.

    `rank` orders what happens at one moment: votes follow what made them necessary.
    """

    at_s: float
    hosts: list[str]
    singular: str
    plural: str
    is_barrier: bool = False
    rank: int = 0
    times: int = 1

    def __str__(self) -> str:
        text = self.plural if len(self.hosts) > 1 else self.singular
        if self.times > 1:
            text += f" ({self.times} times)"
        return f"{listed(self.hosts)} {text}" if self.hosts else text


@dataclass
class _Sync:
    """How a learner is synchronised: packets of its leader since the last DIFF, TRUNC or SNAP."""

    first: list[str] = field(default_factory=list)
    txns: int = 0
    is_over: bool = False

    def __str__(self) -> str:
        how = " and ".join(self.first)
        if self.txns == 0 and how.startswith("DIFF"):
            return "DIFF of no txns"
        txns = f"{self.txns} txn{'' if self.txns == 1 else 's'}"
        if how.startswith("DIFF"):
            return f"DIFF of {txns}"
        return f"{how} and {txns}" if self.txns else how


def tell(story: Story) -> list[str]:
    """The lines of a story, each of at most WIDTH columns."""
    teller = _Teller(story)
    for _, _, act in sorted(teller.acts(), key=lambda item: item[:2]):
        act()
    teller.rest()
    # Commits and votes are told late, with the time at which they were.
    told = sorted(teller.lines, key=lambda line: (line.at_s, line.rank))
    return [part for line in told for part in wrapped(line.at_s, str(line))]


def until(story: Story, at_s: float) -> Story:
    """A story as far as it had come at a time (s)."""
    return replace(
        story,
        end_s=at_s,
        states=[state for state in story.states if state.at_s <= at_s],
        flights=[flight for flight in story.flights if flight.sent_s <= at_s],
        marks=[mark for mark in story.marks if mark.at_s <= at_s],
    )


def wrapped(at_s: float, text: str) -> list[str]:
    """One line of the story, with its time before it."""
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=f"{at_s:>{INDENT - 2}.3f}  ",
        subsequent_indent=" " * INDENT,
        break_on_hyphens=False,
    )


def flowed(text: str) -> list[str]:
    """A text without a time, in lines of at most WIDTH columns."""
    return textwrap.wrap(text, WIDTH, subsequent_indent="  ", break_on_hyphens=False)


def listed(names: list[str]) -> str:
    """n1, n2 and n3."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _facts(text: str) -> dict[str, str]:
    """name=value of a log line; the last value may have spaces."""
    parts = re.split(r" (\w+)=", " " + text)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def zxid_of(text: str) -> str:
    """epoch:counter of a zxid that a log line has as 0x1000000ab."""
    number = int(text, 16)
    return f"{number >> 32:x}:{number & 0xFFFFFFFF:x}"


class _Teller:
    """Goes through a story in order of time."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.lines: list[Line] = []
        self._states: dict[str, StateChange] = {}
        self._is_paused: dict[str, None] = {}
        self._reasons: dict[str, str] = {}
        self._syncs: dict[str, _Sync] = {}
        # The vote of each server, and of those not told yet the time.
        self._votes: dict[str, tuple[str, str, str]] = {}
        self._new_votes: dict[str, float] = {}
        self._commits: list[str] = []
        self._last_commit_s = 0.0
        self._committed: dict[str, None] = {}
        self._keeps: dict[str, list[str]] = {}
        # When a server started last, and when a fault hit whom.
        self._started: dict[str, float] = {}
        self._fault: tuple[float, str] = (-1.0, "")
        self._owners: dict[str, str] = {}

    def acts(self) -> Iterator[tuple[float, int, Callable[[], None]]]:
        """What there is to tell: time, rank among things of the same time, and the telling."""
        for flight in self.story.flights:
            if flight.name.startswith("LOOKING votes"):
                yield flight.sent_s, 0, lambda f=flight: self._vote(f)  # type: ignore[misc]
            elif flight.name.startswith(_COMMITS):
                yield flight.sent_s, 0, lambda f=flight: self._commit(f)  # type: ignore[misc]
            if flight.channel == "quorum" and flight.arrived_s is not None:
                yield flight.arrived_s, 1, lambda f=flight: self._synchronise(f)  # type: ignore[misc]
        for mark in self.story.marks:
            rank = 4 if mark.kind == "broken" else 2
            yield mark.at_s, rank, lambda m=mark: self._mark(m)  # type: ignore[misc]
        for state in self.story.states:
            yield state.at_s, 3, lambda s=state: self._state(s)  # type: ignore[misc]

    def rest(self) -> None:
        """What waits for more to come is told now."""
        self._tell_votes()
        if self._commits:
            self._tell_commits()

    # Lines

    def _say(
        self,
        at_s: float,
        host: str,
        singular: str,
        plural: str = "",
        *,
        is_barrier: bool = False,
        rank: int = 0,
    ) -> None:
        if self._commits and (is_barrier or not self._can_join(at_s, host, singular)):
            self._tell_commits()
        if not is_barrier and host:
            line = self._can_join(at_s, host, singular)
            if line is not None and line.hosts == [host]:
                line.times += 1
                return
            if line is not None and line.times == 1:
                line.hosts.append(host)
                line.hosts.sort(key=_natural)
                return
        hosts = [host] if host else []
        self.lines.append(Line(at_s, hosts, singular, plural or singular, is_barrier, rank))

    def _can_join(self, at_s: float, host: str, singular: str) -> Line | None:
        for line in reversed(self.lines[-MERGE_LINES:]):
            if line.is_barrier or at_s - line.at_s > MERGE_S:
                return None
            is_same = line.singular == singular
            if is_same and line.hosts and (host not in line.hosts or line.hosts == [host]):
                return line
            if host in line.hosts:
                return None
        return None

    def _tell_commits(self) -> None:
        zxids, self._commits = self._commits, []
        if len(zxids) == 1:
            text = f"1 txn is committed: {zxids[0]}"
        else:
            text = f"{len(zxids)} txns are committed: {zxids[0]} to {zxids[-1]}"
        self.lines.append(Line(self._last_commit_s, [], text, text, True))

    def _tell_votes(self) -> None:
        """One line for each vote that is new."""
        pending, self._new_votes = self._new_votes, {}
        groups: dict[tuple[str, str, str], list[str]] = {}
        for host in pending:
            groups.setdefault(self._votes[host], []).append(host)
        for (leader, zxid, number), voters in groups.items():
            voters.sort(key=_natural)
            at_s = max(pending[host] for host in voters)
            whom = "itself" if voters == [leader] else leader
            verb = "votes" if len(voters) == 1 else "vote"
            text = f"{verb} for {whom} in round {number} (whose last txn is {zxid})"
            if zxid == "0:0":
                text = f"{verb} for {whom} in round {number}"
            if self._commits:
                self._tell_commits()
            self.lines.append(Line(at_s, voters, text, text, True, VOTES))

    # Packets

    def _vote(self, flight: Flight) -> None:
        found = _VOTE.match(flight.name)
        if found is None:
            return
        vote = f"n{found[1]}", found[2], found[3]
        if self._votes.get(flight.sender) == vote:
            return
        if self._new_votes and flight.sent_s - min(self._new_votes.values()) > VOTES_REST_S:
            self._tell_votes()
        self._votes[flight.sender] = vote
        self._new_votes[flight.sender] = flight.sent_s

    def _commit(self, flight: Flight) -> None:
        zxid = flight.name.split()[1]
        sync = self._syncs.get(flight.receiver)
        if zxid in self._committed or (sync is not None and not sync.is_over):
            return
        self._committed[zxid] = None
        self._commits.append(zxid)
        self._last_commit_s = flight.sent_s

    def _synchronise(self, flight: Flight) -> None:
        name, learner = flight.name, flight.receiver
        if name.startswith(_SYNCS):
            sync = self._syncs.get(learner)
            if sync is None or sync.is_over or sync.txns:
                sync = self._syncs[learner] = _Sync()
            sync.first.append(name)
            return
        sync = self._syncs.get(learner)
        if sync is None or sync.is_over:
            return
        if name.startswith("TREE of"):
            sync.first[-1] += f" ({name.removeprefix('TREE of ')})"
        elif name.startswith("PROPOSAL "):
            sync.txns += 1
        elif name.startswith("NEWLEADER"):
            sync.is_over = True

    # States

    def _state(self, state: StateChange) -> None:
        host = state.host
        if state.state == "PAUSED":
            self._is_paused[host] = None
            return
        before = self._states.get(host)
        self._states[host] = state
        if host in self._is_paused:
            del self._is_paused[host]
            if before is not None and before.state == state.state and state.detail == before.detail:
                return
        self._tell_keeps(host, state.at_s)
        if state.state == "LOOKING":
            self._looks(state, before)
        elif state.state == "DOWN":
            self._is_down(state)
        else:
            self._has_role(state)

    def _looks(self, state: StateChange, before: StateChange | None) -> None:
        reason = self._reasons.pop(state.host, "")
        self._syncs.pop(state.host, None)
        if not reason or before is None:
            if self._started.get(state.host) == state.at_s:
                return
            self._say(state.at_s, state.host, "looks for a leader", "look for a leader")
            return
        what = before.state.lower()
        leader = re.search(r"of (n\d+)", before.detail)
        if before.state == "OBSERVING":
            what = f"observing {leader[1]}" if leader else what
        elif leader is not None:
            what = f"following {leader[1]}"
        rest = f"{what} and look{{}} for a leader: {reason}"
        self._say(
            state.at_s, state.host, f"stops {rest.format('s')}", f"stop {rest.format('')}"
        )

    def _is_down(self, state: StateChange) -> None:
        self._reasons.pop(state.host, None)
        self._syncs.pop(state.host, None)
        self._votes.pop(state.host, None)
        self._new_votes.pop(state.host, None)
        detail = state.detail or "ended"
        if self._fault == (state.at_s, state.host):
            return
        if detail == "killed":
            self._say(state.at_s, state.host, "is killed", "are killed")
        elif detail == "loses power":
            self._say(state.at_s, state.host, "loses power", "lose power")
        else:
            self._say(state.at_s, state.host, f"is down: {detail}", f"are down: {detail}")

    def _has_role(self, state: StateChange) -> None:
        self._tell_votes()
        epoch = re.match(r"epoch (\w+)", state.detail)
        leader = re.search(r"of (n\d+)", state.detail)
        if state.state == "LEADING":
            if epoch is None:
                text = "is elected, by its own count"
                self._say(state.at_s, state.host, text, rank=ROLES)
            else:
                text = f"leads epoch {epoch[1]} and serves: a quorum has its history"
                self._say(state.at_s, state.host, text, is_barrier=True, rank=ROLES)
            return
        if state.state == "SERVING":
            self._say(state.at_s, state.host, "serves", "serve", rank=ROLES)
            return
        whom = leader[1] if leader else "nobody"
        if epoch is None:
            verb = "observe" if state.state == "OBSERVING" else "follow"
            text = f"to {verb} {whom}"
            self._say(state.at_s, state.host, f"decides {text}", f"decide {text}", rank=ROLES)
            return
        sync = self._syncs.get(state.host)
        how = f", after {sync}" if sync is not None else ""
        rest = f"in epoch {epoch[1]} of {whom}{how}"
        self._say(state.at_s, state.host, f"serves {rest}", f"serve {rest}", rank=ROLES)

    # Marks

    def _mark(self, mark: Mark) -> None:
        kind, host, text, at_s = mark.kind, mark.host, mark.text, mark.at_s
        if kind == "broken":
            self._tell_votes()
            self._say(at_s, "", f"BROKEN {text}", is_barrier=True, rank=BREACHES)
        elif kind == "fault":
            self._tell_votes()
            self._fault = at_s, host
            self._say(at_s, "", f"FAULT {text}", is_barrier=True)
        elif kind == "note" and not host:
            is_end = text.startswith("ends: ")
            shown = f"END OF {text.removeprefix('ends: ')}" if is_end else f"---- {text} ----"
            self._say(at_s, "", shown, is_barrier=True)
        elif kind == "note" and text.startswith("keeps "):
            self._keeps.setdefault(host, []).append(text.removeprefix("keeps "))
        elif kind == "note":
            self._say(at_s, host, text)
        elif kind == "log" and not text.startswith(_DULL_LOGS):
            self._log(at_s, host, text)
        elif kind == "client" and text.startswith("has session "):
            self._owners[text.removeprefix("has session ")] = host
        elif kind == "client":
            self._say(at_s, "", f"{host} {text}")

    def _log(self, at_s: float, host: str, text: str) -> None:
        facts = _facts(text)
        if text.startswith("the role has ended"):
            self._reasons[host] = facts.get("reason", "")
        elif text.startswith("restored"):
            zxid = zxid_of(facts["zxid"])
            self._started[host] = at_s
            what = "nothing" if zxid == "0:0" else f"everything up to {zxid}"
            is_alone = len(self.story.hosts) == 1
            looks, look = ("", "") if is_alone else (" and looks for", " and look for")
            whom = "" if is_alone else " a leader"
            self._say(
                at_s,
                host,
                f"starts with {what} on its disk{looks}{whom}",
                f"start with {what} on their disks{look}{whom}",
            )
        elif text.startswith("closing a learner's link"):
            self._say(at_s, host, f"gives a learner up: {facts.get('reason', '')}")
        elif text.startswith("session expired"):
            owner = self._owners.get(facts["session"], "a client")
            self._say(at_s, host, f"lets the session of {owner} expire ({facts['session']})")
        else:
            self._say(at_s, host, f"says: {text}", f"say: {text}")

    def _tell_keeps(self, host: str, at_s: float) -> None:
        zxids = self._keeps.pop(host, [])
        if zxids:
            what = "a txn" if len(zxids) == 1 else f"{len(zxids)} txns"
            text = f"{what} that nobody said was committed, up to {zxids[-1]}"
            self._say(at_s, host, f"keeps {text}", f"keep {text}")


def _natural(name: str) -> tuple[str, int]:
    digits = re.search(r"\d+$", name)
    return (name[: digits.start()], int(digits[0])) if digits else (name, -1)
