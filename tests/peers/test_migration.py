"""docs/migration.md, done: a live ensemble moves from Apache ZooKeeper to zkserver and back."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import mixed
from tests.support.ensemble_processes import EnsembleProcesses, mode_of
from tests.support.load import Writer
from tests.support.mixed import eventually
from tests.support.server_process import ServerProcess
from tests.support.zkserver_process import ROOT

pytestmark = pytest.mark.usefixtures("apache_installed")

GUIDE = ROOT / "docs" / "migration.md"
WRITERS = 4
# What zkServer.sh does, with the tests' Java options and a log in the seat's folder.
APACHE_SCRIPT = """#!/bin/sh
pid_file="$(dirname "$2")/data/zookeeper_server.pid"
case $1 in
start)
    cd "$(dirname "$2")" && nohup {command} "$2" >>server.log 2>&1 </dev/null &
    printf %s $! >"$pid_file" ;;
stop)
    pid=$(cat "$pid_file")
    kill "$pid"
    while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
    rm "$pid_file" ;;
esac
"""


def blocks() -> list[str]:
    """The guide's shell blocks: the script, the way there, the way back."""
    return re.findall(r"```sh\n(.*?)```", GUIDE.read_text(), re.DOTALL)


class Site:
    """Seats that the guide's commands start and stop."""

    def __init__(self, folder: Path) -> None:
        self.ensemble = mixed.make(folder, "aaa")
        self.script = folder / "move.sh"
        self.script.write_text(blocks()[0])
        apache = folder / "apache.sh"
        java = self.ensemble.server(1).command()[:-1]
        apache.write_text(APACHE_SCRIPT.format(command=shlex.join(java)))
        apache.chmod(0o755)
        zkserver = folder / "zkserver.sh"
        command = shlex.join([sys.executable, "-m", "zkserver.cli.main"])
        zkserver.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT / "src"} exec {command} "$@"\n')
        zkserver.chmod(0o755)
        self.environment = os.environ | {
            "APACHE": str(apache),
            "ZKSERVER": str(zkserver),
            "ZOO_LOG_DIR": str(folder),
        }

    def start(self) -> None:
        """Apache's servers, by their script."""
        for server in self.ensemble.servers:
            server.write_cfg()
            self.run(f"$APACHE start {server.cfg_file}")
        eventually(lambda: "leader" in self.modes() and "" not in self.modes())

    def run(self, command: str) -> None:
        """A line of shell."""
        subprocess.run(["sh", "-c", command], env=self.environment, check=True, timeout=60)

    def modes(self) -> list[str]:
        """What each server says it is."""
        return [self.mode(server) for server in self.ensemble.servers]

    @staticmethod
    def mode(server: ServerProcess) -> str:
        return mode_of(server.port)

    def follow(self, guide: str) -> None:
        """The guide's command for each seat, followers first, with its places filled in."""
        hosts = " ".join(f"127.0.0.1:{server.port}" for server in self.ensemble.servers)
        for server in sorted(self.ensemble.servers, key=lambda server: self.mode(server) == "leader"):
            command = guide.replace("host1:2181 host2:2181 host3:2181", hosts)
            command = command.replace("move.sh", str(self.script))
            self.run(command.replace("/etc/zookeeper/conf/zoo.cfg", str(server.cfg_file)))

    def versions(self) -> list[bool]:
        """Which of the servers are zkserver's, by the pid's command line."""
        found = []
        for server in self.ensemble.servers:
            pid = int((server.data_dir / "zookeeper_server.pid").read_text())
            found.append(b"zkserver" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"java")[0])
        return found

    def stop(self) -> None:
        """End what runs, by the pids in the seats' files."""
        for server in self.ensemble.servers:
            file = server.data_dir / "zookeeper_server.pid"
            if file.exists():
                subprocess.run(["sh", "-c", f"kill -9 $(cat {file})"], check=False)


@pytest.fixture(name="site")
def _site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.stop()


def test_there_and_back_under_load(site: Site) -> None:
    site.start()
    ensemble: EnsembleProcesses = site.ensemble
    writers = [Writer(str(number), ensemble.hosts) for number in range(WRITERS)]
    _, there, back = blocks()
    progress = []
    for guide in (there, back):
        site.follow(guide)
        progress.append([writer.acknowledged for writer in writers])
        assert site.versions() == [guide is there] * 3
        eventually(lambda: all(w.acknowledged > p for w, p in zip(writers, progress[-1], strict=True)))
    for writer in writers:
        writer.finish()
    for writer in writers:
        writer.assert_kept()
        assert writer.acknowledged > 100
        writer.close()
    for server in ensemble.servers:
        client = mixed.client_of(server)
        client.sync("/")
        assert sorted(client.get_children("/load")) == [str(number) for number in range(WRITERS)]
        for writer in writers:
            assert len(client.get_children(writer.path)) >= writer.acknowledged
        mixed.end(client)
    for server in ensemble.servers:
        site.run(f"$APACHE stop {server.cfg_file}")
    mixed.assert_equal_directories(ensemble)


def test_nothing_is_done_while_another_seat_is_away(site: Site) -> None:
    site.start()
    site.run(f"$APACHE stop {site.ensemble.server(1).cfg_file}")
    with pytest.raises(subprocess.CalledProcessError):
        site.follow(blocks()[1])
    assert site.modes().count("") == 1
