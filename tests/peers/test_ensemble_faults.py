"""Faults on ensembles of real processes, under load: each a story of a few seconds, all judged.

Nothing that was acknowledged is lost, what clients saw is explained by one order of writes, and
the time without writes is that of noticing a fault and of one election. That time is printed; only
a generous bound is asserted, for machines are noisy.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.support.ensemble_under_faults import (
    INIT_LIMIT,
    SYNC_LIMIT,
    TICK_MS,
    EnsembleUnderFaults,
)
from zkserver.storage.layout import is_temporary

# To notice (syncLimit), to elect and synchronise (initLimit), for clients to find the new leader;
# and what a busy machine adds.
GAP_LIMIT_S = TICK_MS * (SYNC_LIMIT + INIT_LIMIT) / 1000 + 12


@contextmanager
def ensemble(folder: Path, story: str, **options) -> Iterator[EnsembleUnderFaults]:
    """An ensemble for a story, which is judged when it is told."""
    with EnsembleUnderFaults(folder, story, **options) as each:
        yield each
        each.finish()


def tell_gap(each: EnsembleUnderFaults, from_s: float) -> None:
    """Print how long nobody could write since then, and the client that fared worst."""
    each.goes_on()
    gap_s = each.load.longest_gap_s(from_s)
    names = [client.name for client in each.load.clients]
    worst_s = max(each.load.longest_gap_s(from_s, name) for name in names)
    print(f"no write for {gap_s:.2f} s, for the client that fared worst {worst_s:.2f} s")
    assert gap_s < GAP_LIMIT_S


def wait_for_another_leader(each: EnsembleUnderFaults, leader: int) -> None:
    """Until one that is not stopped, and is not `leader`, leads."""
    each.wait(
        lambda: any(
            mode == "leader" and number != leader for number, mode in each.modes().items()
        ),
        f"nobody leads but {leader}",
    )


def test_the_leader_is_killed(tmp_path: Path) -> None:
    with ensemble(tmp_path, "kill leader") as each:
        leader = each.leader()
        since_s = each.note(f"kill -9 of the leader {leader}")
        each.kill(leader)
        tell_gap(each, since_s)
        each.launch(leader)
        each.wait(lambda: each.mode(leader) == "follower", "the old leader does not follow")


def test_a_follower_is_killed(tmp_path: Path) -> None:
    # So that a busy machine does not depose the leader.
    with ensemble(tmp_path, "kill follower", cfg={"syncLimit": "50"}) as each:
        follower = each.followers()[0]
        leader = each.leader()
        since_s = each.note(f"kill -9 of the follower {follower}")
        each.kill(follower)
        tell_gap(each, since_s)
        each.launch(follower)
        each.wait(lambda: each.mode(follower) == "follower", "it does not come back")
        assert each.leader() == leader


def test_the_leader_is_stopped_until_there_is_another(tmp_path: Path) -> None:
    with ensemble(tmp_path, "stop leader") as each:
        leader = each.leader()
        # A client that waits for the old leader all the time: what it asks must not be granted.
        loyal = each.load.start(
            "loyal", [f"n{leader}"], lambda client: setattr(client, "reply_timeout_s", 30.0)
        )
        each.wait(lambda: loyal.rounds > 3, "the leader does not serve")
        since_s = each.note(f"SIGSTOP of the leader {leader}")
        each.stop(leader)
        wait_for_another_leader(each, leader)
        tell_gap(each, since_s)
        rounds = loyal.rounds
        each.note(f"SIGCONT of {leader}")
        each.go_on(leader)
        each.wait(lambda: each.mode(leader) == "follower", "the old leader does not step down")
        each.wait(lambda: loyal.rounds > rounds, "the loyal client is not served")


def test_a_follower_is_stopped(tmp_path: Path) -> None:
    with ensemble(tmp_path, "stop follower") as each:
        follower = each.followers()[0]
        since_s = each.note(f"SIGSTOP of the follower {follower}")
        each.stop(follower)
        log = each.servers.server(each.leader()).log_file
        each.wait(
            lambda: "closing a learner's link" in log.read_text(), "the leader does not notice"
        )
        tell_gap(each, since_s)
        each.go_on(follower)
        each.wait(lambda: each.mode(follower) == "follower", "it does not come back")


def test_the_leader_is_cut_from_both_followers(tmp_path: Path) -> None:
    with ensemble(tmp_path, "isolate leader") as each:
        leader = each.leader()
        since_s = each.note(f"the leader {leader} is cut from all")
        each.proxy.isolate(leader)
        wait_for_another_leader(each, leader)
        each.wait(lambda: each.mode(leader) == "", "the old leader does not step down")
        tell_gap(each, since_s)
        each.note("healed")
        each.proxy.heal()
        each.wait(lambda: each.mode(leader) == "follower", "the old leader does not follow")


def test_the_leader_is_cut_from_one_follower(tmp_path: Path) -> None:
    with ensemble(tmp_path, "cut leader and follower") as each:
        leader, (follower, _) = each.leader(), each.followers()
        since_s = each.note(f"{leader} and {follower} are cut")
        each.proxy.cut(leader, follower)
        each.wait_for_end_of_role(follower)
        tell_gap(each, since_s)
        each.note("healed")
        each.proxy.heal()
        each.wait(lambda: all(each.modes().values()), "not all serve")


def test_the_leader_is_deaf_to_its_followers(tmp_path: Path) -> None:
    with ensemble(tmp_path, "deaf leader") as each:
        leader = each.leader()
        since_s = each.note(f"{leader} hears nobody, and is heard")
        for follower in each.followers():
            each.proxy.cut(follower, leader, both=False)
        wait_for_another_leader(each, leader)
        tell_gap(each, since_s)


def test_a_bridge(tmp_path: Path) -> None:
    with ensemble(tmp_path, "bridge", count=5) as each:
        leader = each.leader()
        first, second, *rest = each.followers()
        since_s = each.note(f"{leader} and {rest[0]}, {first} and {second}: joined by {rest[1]}")
        for one in (leader, rest[0]):
            for other in (first, second):
                each.proxy.cut(one, other)
        each.wait_for_end_of_role(first, second)
        tell_gap(each, since_s)
        each.note("healed")
        each.proxy.heal()
        each.wait(lambda: all(each.modes().values()), "not all serve")


def test_all_are_killed_at_once(tmp_path: Path) -> None:
    with ensemble(tmp_path, "kill all") as each:
        since_s = each.note("kill -9 of all")
        for number in each.numbers:
            each.kill(number)
        for number in each.numbers:
            each.launch(number)
        tell_gap(each, since_s)


def _is_writing_snapshot(folder: Path) -> bool:
    return any("snapshot" in each.name and is_temporary(each.name) for each in folder.iterdir())


def test_a_server_is_killed_while_it_writes_a_snapshot(tmp_path: Path) -> None:
    with ensemble(tmp_path, "kill in snapshot", cfg={"snapCount": "100"}) as each:
        leader = each.leader()
        folder = each.servers.server(leader).data_dir / "version-2"
        each.wait(lambda: _is_writing_snapshot(folder), "no snapshot is written")
        since_s = each.note(f"kill -9 of {leader} in a snapshot")
        each.kill(leader)
        tell_gap(each, since_s)
        each.launch(leader)


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A file system of 24 MB over a folder; only root may make one."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs root, to mount a small file system")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_disk_is_full(tmp_path: Path) -> None:
    folder = tmp_path / "1" / "data"
    folder.mkdir(parents=True)
    with small_disk(folder), ensemble(tmp_path, "full disk") as each:
        since_s = each.note("the disk of 1 is full")
        each.excused[1] = None
        ballast = folder / "ballast"
        with suppress(OSError), ballast.open("wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
        each.wait(lambda: not each.is_up(1), "it serves without a disk")
        tell_gap(each, since_s)
        each.look_after(1)
        ballast.unlink()
        each.launch(1)
        each.wait(lambda: all(each.modes().values()), "not all serve")


def test_two_faults_at_once(tmp_path: Path) -> None:
    with ensemble(tmp_path, "two faults", count=5) as each:
        leader, follower = each.leader(), each.followers()[0]
        since_s = each.note(f"kill -9 of the leader {leader}, SIGSTOP of {follower}")
        each.stop(follower)
        each.kill(leader)
        tell_gap(each, since_s)
        each.launch(leader)
        each.go_on(follower)
        each.wait(lambda: all(each.modes().values()), "not all serve")
