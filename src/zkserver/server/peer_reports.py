"""What a peer tells of its ensemble, as dictionaries; see `reports`.

A peer tells where it stands while it serves nobody, too, so these take its `PeerFacts` rather than
a `Server`. Keys are those of Apache ZooKeeper 3.9.5's admin commands. Its `configuration` command
has lost the keys of ensembles; here they are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from zkserver.base.config import Config
from zkserver.base.members import Address, Member, Role
from zkserver.base.zxid import counter_of, epoch_of
from zkserver.server.peer_words import LearnerFigures, PeerFacts, Reign, conf_rows

Report = dict[str, object]

# What `leader` says of a server that has none.
NO_LEADER = "server is not initialized"


class LinkFacts(NamedTuple):
    """A learner's link: the other end, as host:port, and what has not been sent yet."""

    address: str
    unsent_bytes: int


def configuration(config: Config, facts: PeerFacts) -> Report:
    """What an ensemble adds to the configuration."""
    rows = conf_rows(config, facts)
    return {
        "server_id": rows["serverId"],
        "init_limit": rows["initLimit"],
        "sync_limit": rows["syncLimit"],
        "election_alg": rows["electionAlg"],
        "election_port": rows["electionPort"],
        "quorum_port": rows["quorumPort"],
        "peer_type": rows["peerType"],
    }


def proposal_stats(reign: Reign) -> Report:
    """Bytes of a leader's proposals."""
    sizes = reign.proposals
    return {
        "last_buffer_size": sizes.last,
        "min_buffer_size": sizes.smallest,
        "max_buffer_size": sizes.largest,
    }


def leader(facts: PeerFacts | None, *, is_read_only: bool) -> Report:
    """Who leads."""
    if facts is None or is_read_only or facts.leader_id is None:
        return {"error": NO_LEADER}
    member = facts.membership.find(facts.leader_id)
    return {
        "is_leader": facts.leader_id == facts.server_id,
        "leader_id": facts.leader_id,
        "leader_ip": member.addresses[0].host if member is not None else "",
    }


def voting_view(facts: PeerFacts | None, client_address: str) -> Report:
    """The members that vote. `client_address` is this server's own."""
    members: Sequence[Member] = () if facts is None else facts.membership.participants
    view: Report = {}
    for member in members:
        is_self = facts is not None and member.server_id == facts.server_id
        view[str(member.server_id)] = {
            "server_addresses": [_quorum(each) for each in member.addresses],
            "election_addresses": [_election(each) for each in member.addresses],
            "client_address": client_address if is_self else _client(member),
            "learner_type": member.role.value,
        }
    return {"current_config": view}


def observers(
    facts: PeerFacts | None, link_facts: Callable[[int], LinkFacts], now_ms: int, wall_ms: int
) -> Report:
    """The observers of a leader. Times: `now_ms` monotonic, `wall_ms` the calendar's."""
    rows = []
    for each in _observers(facts):
        link, traffic = link_facts(each.link), each.traffic
        rows.append(
            {
                "remote_socket_address": f"/{link.address}",
                "sid": each.server_id,
                "established": wall_ms - (now_ms - traffic.since_ms),
                # What waits for a link waits in its transport, as bytes.
                "queued_packets": 0,
                "queued_packets_size": link.unsent_bytes,
                "packets_received": traffic.received,
                "packets_sent": traffic.sent,
                "requests": traffic.requests,
                "last_zxid": each.last_zxid,
            }
        )
    return {"synced_observers": len(rows), "observers": rows}


def reset_observers(facts: PeerFacts | None) -> None:
    """Begin the figures of the observers' links anew."""
    for each in _observers(facts):
        each.traffic.reset()


def _observers(facts: PeerFacts | None) -> list[LearnerFigures]:
    if facts is None or facts.learners is None:
        return []
    return [each for each in facts.learners() if not each.is_participant]


def zab_state(facts: PeerFacts | None, stage: str, last_zxid: int, client_address: str) -> Report:
    """Where the peer stands: `stage` is election, discovery, synchronization or broadcast."""
    if facts is None:
        return {"voting": False, "zabstate": ""}
    member = facts.membership.find(facts.server_id)
    addresses = () if member is None else member.addresses
    return {
        "myid": facts.server_id,
        "is_leader": stage != "election" and facts.leader_id == facts.server_id,
        "quorum_address": _addresses(
            [_quorum(each) for each in addresses], [each.quorum_port for each in addresses]
        ),
        "election_address": _addresses(
            [_election(each) for each in addresses], [each.election_port for each in addresses]
        ),
        "client_address": client_address,
        "voting": member is not None and member.role is Role.PARTICIPANT,
        "last_zxid": f"0x{last_zxid & 0xFFFFFFFFFFFFFFFF:x}",
        "zab_epoch": epoch_of(last_zxid),
        "zab_counter": counter_of(last_zxid),
        "zabstate": stage,
    }


def _addresses(shown: list[str], ports: list[int]) -> Report:
    """Java's form. Nobody has tried which of them can be reached; the first stands for all."""
    first = shown[0] if shown else ""
    return {
        "empty": not shown,
        "all_addresses": shown,
        "wildcard_addresses": [f"0.0.0.0:{port}" for port in ports],
        "all_ports": ports,
        "all_host_strings": [each.rpartition(":")[0].strip("[]") for each in shown],
        "reachable_address": first,
        "all_reachable_addresses": shown,
        "all_reachable_addresses_or_all": shown,
        "reachable_or_one": first,
        "one": first,
    }


def _quorum(address: Address) -> str:
    return _joined(address.host, address.quorum_port)


def _election(address: Address) -> str:
    return _joined(address.host, address.election_port)


def _client(member: Member) -> str:
    if member.client_port is None:
        return ""
    return _joined(member.client_host or "0.0.0.0", member.client_port)


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
