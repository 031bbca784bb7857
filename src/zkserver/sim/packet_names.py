"""What servers say to each other, by names that a person can read.

Two kinds of streams, told apart by the port that was called: quorum packets and election
notifications. A stream is fed what one process wrote to one connection, in pieces of any size,
and gives the name and the size in bytes of everything that is whole by now. Sizes are exact:
they add up to the stream, so that the recorder knows which byte is the last one of what.

A zxid is shown as epoch:counter, in hex. On the quorum channel a name begins with the packet's
type; the tree behind SNAP is no packet and is called TREE.

What does not read ends the names of its stream and is no error: a planted bug may say anything.

Left out: what a REQUEST wants beyond its type, sessions in a PING, configurations.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from zkserver.base import opcodes as op
from zkserver.base.errors import LinkError
from zkserver.base.zxid import epoch_of
from zkserver.jute import codec, notifications, txn_text, txns
from zkserver.jute import quorum_packets as packets
from zkserver.jute.codec import JuteError
from zkserver.jute.notifications import Notification
from zkserver.jute.quorum_packets import Packet, PacketType
from zkserver.sim.zab_history import shown

_OPERATIONS = {**txn_text.NAMES, op.SYNC: "sync"}
_SIGNATURE = codec.buffer(packets.SNAPSHOT_SIGNATURE)
_OF_ZXID = (PacketType.PROPOSAL, PacketType.INFORM, PacketType.ACK, PacketType.COMMIT)


class Stream(Protocol):
    """One direction of one connection; `feed` gives name and size of what is whole."""

    def feed(self, data: bytes) -> Iterator[tuple[str, int]]: ...


class QuorumStream:
    """Quorum packets, and trees behind SNAP."""

    def __init__(self) -> None:
        self._rest = b""
        self._is_in_tree = False
        self._is_broken = False

    def feed(self, data: bytes) -> Iterator[tuple[str, int]]:
        """Name and size in bytes of every packet and tree that is whole."""
        self._rest += data
        while self._rest and not self._is_broken:
            if self._is_in_tree:
                size = self._rest.find(_SIGNATURE) + len(_SIGNATURE)
                if size < len(_SIGNATURE):
                    return
                self._rest = self._rest[size:]
                self._is_in_tree = False
                yield f"TREE of {size} bytes", size
                continue
            try:
                found, self._rest = packets.parse(self._rest)
            except LinkError:
                self._is_broken = True
                return
            if not found:
                return
            self._is_in_tree = found[-1].type == PacketType.SNAP
            for packet in found:
                yield name_of_packet(packet), len(packets.build(packet))


class ElectionStream:
    """Notifications; the side that has called says first who it is, which is named HELLO."""

    def __init__(self, *, has_called: bool) -> None:
        self._is_first = has_called
        self._is_broken = False
        self._rest = b""
        self._frames = notifications.Frames()

    def feed(self, data: bytes) -> Iterator[tuple[str, int]]:
        """Name and size in bytes of every message that is whole."""
        if self._is_broken:
            return
        try:
            if self._is_first:
                self._rest += data
                initial = notifications.decode_initial_message(self._rest)
                if initial is None:
                    return
                self._is_first = False
                message, size = initial
                yield f"HELLO of {message.server_id}", size
                data = self._rest[size:]
            for payload in self._frames.feed(data):
                notification = notifications.decode_notification(payload)
                yield name_of_notification(notification), 4 + len(payload)
        except LinkError:
            self._is_broken = True


def name_of_notification(notification: Notification) -> str:
    """All of it: "LOOKING votes 3 (epoch 4, zxid 4:9, round 7)"."""
    state, leader, zxid, election_round, epoch, *_ = notification
    if leader < 0:
        return f"{state.name} has no vote (round {election_round})"
    last = f"epoch {epoch:x}, zxid {shown(zxid)}, round {election_round}"
    return f"{state.name} votes {leader} ({last})"


def name_of_packet(packet: Packet) -> str:
    """The type, and what a person would want to know of it."""
    kind, zxid, data, _ = packet
    try:
        known = PacketType(kind)
    except ValueError:
        return f"type {kind}"
    try:
        return f"{known.name} {_detail(known, zxid, data)}".rstrip()
    except (LinkError, JuteError):
        return f"{known.name} that does not read"


def _detail(kind: PacketType, zxid: int, data: bytes | None) -> str:
    if kind in _OF_ZXID:
        return f"{shown(zxid)} {_what(data)}".rstrip()
    if kind in (PacketType.FOLLOWERINFO, PacketType.OBSERVERINFO):
        return f"has accepted epoch {epoch_of(zxid):x}"
    if kind in (PacketType.LEADERINFO, PacketType.NEWLEADER):
        return f"epoch {epoch_of(zxid):x}"
    if kind is PacketType.ACKEPOCH:
        current = packets.parse_int(data)
        said = f"current {current:x}" if current >= 0 else "accepted before"
        return f"{said}, last {shown(zxid)}"
    if kind in (PacketType.DIFF, PacketType.TRUNC):
        return f"to {shown(zxid)}"
    if kind is PacketType.SNAP:
        return f"of {shown(zxid)}"
    if kind is PacketType.REQUEST:
        return operation(packets.parse_request(data).type)
    if kind is PacketType.REVALIDATE:
        return f"session 0x{codec.unpack_long(data or bytes(8))[0]:x}"
    return ""


def _what(entry: bytes | None) -> str:
    """The operation and the path of a txn."""
    if not entry:
        return ""
    _, _, _, _, kind, body = txns.decode(entry)[0]
    path = body[0].decode() if body and isinstance(body[0], bytes) else ""
    return f"{operation(kind)} {path}".rstrip()


def operation(kind: int) -> str:
    """An operation by its name in the API, or its number."""
    return _OPERATIONS.get(kind, f"operation {kind}")
