"""Who looks on at a world without being in it: what is written, delivered, lost; who lives.

`Network.observer` is one, or None, which costs one comparison per call. An observer takes no
chance, notes no event and calls nothing of the world, so a run has the same digest with one and
without. `recorder` is the one there is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from zkserver.sim.transport import End

BEGINS = "begins"
ENDS = "ends"
PAUSES = "pauses"
GOES_ON = "goes on"
# The state of a standalone server that has restored.
SERVING = "SERVING"


class Observer(Protocol):
    """Each call is made when the thing happens, at the loop's time.

    `written`: a process handed bytes to its end of a connection. `delivered`: the process at
    this end was handed bytes. `closed`: this end will be handed no more bytes; it may be told
    twice. `life`: a host's process BEGINS, ENDS, PAUSES or GOES_ON. `peer_state`: a peer has a
    new role, or serves in it; `detail` is as the peer logs it.
    """

    def written(self, end: End, data: bytes) -> None: ...
    def delivered(self, end: End, data: bytes) -> None: ...
    def closed(self, end: End) -> None: ...
    def life(self, host: str, what: str) -> None: ...
    def peer_state(self, host: str, state: str, detail: str) -> None: ...
