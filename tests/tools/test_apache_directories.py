"""What both servers write, as both kinds of tools print it: the same lines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from kazoo.client import KazooClient
from kazoo.security import make_digest_acl

from tests.support.apache import ApacheServer, run_java
from tests.support.server_process import ServerProcess
from tests.support.zkserver_process import subject_server
from tests.tools.conftest import Tool

pytestmark = pytest.mark.usefixtures("apache_installed")

PROGRAMS = {
    "log": ("zkTxnLogToolkit.sh", "org.apache.zookeeper.server.persistence.TxnLogToolkit"),
    "snapshot": ("zkSnapShotToolkit.sh", "org.apache.zookeeper.server.SnapshotFormatter"),
}


def write_something(server: ServerProcess) -> None:
    client = KazooClient(f"127.0.0.1:{server.port}", timeout=10)
    client.start(timeout=30)
    client.create("/a", b"some data")
    for number in range(20):
        client.create("/a/n-", b"x" * number, sequence=True)
    client.set("/a", "größer".encode())
    client.create("/private", b"p", acl=[make_digest_acl("ann", "secret", all=True)])
    client.set_acls("/a/n-0000000000", [make_digest_acl("bob", "secret", read=True)])
    client.create("/here", ephemeral=True)
    for second in ("/a/t", "/no/such"):
        transaction = client.transaction()
        transaction.create("/a/t", b"1")
        transaction.set_data(second, b"2")
        transaction.commit()
    client.delete("/a/t")
    client.stop()
    client.close()


@pytest.mark.parametrize("make", [subject_server, ApacheServer])
def test_a_directory_prints_the_same(
    tool: Tool, tmp_path: Path, make: Callable[..., ServerProcess]
) -> None:
    server = make(tmp_path / "server", {"zookeeper.preAllocSize": "64"})
    with server:
        write_something(server)
        server.restart()
    folder = server.data_dir / "version-2"
    for kind, (script, main) in PROGRAMS.items():
        newest = max(folder.glob(f"{kind}.*"), key=lambda path: int(path.suffix[1:], 16))
        theirs = run_java(main, str(newest), timeout=60)
        ours = tool(script, newest)
        assert (ours.code, ours.err) == (0, "")
        assert ours.out == theirs.stdout
        assert len(ours.out.splitlines()) > 30
    assert tool("zkserver", "log", "verify", next(folder.glob("log.*"))).code == 0
