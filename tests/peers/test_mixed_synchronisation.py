"""DIFF, TRUNC and SNAP between zkserver and Apache ZooKeeper's server, in both directions.

Each story makes one kind of synchronisation happen for certain, and both logs have to name it.
Kinds of the seats: who learns is of one kind, the leader and the third one of the other.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import mixed, wire
from tests.support.ensemble_processes import EnsembleProcesses
from tests.support.mixed import client_of, end, eventually, line_count
from tests.support.raw_client import new_session
from tests.support.server_process import ServerProcess
from zkserver.runtime.disk import RealDisk
from zkserver.storage.layout import Layout
from zkserver.storage.log_on_disk import LogFiles

pytestmark = pytest.mark.usefixtures("apache_installed")

# The learner is server 1, the leader server 3; in the stories of TRUNC it is the other way round.
BOTH_WAYS = pytest.mark.parametrize("kinds", ["azz", "zaa"])

LINES = {
    ("z", "leads"): {kind: f"synchronises learner {{}} by {kind} to" for kind in ("DIFF", "TRUNC", "SNAP")},
    ("z", "learns"): {kind: f"synchronises by {kind} to" for kind in ("DIFF", "TRUNC", "SNAP")},
    ("a", "leads"): {
        "DIFF": "Sending DIFF zxid",
        "TRUNC": "Sending TRUNC ",  # it says so at DEBUG
        "SNAP": "Sending snapshot last zxid of peer is",
    },
    ("a", "learns"): {
        "DIFF": "Getting a diff from the leader",
        "TRUNC": "Truncating log to get in sync with the leader",
        "SNAP": "Getting a snapshot from leader",
    },
}


class Story:
    """An ensemble, and how often each kind of synchronisation has been noted by whom."""

    def __init__(self, ensemble: EnsembleProcesses, kinds: str) -> None:
        self.ensemble = ensemble
        self.kinds = kinds
        self.seen: dict[str, tuple[int, int]] = {}
        self.pair = (1, 3)

    def counts(self) -> dict[str, tuple[int, int]]:
        """By kind of synchronisation: the learner's lines, the leader's lines."""
        learner, leader = self.pair
        return {
            kind: tuple(
                line_count(
                    self.ensemble.server(number),
                    LINES[self.kinds[number - 1], does][kind].format(learner),
                )
                for number, does in ((learner, "learns"), (leader, "leads"))
            )
            for kind in ("DIFF", "TRUNC", "SNAP")
        }  # type: ignore[misc]

    def begin(self, learner: int, leader: int) -> None:
        """From here on the lines count."""
        self.pair = (learner, leader)
        self.seen = self.counts()

    def expect(self, wanted: str) -> None:
        """One more synchronisation of this kind, and none of another, by both logs.

        A learner whose link breaks on the way, as on a busy machine, comes again in the same way.
        """
        now = self.counts()
        more = {k: (now[k][0] - self.seen[k][0], now[k][1] - self.seen[k][1]) for k in now}
        says = not (wanted == "TRUNC" and self.kinds[self.pair[1] - 1] == "a")
        learns, leads = more.pop(wanted)
        assert learns >= 1, (more, wanted)
        assert leads >= learns if says else leads == 0, (learns, leads)
        assert set(more.values()) == {(0, 0)}, (more, wanted)

    def finish(self) -> None:
        """All have one tree, in memory and on disk, and go on with it."""
        ensemble = self.ensemble
        clients = [client_of(server) for server in ensemble.servers]
        for number, client in enumerate(clients):
            client.create(f"/afterwards-{number}")
        end(*clients)
        mixed.assert_equal_trees(ensemble)
        mixed.stop_all(ensemble)
        mixed.assert_equal_directories(ensemble)


@pytest.fixture(name="story")
def _story(tmp_path: Path, kinds: str, request: pytest.FixtureRequest) -> Iterator[Story]:
    ensemble = mixed.make(tmp_path, kinds, properties=getattr(request, "param", {}))
    try:
        mixed.start_with_leader(ensemble, 3)
        yield Story(ensemble, kinds)
    finally:
        ensemble.__exit__()


def write(server: ServerProcess, count: int, path: str = "/counted") -> None:
    """So many txns, and those of the session."""
    client = client_of(server)
    client.ensure_path(path)
    for one in [client.set_async(path, b"%d" % number) for number in range(count)]:
        one.get(mixed.WAIT_S)
    end(client)


def learn_again(story: Story, kind: str) -> None:
    """Server 1 comes back and is synchronised."""
    story.begin(learner=1, leader=3)
    story.ensemble.server(1).launch()
    story.ensemble.wait_serving()
    story.expect(kind)


@BOTH_WAYS
def test_nothing_missed_is_an_empty_diff(story: Story) -> None:
    write(story.ensemble.server(3), 3)
    story.ensemble.server(1).stop()
    learn_again(story, "DIFF")
    story.finish()


@BOTH_WAYS
def test_a_few_txns_are_a_diff_from_memory(story: Story) -> None:
    write(story.ensemble.server(1), 5)
    story.ensemble.server(1).stop()
    write(story.ensemble.server(3), 50)
    learn_again(story, "DIFF")
    story.finish()


@BOTH_WAYS
@pytest.mark.parametrize("story", [{"zookeeper.snapshotSizeFactor": "10000"}], indirect=True)
def test_more_than_memory_holds_is_a_diff_from_disk(story: Story) -> None:
    write(story.ensemble.server(1), 5)
    story.ensemble.server(1).stop()
    write(story.ensemble.server(3), 700)
    learn_again(story, "DIFF")
    log = mixed.log_of(story.ensemble.server(3))
    if story.kinds[2] == "z":
        assert [line for line in log.splitlines() if "learner 1 by DIFF" in line and "txns=70" in line]
    else:
        assert "Use txnlog and committedLog for peer sid: 1" in log
    story.finish()


# Apache's leader does not count the first of the files that it would have to read.
@BOTH_WAYS
@pytest.mark.parametrize("story", [{"zookeeper.snapCount": "200"}], indirect=True)
def test_a_long_log_beside_a_small_tree_is_a_snap(story: Story) -> None:
    write(story.ensemble.server(1), 5)
    story.ensemble.server(1).stop()
    write(story.ensemble.server(3), 700)
    learn_again(story, "SNAP")
    story.finish()


@BOTH_WAYS
def test_an_empty_directory_is_filled_by_a_snap(story: Story) -> None:
    owner = client_of(story.ensemble.server(3))
    owner.create("/held", b"x" * 100_000, ephemeral=True)
    story.ensemble.server(1).stop()
    shutil.rmtree(story.ensemble.server(1).data_dir / "version-2")
    learn_again(story, "SNAP")
    reader = client_of(story.ensemble.server(1))
    assert reader.get("/held")[1].ephemeralOwner == owner.client_id[0]
    end(reader, owner)
    story.finish()


@BOTH_WAYS
@pytest.mark.parametrize("story", [{"zookeeper.forceSnapshotSync": "true"}], indirect=True)
def test_a_snap_that_is_forced(story: Story) -> None:
    write(story.ensemble.server(1), 5)
    story.ensemble.server(1).stop()
    learn_again(story, "SNAP")
    story.finish()


def leave_a_tail(ensemble: EnsembleProcesses, count: int = 5) -> None:
    """Server 3 leads and logs what nobody else has; then all are killed."""
    write(ensemble.server(1), 5)
    client = new_session(ensemble.server(3).port)
    client.call(wire.CREATE, wire.create_request("/tail"))
    mixed.freeze(ensemble.server(1))
    mixed.freeze(ensemble.server(2))
    for _ in range(count):
        client.send(wire.request(client.next_xid(), wire.SET_DATA, wire.set_data_request("/tail", b"lost")))
    log = LogFiles(RealDisk(), Layout.of(str(ensemble.server(3).data_dir)))
    eventually(lambda: sum(b"lost" in entry for _, entry in log.entries(1 << 32 | 1)) == count)
    client.close()
    for server in ensemble.servers:
        server.kill()


TAIL_WAYS = pytest.mark.parametrize("kinds", ["zza", "aaz"])


@TAIL_WAYS
def test_a_tail_that_nobody_else_has_is_cut(story: Story) -> None:
    ensemble = story.ensemble
    leave_a_tail(ensemble)
    mixed.launch(ensemble, [2, 1])
    ensemble.wait_serving()
    assert ensemble.leader() == 2
    story.begin(learner=3, leader=2)
    ensemble.server(3).launch()
    ensemble.wait_serving()
    story.expect("TRUNC")
    reader = client_of(ensemble.server(3))
    assert reader.get("/tail")[0] == b""
    end(reader)
    story.finish()


@TAIL_WAYS
def test_a_tail_below_a_new_epoch_gets_a_snap(story: Story) -> None:
    ensemble = story.ensemble
    leave_a_tail(ensemble)
    mixed.launch(ensemble, [2, 1])
    ensemble.wait_serving()
    write(ensemble.server(1), 5)
    story.begin(learner=3, leader=2)
    ensemble.server(3).launch()
    ensemble.wait_serving()
    story.expect("SNAP")
    reader = client_of(ensemble.server(3))
    assert reader.get("/tail")[0] == b""
    end(reader)
    story.finish()


@TAIL_WAYS
def test_a_tail_that_takes_part_in_the_election_is_kept(story: Story) -> None:
    """Logged is not lost: nobody said that it failed, and its server has the best history."""
    ensemble = story.ensemble
    leave_a_tail(ensemble)
    mixed.start_with_leader(ensemble, 3)
    reader = client_of(ensemble.server(1))
    assert reader.get("/tail")[0] == b"lost"
    end(reader)
    story.finish()
