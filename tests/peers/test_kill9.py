"""kill -9 under load: whatever was acknowledged is found again."""

from __future__ import annotations

import threading
from pathlib import Path

from kazoo.client import KazooClient
from kazoo.exceptions import KazooException

from tests.support.zkserver_process import subject_server

ROUNDS = 3
WRITES_BEFORE_THE_KILL = 300
WAIT_S = 30


def write_until_the_end(port: int, name: str, acknowledged: dict[str, int], enough: threading.Event,
                        already: int) -> None:
    """Count upwards in one znode and remember each number that was acknowledged."""
    client = KazooClient(f"127.0.0.1:{port}", timeout=10)
    client.start(timeout=WAIT_S)
    number = already
    try:
        client.ensure_path(name)
        while True:
            number += 1
            client.set(name, str(number).encode())
            acknowledged[name] = number
            if number - already >= WRITES_BEFORE_THE_KILL:
                enough.set()
    except KazooException:
        pass
    finally:
        client.stop()
        client.close()


def test_acknowledged_writes_outlive_kill_9(tmp_path: Path) -> None:
    acknowledged: dict[str, int] = {}
    names = [f"/w{number}" for number in range(3)]
    # So few between snapshots that the kills meet them too.
    properties = {"zookeeper.snapCount": "200"}
    with subject_server(tmp_path, properties) as server:
        for _ in range(ROUNDS):
            enough = threading.Event()
            writers = [
                threading.Thread(
                    target=write_until_the_end,
                    args=(server.port, name, acknowledged, enough, acknowledged.get(name, 0)),
                )
                for name in names
            ]
            for writer in writers:
                writer.start()
            assert enough.wait(WAIT_S)
            server.kill()
            for writer in writers:
                writer.join(WAIT_S)
                assert not writer.is_alive()
            server.start()
            client = KazooClient(f"127.0.0.1:{server.port}", timeout=10)
            client.start(timeout=WAIT_S)
            found = {name: int(client.get(name)[0]) for name in names}
            client.stop()
            client.close()
            # One more may have reached the disk without its answer getting out.
            assert all(0 <= found[name] - acknowledged[name] <= 1 for name in names), found
            acknowledged.update(found)
