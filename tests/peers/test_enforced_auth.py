"""A server that serves only clients that have authenticated, beside Apache's."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import wire
from tests.support.apache import ApacheServer, apache_available
from tests.support.raw_client import Closed, RawClient
from tests.support.server_process import ServerProcess
from tests.support.zkserver_process import subject_server

PROPERTIES = {
    "zookeeper.enforce.auth.enabled": "true",
    "zookeeper.enforce.auth.schemes": "digest",
}
SESSION_CLOSED_REQUIRE_AUTH = -124
REQUESTS = {
    "getData": (1, wire.GET_DATA, wire.read_request("/")),
    "exists": (1, wire.EXISTS, wire.read_request("/")),
    "getChildren": (1, wire.GET_CHILDREN, wire.read_request("/")),
    "multiRead": (1, wire.MULTI_READ, wire.multi_request([])),
    "addWatch": (1, wire.ADD_WATCH, wire.typed_path_request("/", 1)),
    "setWatches": (-8, wire.SET_WATCHES, wire.set_watches_request(0, [], [], [])),
    "whoAmI": (1, wire.WHO_AM_I, b""),
    "create": (1, wire.CREATE, wire.create_request("/x")),
    "ping": (-2, wire.PING, b""),
    "closeSession": (1, wire.CLOSE_SESSION, b""),
    "unknown": (1, 99, b""),
}


def _servers(folder: Path) -> list[ServerProcess]:
    servers = [subject_server(folder / "zkserver", PROPERTIES)]
    if apache_available():
        servers.append(ApacheServer(folder / "apache", PROPERTIES))
    return servers


def _refused(port: int, xid: int, opcode: int, record: bytes) -> None:
    with RawClient(port) as client:
        client.connect()
        client.send(wire.request(xid, opcode, record))
        header = wire.decode_header(client.receive())
        assert header == {"xid": xid, "zxid": 0, "err": SESSION_CLOSED_REQUIRE_AUTH}
        with pytest.raises(Closed):
            client.receive()


def test_nothing_is_served_before_authentication_and_all_after_it(tmp_path: Path) -> None:
    for server in _servers(tmp_path):
        with server:
            for name, (xid, opcode, record) in REQUESTS.items():
                try:
                    _refused(server.port, xid, opcode, record)
                except (AssertionError, TimeoutError) as error:
                    raise AssertionError(f"{server.name}, {name}: {error}") from error
            with RawClient(server.port) as client:
                client.connect()
                auth = wire.auth_request("digest", b"ann:secret")
                both = [
                    wire.request(wire.XID_AUTH, wire.AUTH, auth),
                    wire.request(1, wire.EXISTS, wire.read_request("/")),
                ]
                client.send_bytes(b"".join(wire.int32(len(one)) + one for one in both))
                assert wire.decode_header(client.receive())["err"] == 0
                assert wire.decode_header(client.receive())["err"] == 0
                client.xid = 1
                client.close_session()
