"""Writes a world's story down: packets on their way, what peers are, what happened to them.

A recorder is the world's `observer` and the listener of its event log. It sees what is written
to a connection and what the process at the other end is handed, counts bytes in both
directions, and so knows of each packet when it left and when its last byte arrived. A packet
that was never handed over is lost, whoever is to blame: a cut, a crash, a reset, a full window.

Names are those of `packet_names`. Only servers are lanes, and only their quorum and election
ports are looked at; of clients there is a mark where they get a session or lose it.

Invariants: a recorder changes nothing in the world and reads nothing but the loop's time. The
same seed gives an equal story.

Left out: TCP's own packets; connection attempts; what clients ask (the event log has it).
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence

from zkserver.jute.notifications import PeerState
from zkserver.sim import observer
from zkserver.sim.ensemble import ELECTION_PORT, QUORUM_PORT
from zkserver.sim.packet_names import ElectionStream, QuorumStream, Stream
from zkserver.sim.story import Flight, Mark, StateChange, Story
from zkserver.sim.transport import End
from zkserver.sim.world import World
from zkserver.sim.zab_history import shown

# Lines of a server's log that are no news, or that the story has in another form.
DULL = (
    *("peer state", "phase:", "snapshot written", "zkserver ", "client port", "data directory"),
    *("receives the leader's tree", "received the leader's tree", "serving "),
)
_TELLING = ("session expired", "election link is lost", "no election link to a server")
_ENDS = ("is killed", "loses power", "ends with exit code", "fatal: ")
_HEX_ZXID = re.compile(r"0x([0-9a-f]+)$")


class Flow:
    """One direction of a connection. What waits: end in the stream, time sent, name."""

    def __init__(self, sender: str, receiver: str, channel: str, stream: Stream) -> None:
        self.sender = sender
        self.receiver = receiver
        self.channel = channel
        self.stream = stream
        self.waiting: deque[tuple[int, float, str]] = deque()
        self.named_bytes = 0
        self.delivered_bytes = 0
        self.is_dead = False


class Recorder:
    """Fills `story` until `finish`. `hosts` are the servers."""

    def __init__(self, world: World, hosts: Sequence[str], title: str) -> None:
        self.story = Story(str(world.seed), title, list(hosts))
        self._loop = world.loop
        self._hosts = dict.fromkeys(hosts)
        self._flows: dict[End, Flow | None] = {}
        self._now: dict[str, tuple[str, str]] = {}
        self._why_down: dict[str, str] = {}
        self._sessions: dict[str, str] = {}
        world.network.observer = self
        world.events.listener = self.noted

    def finish(self, verdicts: list[tuple[str, str, str]], end_s: float) -> Story:
        """The run is over: what is still on its way never arrives."""
        for flow in self._flows.values():
            if flow is not None:
                self._lose(flow)
        self.story.end_s = end_s
        self.story.verdicts = verdicts
        return self.story

    # Packets

    def _flow_from(self, end: End) -> Flow | None:
        """What goes out of an end; None for what is none of the story."""
        if end in self._flows:
            return self._flows[end]
        flow = None
        (sender, port), (receiver, called) = (
            end.get_extra_info("sockname"),
            end.get_extra_info("peername"),
        )
        if sender in self._hosts and receiver in self._hosts:
            if QUORUM_PORT in (port, called):
                flow = Flow(sender, receiver, "quorum", QuorumStream())
            elif ELECTION_PORT in (port, called):
                stream = ElectionStream(has_called=called == ELECTION_PORT)
                flow = Flow(sender, receiver, "election", stream)
        self._flows[end] = flow
        return flow

    def written(self, end: End, data: bytes) -> None:
        """Packets leave."""
        flow = self._flow_from(end)
        if flow is None:
            return
        for name, size_bytes in flow.stream.feed(data):
            flow.named_bytes += size_bytes
            flow.waiting.append((flow.named_bytes, self._loop.time(), name))
        if flow.is_dead:
            self._lose(flow)

    def delivered(self, end: End, data: bytes) -> None:
        """Packets arrive whose last byte is among these."""
        flow = self._flow_from(end.peer)
        if flow is None:
            return
        flow.delivered_bytes += len(data)
        while flow.waiting and flow.waiting[0][0] <= flow.delivered_bytes:
            _, sent_s, name = flow.waiting.popleft()
            self._add_flight(flow, sent_s, self._loop.time(), name)

    def closed(self, end: End) -> None:
        """Nothing arrives at this end any more."""
        flow = self._flow_from(end.peer)
        if flow is not None:
            flow.is_dead = True
            self._lose(flow)

    def _lose(self, flow: Flow) -> None:
        while flow.waiting:
            _, sent_s, name = flow.waiting.popleft()
            self._add_flight(flow, sent_s, None, name)

    def _add_flight(self, flow: Flow, sent_s: float, arrived_s: float | None, name: str) -> None:
        if not name.startswith("HELLO"):
            self.story.flights.append(
                Flight(sent_s, arrived_s, flow.sender, flow.receiver, flow.channel, name)
            )

    # States

    def life(self, host: str, what: str) -> None:
        """A host's process begins, ends, pauses or goes on."""
        if host not in self._hosts:
            return
        if what == observer.BEGINS:
            self._now.pop(host, None)
        elif what == observer.ENDS:
            self._now.pop(host, None)
            self._add_state(host, "DOWN", self._why_down.pop(host, ""))
        elif what == observer.PAUSES:
            self._add_state(host, "PAUSED", "")
        elif host in self._now:
            self._add_state(host, *self._now[host])

    def peer_state(self, host: str, state: str, detail: str) -> None:
        """A peer's role, in the words of its log: "", "of 3", "serves in epoch 5"."""
        leader = re.match(r"of (\d+)$", detail)
        epoch = re.match(r"serves in epoch (\d+)$", detail)
        text = detail
        if leader is not None:
            text = f"of n{leader[1]}, not yet serving"
        elif epoch is not None:
            text = f"epoch {int(epoch[1]):x}"
            before = re.match(r"of (\w+)", self._now.get(host, ("", ""))[1])
            if before is not None:
                text += f", of {before[1]}"
        elif state == PeerState.LEADING.name:
            text = "elected, not yet serving"
        self._now[host] = (state, text)
        self._add_state(host, state, text)

    def _add_state(self, host: str, state: str, detail: str) -> None:
        self.story.states.append(StateChange(self._loop.time(), host, state, detail))

    # Marks

    def mark(self, at_s: float, host: str, kind: str, text: str) -> None:
        """Something at one moment."""
        self.story.marks.append(Mark(at_s, host, kind, text))

    def noted(self, who: str, what: str) -> None:
        """An event of the run: those that a person wants to know of become marks."""
        if who in self._hosts:
            self._server_noted(who, what)
        elif who == "nemesis":
            self._nemesis_noted(what)
        elif what == "has session 0x0":
            self._sessions.pop(who, None)
            self.mark(self._loop.time(), who, "client", "hears that its session is gone")
        elif what.startswith("has session ") and self._sessions.get(who) != what:
            self._sessions[who] = what
            self.mark(self._loop.time(), who, "client", what)

    def _nemesis_noted(self, what: str) -> None:
        kind, _, text = what.partition(": ")
        if kind == "fault":
            whom = text.rpartition(": ")[2]
            host = whom if whom in self._hosts else ""
            self.mark(self._loop.time(), host, "fault", text.removesuffix(": "))
        elif kind in ("ends", "act two"):
            self.mark(self._loop.time(), "", "note", what)

    def _server_noted(self, host: str, what: str) -> None:
        now_s = self._loop.time()
        line = what.removeprefix("log: ")
        if what.startswith(_ENDS):
            reason = what.removeprefix("is ").removeprefix("fatal: ")
            if what.startswith("ends with") and host in self._why_down:
                reason = f"{reason}: {self._why_down[host]}"
            self._why_down[host] = reason
        elif what == "is asked to stop":
            self.mark(now_s, host, "note", what)
        elif what.startswith("keeps "):
            found = _HEX_ZXID.search(what)
            self.mark(now_s, host, "note", f"keeps {shown(int(found[1], 16)) if found else ''}")
        elif what.startswith(_TELLING) or (line is not what and not line.startswith(DULL)):
            self.mark(now_s, host, "log", line)
