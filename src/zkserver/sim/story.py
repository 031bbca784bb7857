"""What a simulated ensemble did, as data: states, packets in flight and marks in time.

A story is what a recorder writes down while the world runs and what `trace` draws
afterwards; neither knows the other. It holds texts and virtual seconds only, no
objects of the run, so it can outlive the world.

Invariants: nothing here is of the machine (no clock, no address), so the same seed
gives an equal story. Lists are in the order things were noted, which need not be the
order of time: a flight is known only when it has landed or is known to be lost.

Left out: what was inside a packet beyond its name; bytes; acknowledgements of TCP.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Flight:
    """A packet between two servers. `arrived_s` is None if it was lost or never delivered.

    `channel` is "election" or "quorum"; `name` begins with the packet's type on the
    quorum channel: "PROPOSAL 5:3", and says all of a notification on the other:
    "LOOKING votes 3 (epoch 4, zxid 4:9, round 7)".
    """

    sent_s: float
    arrived_s: float | None
    sender: str
    receiver: str
    channel: str
    name: str


@dataclass(frozen=True, slots=True)
class StateChange:
    """From `at_s` on, `host` is in `state`.

    States are LOOKING, FOLLOWING, LEADING, OBSERVING, SERVING of a standalone server, and of
    the host itself DOWN and PAUSED. `detail` is free text; "epoch 5" in it is the epoch drawn
    for a leader, in hex as in zxids.
    """

    at_s: float
    host: str
    state: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """Something at one moment. `host` is "" for the whole world.

    `kind` is "fault", "note", "log", "client" or "broken" (a property that no longer holds).
    """

    at_s: float
    host: str
    kind: str
    text: str


@dataclass(slots=True)
class Story:
    """One run. `hosts` are the servers, in the order of their lanes.

    `end_s` is when the run ended. `verdicts` are (property, outcome, detail), the
    outcome "ok", "invalid" or "unknown".
    """

    seed: str
    title: str
    hosts: list[str]
    end_s: float = 0.0
    states: list[StateChange] = field(default_factory=list)
    flights: list[Flight] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    verdicts: list[tuple[str, str, str]] = field(default_factory=list)
