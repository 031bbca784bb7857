"""One data directory, served by Apache ZooKeeper and by zkserver in turn."""

from __future__ import annotations

from pathlib import Path

import pytest
from kazoo.client import KazooClient
from kazoo.security import make_digest_acl

from tests.support.apache import ApacheServer
from tests.support.server_process import ServerProcess
from tests.support.zkserver_process import subject_server

PROPERTIES = {"zookeeper.extendedTypesEnabled": "true"}
WAIT_S = 30
SECRET = make_digest_acl("ann", "secret", all=True)


def change(server: ServerProcess, mark: str) -> dict[str, tuple[bytes, object]]:
    """Write something of every kind; what is there afterwards, by path."""
    client = KazooClient(f"127.0.0.1:{server.port}", timeout=10)
    client.start(timeout=WAIT_S)
    client.add_auth("digest", "ann:secret")
    client.create(f"/{mark}", mark.encode())
    for number in range(20):
        client.create(f"/{mark}/n-", b"x" * number, sequence=True)
    client.set(f"/{mark}", b"changed")
    client.delete(f"/{mark}/n-0000000003")
    client.create(f"/{mark}/private", b"p", acl=[SECRET])
    transaction = client.transaction()
    transaction.create(f"/{mark}/t", b"1")
    transaction.set_data(f"/{mark}/t", b"2")
    transaction.commit()
    failed = client.transaction()
    failed.create(f"/{mark}/never")
    failed.delete("/no/such")
    failed.commit()
    client.create(f"/{mark}/gone", ephemeral=True)
    found = everything(client)
    client.stop()
    client.close()
    del found[f"/{mark}/gone"]
    return found


def everything(client: KazooClient, path: str = "/") -> dict[str, tuple[bytes, object]]:
    """Data and Stat of all znodes, that of parents without what a closing session changes."""
    data, stat = client.get(path)
    row = (data, (stat.czxid, stat.mzxid, stat.ctime, stat.mtime, stat.version, stat.aversion))
    found = {path: row}
    for name in client.get_children(path):
        found.update(everything(client, path.rstrip("/") + "/" + name))
    return found


def look(server: ServerProcess) -> dict[str, tuple[bytes, object]]:
    client = KazooClient(f"127.0.0.1:{server.port}", timeout=10)
    client.start(timeout=WAIT_S)
    client.add_auth("digest", "ann:secret")
    found = everything(client)
    client.stop()
    client.close()
    return found


@pytest.mark.usefixtures("apache_installed")
@pytest.mark.parametrize("compression", ["", "gz", "snappy"])
def test_each_opens_what_the_other_left(tmp_path: Path, compression: str) -> None:
    properties = {**PROPERTIES, "zookeeper.snapshot.compression.method": compression}
    folder = tmp_path / "data"
    with ApacheServer(tmp_path / "1", properties, data_dir=folder) as apache:
        left = change(apache, "apache")
    with subject_server(tmp_path / "2", properties, data_dir=folder) as ours:
        assert look(ours) == left
        left = change(ours, "ours")
        ours.kill()
    with ApacheServer(tmp_path / "3", properties, data_dir=folder) as apache:
        assert look(apache) == left
        left = change(apache, "again")
        apache.kill()
    with subject_server(tmp_path / "4", properties, data_dir=folder) as ours:
        assert look(ours) == left
        assert "digests differ" not in ours.log_tail()


@pytest.mark.usefixtures("apache_installed")
def test_a_session_moves_between_them(tmp_path: Path) -> None:
    """Id and password of one are good at the other, and the ephemeral is still there."""
    folder = tmp_path / "data"
    with ApacheServer(tmp_path / "1", PROPERTIES, data_dir=folder) as apache:
        first = KazooClient(f"127.0.0.1:{apache.port}", timeout=30)
        first.start(timeout=WAIT_S)
        first.create("/mine", b"", ephemeral=True)
        session = first.client_id
        apache.kill()
        first.stop()
        first.close()
    with subject_server(tmp_path / "2", PROPERTIES, data_dir=folder) as ours:
        second = KazooClient(f"127.0.0.1:{ours.port}", timeout=30, client_id=session)
        second.start(timeout=WAIT_S)
        assert second.client_id == session
        assert second.exists("/mine").ephemeralOwner == session[0]
        ours.kill()
        second.stop()
        second.close()
    with ApacheServer(tmp_path / "3", PROPERTIES, data_dir=folder) as apache:
        third = KazooClient(f"127.0.0.1:{apache.port}", timeout=30, client_id=session)
        third.start(timeout=WAIT_S)
        assert third.client_id == session
        assert third.exists("/mine").ephemeralOwner == session[0]
        third.stop()
        third.close()
