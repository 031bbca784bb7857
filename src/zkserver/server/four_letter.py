"""The four-letter words: a question of four bytes on a fresh connection, a text back.

Words, forms and the whitelist rule are Apache ZooKeeper 3.9's, because scripts read
them; `envi` tells of Python instead of Java, `mntr` shows only what is measured. What
concerns the machine and not the server (environment, sizes of directories, descriptors)
comes in through `Host`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from zkserver import __version__
from zkserver.base.config import Config
from zkserver.server import peer_words, reports
from zkserver.server.monitor import metrics

if TYPE_CHECKING:
    from zkserver.server.connection import Connection
    from zkserver.server.server import Host, Server

VERSION = f"3.9.5-zkserver-{__version__}, built on 2026-11-24 00:00 UTC"
"""In Apache's form, which clients take apart: what it is compatible with, then what it is."""

# Connections are put into sets by this much (zookeeper.nio.sessionlessCnxnTimeout in Java).
_IDLE_TICK_MS = 10_000

TELNET_CLOSE = "telnet close"
_UNSERVED = {"ruok": "imok", "isro": "null", "gtmk": "306"}
NOT_SERVING = "This ZooKeeper instance is not currently serving requests"
# Kept for the words gtmk and stmk; Java's default. Nothing is traced by it.
DEFAULT_TRACE_MASK = 306
_MASK64 = 0xFFFFFFFFFFFFFFFF


def answer(server: Server, chunk: bytes) -> str:
    """The whole answer to the word that `chunk` begins with (stmk: with its mask behind it)."""
    word = WORDS[chunk[:4]]
    if word == TELNET_CLOSE:
        return ""
    if not server.four_letter_allowed(word):
        return f"{word} is not executed because it is not in the whitelist.\n"
    if word == "cons":
        return cons(server)
    if word == "stmk":
        server.trace_mask = int.from_bytes(chunk[4:12], "big", signed=True)
        return str(server.trace_mask)
    return _ANSWERS[word](server)


def answer_unserved(config: Config, host: Host, chunk: bytes) -> str:
    """The answer of a process that serves nobody, as a peer without a leader."""
    word = WORDS[chunk[:4]]
    if word == TELNET_CLOSE:
        return ""
    if not is_allowed(config, word):
        return f"{word} is not executed because it is not in the whitelist.\n"
    if word == "envi":
        return _environment(host)
    if word in _UNSERVED:
        return _UNSERVED[word]
    if word == "stmk":
        return str(int.from_bytes(chunk[4:12], "big", signed=True))
    return NOT_SERVING if word == "hash" else NOT_SERVING + "\n"


def is_allowed(config: Config, word: str) -> bool:
    """Whether the whitelist has a word."""
    whitelist = config.four_letter_words_whitelist
    return "*" in whitelist or word in whitelist


def conf(server: Server) -> str:
    """The configuration that is in force."""
    known = reports.configuration(server)
    data_size, log_size = server.host.directory_sizes()
    rows = {
        "clientPort": known["client_port"],
        "secureClientPort": -1,
        "dataDir": known["data_dir"],
        "dataDirSize": data_size,
        "dataLogDir": known["data_log_dir"],
        "dataLogSize": log_size,
        "tickTime": known["tick_time"],
        "maxClientCnxns": known["max_client_cnxns"],
        "minSessionTimeout": known["min_session_timeout"],
        "maxSessionTimeout": known["max_session_timeout"],
        "clientPortListenBacklog": known["client_port_listen_backlog"],
        "serverId": known["server_id"],
    }
    facts = server.peer
    if facts is None:
        return "".join(f"{key}={value}\n" for key, value in rows.items())
    rows |= peer_words.conf_rows(server.config, facts)
    text = "".join(f"{key}={value}\n" for key, value in rows.items())
    return text + ("" if server.is_read_only else peer_words.membership(facts))


# What `cons` adds of a connection with a session, and how.
_SESSION_FIGURES = (
    (",sid=0x{:x}", "session_id"),
    (",lop={}", "last_operation"),
    (",est={}", "established"),
    (",to={}", "session_timeout"),
    (",lcxid=0x{:x}", "last_cxid"),
    (",lzxid=0x{:x}", "last_zxid"),
    (",lresp={}", "last_response_time"),
    (",llat={}", "last_latency"),
    (",minlat={}", "min_latency"),
    (",avglat={}", "avg_latency"),
    (",maxlat={}", "max_latency"),
)


