"""An ensemble of server processes on this machine: zkserver's, Apache's, or both mixed.

A seat is a server id with its ports and its data directory; who sits there may change while the
data stays, as in a rolling migration.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.apache import ApacheServer
from tests.support.server_process import NotStarted, ServerProcess, four_letter_word, free_port
from tests.support.zkserver_process import ZkserverProcess

ZKSERVER = "z"
APACHE = "a"
KINDS: dict[str, type[ServerProcess]] = {ZKSERVER: ZkserverProcess, APACHE: ApacheServer}
SERVING_TIMEOUT_S = 60.0


def mode_of(port: int) -> str:
    """What `srvr` calls the server: leader, follower, observer; "" if it does not serve."""
    try:
        found = re.search(r"^Mode: (\S+)$", four_letter_word(port, "srvr"), re.MULTILINE)
    except OSError:
        return ""
    return found[1] if found else ""


class EnsembleProcesses:
    """Servers 1 to n. `kinds` has one letter each: z for zkserver, a for Apache ZooKeeper.

    The last `observers` servers have no vote. Use it as a context manager: it ends all.
    """

    def __init__(
        self,
        folder: Path,
        kinds: Sequence[str],
        *,
        observers: int = 0,
        cfg: Mapping[str, str] | None = None,
        properties: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.properties = dict(properties or {})
        count = len(kinds)
        self.quorum_ports = [free_port() for _ in range(count)]
        self.election_ports = [free_port() for _ in range(count)]
        self.cfg = {"tickTime": "500", "initLimit": "20", "syncLimit": "10"} | dict(cfg or {})
        for number in range(1, count + 1):
            role = "observer" if number > count - observers else "participant"
            self.cfg[f"server.{number}"] = (
                f"127.0.0.1:{self.quorum_ports[number - 1]}"
                f":{self.election_ports[number - 1]}:{role}"
            )
        self.servers = [self._make(number, kind) for number, kind in enumerate(kinds, 1)]

    def _make(self, number: int, kind: str, before: ServerProcess | None = None) -> ServerProcess:
        folder = self.folder / str(number)
        server = KINDS[kind](folder, self.properties, self.cfg)
        if before is not None:
            server.port = before.port
        server.data_dir.mkdir(parents=True, exist_ok=True)
        (server.data_dir / "myid").write_text(str(number))
        return server

    def __enter__(self) -> EnsembleProcesses:
        for server in self.servers:
            server.launch()
        self.wait_serving()
        return self

    def __exit__(self, *_: object) -> None:
        for server in self.servers:
            server.kill()

    def server(self, number: int) -> ServerProcess:
        """The server with that id."""
        return self.servers[number - 1]

    @property
    def hosts(self) -> str:
        """The connection string of all servers."""
        return ",".join(f"127.0.0.1:{server.port}" for server in self.servers)

    def modes(self) -> dict[int, str]:
        """The mode of each server that runs."""
        return {
            number: mode_of(server.port)
            for number, server in enumerate(self.servers, 1)
            if server.process is not None
        }

    def leader(self) -> int:
        """The id of the leader. Raises NotStarted if none leads."""
        for number, mode in self.modes().items():
            if mode == "leader":
                return number
        raise NotStarted(f"no leader: {self.modes()}")

    def wait_serving(self, timeout_s: float = SERVING_TIMEOUT_S) -> None:
        """Until every server that runs serves, one of them as the leader."""
        deadline = time.monotonic() + timeout_s
        while True:
            modes = self.modes()
            if all(modes.values()) and "leader" in modes.values():
                return
            if time.monotonic() > deadline:
                tails = "\n".join(
                    f"--- {number}\n{server.log_tail()}"
                    for number, server in enumerate(self.servers, 1)
                )
                raise NotStarted(f"not all serve after {timeout_s} s: {modes}\n{tails}")
            time.sleep(0.05)  # polling with a deadline

    def reseat(self, number: int, kind: str) -> None:
        """Stop a server and start one of the other kind on its data and ports."""
        before = self.server(number)
        before.stop()
        after = self.servers[number - 1] = self._make(number, kind, before)
        after.launch()
