"""kill -9 under load: whatever was acknowledged is found again."""

from __future__ import annotations

import threading
from pathlib import Path

from tests.support import wire
from tests.support.raw_client import Closed, RawClient, new_session
from tests.support.zkserver_process import subject_server

ROUNDS = 3
WRITES_BEFORE_THE_KILL = 300
WAIT_S = 30


class Writer(threading.Thread):
    """Counts upwards in one znode and remembers the last number that was acknowledged.

    It ends with its connection. (kazoo would not: a request made while it reconnects
    waits for a server that this test starts only later.)
    """

    def __init__(self, client: RawClient, path: str, last: int, enough: threading.Event) -> None:
        super().__init__(daemon=True)
        self.client = client
        self.path = path
        self.acknowledged = last
        self.limit = last + WRITES_BEFORE_THE_KILL
        self.enough = enough
        self.refusals: list[wire.Record] = []

    def run(self) -> None:
        with self.client:
            try:
                while not self.refusals:
                    self._write(self.acknowledged + 1)
            except Closed:
                pass

    def _write(self, number: int) -> None:
        request = wire.set_data_request(self.path, str(number).encode())
        reply = self.client.call(wire.SET_DATA, request)
        if reply["err"]:
            self.refusals.append(reply)
            return
        self.acknowledged = number
        if number == self.limit:
            self.enough.set()


def read_number(client: RawClient, path: str) -> int:
    reply = client.call(wire.GET_DATA, wire.read_request(path))
    return int(reply["body"]["data"])


def test_acknowledged_writes_outlive_kill_9(tmp_path: Path) -> None:
    last = {f"/w{number}": 0 for number in range(3)}
    # So few between snapshots that the kills meet them too.
    properties = {"zookeeper.snapCount": "200"}
    with subject_server(tmp_path, properties) as server:
        with new_session(server.port) as client:
            for path in last:
                assert client.call(wire.CREATE, wire.create_request(path, b"0"))["err"] == 0
        for _ in range(ROUNDS):
            enough = threading.Event()
            writers = [
                Writer(new_session(server.port), path, number, enough)
                for path, number in last.items()
            ]
            for writer in writers:
                writer.start()
            assert enough.wait(WAIT_S)
            server.kill()
            for writer in writers:
                writer.join(WAIT_S)
                assert not writer.is_alive()
                assert not writer.refusals
            server.start()
            with new_session(server.port) as client:
                found = {path: read_number(client, path) for path in last}
            for writer in writers:
                # One more may have reached the disk without its answer getting out.
                assert 0 <= found[writer.path] - writer.acknowledged <= 1
            last = found
