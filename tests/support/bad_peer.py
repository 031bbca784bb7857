"""Peers made by hand: a learner on a leader's quorum port, and a leader with an election of its own.

They say what a test tells them, well-formed or not; sockets block, with a timeout.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable

from tests.support.mixed import eventually
from tests.support.raw_client import Closed
from zkserver.base.zxid import make_zxid
from zkserver.jute import quorum_packets as packets
from zkserver.jute.notifications import (
    Frames,
    Notification,
    PeerState,
    decode_notification,
    encode_initial_message,
    encode_notification,
    frame,
)
from zkserver.jute.quorum_packets import LearnerInfo, Packet, PacketType

TIMEOUT_S = 20.0


class QuorumSocket:
    """One side of a link between a leader and a learner."""

    def __init__(self, link: socket.socket) -> None:
        self.link = link
        link.settimeout(TIMEOUT_S)
        self.rest = b""
        self.waiting: list[Packet] = []

    def send(self, *sent: Packet) -> None:
        """Packets."""
        self.send_bytes(packets.build_all(sent))

    def send_bytes(self, data: bytes) -> None:
        """Bytes as they are."""
        self.link.sendall(data)

    def receive(self) -> Packet:
        """The next packet. Raises Closed."""
        while not self.waiting:
            try:
                chunk = self.link.recv(65536)
            except ConnectionError as error:
                raise Closed(str(error)) from error
            if not chunk:
                raise Closed("end of stream")
            self.waiting, self.rest = packets.parse(self.rest + chunk)
        return self.waiting.pop(0)

    def expect(self, *types: PacketType) -> Packet:
        """The next packet but PINGs, which is of one of these types."""
        while (packet := self.receive()).type == PacketType.PING:
            pass
        assert packet.type in types, packet
        return packet

    def until(self, kind: PacketType) -> Packet:
        """The next packet of that type; the others are passed over."""
        while (packet := self.receive()).type != kind:
            pass
        return packet

    def until_closed(self) -> None:
        """Everything up to where the other side hangs up."""
        try:
            while True:
                self.receive()
        except Closed:
            self.close()

    def close(self) -> None:
        """Hang up."""
        self.link.close()


def info(server_id: int, accepted: int = 0, *, version: int = 0) -> Packet:
    """FOLLOWERINFO."""
    data = packets.build_learner_info(LearnerInfo(server_id, config_version=version))
    return Packet(PacketType.FOLLOWERINFO, make_zxid(accepted, 0), data)


class FakeLearner(QuorumSocket):
    """A learner of a real leader."""

    def __init__(self, port: int) -> None:
        super().__init__(socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S))

    def promise(self, server_id: int, zxid: int) -> int:
        """Up to ACKEPOCH; the leader's epoch."""
        self.send(info(server_id))
        epoch = self.expect(PacketType.LEADERINFO).zxid >> 32
        self.send(Packet(PacketType.ACKEPOCH, zxid, packets.build_int(epoch - 1)))
        return epoch

    def join(self, server_id: int, zxid: int) -> int:
        """Up to broadcast, with nothing to learn; the leader's epoch."""
        epoch = self.promise(server_id, zxid)
        self.until(PacketType.NEWLEADER)
        self.send(Packet(PacketType.ACK, make_zxid(epoch, 0)))
        self.until(PacketType.UPTODATE)
        self.send(Packet(PacketType.ACK, make_zxid(epoch, 0)))
        return epoch


class FakeLeader:
    """Wins the election of a server with a smaller id, and waits for it on a quorum port."""

    def __init__(self, server_id: int, quorum_port: int, election_port: int) -> None:
        self.server_id = server_id
        self.election_port = election_port
        self.listener = socket.create_server(("127.0.0.1", quorum_port))
        self.listener.settimeout(TIMEOUT_S)
        self.links: list[socket.socket] = []

    def close(self) -> None:
        """Hang up on everybody."""
        self.listener.close()
        for link in self.links:
            link.close()

    def dial(self, election_port: int) -> socket.socket:
        """A connection to a server's election port, introduced."""
        link = eventually(lambda: socket.create_connection(("127.0.0.1", election_port), TIMEOUT_S))
        self.links.append(link)
        address = ("127.0.0.1", self.election_port)
        link.sendall(encode_initial_message(self.server_id, (address,)))
        return link

    def win(self, election_port: int) -> QuorumSocket:
        """Be elected by the server there, and take its link."""
        link = self.dial(election_port)
        frames = Frames()
        while True:
            ready, _, _ = select.select([link, self.listener], [], [], TIMEOUT_S)
            assert ready, "no vote came, and no learner"
            if self.listener in ready:
                accepted, _ = self.listener.accept()
                self.links.append(accepted)
                return QuorumSocket(accepted)
            for each in frames.feed(link.recv(65536)):
                self._vote(link, decode_notification(each))

    def _vote(self, link: socket.socket, heard: Notification) -> None:
        # Every one is answered: the first on a new link may be that of an earlier round.
        if heard.state is PeerState.LOOKING:
            vote = heard._replace(leader=self.server_id, zxid=make_zxid(50, 0), peer_epoch=50)
            link.sendall(frame(encode_notification(vote)))

    def lead(self, election_port: int, epoch: int = 51) -> QuorumSocket:
        """Up to the learner's ACKEPOCH."""
        link = self.win(election_port)
        link.expect(PacketType.FOLLOWERINFO)
        version = packets.build_int(packets.PROTOCOL_VERSION)
        link.send(Packet(PacketType.LEADERINFO, make_zxid(epoch, 0), version))
        link.expect(PacketType.ACKEPOCH)
        return link

    def serve(self, election_port: int, epoch: int = 51, zxid: int = 0) -> QuorumSocket:
        """Up to broadcast, with an empty DIFF."""
        link = self.lead(election_port, epoch)
        link.send(Packet(PacketType.DIFF, zxid), Packet(PacketType.NEWLEADER, make_zxid(epoch, 0), b""))
        assert link.expect(PacketType.ACK).zxid == make_zxid(epoch, 0)
        link.send(Packet(PacketType.UPTODATE, -1))
        assert link.expect(PacketType.ACK).zxid == make_zxid(epoch, 0)
        return link


def new_lines(read: Callable[[], str]) -> Callable[[], str]:
    """A function that gives what has been added to the log since now."""
    start = len(read())
    return lambda: read()[start:]