def describe(connection: Connection, brief: bool) -> str:
    """One connection as cons and (brief) stat print it."""
    known = reports.connection(connection, brief=brief)
    text = (
        f" /{known['remote_socket_address']}[{known['interest_ops']:x}]"
        f"(queued={known['outstanding_requests']},recved={known['packets_received']}"
        f",sent={known['packets_sent']}"
    )
    if "session_id" in known:
        for form, name in _SESSION_FIGURES:
            value = known[name]
            if name in ("session_id", "last_zxid") and isinstance(value, int):
                value &= _MASK64
            if name != "last_cxid" or connection.cxid >= 0:
                text += form.format(value)
    return text + ")\n"


def cons(server: Server) -> str:
    """Every connection with its session and figures."""
    return "".join(describe(each, brief=False) for each in server.connections) + "\n"


def crst(server: Server) -> str:
    """Begin the figures of every connection anew."""
    reports.reset_connections(server)
    return "Connection stats reset.\n"


def srst(server: Server) -> str:
    """Begin the figures of the server anew."""
    reports.reset_stats(server)
    return "Server stats reset.\n"


def dump(server: Server) -> str:
    """Sessions by when they expire, ephemerals by session, connections by when they may idle to."""
    now_ms, wall_ms = server.now_ms(), server.wall_ms()
    sessions = server.sessions
    lines = ["SessionTracker dump:", *_sessions(server, now_ms, wall_ms)]
    ephemerals = server.tree.ephemerals
    lines += ["ephemeral nodes dump:", f"Sessions with Ephemerals ({len(ephemerals)}):"]
    for session_id, paths in ephemerals.items():
        lines.append(f"0x{session_id & _MASK64:x}:")
        lines += ["\t" + path.decode("utf-8", "replace") for path in paths]
    idle: dict[int, list[Connection]] = {}
    for each in server.connections:
        touched_ms = sessions.live.get(each.session_id, now_ms)
        due_ms = (touched_ms + each.session_timeout_ms) // _IDLE_TICK_MS + 1
        idle.setdefault(due_ms * _IDLE_TICK_MS, []).append(each)
    lines += ["Connections dump:", f"Connections Sets ({len(idle)})/({len(server.connections)}):"]
    for due_ms, connections in sorted(idle.items()):
        lines.append(f"{len(connections)} expire at {_java_date(wall_ms + due_ms - now_ms)}:")
        lines += [
            f"\tip: /{each.address}:{each.port} sessionId: 0x{each.session_id & _MASK64:x}"
            for each in connections
        ]
    return "\n".join(lines) + "\n"


def _sessions(server: Server, now_ms: int, wall_ms: int) -> Iterable[str]:
    """A learner knows of global sessions that they are there; the local ones are its own."""
    sessions = server.sessions
    has_local = server.has_local_sessions
    for local in (True, False):
        if local and not has_local:
            continue
        if not local and not server.pipeline.is_authority:
            timeouts_ms = {} if server.is_read_only else sessions.timeouts()
            yield f"Global Sessions({len(timeouts_ms)}):"
            for each in sorted(timeouts_ms):
                yield f"0x{each & _MASK64:x}\t{timeouts_ms[each]}ms"
            continue
        buckets = sessions.dump(now_ms, local=local)
        count = len(sessions.local) if local else len(sessions) - len(sessions.local)
        kind = "Local " if local else "Global " if has_local else ""
        yield f"{kind}Session Sets ({len(buckets)})/({count}):"
        for remaining_ms, session_ids in buckets:
            yield f"{len(session_ids)} expire at {_java_date(wall_ms + remaining_ms)}:"
            yield from (f"\t0x{each & _MASK64:x}" for each in session_ids)


def _java_date(wall_ms: int) -> str:
    """As java.util.Date prints itself: Wed Nov 25 18:45:44 UTC 2026."""
    local = datetime.fromtimestamp(wall_ms / 1000, UTC).astimezone()
    return local.strftime("%a %b %d %H:%M:%S %Z %Y")


def envi(server: Server) -> str:
    """What the server runs on."""
    return _environment(server.host)


