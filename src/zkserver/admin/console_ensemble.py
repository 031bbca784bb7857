"""The ensemble as the console shows it: every server asked with the word `srvr`, and itself.

`srvr` is on the default whitelist, and Apache's servers answer it too. A server is asked at most
once a second however many browsers look, and never while nobody does. What it does not say is
None. A sample of a server is what it said at one moment; the last `KEPT` are kept, so that a page
that is just opened has something to draw, until nobody has looked for a minute.

* A server that does not answer within `LIMIT_S` holds nobody up longer, and is not asked again
  while an earlier question still waits (the look-up of a name may wait long).
* The client port of a server comes from its server.N line. Where that has none, the port is
  taken to be this server's own, if the server is on another host; else it is not known.
* What a server does not say may be known: a peer knows its leader, a leader its learners. While
  this server serves nobody its own row is what the process knows of itself.

The time that a server takes to answer is taken here, with the way there and back.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from dataclasses import dataclass, field

from zkserver.admin.console_tree import hexadecimal
from zkserver.admin.view import View
from zkserver.base.members import Member
from zkserver.base.zxid import epoch_of
from zkserver.jute.notifications import PeerState
from zkserver.runtime.logs import get_log
from zkserver.server import reports
from zkserver.server.reports import Report
from zkserver.zab.effects import Phase

log = get_log("console")

INTERVAL_S = 1.0
LIMIT_S = 0.7
KEPT = 60
FORGOTTEN_S = 60.0
LONGEST_ANSWER_BYTES = 16_384
_LINE = re.compile(r"^([A-Za-z /]+): *(.*?)\s*$", re.MULTILINE)
_NOT_SERVING = "not currently serving"
_NOT_ALLOWED = "whitelist"
_ANYWHERE = ("", "0.0.0.0", "::")


@dataclass(slots=True)
class Seen:
    """One server: where it is asked, and its samples, oldest first."""

    place: tuple[str, int] | None
    samples: deque[Report] = field(default_factory=lambda: deque(maxlen=KEPT))
    question: asyncio.Task[Report] | None = None


def parse_srvr(text: str) -> Report:
    """What a server says to `srvr`; keys are there if it says them."""
    if _NOT_SERVING in text:
        return {"mode": "not serving"}
    if _NOT_ALLOWED in text:
        return {"mode": None, "silence": "srvr is not on its whitelist"}
    found = dict(_LINE.findall(text))
    said: Report = {"mode": found.get("Mode") or None}
    for line, key in (
        ("Received", "received"),
        ("Sent", "sent"),
        ("Connections", "connections"),
        ("Outstanding", "outstanding"),
        ("Node count", "znodes"),
    ):
        if found.get(line, "").isdecimal():
            said[key] = int(found[line])
    if re.fullmatch(r"0x[0-9a-f]{1,16}", zxid := found.get("Zxid", "")):
        said |= {"zxid": zxid, "epoch": int(zxid, 16) >> 32}
    latency = found.get("Latency min/avg/max", "").split("/")
    if len(latency) == 3:
        said |= {"latency_ms": _number(latency[1]), "max_latency_ms": _number(latency[2])}
    if "Zookeeper version" in found:
        said["version"] = found["Zookeeper version"].partition(",")[0]
    return said


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


async def ask(place: tuple[str, int]) -> str:
    """The answer of the server at host and port to `srvr`."""
    reader, writer = await asyncio.open_connection(*place)
    try:
        writer.write(b"srvr")
        parts, size = [], 0
        while size < LONGEST_ANSWER_BYTES and (part := await reader.read(4096)):
            parts.append(part)
            size += len(part)
        return b"".join(parts).decode("utf-8", "replace")
    finally:
        writer.close()


class EnsembleWatch:
    """See the module's docstring."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._loop = view.process.loop
        self._seen: dict[int, Seen] = {}
        self._sampling: asyncio.Task[None] | None = None
        self._sampled_s: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._used_s = 0.0

    async def look(self, after_ms: int) -> Report:
        """All servers, with the samples that are younger than `after_ms` (monotonic)."""
        self._used_s = self._loop.time()
        if self._sampling is None and self._is_due():
            self._sampling = self._loop.create_task(self._sample())
            self._sampling.add_done_callback(self._sampling_ended)
        if self._sampling is not None:
            await asyncio.shield(self._sampling)
        if self._timer is None:
            self._timer = self._loop.call_later(FORGOTTEN_S, self._forget)
        members = {each.server_id: each for each in self._members()}
        rows = []
        for number, seen in self._seen.items():
            samples = [each for each in seen.samples if _at(each) > after_ms]
            rows.append(self._row(number, members.get(number), seen) | {"samples": samples})
        return {"now_ms": self._view.process.now_ms(), "self": self._own(), "servers": rows}

    def close(self) -> None:
        """Ask nobody any more."""
        if self._timer is not None:
            self._timer.cancel()
        waiting = [each.question for each in self._seen.values()]
        for task in (self._sampling, *waiting):
            if task is not None:
                task.cancel()

    def _is_due(self) -> bool:
        return self._sampled_s is None or self._loop.time() - self._sampled_s >= INTERVAL_S

    def _sampling_ended(self, task: asyncio.Task[None]) -> None:
        self._sampling = None
        if not task.cancelled() and (error := task.exception()) is not None:
            # Whoever looked has it too, unless they have gone.
            log.error("the ensemble cannot be shown", error=error, reason=str(error))

    def _forget(self) -> None:
        """Nobody has looked for a while: old samples would be drawn beside new ones."""
        self._timer = None
        left_s = self._used_s + FORGOTTEN_S - self._loop.time()
        if left_s > 0:
            self._timer = self._loop.call_later(left_s, self._forget)
            return
        for seen in self._seen.values():
            seen.samples.clear()

    # Asking

    @property
    def _own_id(self) -> int:
        peer = self._view.peer
        return 0 if peer is None else peer.server_id

    def _members(self) -> tuple[Member, ...]:
        facts = self._view.facts
        return () if facts is None else facts.membership.members

    def _places(self) -> dict[int, tuple[str, int] | None]:
        """Where each server is asked."""
        host, _, port = self._view.own_client_place.rpartition(":")
        own = (host.strip("[]"), int(port))
        if not self._members():
            return {self._own_id: own}
        mine = next((one for one in self._members() if one.server_id == self._own_id), None)
        own_hosts = () if mine is None else tuple(each.host for each in mine.addresses)
        places: dict[int, tuple[str, int] | None] = {}
        for each in self._members():
            theirs = each.addresses[0].host
            if each.server_id == self._own_id:
                places[each.server_id] = own
            elif each.client_port is not None:
                is_open = each.client_host in _ANYWHERE
                places[each.server_id] = theirs if is_open else each.client_host, each.client_port
            else:
                places[each.server_id] = None if theirs in own_hosts else (theirs, own[1])
        return places

    async def _sample(self) -> None:
        self._sampled_s = self._loop.time()
        places = self._places()
        for gone in self._seen.keys() - places.keys():
            question = self._seen.pop(gone).question
            if question is not None:
                question.cancel()
        for number, place in places.items():
            seen = self._seen.setdefault(number, Seen(place))
            seen.place = place
            if place is not None and (seen.question is None or seen.question.done()):
                seen.question = self._loop.create_task(self._question(place))
        self._seen = dict(sorted(self._seen.items()))
        waiting = [one.question for one in self._seen.values() if one.question is not None]
        if waiting:
            await asyncio.wait(waiting, timeout=LIMIT_S)
        now_ms = self._view.process.now_ms()
        for number, seen in self._seen.items():
            said: Report = {"mode": None}
            if seen.place is None:
                said["silence"] = "its client port is not known here"
            elif seen.question is not None and seen.question.done():
                said = seen.question.result()
            else:
                said["silence"] = "no answer in time"
            if number == self._own_id:
                said = self._own_sample(said)
            elif said["mode"] is None:
                said |= self._known_of(number)
            seen.samples.append(said | {"at_ms": now_ms})

    async def _question(self, place: tuple[str, int]) -> Report:
        precise_ms = self._view.process.machine.precise_ms
        began_ms = precise_ms()
        try:
            async with asyncio.timeout(10 * LIMIT_S):
                answer = await ask(place)
        except TimeoutError:
            return {"mode": None, "silence": "no answer in time"}
        except (OSError, UnicodeError) as error:
            strerror = error.strerror if isinstance(error, OSError) else None
            return {"mode": None, "silence": strerror or "cannot be reached"}
        said = parse_srvr(answer)
        said["answer_ms"] = round(precise_ms() - began_ms, 2)
        return said

    def _known_of(self, number: int) -> Report:
        """What this peer knows of a server that does not say it; a leader knows its learners."""
        facts = self._view.facts
        if facts is None or self._view.stage != "broadcast":
            return {}
        if number == facts.leader_id:
            return {"mode": "leader"}
        for each in () if facts.learners is None else facts.learners():
            if each.server_id == number:
                mode = "follower" if each.is_participant else "observer"
                zxid = each.last_zxid
                return {"mode": mode, "zxid": hexadecimal(zxid), "epoch": epoch_of(zxid)}
        return {}

    # This server

    def _own_sample(self, said: Report) -> Report:
        """What is known from within, where `srvr` does not say it."""
        server = self._view.server
        if server is None:
            zxid = self._view.last_zxid
            known: Report = {"answer_ms": said.get("answer_ms"), "mode": self._mode()}
            if zxid >= 0:
                known |= {"zxid": hexadecimal(zxid), "epoch": epoch_of(zxid)}
            return known
        figures = reports.figures(server)
        zxid = server.tree.last_zxid
        known = {
            "received": figures["packets_received"],
            "sent": figures["packets_sent"],
            "connections": figures["num_alive_client_connections"],
            "outstanding": figures["outstanding_requests"],
            "znodes": figures["node_count"],
            "latency_ms": figures["avg_latency"],
            "max_latency_ms": figures["max_latency"],
            "zxid": hexadecimal(zxid),
            "epoch": epoch_of(zxid),
        }
        said.pop("silence", None)
        return known | said | {"mode": self._mode()}

    def _mode(self) -> str:
        """leader, follower, …; or what the peer does instead of serving."""
        server, peer = self._view.server, self._view.peer
        if server is not None and server.is_read_only:
            return "looking, read-only"
        is_settled = peer is None or self._view.stage == "broadcast"
        if server is not None and is_settled:
            return server.pipeline.mode
        if peer is None:
            return "not serving"
        if peer.state is PeerState.LOOKING or peer.role is None:
            return "looking"
        verb = "about to lead" if peer.state is PeerState.LEADING else "joining"
        return verb if peer.role.phase is not Phase.BROADCAST else "not serving"

    def _own(self) -> Report:
        """Beyond the row of this server: who it is, its sessions."""
        view = self._view
        server, facts, peer = view.server, view.facts, view.peer
        return {
            "id": self._own_id,
            "is_standalone": peer is None,
            "is_serving": server is not None,
            "stage": view.stage if peer is not None else None,
            "leader": None if facts is None or view.stage == "election" else facts.leader_id,
            "sessions": None if server is None else len(server.sessions),
            "mode": self._mode(),
        }

    def _row(self, number: int, member: Member | None, seen: Seen) -> Report:
        place = seen.place
        shown = None if place is None else f"{place[0]}:{place[1]}"
        kind = None if member is None else member.role.value
        host = None if member is None else member.addresses[0].host
        return {"id": number, "kind": kind, "place": shown, "host": host}


def _at(sample: Report) -> int:
    at_ms = sample["at_ms"]
    return at_ms if isinstance(at_ms, int) else 0
