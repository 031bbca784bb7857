"""The pytest plugin, in projects of its users."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.testing.project import Project


@pytest.fixture(name="project")
def _project(tmp_path: Path) -> Project:
    return Project(tmp_path)


WORD = '''
import socket

def word(port, name):
    with socket.create_connection(("127.0.0.1", port), timeout=20) as raw:
        raw.sendall(name.encode())
        return b"".join(iter(lambda: raw.recv(65536), b"")).decode()
'''


def test_each_test_has_an_empty_server(project) -> None:
    project.write(
        "test_it.py",
        """
import pytest
from kazoo.client import KazooClient

@pytest.mark.parametrize("number", range(3))
def test_it(zookeeper, number):
    client = KazooClient(zookeeper.hosts)
    client.start()
    assert client.get_children("/") == ["zookeeper"]
    client.create("/a")
    client.stop()
    client.close()

def test_two_of_them(zookeeper, zookeeper_ensemble):
    assert len(zookeeper_ensemble.servers) == 3
    assert zookeeper.port not in [each.port for each in zookeeper_ensemble.servers]
""",
    )
    counts, out = project.run()
    assert counts == {"passed": 4}, out


def test_markers_say_how_it_is(project) -> None:
    project.write(
        "test_it.py",
        WORD
        + """
import pytest

pytestmark = pytest.mark.zookeeper(tick_time_ms=700, properties={"initLimit": "7"})

@pytest.mark.zookeeper(servers=5, properties={"syncLimit": "9"})
def test_five(zookeeper_ensemble):
    assert len(zookeeper_ensemble.servers) == 5
    conf = word(zookeeper_ensemble.leader.port, "conf")
    for line in ("tickTime=700", "initLimit=7", "syncLimit=9"):
        assert line in conf

@pytest.mark.zookeeper(on_disk=True)
def test_on_disk(zookeeper, tmp_path):
    assert str(tmp_path) in word(zookeeper.port, "conf")
    assert list(tmp_path.rglob("snapshot.0"))

@pytest.mark.zookeeper(on_disk=True, servers=2)
def test_all_on_disk(zookeeper_ensemble, tmp_path):
    assert len(list(tmp_path.rglob("currentEpoch"))) == 2
""",
    )
    counts, out = project.run()
    assert counts == {"passed": 3}, out


def test_the_ini_file_says_how_all_are(project) -> None:
    project.write(
        "pytest.ini",
        """
[pytest]
zookeeper_servers = 2
zookeeper_on_disk = true
zookeeper_tick_time_ms = 900
zookeeper_properties =
    maxSessionTimeout = 50000
    zookeeper.extendedTypesEnabled = true
""",
    )
    project.write(
        "test_it.py",
        WORD
        + """
import pytest

def test_ini(zookeeper_ensemble, tmp_path):
    assert len(zookeeper_ensemble.servers) == 2
    conf = word(zookeeper_ensemble.leader.port, "conf")
    assert "tickTime=900" in conf and "maxSessionTimeout=50000" in conf
    assert str(tmp_path) in conf

@pytest.mark.zookeeper(tick_time_ms=400, on_disk=False)
def test_a_marker_wins(zookeeper, tmp_path):
    conf = word(zookeeper.port, "conf")
    assert "tickTime=400" in conf and "maxSessionTimeout=50000" in conf
    assert list(tmp_path.iterdir()) == []
""",
    )
    counts, out = project.run()
    assert counts == {"passed": 2}, out


def test_a_wrong_marker_is_refused(project) -> None:
    project.write(
        "test_it.py",
        """
import pytest

@pytest.mark.zookeeper(server=5)
def test_unknown(zookeeper): pass

@pytest.mark.zookeeper(servers="4")
def test_of_another_kind(zookeeper): pass

@pytest.mark.zookeeper(3)
def test_without_a_name(zookeeper): pass
""",
    )
    counts, out = project.run()
    assert counts == {"errors": 3}, out
    assert "server=5; it takes servers, on_disk, tick_time_ms, properties" in out
    assert "servers='4'; it takes a value of int" in out
    assert "takes names" in out


def test_a_server_that_gives_up_fails_its_test_and_no_other(project) -> None:
    project.write(
        "test_it.py",
        """
def test_bad(zookeeper):
    zookeeper.life.submit(lambda: 1 // 0)

def test_good(zookeeper):
    assert zookeeper.is_running
""",
    )
    counts, out = project.run()
    assert counts == {"passed": 2, "error": 1}, out
    assert "ServerFailedError: zookeeper has ended by itself" in out
    # What the server has logged is shown with it.
    assert "an invariant is broken" in out


def test_tests_run_side_by_side(project) -> None:
    pytest.importorskip("xdist")
    project.write(
        "test_it.py",
        """
import pytest
from kazoo.client import KazooClient

@pytest.mark.parametrize("number", range(4))
def test_it(zookeeper, zookeeper_ensemble, number):
    zookeeper_ensemble.leader.kill()
    zookeeper_ensemble.wait_until_serving()
    for hosts in (zookeeper.hosts, zookeeper_ensemble.hosts):
        client = KazooClient(hosts)
        client.start()
        client.create("/only", str(number).encode())
        assert client.get("/only")[0] == str(number).encode()
        client.stop()
        client.close()
""",
    )
    counts, out = project.run("-p", "xdist", "-n", "2")
    assert counts == {"passed": 4}, out


def test_the_plugin_costs_those_nothing_that_do_not_use_it() -> None:
    program = (
        "import sys, pytest\n"
        "before = set(sys.modules)\n"
        "import zkserver.testing.plugin\n"
        "print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    loaded = ["zkserver", "zkserver.testing", "zkserver.testing.plugin"]
    assert done.stdout.strip() == str(loaded)
