"""What the console tells of the process itself: its sessions, and its last elections.

Sessions are those of the ensemble as this server knows them; one that is connected elsewhere has
no connection here. Ids and zxids are hexadecimal text.
"""

from __future__ import annotations

from itertools import islice

from zkserver.admin.console_tree import hexadecimal
from zkserver.admin.view import View
from zkserver.election.story import Chapter, Line
from zkserver.election.votes import NONE
from zkserver.server import reports
from zkserver.server.connection import Connection
from zkserver.server.reports import Report
from zkserver.server.server import Server

SESSIONS_PER_REQUEST = 500
PATHS_PER_SESSION = 50
_KEYS = (
    "remote_socket_address", "outstanding_requests", "packets_received", "packets_sent",
    "last_operation", "established", "avg_latency", "max_latency",
)  # fmt: skip


def sessions(server: Server, begin: int) -> Report:
    """At most `SESSIONS_PER_REQUEST` sessions, from the `begin`-th on, and how many there are.

    They come in the order in which this server has heard of them: with very many, putting them
    into another one would take long.
    """
    live = server.sessions.live
    chosen = dict.fromkeys(islice(live, begin, begin + SESSIONS_PER_REQUEST))
    here: dict[int, Connection] = {}
    others = 0
    for each in server.connections:
        if each.session_id in chosen:
            here[each.session_id] = each
        elif not each.session_id:
            others += 1
    rows = [_session(server, session_id, here.get(session_id)) for session_id in chosen]
    return {"sessions": rows, "count": len(live), "begin": begin, "without_session": others}


def _session(server: Server, session_id: int, connection: Connection | None) -> Report:
    ephemerals = server.tree.ephemerals.get(session_id) or ()
    row: Report = {
        "id": hexadecimal(session_id),
        "timeout_ms": server.sessions.timeout_ms(session_id),
        "is_local": session_id in server.sessions.local,
        "ephemerals": _some(ephemerals),
        "ephemeral_count": len(ephemerals),
        "connection": None,
        "watches": [],
        "watch_count": 0,
    }
    if connection is None:
        return row
    known = reports.connection(connection, brief=False)
    watched = server.tree.data_watches.by_watcher.get(connection) or ()
    return row | {
        "timeout_ms": connection.session_timeout_ms,
        "connection": {key: known[key] for key in _KEYS},
        "watches": _some(watched),
        "watch_count": len(watched),
    }


def _some(paths: object) -> list[str]:
    found: list[str] = []
    for path in paths if hasattr(paths, "__iter__") else ():
        if len(found) >= PATHS_PER_SESSION:
            break
        found.append(reports.shown(path))
    return found


def elections(view: View) -> Report:
    """The last elections of this peer, oldest first, without their lines."""
    peer = view.peer
    if peer is None:
        return {"is_standalone": True, "server_id": None, "members": [], "chapters": []}
    members = [
        {"id": each.server_id, "kind": each.role.value, "host": each.addresses[0].host}
        for each in peer.membership.members
    ]
    return {
        "is_standalone": False,
        "server_id": peer.server_id,
        "members": members,
        "now_wall_ms": peer.wall_ms(),
        "chapters": [_chapter(each) for each in peer.looking.story.chapters],
    }


def election(view: View, began_ms: int) -> Report | None:
    """One election with its lines; None if it is not kept any more."""
    peer = view.peer
    chapters = () if peer is None else peer.looking.story.chapters
    for each in chapters:
        if each.began_ms == began_ms:
            return _chapter(each) | {"lines": [_line(line) for line in each.lines]}
    return None


def _chapter(chapter: Chapter) -> Report:
    winner = chapter.winner
    return {
        "began_ms": chapter.began_ms,
        "began_wall_ms": chapter.began_wall_ms,
        "took_ms": chapter.took_ms,
        "winner": None if winner is None else winner.leader,
        "winner_zxid": None if winner is None else hexadecimal(winner.zxid),
        "role": chapter.role.name.lower(),
        "epoch": chapter.epoch,
        "serves_after_ms": chapter.serves_after_ms,
        "end": chapter.end,
        "left_out": chapter.left_out,
        "line_count": len(chapter.lines),
    }


def _line(line: Line) -> Report:
    vote = line.vote
    return {
        "after_ms": line.after_ms,
        "happening": line.happening.value,
        "server": line.server_id,
        "state": line.state.name.lower(),
        "for": None if vote.leader == NONE else vote.leader,
        "zxid": hexadecimal(vote.zxid),
        "epoch": None if vote.peer_epoch == NONE else vote.peer_epoch,
        "round": line.round,
    }
