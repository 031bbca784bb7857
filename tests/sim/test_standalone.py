"""The real server in the world: how it starts, ends and fails, by disk, clock and signal."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from zkserver.base.config import defaults
from zkserver.sim import history as words
from zkserver.sim.client import SimClient
from zkserver.sim.history import History
from zkserver.sim.host import CLIENT_PORT
from zkserver.sim.run import logged
from zkserver.sim.standalone import Standalone
from zkserver.sim.world import World
from zkserver.storage import emptying
from zkserver.storage.layout import Layout


class Scene:
    """One server, and clients that are told what to ask."""

    def __init__(self, **settings: object) -> None:
        self.world = World(7)
        self.world.__enter__()
        config = defaults(
            **{"data_dir": "data", "client_port": CLIENT_PORT, "pre_alloc_size_kb": 16, **settings}
        )
        self.server = Standalone(self.world, config)
        self.exits: list[tuple[str, int]] = []
        self.world.ended = lambda host, code: self.exits.append((host, code))
        self.history = History()
        self.server.start()
        self.wait()

    def wait(self, seconds: float = 1.0) -> None:
        self.world.run("test", asyncio.sleep(seconds))

    def client(self, name: str, *script: tuple[str, bytes, bytes]) -> SimClient:
        client = SimClient(self.world, self.history, name, ["server"], CLIENT_PORT, 6000)
        client.script = [client.request(*each) for each in script]
        client.think_s = 1e9
        self.world.network.boot(name).start(client.run())
        return client

    def ask(self, name: str, *script: tuple[str, bytes, bytes]) -> list[tuple[int, bytes]]:
        """The errors and data of a script's replies, the session closed after it."""
        client = self.client(name, *script)
        asked = list(client.script)
        client.stop()
        self.wait(20)
        assert client.is_done
        return [(request.error, request.result) for request in asked]

    def restart(self) -> None:
        self.server.start()
        self.wait()


@pytest.fixture
def scene() -> Iterator[Scene]:
    made = Scene()
    yield made
    assert not made.world.loop.errors
    made.world.__exit__()


CREATE_A = (words.CREATE, b"/mine", b"1")
GET_A = (words.GET, b"/mine", b"")


def test_what_was_answered_outlives_a_power_cut(scene: Scene) -> None:
    assert scene.ask("ann", CREATE_A, GET_A) == [(0, b""), (0, b"1")]
    scene.server.power_off()
    scene.restart()
    assert scene.ask("bob", GET_A) == [(0, b"1")]


def test_sigterm_ends_it_with_exit_code_0(scene: Scene) -> None:
    scene.server.ask_to_stop()
    scene.wait()
    assert scene.exits == [("server", 0)]
    assert not scene.server.is_up


def test_a_failing_sync_ends_it_before_anything_is_answered(scene: Scene) -> None:
    scene.ask("ann", CREATE_A)
    scene.server.faults.fail_chance = 1.0
    bob = scene.client("bob")
    scene.wait(3)
    assert scene.exits == [("server", 10)]
    assert bob.session_id == 0
    scene.server.faults.fail_chance = 0.0
    scene.server.disk = scene.server.disk.crash(scene.server.chance)
    scene.restart()
    assert scene.ask("eve", GET_A) == [(0, b"1")]


def test_a_full_disk_ends_it_and_with_room_it_goes_on(scene: Scene) -> None:
    scene.ask("ann", CREATE_A)
    scene.server.disk.free_bytes = 10
    scene.client("bob")
    scene.wait(3)
    assert scene.exits == [("server", 10)]
    scene.server.disk.free_bytes = None
    scene.restart()
    assert scene.ask("eve", GET_A, (words.CREATE, b"/b", b"")) == [(0, b"1"), (0, b"")]


def test_a_flipped_bit_in_the_log_is_refused_at_the_start(scene: Scene) -> None:
    scene.ask("ann", CREATE_A, (words.SET, b"/mine", b"2"), (words.SET, b"/mine", b"3"))
    scene.server.kill()
    disk = scene.server.disk
    path = next(path for path in disk.paths() if "/log." in path)
    disk.flip_bit(path, 8 * (disk.get(path).index(b"/mine") + 1))
    scene.restart()
    assert [code != 0 for _, code in scene.exits] == [True]
    assert any("damaged at offset" in line for line in scene.world.events.lines)


def test_a_snapshot_is_written_over_time_and_a_crash_leaves_none_in_part() -> None:
    scene = Scene(snap_count=4)
    scene.ask("ann", CREATE_A, *[(words.SET, b"/mine", b"%d" % n) for n in range(30)])
    snapshots = [path for path in scene.server.disk.paths() if "snapshot." in path]
    assert len(snapshots) > 3
    assert all("tmp" not in path for path in snapshots)
    scene.server.power_off()
    scene.restart()
    assert scene.ask("bob", GET_A) == [(0, b"29")]
    assert [txn[2] for txn in logged(scene.server.disk)] == list(range(1, scene.server.tree.last_zxid + 1))
    scene.world.__exit__()


def test_calendars_may_jump_and_sessions_do_not_care(scene: Scene) -> None:
    ann = scene.client("ann", CREATE_A)
    scene.wait(2)
    scene.world.clock_offsets_ms["server"] = 10**9
    scene.wait(2)
    assert scene.history.sessions[ann.session_id].ended is None
    scene.ask("bob", (words.SET, b"/mine", b"2"), (words.EXISTS, b"/mine", b""))
    seen = next(r for r in scene.history.requests if (r.client, r.kind) == ("bob", words.EXISTS)).stat
    assert seen is not None
    assert seen.mtime_ms - seen.ctime_ms > 10**9


def test_a_silent_client_loses_its_session_and_ephemerals(scene: Scene) -> None:
    scene.client("ann", (words.CREATE_EPHEMERAL, b"/e", b""))
    scene.wait(2)
    assert scene.ask("bob", (words.EXISTS, b"/e", b"")) == [(0, b"")]
    scene.world.network.power_off("ann")
    scene.wait(20)
    assert scene.ask("eve", (words.EXISTS, b"/e", b"")) == [(-101, b"")]


def test_a_folder_whose_history_was_given_up_is_no_standalone_servers(scene: Scene) -> None:
    scene.ask("ann", CREATE_A)
    scene.server.kill()
    layout = Layout.of("data")
    emptying.plan_empty(scene.server.disk, layout, "an ensemble said so").carry_out(scene.server.disk)
    scene.restart()
    assert [code != 0 for _, code in scene.exits] == [True]
    assert any("Start it as one of the ensemble" in line for line in scene.world.events.lines)
    assert emptying.is_marked(scene.server.disk, layout)
