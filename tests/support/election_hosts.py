"""Election ports on the hosts n1, n2, … of a simulated world, and strangers that call them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from zkserver.base.errors import FatalError
from zkserver.jute.notifications import Notification, PeerState
from zkserver.runtime.election_port import ElectionPort
from zkserver.sim.network import Network
from zkserver.sim.world import World

PORT = 3888


def vote_for(leader: int, election_round: int = 1) -> Notification:
    return Notification(PeerState.LOOKING, leader, 5, election_round, 1)


def standing_links(network: Network) -> list[tuple[str, str]]:
    """Connections that stand at both ends: who opened each, and to whom."""
    return sorted(
        (end.life.host, end.peer.life.host)
        for end in network.ends
        if end.port != PORT and not end.is_closing() and not end.peer.is_closing()
    )


class Stranger(asyncio.Protocol):
    """Says `words` and writes down what it is told."""

    def __init__(self, words: bytes = b"") -> None:
        self.words = words
        self.data = b""
        self.lost = False
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(self.words)

    def data_received(self, data: bytes) -> None:
        self.data += data

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self.lost = True


class Host:
    """One server's election port, in the present life of its host; what it hears and reports."""

    def __init__(self, scene: Scene, server_id: int, **options: Any) -> None:
        self.scene = scene
        self.server_id = server_id
        self.name = f"n{server_id}"
        self.heard: list[tuple[int, Notification]] = []
        self.lines: list[tuple[str, dict[str, object]]] = []
        self.changes = 0
        self.error: FatalError | None = None
        self.life = scene.world.network.boot(self.name)
        self.port = ElectionPort(
            server_id,
            scene.addresses,
            scene.world.loop,
            lambda sender, told: self.heard.append((sender, told)),
            self._changed,
            lambda event, **facts: self.lines.append((event, facts)),
            **options,
        )
        self.life.start(self._open())

    async def _open(self) -> None:
        try:
            await self.port.open()
        except FatalError as error:
            self.error = error

    def _changed(self) -> None:
        self.changes += 1

    def send(self, receiver: int, notification: Notification) -> None:
        self.life.call(self.port.send, receiver, notification)

    def events(self, about: int | None = None) -> list[str]:
        """What was reported, of one server or of all."""
        return [e for e, facts in self.lines if about in (None, facts.get("server"))]

    def votes(self, sender: int) -> list[int]:
        return [told.leader for who, told in self.heard if who == sender]


class Scene:
    """`size` hosts with election ports that nobody has used yet."""

    def __init__(self, size: int, seed: int | str = 1, **options: Any) -> None:
        self.world = World(seed)
        self.network = self.world.network
        self.options = options
        self.addresses = {n: [(f"n{n}", PORT)] for n in range(1, size + 1)}
        self.hosts: dict[int, Host] = {}
        for server_id in self.addresses:
            self.boot(server_id)
        self.wait(0.01)

    def boot(self, server_id: int, **options: Any) -> Host:
        self.hosts[server_id] = Host(self, server_id, **{**self.options, **options})
        return self.hosts[server_id]

    def run(self, host: str, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self.world.run(host, coroutine)

    def wait(self, seconds: float = 1.0) -> None:
        self.run("test", asyncio.sleep(seconds))

    def wait_for(self, condition: Callable[[], bool], limit_s: float = 60.0) -> None:
        end_s = self.world.loop.time() + limit_s
        while not condition():
            assert self.world.loop.time() < end_s, "it never comes true"
            self.wait(0.01)

    def all_tell_all(self) -> None:
        for server_id, host in self.hosts.items():
            for other in self.hosts:
                if other != server_id:
                    host.send(other, vote_for(server_id))

    def links(self) -> list[tuple[str, str]]:
        """Connections that stand at both ends: who opened each, and to whom."""
        return standing_links(self.network)

    def call(self, server_id: int, words: bytes, host: str = "stranger") -> Stranger:
        """A stranger calls a server's election port."""
        stranger = Stranger(words)
        loop = self.world.loop
        self.run(host, loop.create_connection(lambda: stranger, f"n{server_id}", PORT))
        return stranger

    def close(self) -> None:
        assert not self.world.loop.errors
        self.world.__exit__()
