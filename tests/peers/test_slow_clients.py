"""Clients that do not read, or go away half: they cost bounded memory and nobody else's time."""

from __future__ import annotations

import re
import socket
import time
from pathlib import Path

from tests.support import wire
from tests.support.raw_client import new_session
from tests.support.server_process import ServerProcess

DATA_BYTES = 500_000
REQUESTS = 2_000
GROWTH_MB = 150
WAIT_S = 20


def resident_mb(server: ServerProcess) -> float:
    assert server.process is not None
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s*(\d+) kB", status)
    assert found is not None
    return int(found[1]) / 1024


def test_replies_that_nobody_reads_do_not_pile_up(server: ServerProcess) -> None:
    with new_session(server.port) as bystander, new_session(server.port) as deaf:
        data = bytes(DATA_BYTES)
        assert bystander.call(wire.CREATE, wire.create_request("/big", data))["err"] == 0
        before_mb = resident_mb(server)
        # A gigabyte of replies, asked for at once and never read.
        frame = wire.text(wire.request(1, wire.GET_DATA, wire.read_request("/big")))
        deaf.send_bytes(frame * REQUESTS)
        for _ in range(100):
            assert bystander.ping()["err"] == 0
        assert resident_mb(server) - before_mb < GROWTH_MB
        # It is only slow: what it asked for comes when it reads.
        for _ in range(100):
            assert len(deaf.receive()) == DATA_BYTES + 16 + 4 + 68


def test_events_that_nobody_reads_end_the_connection(server: ServerProcess) -> None:
    """A watcher cannot be slowed down by not reading from it, so it is dropped."""
    path = "/" + "w" * 100_000
    with new_session(server.port) as writer, new_session(server.port) as deaf:
        assert writer.call(wire.CREATE, wire.create_request(path))["err"] == 0
        assert deaf.call(wire.ADD_WATCH, wire.typed_path_request(path, 0))["err"] == 0
        deaf.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deadline = time.monotonic() + WAIT_S
        while "does not read what it is sent" not in server.log_tail():
            assert time.monotonic() < deadline
            assert writer.call(wire.SET_DATA, wire.set_data_request(path, b""))["err"] == 0
        assert writer.ping()["err"] == 0


def test_a_client_that_closed_one_side_is_let_go(server: ServerProcess) -> None:
    with new_session(server.port) as half, new_session(server.port) as bystander:
        half.socket.shutdown(socket.SHUT_WR)
        assert half.socket.recv(1) == b""
        assert bystander.ping()["err"] == 0
