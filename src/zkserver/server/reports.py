"""What a server tells of itself, as dictionaries: the source of admin commands and of the words.

Keys and their order are those of Apache ZooKeeper 3.9.5's admin commands; `four_letter` prints the
same figures as text. Session ids are signed numbers, as JSON has them there. A value is what JSON
knows: text, numbers, truth, None, lists and dictionaries with text for keys.

What concerns the ensemble around a server is in `peer_reports`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from zkserver.base import properties
from zkserver.server import peer_reports
from zkserver.server.reads import NAMES

if TYPE_CHECKING:
    from zkserver.server.connection import Connection
    from zkserver.server.server import Server

Report = dict[str, object]


def configuration(server: Server) -> Report:
    """The configuration that is in force."""
    config, facts = server.config, server.peer
    report: Report = {
        "client_port": server.host.client_port(),
        "data_dir": f"{config.data_dir}/version-2",
        "data_log_dir": f"{config.data_log_dir}/version-2",
        "tick_time": config.tick_time_ms,
        "max_client_cnxns": config.max_client_cnxns,
        "min_session_timeout": config.min_session_timeout_ms,
        "max_session_timeout": config.max_session_timeout_ms,
        "server_id": 0,
        "client_port_listen_backlog": config.client_port_listen_backlog,
    }
    return report if facts is None else report | peer_reports.configuration(config, facts)


def connection(one: Connection, *, brief: bool) -> Report:
    """One client's connection; without its session if `brief` or if it has none."""
    report: Report = {
        "remote_socket_address": f"{one.address}:{one.port}",
        "interest_ops": (not one.reading_paused) + 4 * one.writing_blocked,
        "outstanding_requests": one.queued(),
        "packets_received": one.packets_received,
        "packets_sent": one.packets_sent,
    }
    if brief or not one.session_id:
        return report
    latency = one.latency
    return report | {
        "session_id": one.session_id,
        "last_operation": "NA" if one.last_kind is None else NAMES.get(one.last_kind, "NA"),
        "established": one.established_ms,
        "session_timeout": one.session_timeout_ms,
        "last_cxid": one.cxid,
        "last_zxid": one.last_zxid,
        "last_response_time": one.last_response_ms,
        "last_latency": one.last_latency_ms,
        "min_latency": latency.min_ms,
        "avg_latency": latency.total_ms // latency.count if latency.count else 0,
        "max_latency": latency.max_ms,
    }


def connections(server: Server, *, brief: bool = False) -> Report:
    """Every client's connection; those over TLS come separately."""
    return {
        "connections": [connection(each, brief=brief) for each in server.connections],
        "secure_connections": [],
    }


def reset_connections(server: Server) -> None:
    """Begin the figures of every connection anew."""
    for each in server.connections:
        each.packets_received = each.packets_sent = 0
        each.latency.reset()
        each.last_kind = None
        each.cxid = each.last_zxid = -1
        each.last_response_ms = each.last_latency_ms = 0


def reset_stats(server: Server) -> None:
    """Begin the figures of the server anew."""
    server.stats.reset()
    if server.peer is not None and server.peer.reign is not None:
        server.peer.reign().proposals.reset()


def digests(server: Server) -> list[Report]:
    """The tree digest after every 128th transaction."""
    return [
        {"zxid": zxid, "digest": _signed(digest), "digest_version": 2}
        for zxid, digest in server.tree.digest_log
    ]


def _signed(digest: int) -> int:
    return digest - (1 << 64) if digest >> 63 else digest


def directory_sizes(server: Server) -> Report:
    """Bytes of snapshots and of logs."""
    data_size, log_size = server.host.directory_sizes()
    return {"datadir_size": data_size, "logdir_size": log_size}


def dump(server: Server) -> Report:
    """Sessions by the moment (monotonic ms) they expire at, where that is this server's to say.

    And ephemeral znodes by session.
    """
    now_ms, sessions = server.now_ms(), server.sessions
    expiry: dict[str, list[int]] = {}
    kinds = (True, False) if server.pipeline.is_authority else (True,)
    for local in kinds:
        for remaining_ms, ids in sessions.dump(now_ms, local=local):
            expiry.setdefault(str(now_ms + remaining_ms), []).extend(ids)
    return {
        "expiry_time_to_session_ids": dict(sorted(expiry.items(), key=lambda row: int(row[0]))),
        "session_id_to_ephemeral_paths": {
            str(session_id): [shown(path) for path in paths]
            for session_id, paths in server.tree.ephemerals.items()
        },
    }


