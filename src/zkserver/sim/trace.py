"""A story as one HTML page: a lane per server, arrows for packets, flags for faults.

The page is the package's `trace.html` with the story put in as JSON. It needs nothing
else: no other file, no address, no build. `trace.html` holds the drawing; this module
decides what the data look like and which class a packet is of.

The JSON is made for many flights (half an hour of five servers is 200,000): times are
whole microseconds, flights are columns sorted by sending time with differences instead
of times, and every distinct packet name stands once in a table:

* `seed`, `title`, `end` (µs), `verdicts` (rows of three texts)
* `hosts`, the first `lanes` of which have a lane; the others only own marks
* `classes`, `channels`; `names`: rows of class, channel, text
* `flights`: `sent` (µs since the one before), `taken` (µs, -1: lost), `link`
  (sender x number of hosts + receiver), `name`
* `states`: rows of µs, host, state, detail; `marks`: rows of µs, host (-1: the world),
  kind, text. Both sorted by time.

Invariants: equal stories give equal pages. Texts come from znodes, logs and packets, so
none may become markup: JSON escapes every character that is not ASCII, this module every
"<", and the page writes texts as text only. Its content security policy forbids it to
load anything.

Left out: reading a page back.
"""

from __future__ import annotations

import json
import re
from importlib import resources

from zkserver.sim.story import Flight, Story

PLACEHOLDER = "__STORY__"

CLASSES = {
    "votes": (),
    "discovery": ("FOLLOWERINFO", "OBSERVERINFO", "LEADERINFO", "ACKEPOCH"),
    "synchronisation": ("DIFF", "TRUNC", "SNAP", "TREE", "NEWLEADER", "UPTODATE"),
    "requests": ("REQUEST", "REVALIDATE", "SYNC"),
    "proposals": ("PROPOSAL",),
    "acks": ("ACK",),
    "commits": ("COMMIT", "COMMITANDACTIVATE", "INFORM", "INFORMANDACTIVATE"),
    "pings": ("PING",),
    "other": (),
}
"""Packet types by class. All of the election's notifications are votes."""

_CLASS_NAMES = tuple(CLASSES)
_CLASS_OF_TYPE = {kind: name for name, kinds in CLASSES.items() for kind in kinds}


def render(story: Story) -> str:
    """The page, ASCII but for what `trace.html` itself holds. Write it as UTF-8."""
    template = resources.files(__package__).joinpath("trace.html").read_text("utf-8")
    before, _, after = template.partition(PLACEHOLDER)
    text = json.dumps(_data(story), separators=(",", ":"), allow_nan=False)
    return before + text.replace("<", "\\u003c") + after


def packet_class(channel: str, name: str) -> str:
    """The class by which a packet is coloured and filtered: a key of CLASSES."""
    if channel == "election":
        return "votes"
    kind = re.match(r"[A-Z]*", name)
    return _CLASS_OF_TYPE.get(kind[0] if kind else "", "other")


def _data(story: Story) -> dict[str, object]:
    flights = sorted(story.flights, key=lambda flight: flight.sent_s)
    states = sorted(story.states, key=lambda state: state.at_s)
    marks = sorted(story.marks, key=lambda mark: mark.at_s)
    lanes = dict.fromkeys(story.hosts)
    lanes.update(dict.fromkeys(state.host for state in states))
    for flight in flights:
        lanes.setdefault(flight.sender)
        lanes.setdefault(flight.receiver)
    everybody = lanes | dict.fromkeys(mark.host for mark in marks if mark.host)
    number = {host: index for index, host in enumerate(everybody)}
    return {
        "seed": story.seed,
        "title": story.title,
        "end": _end_us(story),
        "hosts": list(everybody),
        "lanes": len(lanes),
        "classes": _CLASS_NAMES,
        **_flight_columns(flights, number),
        "states": [[_us(s.at_s), number[s.host], s.state, s.detail] for s in states],
        "marks": [[_us(m.at_s), number.get(m.host, -1), m.kind, m.text] for m in marks],
        "verdicts": story.verdicts,
    }


def _flight_columns(flights: list[Flight], number: dict[str, int]) -> dict[str, object]:
    channels: dict[str, int] = {}
    names: dict[tuple[str, str], int] = {}
    sent: list[int] = []
    taken: list[int] = []
    link: list[int] = []
    name: list[int] = []
    before_us = 0
    for flight in flights:
        sent_us = _us(flight.sent_s)
        sent.append(sent_us - before_us)
        before_us = sent_us
        taken.append(-1 if flight.arrived_s is None else _us(flight.arrived_s) - sent_us)
        link.append(number[flight.sender] * len(number) + number[flight.receiver])
        name.append(names.setdefault((flight.channel, flight.name), len(names)))
        channels.setdefault(flight.channel, len(channels))
    return {
        "channels": list(channels),
        "names": [
            [_CLASS_NAMES.index(packet_class(channel, text)), channels[channel], text]
            for channel, text in names
        ],
        "flights": {"sent": sent, "taken": taken, "link": link, "name": name},
    }


def _end_us(story: Story) -> int:
    """The run's end, or its last event if that is later."""
    times_s = [story.end_s]
    times_s += [state.at_s for state in story.states]
    times_s += [mark.at_s for mark in story.marks]
    times_s += [f.sent_s if f.arrived_s is None else f.arrived_s for f in story.flights]
    return _us(max(times_s))


def _us(time_s: float) -> int:
    return round(time_s * 1e6)
