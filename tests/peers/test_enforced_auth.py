"""enforce.auth: without one of the schemes a session may only ping, authenticate and close."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import wire
from tests.support.raw_client import Closed, new_session
from tests.support.zkserver_process import subject_server

REQUIRE_AUTH = -124
PROPERTIES = {
    "zookeeper.enforce.auth.enabled": "true",
    "zookeeper.enforce.auth.schemes": "digest",
}


def test_reads_and_writes_wait_for_the_scheme(tmp_path: Path) -> None:
    with subject_server(tmp_path, PROPERTIES) as server:
        for opcode, record in (
            (wire.GET_DATA, wire.read_request("/")),
            (wire.SET_DATA, wire.set_data_request("/", b"x")),
            (wire.EXISTS, wire.read_request("/")),
        ):
            with new_session(server.port) as client:
                assert client.ping()["err"] == 0
                assert client.call(opcode, record)["err"] == REQUIRE_AUTH
                with pytest.raises(Closed):
                    client.receive()
        client = new_session(server.port)
        token = wire.auth_request("digest", b"ann:secret")
        assert client.call(wire.AUTH, token, wire.XID_AUTH)["err"] == 0
        assert client.call(wire.GET_DATA, wire.read_request("/"))["err"] == 0
        assert client.call(wire.SET_DATA, wire.set_data_request("/", b"x"))["err"] == 0
        client.close_session()