def figures(server: Server) -> Report:
    """What a server counts, and where it stands."""
    stats, latency = server.stats, server.stats.latency
    return {
        "last_processed_zxid": server.tree.last_zxid,
        "outstanding_requests": server.in_flight,
        "server_state": server.pipeline.mode,
        "avg_latency": latency.average_ms(),
        "max_latency": latency.max_ms,
        "min_latency": latency.min_ms,
        "num_alive_client_connections": len(server.connections),
        "packets_received": stats.packets_received,
        "packets_sent": stats.packets_sent,
        "node_count": server.tree.znode_count(),
    }


def server_stats(server: Server, version: str) -> Report:
    """Figures of the server."""
    stats, known = server.stats, figures(server)
    sizes = {
        "last_buffer_size": stats.last_response_bytes,
        "min_buffer_size": stats.min_response_bytes,
        "max_buffer_size": stats.max_response_bytes,
    }
    data_size, log_size = server.host.directory_sizes()
    node_count = known.pop("node_count")
    report: Report = {
        "version": version,
        "read_only": server.is_read_only,
        "server_stats": {
            "packets_sent": known.pop("packets_sent"),
            "packets_received": known.pop("packets_received"),
            "fsync_threshold_exceed_count": stats.fsync_threshold_exceeded,
            "client_response_stats": sizes,
            "data_dir_size": data_size,
            "log_dir_size": log_size,
            "provider_null": False,
            **known,
            "auth_failed_count": stats.auth_failures,
            # Nobody comes over TLS yet.
            "non_mtlsremote_conn_count": 0,
            "non_mtlslocal_conn_count": 0,
            "uptime": server.now_ms() - server.started_ms,
        },
        "client_response": dict(sizes),
    }
    if server.peer is not None and server.peer.reign is not None:
        report["proposal_stats"] = peer_reports.proposal_stats(server.peer.reign())
    report["node_count"] = node_count
    return report


def watch_summary(server: Server) -> Report:
    """How many watch how much; data watches, as everywhere in these reports."""
    summary = server.tree.data_watches.summary()
    return {
        "num_connections": summary.connections,
        "num_paths": summary.paths,
        "num_total_watches": summary.watches,
    }


def watches(server: Server) -> dict[int, list[str]]:
    """The paths that each session watches."""
    by_watcher = server.tree.data_watches.by_watcher
    return {
        each.session_id: [shown(path) for path in paths]
        for each in server.connections
        if (paths := by_watcher.get(each))
    }


def watches_by_path(server: Server) -> dict[str, list[int]]:
    """The sessions that watch each path."""
    # In the order of the connections; not all of these are asked about each path.
    places = {each: place for place, each in enumerate(server.connections)}
    sessions = [each.session_id for each in server.connections]
    return {
        shown(path): [
            sessions[place] for place in sorted(places[each] for each in watchers if each in places)
        ]
        for path, watchers in server.tree.data_watches.by_path.items()
    }


def shown(path: bytes | None) -> str:
    """A path as text; a client may watch null."""
    return "null" if path is None else path.decode("utf-8", "replace")


def with_text_keys(rows: dict[int, list[str]]) -> dict[str, list[str]]:
    """As JSON wants it."""
    return {str(key): value for key, value in rows.items()}


_SECRET_WORDS = ("password", "superdigest", "secret", "passwd")
HIDDEN = "(hidden)"


def is_secret(name: str) -> bool:
    """Whether a setting's value is not to be shown; a file's name is no secret."""
    folded = name.casefold()
    return any(word in folded for word in _SECRET_WORDS) and not folded.endswith("path")


def shown_properties(rows: Iterable[tuple[str, str]]) -> Report:
    """Properties by name, the secret ones without their values."""
    return {name: HIDDEN if is_secret(name) else value for name, value in sorted(rows)}


def configuration_text(text: str) -> str:
    """A configuration file as it was read, line by line, without what is secret.

    Of a secret there is one line, which says that it is hidden.
    """
    secrets = {
        entry.line_number: entry.key for entry in properties.parse(text) if is_secret(entry.key)
    }
    shown_lines: list[str] = []
    is_secrets = False
    for number, line in enumerate(properties.natural_lines(text), 1):
        if number in secrets:
            shown_lines.append(f"{secrets[number]}={HIDDEN}")
            is_secrets = True
        elif not is_secrets:
            shown_lines.append(line)
        is_secrets = is_secrets and properties.continues(line)
    return "".join(f"{line}\n" for line in shown_lines)
