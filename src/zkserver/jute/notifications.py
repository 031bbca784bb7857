"""The election port's bytes: the initial message of a connection, then framed notifications.

    initial message: long -65536 (one address) or -65535 (several, joined by "|"),
                     long server id, int length (at most 2048), "host:port" of its election port
                 or: long server id, 0 or greater, and nothing else (an old peer)
    frame:           int length (1 to 524288), payload
    payload:         int state, long leader, long zxid, long round     28 bytes: the oldest peers
                     long peerEpoch                                    36
                     int version                                       40
                     int length, configuration text                    when version > 1

A payload of 28 bytes has the epoch of its zxid; one of exactly 40 has version 0, and its last
int is not read. Java calls the round electionEpoch; it counts elections and is no epoch.

Everything that does not read raises `LinkError`. Left out: SASL, which may stand between the
initial message and the first frame, and the resolution of names.
"""

from __future__ import annotations

from enum import IntEnum
from ipaddress import ip_address
from struct import Struct
from typing import NamedTuple

from zkserver.base.errors import LinkError
from zkserver.base.zxid import epoch_of
from zkserver.jute.codec import LONG, decode_text, pack_int, pack_long, unpack_int

ONE_ADDRESS = -65536
SEVERAL_ADDRESSES = -65535
# An observer without an id; whoever accepts its connection gives it one below 0.
ANONYMOUS_OBSERVER = 2**63 - 1
ADDRESSES_LIMIT_BYTES = 2048
FRAME_LIMIT_BYTES = 524288
VERSION = 2

_oldest = Struct(">iqqq")
_with_epoch = Struct(">iqqqq")
_with_version = Struct(">iqqqqi")
_initial = Struct(">qqi")


class PeerState(IntEnum):
    """What a peer is doing, by its number in a notification."""

    LOOKING = 0
    FOLLOWING = 1
    LEADING = 2
    OBSERVING = 3


class Notification(NamedTuple):
    """What one peer tells another about its vote. `config` is the text of its configuration."""

    state: PeerState
    leader: int
    zxid: int
    round: int
    peer_epoch: int
    version: int = VERSION
    config: bytes = b""


class InitialMessage(NamedTuple):
    """Who opened a connection, and where it listens; no addresses from an old peer."""

    server_id: int
    addresses: tuple[tuple[str, int], ...] = ()

    @property
    def is_anonymous(self) -> bool:
        """Whether it is an observer that has no id."""
        return self.server_id == ANONYMOUS_OBSERVER


def encode_notification(notification: Notification) -> bytes:
    """The payload, unframed: with configuration text from version 2 on, else of 40 bytes."""
    state, leader, zxid, election_round, peer_epoch, version, config = notification
    head = _with_version.pack(state, leader, zxid, election_round, peer_epoch, version)
    return head + pack_int(len(config)) + config if version > 1 else head


def decode_notification(payload: bytes) -> Notification:
    """A payload of any version. Raises `LinkError`."""
    size = len(payload)
    if size < _oldest.size:
        raise LinkError(f"notification of {size} bytes, at least {_oldest.size} expected")
    number, leader, zxid, election_round = _oldest.unpack_from(payload)
    if number not in PeerState.__members__.values():
        raise LinkError(f"notification with the unknown state {number}")
    state = PeerState(number)
    if size == _oldest.size:
        return Notification(state, leader, zxid, election_round, epoch_of(zxid), 0)
    if size not in (_with_epoch.size, _with_version.size) and size < _with_version.size:
        raise LinkError(f"notification of {size} bytes ends within a field")
    peer_epoch = _with_epoch.unpack_from(payload)[4]
    if size <= _with_version.size:
        return Notification(state, leader, zxid, election_round, peer_epoch, 0)
    version = unpack_int(payload, _with_epoch.size)[0]
    config = _config(payload) if version > 1 else b""
    return Notification(state, leader, zxid, election_round, peer_epoch, version, config)


def _config(payload: bytes) -> bytes:
    start = _with_version.size + 4
    if len(payload) < start:
        raise LinkError("notification ends before the length of its configuration")
    length = unpack_int(payload, _with_version.size)[0]
    if not 0 <= length <= len(payload) - start:
        raise LinkError(f"notification with a configuration of {length} bytes")
    return payload[start : start + length]


def frame(payload: bytes) -> bytes:
    """A payload with its length before it."""
    return pack_int(len(payload)) + payload


class Frames:
    """Cuts the bytes of one connection into payloads."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> list[bytes]:
        """The payloads that are complete now. Raises `LinkError` on a length out of bounds."""
        data = self._rest + chunk
        payloads = []
        position = 0
        while len(data) - position >= 4:
            length = unpack_int(data, position)[0]
            if not 1 <= length <= FRAME_LIMIT_BYTES:
                raise LinkError(f"election frame of {length} bytes")
            end = position + 4 + length
            if len(data) < end:
                break
            payloads.append(data[position + 4 : end])
            position = end
        self._rest = data[position:]
        return payloads


def encode_initial_message(
    server_id: int, addresses: tuple[tuple[str, int], ...], *, multi_address_enabled: bool = False
) -> bytes:
    """The first bytes of a connection; one address only unless several are enabled."""
    kind = SEVERAL_ADDRESSES if multi_address_enabled else ONE_ADDRESS
    told = addresses if multi_address_enabled else addresses[:1]
    text = "|".join(_joined(host, port) for host, port in told).encode()
    return _initial.pack(kind, server_id, len(text)) + text


def decode_initial_message(data: bytes) -> tuple[InitialMessage, int] | None:
    """The initial message at the start of `data` and its size in bytes; None: more is needed.

    Raises `LinkError`. Unspecified addresses (0.0.0.0) are left out: nobody can dial them.
    """
    if len(data) < LONG.size:
        return None
    first = LONG.unpack_from(data)[0]
    if first >= 0:
        return InitialMessage(first), LONG.size
    if first not in (ONE_ADDRESS, SEVERAL_ADDRESSES):
        raise LinkError(f"unknown version {first} of the election protocol")
    if len(data) < _initial.size:
        return None
    _, server_id, length = _initial.unpack_from(data)
    if not 1 <= length <= ADDRESSES_LIMIT_BYTES:
        raise LinkError(f"initial message with addresses of {length} bytes")
    end = _initial.size + length
    if len(data) < end:
        return None
    addresses = [_address(text) for text in decode_text(data[_initial.size : end]).split("|")]
    known = tuple(address for address in addresses if not _is_unspecified(address[0]))
    return InitialMessage(server_id, known), end


def encode_bare_id(server_id: int) -> bytes:
    """The first bytes of a connection from an old peer."""
    return pack_long(server_id)


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        host = ""
    if not colon or not host or not (port.isascii() and port.isdigit()):
        raise LinkError(f"initial message with the address {text!r}")
    number = int(port[:6])
    if number > 65535:
        raise LinkError(f"initial message with the address {text!r}")
    return host, number


def _is_unspecified(host: str) -> bool:
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False
