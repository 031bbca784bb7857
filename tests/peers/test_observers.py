"""Observers that wait before they connect, and observers that followers serve."""

from __future__ import annotations

import re
import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.support import wire
from tests.support.ensemble_processes import EnsembleProcesses, mode_of
from tests.support.mixed import (
    ALL_MIXES,
    LOUD,
    assert_equal_directories,
    assert_equal_trees,
    client_of,
    end,
    eventually,
    freeze,
    line_count,
    log_of,
    stop_all,
)
from tests.support.raw_client import RawClient, new_session
from tests.support.server_process import ServerProcess, four_letter_word, free_port

OBSERVER = 4


def test_an_observer_that_waits_serves_later_and_ends_at_once(tmp_path: Path) -> None:
    ensemble = EnsembleProcesses(
        tmp_path, "zzz", observers=1, cfg={"observer.reconnectDelayMs": "500"}
    )
    with ensemble:
        assert ensemble.modes()[3] == "observer"
        observer = ensemble.server(3)
        assert line_count(observer, "waits before it connects") >= 1
        observer.stop()
        observer.cfg["observer.reconnectDelayMs"] = str(10**9)
        before = line_count(observer, "waits before it connects")
        observer.launch()
        eventually(lambda: line_count(observer, "waits before it connects") > before)
        assert mode_of(observer.port) == ""
        began_s = time.monotonic()
        assert observer.stop() == 0
        assert time.monotonic() - began_s < 5
        assert "Traceback" not in log_of(observer)


class ManyHosts(EnsembleProcesses):
    """Server N is 127.0.0.N, so that the same observerMasterPort is free for each."""

    def _make(self, number: int, kind: str, before: ServerProcess | None = None) -> ServerProcess:
        server = super()._make(number, kind, before)
        for other in range(1, len(self.quorum_ports) + 1):
            key = f"server.{other}"
            server.cfg[key] = self.cfg[key].replace("127.0.0.1:", f"127.0.0.{other}:")
        return server


def many_hosts(folder: Path, kinds: str, **cfg: str) -> ManyHosts:
    return ManyHosts(
        folder,
        kinds,
        observers=1,
        cfg={
            "observerMasterPort": str(free_port()),
            "tickTime": "200",
            # On a busy machine a server takes seconds to start.
            "maxSessionTimeout": "60000",
        }
        | cfg,
        properties=LOUD | {"zookeeper.observer.election.DelayMs": "50"},
    )


def master_of(ensemble: EnsembleProcesses) -> int:
    """Whom the observer says it is connected to, -1 while it is to nobody."""
    words = four_letter_word(ensemble.server(OBSERVER).port, "mntr")
    found = re.search(r"zk_observer_master_id\t(\d+)", words)
    return int(found[1]) if found else -1


def other_follower(ensemble: EnsembleProcesses, master: int) -> int:
    """The one that neither leads nor is the master."""
    return next(iter({1, 2, 3} - {ensemble.leader(), master}))


def move(ensemble: EnsembleProcesses, there: int) -> None:
    """A session with an ephemeral znode goes from the observer to another server and back."""
    path = f"/moves-{there}"
    before = new_session(ensemble.server(OBSERVER).port, 10_000)
    assert before.call(wire.CREATE, wire.create_request(path, flags=1))["err"] == 0
    for server in (there, OBSERVER):
        before.close()
        after = RawClient(ensemble.server(server).port)
        answer = after.connect(10_000, before.session_id, before.password)
        assert answer["session_id"] == before.session_id
        assert after.call(wire.SYNC, wire.path_request("/"))["err"] == 0
        stat = after.call(wire.EXISTS, wire.read_request(path))["body"]["stat"]
        assert stat["ephemeralOwner"] == before.session_id
        assert after.call(wire.SET_DATA, wire.set_data_request(path, b"x"))["err"] == 0
        before = after
    before.close_session()
    wrong = RawClient(ensemble.server(OBSERVER).port)
    assert wrong.connect(10_000, 0x1234567, b"p" * 16)["session_id"] == 0
    wrong.close()


