"""zkserver as a child process, run from this source tree.

The environment variable ZKSERVER_SUBJECT_CLASSPATH puts an Apache ZooKeeper server
(a Java class path) in zkserver's place: the tests then compare Apache with itself,
or one version of it with another, which shows whether a difference is ours.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.support.apache import ApacheServer
from tests.support.server_process import ServerProcess

ROOT = Path(__file__).resolve().parents[2]


class ZkserverProcess(ServerProcess):
    """A standalone zkserver in the foreground."""

    name = "zkserver"

    def command(self) -> list[str]:
        """The same as `zkserver start-foreground zoo.cfg`."""
        return [sys.executable, "-m", "zkserver.cli.main", "start-foreground", str(self.cfg_file)]

    def environment(self) -> dict[str, str]:
        """Java's properties arrive where existing deployments have them."""
        environment = super().environment()
        paths = [str(ROOT / "src"), environment.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
        environment["SERVER_JVMFLAGS"] = " ".join(
            f"-D{key}={value}" for key, value in self.properties.items()
        )
        return environment


def subject_server(
    folder: Path,
    properties: Mapping[str, str] | None = None,
    cfg: Mapping[str, str] | None = None,
    data_dir: Path | None = None,
) -> ServerProcess:
    """The server under test, not started: zkserver, or what stands in for it."""
    classes = os.environ.get("ZKSERVER_SUBJECT_CLASSPATH")
    if not classes:
        return ZkserverProcess(folder, properties, cfg, data_dir)
    server = ApacheServer(folder, properties, cfg, data_dir)
    server.classes = classes
    server.name = "Apache ZooKeeper (in zkserver's place)"
    return server
