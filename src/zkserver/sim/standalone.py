"""The real standalone server in the simulated world."""

from __future__ import annotations

from zkserver.base.config import Config
from zkserver.runtime.standalone import StandaloneProcess
from zkserver.sim.host import SimHost, Simulated
from zkserver.sim.observer import SERVING
from zkserver.sim.world import World
from zkserver.tree.tree import DataTree


class SimProcess(Simulated, StandaloneProcess):
    """The production process; it has a server once it has restored."""

    server_is_up = False

    def _start_storage(self) -> None:
        super()._start_storage()
        self.server_is_up = True
        observer = self.machine.world.network.observer
        if observer is not None:
            observer.peer_state(self.machine.host, SERVING, "")


class Standalone(SimHost[SimProcess]):
    """A host with the standalone server on it.

    `process_class` and `machine_class` are where planted bugs come in.
    """

    def __init__(self, world: World, config: Config, host: str = "server") -> None:
        super().__init__(world, config, host, SimProcess)

    @property
    def is_serving(self) -> bool:
        """Whether it has restored and takes requests."""
        return self.is_up and self.process is not None and self.process.server_is_up

    @property
    def tree(self) -> DataTree:
        """The tree of the process; it has one once it has restored."""
        if self.process is None or not self.process.server_is_up:
            raise RuntimeError("the server has no tree yet")
        return self.process.server.tree
