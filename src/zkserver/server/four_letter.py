"""The four-letter words: a question of four bytes on a fresh connection, a text back.

Words, forms and the whitelist rule are Apache ZooKeeper 3.9's, because scripts read
them; `envi` tells of Python instead of Java, `mntr` shows only what is measured. What
concerns the machine and not the server (environment, sizes of directories, descriptors)
comes in through `Host`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from zkserver import __version__
from zkserver.base.config import Config
from zkserver.server import peer_words
from zkserver.server.monitor import metrics
from zkserver.server.reads import NAMES
from zkserver.tree.watches import WatchTable

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
    config = server.config
    data_size, log_size = server.host.directory_sizes()
    rows = {
        "clientPort": server.host.client_port(),
        "secureClientPort": -1,
        "dataDir": f"{config.data_dir}/version-2",
        "dataDirSize": data_size,
        "dataLogDir": f"{config.data_log_dir}/version-2",
        "dataLogSize": log_size,
        "tickTime": config.tick_time_ms,
        "maxClientCnxns": config.max_client_cnxns,
        "minSessionTimeout": config.min_session_timeout_ms,
        "maxSessionTimeout": config.max_session_timeout_ms,
        "clientPortListenBacklog": config.client_port_listen_backlog,
        "serverId": 0,
    }
    facts = server.peer
    if facts is None:
        return "".join(f"{key}={value}\n" for key, value in rows.items())
    rows |= peer_words.conf_rows(config, facts)
    text = "".join(f"{key}={value}\n" for key, value in rows.items())
    return text + ("" if server.is_read_only else peer_words.membership(facts))


def describe(connection: Connection, brief: bool) -> str:
    """One connection as cons and (brief) stat print it."""
    interest = (not connection.reading_paused) + 4 * connection.writing_blocked
    text = (
        f" /{connection.address}:{connection.port}[{interest:x}](queued={connection.queued()},"
        f"recved={connection.packets_received},sent={connection.packets_sent}"
    )
    if not brief and connection.session_id:
        latency = connection.latency
        last = "NA" if connection.last_kind is None else NAMES.get(connection.last_kind, "NA")
        average_ms = latency.total_ms // latency.count if latency.count else 0
        text += (
            f",sid=0x{connection.session_id & _MASK64:x},lop={last}"
            f",est={connection.established_ms},to={connection.session_timeout_ms}"
        )
        if connection.cxid >= 0:
            text += f",lcxid=0x{connection.cxid:x}"
        text += (
            f",lzxid=0x{connection.last_zxid & _MASK64:x},lresp={connection.last_response_ms}"
            f",llat={connection.last_latency_ms},minlat={latency.min_ms}"
            f",avglat={average_ms},maxlat={latency.max_ms}"
        )
    return text + ")\n"


def cons(server: Server) -> str:
    """Every connection with its session and figures."""
    return "".join(describe(each, brief=False) for each in server.connections) + "\n"


def crst(server: Server) -> str:
    """Begin the figures of every connection anew."""
    for connection in server.connections:
        connection.packets_received = connection.packets_sent = 0
        connection.latency.reset()
        connection.last_kind = None
        connection.cxid = connection.last_zxid = -1
        connection.last_response_ms = connection.last_latency_ms = 0
    return "Connection stats reset.\n"


def srst(server: Server) -> str:
    """Begin the figures of the server anew."""
    server.stats.reset()
    if server.peer is not None and server.peer.reign is not None:
        server.peer.reign().proposals.reset()
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


def _environment(host: Host) -> str:
    rows = {"zookeeper.version": VERSION, **host.environment()}
    return "Environment:\n" + "".join(f"{key}={value}\n" for key, value in rows.items())


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
    stats, latency = server.stats, server.stats.latency
    proposals = ""
    if server.peer is not None and server.peer.reign is not None:
        proposals = peer_words.proposal_sizes(server.peer.reign())
    return (
        f"Latency min/avg/max: {latency.min_ms}/{latency.average_ms()}/{latency.max_ms}\n"
        f"Received: {stats.packets_received}\n"
        f"Sent: {stats.packets_sent}\n"
        f"Connections: {len(server.connections)}\n"
        f"Outstanding: {server.in_flight}\n"
        f"Zxid: 0x{server.tree.last_zxid & _MASK64:x}\n"
        f"Mode: {server.pipeline.mode}\n"
        f"Node count: {server.tree.znode_count()}\n"
        f"{proposals}"
    )


def wchs(server: Server) -> str:
    """How many watch how much; data watches, as everywhere in these words."""
    summary = server.tree.data_watches.summary()
    return (
        f"{summary.connections} connections watching {summary.paths} paths\n"
        f"Total watches:{summary.watches}\n"
    )


def _listed(rows: Iterable[tuple[str, Iterable[str]]]) -> str:
    lines = [line for head, items in rows for line in (head, *(f"\t{item}" for item in items))]
    return "".join(f"{line}\n" for line in lines) + "\n"


def _shown(path: bytes | None) -> str:
    return "null" if path is None else path.decode("utf-8", "replace")


def wchc(server: Server) -> str:
    """The paths that each session watches."""
    table: WatchTable = server.tree.data_watches
    rows = []
    for connection in server.connections:
        paths = table.by_watcher.get(connection)
        if paths:
            rows.append((f"0x{connection.session_id & _MASK64:x}", map(_shown, paths)))
    return _listed(rows)


def wchp(server: Server) -> str:
    """The sessions that watch each path."""
    rows = []
    session_of = {each: f"0x{each.session_id & _MASK64:x}" for each in server.connections}
    for path, watchers in server.tree.data_watches.by_path.items():
        ids = [session_of[each] for each in session_of if each in watchers]
        rows.append((_shown(path), ids))
    return _listed(rows)


def dirs(server: Server) -> str:
    """Bytes of snapshots and of logs."""
    data_size, log_size = server.host.directory_sizes()
    return f"datadir_size: {data_size}\nlogdir_size: {log_size}\n"


def mntr(server: Server) -> str:
    """The figures that are measured, under Apache's names."""
    rows: dict[str, object] = {"version": VERSION, "server_state": server.pipeline.mode}
    if server.peer is not None:
        rows |= peer_words.state_rows(server.peer, server.pipeline.mode)
    rows |= metrics(server)
    return "".join(f"zk_{key}\t{value}\n" for key, value in rows.items())


def hash_(server: Server) -> str:
    """The tree digest after every 128th transaction."""
    return "".join(f"{zxid:x}: {_signed(digest)}\n" for zxid, digest in server.tree.digest_log)


def _signed(digest: int) -> int:
    return digest - (1 << 64) if digest >> 63 else digest


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
