"""`View`: what the admin commands see of a process, standalone or a peer, serving or not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from zkserver.jute.notifications import PeerState
from zkserver.runtime import environment
from zkserver.runtime.peer import PeerProcess
from zkserver.runtime.process import Process
from zkserver.server import four_letter, peer_reports, reports
from zkserver.server.peer_reports import LinkFacts
from zkserver.server.peer_words import PeerFacts
from zkserver.server.reports import Report
from zkserver.server.server import Server
from zkserver.zab.effects import Phase

_STAGES = {
    None: "discovery",
    Phase.DISCOVERY: "discovery",
    Phase.SYNCHRONISATION: "synchronization",
    Phase.BROADCAST: "broadcast",
}


@dataclass(frozen=True, slots=True)
class View:
    """See the module's docstring."""

    process: Process

    @property
    def server(self) -> Server | None:
        """The server that clients meet now; None while nobody is served."""
        return self.process.active_server()

    @property
    def peer(self) -> PeerProcess | None:
        """The process, if it is a peer of an ensemble."""
        return self.process if isinstance(self.process, PeerProcess) else None

    @property
    def facts(self) -> PeerFacts | None:
        """What a peer tells of its ensemble."""
        return None if self.peer is None else self.peer.facts

    @property
    def stage(self) -> str:
        """Where a peer stands: election, discovery, synchronization or broadcast."""
        peer = self.peer
        if peer is None or peer.state is PeerState.LOOKING or peer.role is None:
            return "election"
        return _STAGES[peer.role.phase]

    @property
    def last_zxid(self) -> int:
        """The last zxid of the history."""
        server, peer = self.server, self.peer
        if server is not None:
            return server.tree.last_zxid
        return -1 if peer is None else peer.database.last_zxid

    @property
    def client_address(self) -> str:
        """Where clients find this server."""
        host = self.process.config.client_port_address or "0.0.0.0"
        return f"[{host}]:{self._port}" if ":" in host else f"{host}:{self._port}"

    @property
    def own_client_place(self) -> str:
        """Where this process itself finds its client port: host:port."""
        host = self.process.config.client_port_address
        host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
        return f"[{host}]:{self._port}" if ":" in host else f"{host}:{self._port}"

    @property
    def _port(self) -> int:
        return self.process.client_port()

    def link_facts(self, number: int) -> LinkFacts:
        """About a leader's link to a learner."""
        link = None if self.peer is None else self.peer.links.by_number.get(number)
        if link is None or link.transport is None:
            return LinkFacts("", 0)
        host, port = (link.transport.get_extra_info("peername") or ("", 0))[:2]
        return LinkFacts(f"{host}:{port}", link.transport.get_write_buffer_size())

    def leader(self) -> Report:
        """Who leads, as the peer knows it."""
        server = self.server
        is_read_only = server is not None and server.is_read_only
        return peer_reports.leader(self.facts, is_read_only=is_read_only)

    def voting_view(self) -> Report:
        """Who votes; a read-only server does not say."""
        server = self.server
        facts = None if server is not None and server.is_read_only else self.facts
        return peer_reports.voting_view(facts, self.client_address)

    def observers(self) -> Report:
        """The observers of this leader."""
        machine = self.process.machine
        return peer_reports.observers(
            self.facts, self.link_facts, machine.now_ms(), machine.wall_ms()
        )

    def zab_state(self) -> Report:
        """Where the peer stands in the protocol."""
        return peer_reports.zab_state(self.facts, self.stage, self.last_zxid, self.client_address)

    def last_snapshot(self) -> Report:
        """The newest snapshot on the disk."""
        zxid, time_s = environment.last_snapshot(self.process.layout)
        return {"zxid": f"{zxid & 0xFFFFFFFFFFFFFFFF:x}", "timestamp": time_s}

    def environment(self) -> Report:
        """What the process runs on."""
        return four_letter.environment(self.process.environment())

    def system_properties(self) -> Report:
        """Java's properties as they would be, those of the environment among them."""
        known: Mapping[str, str] = self.process.config.properties
        return reports.shown_properties((self.process.environment() | dict(known)).items())
