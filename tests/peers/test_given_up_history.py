"""A server that is told to cut its history where it cannot: it gives it up, and takes the leader's.

Its data folder is made to be what the tree of a leader that was never established leaves: one
snapshot above everything that the others have, and nothing below it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import mixed
from tests.support.mixed import client_of, end, eventually
from zkserver.runtime.disk import RealDisk
from zkserver.storage import snapshot
from zkserver.storage.emptying import MARK_NAME
from zkserver.storage.layout import Layout
from zkserver.storage.recovery import RestoreSettings, restore
from zkserver.storage.truncation import plan_replace
from zkserver.tree.tree import DataTree


def leave_a_dead_tree(data_dir: Path) -> None:
    """The tree as it is becomes that of a later txn, which nobody else has."""
    disk, layout, tree = RealDisk(), Layout.of(str(data_dir)), DataTree()
    restored = restore(disk, layout, tree, RestoreSettings(), lambda _: None)
    tree.last_zxid += 1000
    replacement = plan_replace(disk, layout, tree.last_zxid)
    replacement.begin(disk)
    snapshot.save(disk, layout, tree, restored.sessions)
    replacement.finish(disk)


@pytest.mark.usefixtures("apache_installed")
def test_it_takes_the_tree_of_apaches_leader(tmp_path: Path) -> None:
    give_up_and_come_back(tmp_path, "zaa")


def test_it_takes_the_leaders_tree_by_itself(tmp_path: Path) -> None:
    give_up_and_come_back(tmp_path, "zzz")


def give_up_and_come_back(tmp_path: Path, kinds: str) -> None:
    ensemble = mixed.make(tmp_path, kinds)
    server = ensemble.server(1)
    try:
        mixed.start_with_leader(ensemble, 3)
        writer = client_of(ensemble.server(3))
        writer.create("/kept", b"all along")
        server.stop()
        leave_a_dead_tree(server.data_dir)
        server.launch()
        ensemble.wait_serving()
        log = mixed.log_of(server)
        assert "it has no vote until it has stored the tree of a leader" in log.lower()
        assert "synchronises by SNAP" in log
        assert not (server.data_dir / "version-2" / MARK_NAME).exists()
        writer.create("/afterwards")
        reader = client_of(server)
        eventually(lambda: reader.exists("/afterwards"))
        assert reader.get("/kept")[0] == b"all along"
        end(reader, writer)
        # It votes again: without it the leader has no quorum.
        ensemble.server(2).stop()
        again = client_of(server)
        again.create("/with-its-vote")
        end(again)
    finally:
        ensemble.__exit__()
