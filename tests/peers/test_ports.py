"""The client port from the outside: words, limits, bad input, idle connections."""

from __future__ import annotations

import socket
import struct
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.support.server_process import ServerProcess
from tests.support.zkserver_process import subject_server

WORDS = (
    "conf", "cons", "crst", "dump", "envi", "ruok", "srst", "srvr", "stat", "wchs", "wchc",
    "wchp", "dirs", "mntr", "isro", "hash", "gtmk",
)  # fmt: skip
CONNECT = struct.pack(">iiqiqi16s?", 45, 0, 0, 30000, 0, 16, bytes(16), False)


def ask(port: int, data: bytes) -> bytes:
    """Everything the server says to these bytes until it hangs up."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(data)
        pieces = []
        # What is left unread when a server hangs up makes the end a reset.
        with suppress(ConnectionResetError):
            while piece := client.recv(65536):
                pieces.append(piece)
        return b"".join(pieces)


def figure(port: int, name: str) -> str:
    rows = dict(line.split("\t") for line in ask(port, b"mntr").decode().splitlines())
    return rows[name]


@pytest.mark.parametrize("word", WORDS)
def test_every_word_is_answered(server: ServerProcess, word: str) -> None:
    assert b"not in the whitelist" not in ask(server.port, word.encode())
    if word == "ruok":
        assert ask(server.port, b"ruok") == b"imok"
    if word == "srvr":
        assert b"\nMode: standalone\n" in ask(server.port, b"srvr")


def test_a_word_outside_the_whitelist_is_refused_in_words(tmp_path: Path) -> None:
    with subject_server(tmp_path, cfg={"4lw.commands.whitelist": "srvr"}) as server:
        answer = ask(server.port, b"ruok")
    assert answer == b"ruok is not executed because it is not in the whitelist.\n"


def test_words_leave_no_connection_behind(server: ServerProcess) -> None:
    for _ in range(80):  # more than maxClientCnxns
        assert ask(server.port, b"ruok") == b"imok"
    assert figure(server.port, "zk_num_alive_connections") == "1"


def test_silent_connections_are_closed_and_the_server_goes_on(tmp_path: Path) -> None:
    properties = {"zookeeper.nio.sessionlessCnxnTimeout": "300"}
    with subject_server(tmp_path, properties) as server:
        assert ask(server.port, b"ruok") == b"imok"
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as silent:
            assert silent.recv(1) == b""
        assert ask(server.port, b"ruok") == b"imok"


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        struct.pack(">i", -5),
        struct.pack(">i", 1048576),
        struct.pack(">i", 3) + b"abc",
        CONNECT + struct.pack(">i", -1),
        CONNECT + struct.pack(">i", 1048576),
        CONNECT + struct.pack(">i", 2) + b"xx",
        CONNECT + struct.pack(">iii", 8, 1, 99),
    ],
    ids=["http", "negative", "too long", "no handshake", "negative frame", "too long frame",
         "no header", "unknown operation"],
)
def test_broken_input_closes_that_connection_only(server: ServerProcess, data: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as other:
        other.sendall(CONNECT)
        assert len(other.recv(64)) == 41
        ask(server.port, data)
        other.sendall(struct.pack(">iii", 8, -2, 11))
        assert struct.unpack(">iiqi", other.recv(64))[1] == -2


def test_connections_per_address_are_limited(tmp_path: Path) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(subject_server(tmp_path, cfg={"maxClientCnxns": "2"}))
        for _ in range(2):
            client = socket.create_connection(("127.0.0.1", server.port), timeout=10)
            stack.enter_context(client)
            client.sendall(CONNECT)
            assert len(client.recv(64)) == 41
        # Hung up on: an end or a reset, but no session.
        with suppress(ConnectionResetError):
            assert ask(server.port, CONNECT) == b""