@pytest.mark.parametrize("kinds", ["zzza", "aaaz", *(("zzzz", "zaaz") if ALL_MIXES else ())])
@pytest.mark.usefixtures("apache_installed")
def test_followers_serve_observers(tmp_path: Path, kinds: str) -> None:
    with many_hosts(tmp_path, kinds) as ensemble:
        observer = ensemble.server(OBSERVER)
        assert mode_of(observer.port) == "observer"
        master = master_of(ensemble)
        assert master in {1, 2, 3} - {ensemble.leader()}
        theirs, ours = client_of(ensemble.server(master), 60.0), client_of(observer, 60.0)
        ours.create("/counted", b"1", ephemeral=True)
        theirs.sync("/")
        assert theirs.get("/counted")[0] == b"1"
        seen: list[str] = []
        theirs.create("/watched", b"")
        ours.sync("/")
        assert ours.get("/watched", lambda event: seen.append(event.type))
        theirs.set("/watched", b"2")
        eventually(lambda: seen == ["CHANGED"])
        for number in range(100):
            ours.set_async("/counted", b"%d" % number)
        ours.sync("/")
        assert ours.get("/counted")[0] == b"99"
        for there in (1, 2, 3):
            move(ensemble, there)

        # What it missed, from memory and as a tree.
        for is_empty in (False, True):
            observer.stop()
            if is_empty:
                shutil.rmtree(observer.data_dir / "version-2")
            for number in range(50):
                theirs.set("/watched", b"%d" % number)
            observer.launch()
            ensemble.wait_serving()
            assert len(assert_equal_trees(ensemble)) >= 3
        end(theirs)

        # Its master dies: there is another one.
        master = master_of(ensemble)
        other = other_follower(ensemble, master)
        ensemble.server(master).kill()
        eventually(lambda: master_of(ensemble) == other)
        eventually(lambda: ours.set("/watched", b"by the other"))
        ensemble.server(master).launch()
        ensemble.wait_serving()
        assert_equal_trees(ensemble)

        # The leader dies.
        ensemble.server(ensemble.leader()).kill()
        eventually(lambda: "leader" in ensemble.modes().values() and master_of(ensemble) > 0)
        eventually(lambda: ours.set("/watched", b"in the next reign"))
        for server in ensemble.servers[:3]:
            if server.process is None:
                server.launch()
        ensemble.wait_serving()
        end(ours)
        assert_equal_trees(ensemble)
        stop_all(ensemble)
        assert_equal_directories(ensemble)


def test_a_session_that_only_pings_lives_behind_a_follower(tmp_path: Path) -> None:
    with many_hosts(tmp_path, "zzzz") as ensemble:
        client = new_session(ensemble.server(OBSERVER).port, 1500)
        until_s = time.monotonic() + 3
        while time.monotonic() < until_s:
            client.ping()
            time.sleep(0.1)  # the client's pace
        assert client.call(wire.CREATE, wire.create_request("/alive"))["err"] == 0
        client.close_session()


def test_an_observer_that_takes_nothing_is_dropped_and_comes_again(tmp_path: Path) -> None:
    with many_hosts(tmp_path, "zzzz", syncLimit="200", **{"observerMaster.sizeLimit": "100000"}) as all_:
        observer, master = all_.server(OBSERVER), all_.server(master_of(all_))
        client = client_of(master)
        freeze(observer)
        for number in range(400):
            client.create(f"/{number}", bytes(100_000))
            if line_count(master, "observerMaster.sizeLimit"):
                break
        assert line_count(master, "observerMaster.sizeLimit") == 1
        assert observer.process is not None
        observer.process.send_signal(signal.SIGCONT)
        eventually(lambda: line_count(observer, "goes to an observer master") == 2)
        all_.wait_serving()
        theirs = client_of(observer)
        theirs.sync("/")
        assert len(theirs.get_children("/")) == len(client.get_children("/"))
        end(client, theirs)
