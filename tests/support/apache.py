"""Apache ZooKeeper's own server as a test peer.

Its jars come from the environment variable ZKSERVER_PEER_CLASSPATH (a Java class
path), else from Debian's packages (`make peers`), whose zookeeper.jar names the
jars it needs in its manifest.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.support.server_process import ServerProcess

NOT_INSTALLED = "Apache ZooKeeper is not installed: make peers"
DEBIAN_JARS = (Path("/usr/share/java/zookeeper.jar"), Path("/usr/share/java/slf4j-simple.jar"))
SERVER_MAIN = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
SHELL_MAIN = "org.apache.zookeeper.ZooKeeperMain"
# Short-lived servers: the cheap collector and compiler start in half the time.
JVM_OPTIONS = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")
LOGGING = ("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",)


def class_path() -> str | None:
    """Where the peer's classes are, or None."""
    given = os.environ.get("ZKSERVER_PEER_CLASSPATH")
    if given:
        return given
    if DEBIAN_JARS[0].exists():
        return ":".join(str(jar) for jar in DEBIAN_JARS)
    return None


def apache_available() -> bool:
    """Whether a Java runtime and Apache ZooKeeper's jars are here."""
    return shutil.which("java") is not None and class_path() is not None


def java_command(main: str, *arguments: str, classes: str | None = None) -> list[str]:
    """A command that runs one of Apache ZooKeeper's programs."""
    where = classes or class_path()
    if where is None:
        raise FileNotFoundError(NOT_INSTALLED)
    return ["java", *JVM_OPTIONS, *LOGGING, "-cp", where, main, *arguments]


def run_java(main: str, *arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    """Run one of Apache ZooKeeper's programs to its end, with its output as text."""
    return subprocess.run(
        java_command(main, *arguments), capture_output=True, text=True, **options
    )  # type: ignore[call-overload, no-any-return]


class ApacheServer(ServerProcess):
    """A standalone server of Apache ZooKeeper."""

    name = "Apache ZooKeeper"
    classes: str | None = None

    def command(self) -> list[str]:
        """java with the class path, the properties and zoo.cfg."""
        flags = [f"-D{key}={value}" for key, value in self.properties.items()]
        plain = java_command(SERVER_MAIN, str(self.cfg_file), classes=self.classes)
        return [plain[0], *flags, *plain[1:]]
