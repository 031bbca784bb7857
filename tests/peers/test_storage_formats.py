"""Files of `zkserver.storage` under the eyes of Apache ZooKeeper's server and programs."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from kazoo.client import KazooClient

from tests.support.apache import ApacheServer, run_java
from tests.support.histories import History
from tests.support.server_process import four_letter_word
from zkserver.runtime.disk import RealDisk
from zkserver.storage import recovery, snapshot
from zkserver.storage.layout import Layout, log_name
from zkserver.storage.recovery import Restored, RestoreSettings
from zkserver.storage.txnlog import TxnLogWriter
from zkserver.tree.tree import DataTree

pytestmark = pytest.mark.usefixtures("apache_installed")

PROPERTIES = {"zookeeper.extendedTypesEnabled": "true"}
FORMATTER = "org.apache.zookeeper.server.SnapshotFormatter"
TOOLKIT = "org.apache.zookeeper.server.persistence.TxnLogToolkit"
COMPLAINTS = ("not matching", "problem reading", "CRC", "corrupt")


def restore(layout: Layout) -> tuple[DataTree, Restored, list[str]]:
    tree = DataTree(extended_types=True)
    lines: list[str] = []
    restored = recovery.restore(RealDisk(), layout, tree, RestoreSettings(), lines.append)
    return tree, restored, lines


def open_log(layout: Layout) -> TxnLogWriter:
    return TxnLogWriter(
        RealDisk(),
        layout.log_folder,
        preallocate_bytes=65536,
        size_limit_bytes=None,
        sync=True,
        clock_ms=lambda: 0.0,
    )


def fill(layout: Layout, compression: str, before: int = 60, after: int = 90) -> History:
    """A directory with a snapshot and a log, as a random history left it."""
    restore(layout)
    RealDisk().remove(layout.snapshot_path("snapshot.0"))
    history = History(random.Random(before), DataTree(extended_types=True))
    for _ in range(before):
        history.step()
    snapshot.save(
        RealDisk(), layout, history.tree, history.sessions, compression=compression
    )
    for _ in range(after):
        history.step()
    open_log(layout).write(history.log[before:])
    return history


def contents(client: KazooClient, path: str = "/") -> dict[bytes, bytes | None]:
    """The data of all znodes outside /zookeeper, by path."""
    data, _ = client.get(path)
    found = {path.encode() if path != "/" else b"": data}
    for name in client.get_children(path):
        if name != "zookeeper":
            found.update(contents(client, path.rstrip("/") + "/" + name))
    return found


def expected(tree: DataTree) -> dict[bytes, bytes | None]:
    return {
        path: node.data
        for path, node in tree.nodes.items()
        if not path.startswith(b"/zookeeper")
    }


def check_apache_opens(folder: Path, data_dir: Path, tree: DataTree) -> None:
    with ApacheServer(folder, PROPERTIES, data_dir=data_dir) as apache:
        assert f"Zxid: 0x{tree.last_zxid:x}\n" in four_letter_word(apache.port, "srvr")
        client = KazooClient(f"127.0.0.1:{apache.port}", timeout=10)
        client.start(timeout=30)
        assert contents(client) == expected(tree)
        client.stop()
        client.close()
        apache.kill()
        said = apache.log_file.read_text()
        assert not [word for word in COMPLAINTS if word in said], said


@pytest.mark.parametrize("compression", ["", "gz", "snappy"])
def test_apache_restores_a_snapshot_and_log_of_ours(tmp_path: Path, compression: str) -> None:
    layout = Layout.of(str(tmp_path / "data"))
    history = fill(layout, compression)
    check_apache_opens(tmp_path / "apache", tmp_path / "data", history.tree)
    # And what Apache added to it: a snapshot of its own, a session in the log.
    tree, restored, lines = restore(layout)
    assert restored.last_zxid > history.tree.last_zxid
    assert (restored.digest_mismatches, lines) == (0, [])
    assert expected(tree) == expected(history.tree)


def test_apache_opens_a_directory_whose_torn_tail_was_cut(tmp_path: Path) -> None:
    layout = Layout.of(str(tmp_path / "data"))
    history = fill(layout, "")
    path = Path(layout.log_path(log_name(61)))
    whole = path.read_bytes()
    end = len(whole.rstrip(b"\0"))
    path.write_bytes(whole[: end - 30] + bytes(len(whole) - end + 30))
    tree, restored, lines = restore(layout)
    assert restored.torn is not None
    assert len(lines) == 1
    again = History(random.Random(5), tree)
    again.sessions = restored.sessions
    for _ in range(20):
        again.step()
    assert tree.last_zxid == history.tree.last_zxid + 19
    open_log(layout).write(again.log)
    check_apache_opens(tmp_path / "apache", tmp_path / "data", tree)


def test_apache_s_programs_read_our_files(tmp_path: Path) -> None:
    layout = Layout.of(str(tmp_path / "data"))
    history = fill(layout, "")
    shown = run_java(FORMATTER, layout.snapshot_path("snapshot.3c"), timeout=60)
    assert shown.returncode == 0, shown.stderr
    assert "/zookeeper/quota" in shown.stdout
    shown = run_java(TOOLKIT, "-d", layout.log_path(log_name(61)), timeout=60)
    assert shown.returncode == 0, shown.stderr
    assert f"EOF reached after {len(history.log) - 60} txns" in shown.stdout
    assert "CRC ERROR" not in shown.stdout
