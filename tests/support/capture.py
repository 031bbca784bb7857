"""Captures what real clients and a real server say to each other, for tests/golden/wire.

    python -m tests.support.capture FOLDER

starts Apache ZooKeeper (ZKSERVER_PEER_CLASSPATH, else Debian's) with an empty data directory
for each client, lets kazoo, the C client library and Apache's shell tell their stories through
a proxy, and writes FOLDER/<client>.txt: one frame a line, `0> hex` from the client of
connection 0, `0< hex` from the server, in the order in which the proxy saw them.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from kazoo.client import KazooClient
from kazoo.exceptions import NodeExistsError, NoNodeError
from kazoo.security import make_digest_acl

from tests.support.apache import SHELL_MAIN, ApacheServer, run_java
from tests.support.server_process import free_port

SHELL_STORY = """\
create /s one
get -s /s
set -v 0 /s two
create -s /s/n- x
getAllChildrenNumber /s
setAcl /s world:anyone:cdrwa
getAcl -s /s
addWatch /s
set /s three
whoami
deleteall /s
quit
"""


class Proxy:
    """Passes bytes on between clients and a server, and writes the frames down."""

    def __init__(self, server_port: int) -> None:
        self.port = free_port()
        self.lines: list[str] = []
        self._server_port = server_port
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        for number in range(100):
            client, _ = self._listener.accept()
            server = socket.create_connection(("127.0.0.1", self._server_port))
            for source, sink, mark in ((client, server, ">"), (server, client, "<")):
                threading.Thread(
                    target=self._pass_on, args=(source, sink, f"{number}{mark}"), daemon=True
                ).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, mark: str) -> None:
        """Frame by frame, written down before it goes on: so the order is that of causes."""
        pending = b""
        while chunk := received(source):
            pending += chunk
            while len(pending) >= 4 and len(pending) >= 4 + int.from_bytes(pending[:4], "big"):
                stop = 4 + int.from_bytes(pending[:4], "big")
                with self._lock:
                    self.lines.append(f"{mark} {pending[4:stop].hex()}")
                    sink.sendall(pending[:stop])
                pending = pending[stop:]
        sink.close()


def received(source: socket.socket) -> bytes:
    """The next bytes; none at the end, and none after a reset."""
    try:
        return source.recv(65536)
    except ConnectionResetError:
        return b""


def tell_kazoo(port: int) -> None:
    """Most of what kazoo can ask."""
    client = KazooClient(f"127.0.0.1:{port}", timeout=20)
    client.start()
    client.create("/k", b"one")
    client.create("/k/s-", b"", sequence=True, ephemeral=True, include_data=True)
    for wrong in (lambda: client.create("/k"), lambda: client.delete("/none")):
        with contextlib.suppress(NodeExistsError, NoNodeError):
            wrong()
    told = threading.Event()
    client.get("/k", watch=lambda _: told.set())
    client.set("/k", b"two", version=0)
    told.wait(10)
    client.exists("/none", watch=lambda _: None)
    client.get_children("/k", include_data=True)
    client.add_auth("digest", "ann:secret")
    client.create("/p", acl=[make_digest_acl("ann", "secret", all=True)])
    client.get_acls("/p")
    client.set_acls("/p", [make_digest_acl("ann", "secret", read=True, admin=True)])
    transaction = client.transaction()
    transaction.create("/m")
    transaction.set_data("/m", b"x")
    transaction.check("/m", 1)
    transaction.commit()
    transaction = client.transaction()
    transaction.delete("/m", 1)
    transaction.delete("/none")
    transaction.create("/n")
    transaction.commit()
    client.sync("/k")
    client.stop()


def tell_c_client(port: int) -> None:
    """The story of c_client.c."""
    source = Path(__file__).with_name("c_client.c")
    with tempfile.TemporaryDirectory() as folder:
        program = f"{folder}/c_client"
        subprocess.run(["cc", "-o", program, source, "-lzookeeper_mt", "-lpthread"], check=True)
        subprocess.run(
            [program, f"127.0.0.1:{port}"], check=True, stdout=subprocess.DEVNULL, timeout=60
        )


def tell_shell(port: int) -> None:
    """Some commands of Apache's shell."""
    run_java(SHELL_MAIN, "-server", f"127.0.0.1:{port}", input=SHELL_STORY, timeout=60)


STORIES: dict[str, Callable[[int], None]] = {
    "kazoo": tell_kazoo,
    "c_client": tell_c_client,
    "zkcli": tell_shell,
}


def main(folder: Path) -> None:
    """Capture all stories."""
    for name, tell in STORIES.items():
        with tempfile.TemporaryDirectory() as data, ApacheServer(Path(data)) as server:
            proxy = Proxy(server.port)
            tell(proxy.port)
            version = ".".join(map(str, server.version()))
        lines = [f"# {name} and Apache ZooKeeper {version}", *proxy.lines]
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
