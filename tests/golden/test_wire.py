"""Golden frames: real clients' requests, answered byte by byte as the real server did."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support import wire
from tests.support.quiet_server import QuietServer, Wire
from zkserver.server.connection import CLOSED, Connection

FOLDER = Path(__file__).with_name("wire")
FILES = sorted(path.stem for path in FOLDER.glob("*.txt"))
SESSION_ID = slice(8, 16)
PASSWORD = slice(20, 36)
# Milliseconds since 1970 as a long, from 2022 on.
TIMES = re.compile(rb"\0\0\x01[\x80-\xff].{4}", re.DOTALL)


class Line:
    """One connection of a capture: ours and, as captured, Apache's replies."""

    def __init__(self, quiet: QuietServer) -> None:
        self.wire = Wire()
        self.connection = Connection(quiet.server, self.wire, "127.0.0.1", 1)
        quiet.server.add(self.connection)
        self.captured: list[bytes] = []

    def replies(self) -> list[bytes]:
        sent, frames = self.wire.sent, []
        while sent:
            stop = 4 + int.from_bytes(sent[:4], "big")
            frames.append(sent[4:stop])
            sent = sent[stop:]
        return frames


def comparable(connections: list[list[bytes]]) -> list[list[bytes]]:
    """Frames without session ids, passwords and times, which no two runs share."""
    names: list[tuple[bytes, bytes]] = []
    for number, frames in enumerate(connections):
        handshake = frames[0]
        names.append((handshake[SESSION_ID], b"<sid %2d>" % number))
        names.append((handshake[PASSWORD], b"<password %2d>   " % number))
    return [[shown(frame, names) for frame in frames] for frames in connections]


def shown(frame: bytes, names: list[tuple[bytes, bytes]]) -> bytes:
    for secret, name in names:
        frame = frame.replace(secret, name)
    return TIMES.sub(b"<  time>", frame)


@pytest.mark.parametrize("name", FILES)
def test_a_captured_session_is_answered_with_the_same_bytes(name: str) -> None:
    quiet = QuietServer()
    lines: dict[str, Line] = {}
    for text in (FOLDER / f"{name}.txt").read_text().splitlines():
        if text.startswith("#"):
            continue
        mark, _, frame = text.partition(" ")
        number, direction = mark[:-1], mark[-1]
        line = lines.get(number) or lines.setdefault(number, Line(quiet))
        if direction == "<":
            line.captured.append(bytes.fromhex(frame))
        elif line.connection.phase != CLOSED:
            line.connection.receive(wire.text(bytes.fromhex(frame)))
            quiet.sync()
    ours = comparable([line.replies() for line in lines.values()])
    assert ours == comparable([line.captured for line in lines.values()])


def test_the_three_clients_were_captured() -> None:
    assert FILES == ["c_client", "kazoo", "zkcli"]