def environment(known: Mapping[str, str]) -> dict[str, object]:
    """What a server is and runs on, by name; `known` is what its host knows."""
    return {"zookeeper.version": VERSION, **known}


def _environment(host: Host) -> str:
    rows = environment(host.environment()).items()
    return "Environment:\n" + "".join(f"{key}={value}\n" for key, value in rows)


def srvr(server: Server) -> str:
    """Figures of the server."""
    return _heading(server) + _figures(server)


def stat(server: Server) -> str:
    """Figures of the server, and its connections."""
    clients = "".join(describe(each, brief=True) for each in server.connections)
    return f"{_heading(server)}Clients:\n{clients}\n" + _figures(server)


def _heading(server: Server) -> str:
    note = "READ-ONLY mode; serving only read-only clients\n" if server.is_read_only else ""
    return f"Zookeeper version: {VERSION}\n{note}"


def _figures(server: Server) -> str:
    known = reports.figures(server)
    proposals = ""
    if server.peer is not None and server.peer.reign is not None:
        proposals = peer_words.proposal_sizes(server.peer.reign())
    return (
        f"Latency min/avg/max: {known['min_latency']}/{known['avg_latency']}"
        f"/{known['max_latency']}\n"
        f"Received: {known['packets_received']}\n"
        f"Sent: {known['packets_sent']}\n"
        f"Connections: {known['num_alive_client_connections']}\n"
        f"Outstanding: {known['outstanding_requests']}\n"
        f"Zxid: 0x{server.tree.last_zxid & _MASK64:x}\n"
        f"Mode: {known['server_state']}\n"
        f"Node count: {known['node_count']}\n"
        f"{proposals}"
    )


def wchs(server: Server) -> str:
    """How many watch how much; data watches, as everywhere in these words."""
    known = reports.watch_summary(server)
    return (
        f"{known['num_connections']} connections watching {known['num_paths']} paths\n"
        f"Total watches:{known['num_total_watches']}\n"
    )


def _listed(rows: Iterable[tuple[str, Iterable[str]]]) -> str:
    lines = [line for head, items in rows for line in (head, *(f"\t{item}" for item in items))]
    return "".join(f"{line}\n" for line in lines) + "\n"


def _shown_id(session_id: int) -> str:
    return f"0x{session_id & _MASK64:x}"


def wchc(server: Server) -> str:
    """The paths that each session watches."""
    return _listed((_shown_id(each), paths) for each, paths in reports.watches(server).items())


def wchp(server: Server) -> str:
    """The sessions that watch each path."""
    rows = reports.watches_by_path(server).items()
    return _listed((path, map(_shown_id, ids)) for path, ids in rows)


def dirs(server: Server) -> str:
    """Bytes of snapshots and of logs."""
    return "".join(f"{key}: {value}\n" for key, value in reports.directory_sizes(server).items())


def monitor(server: Server) -> dict[str, object]:
    """The figures that are measured, under Apache's names without the prefix zk_."""
    rows: dict[str, object] = {"version": VERSION, "server_state": server.pipeline.mode}
    if server.peer is not None:
        rows |= peer_words.state_rows(server.peer, server.pipeline.mode)
    return rows | metrics(server)


def mntr(server: Server) -> str:
    """The figures that are measured, under Apache's names."""
    return "".join(f"zk_{key}\t{value}\n" for key, value in monitor(server).items())


def hash_(server: Server) -> str:
    """The tree digest after every 128th transaction."""
    known = reports.digests(server)
    return "".join(f"{each['zxid']:x}: {each['digest']}\n" for each in known)


_ANSWERS: dict[str, Callable[[Server], str]] = {
    "conf": conf,
    "crst": crst,
    "dirs": dirs,
    "dump": dump,
    "envi": envi,
    "gtmk": lambda server: str(server.trace_mask),
    "hash": hash_,
    "isro": lambda server: "ro" if server.is_read_only else "rw",
    "mntr": mntr,
    "ruok": lambda _: "imok",
    "srst": srst,
    "srvr": srvr,
    "stat": stat,
    "wchc": wchc,
    "wchp": wchp,
    "wchs": wchs,
}

WORDS: dict[bytes, str] = {
    **{word.encode(): word for word in (*_ANSWERS, "cons", "stmk")},
    b"\xff\xf4\xff\xfd": TELNET_CLOSE,
}
"""Words by the four bytes they are asked with."""
