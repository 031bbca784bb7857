"""Links between peers on real sockets: what the settings of their sockets do."""

from __future__ import annotations

import asyncio
import socket

import pytest
import uvloop

from zkserver.base.members import Address
from zkserver.runtime import quorum_port
from zkserver.runtime.quorum_port import QuorumLink


async def _delays(no_delay: bool) -> list[int]:
    """TCP_NODELAY of a learner's end and of the leader's."""
    loop = asyncio.get_running_loop()
    opened: list[QuorumLink] = []

    def make() -> QuorumLink:
        return QuorumLink(
            len(opened), opened.append, lambda *_: None, lambda *_: None, no_delay=no_delay
        )

    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = Address("127.0.0.1", probe.getsockname()[1], 1)
    acceptor = (await quorum_port.listen(loop, [address], make))[0]
    assert await quorum_port.connect(loop, [address], make, limit_ms=5000, retry_delay_ms=1) is None
    while len(opened) < 2:
        await asyncio.sleep(0)
    found = []
    for link in opened:
        assert link.transport is not None
        raw = link.transport.get_extra_info("socket")
        found.append(raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        link.hang_up()
    acceptor.close()
    await acceptor.wait_closed()
    return found


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_nodelay_is_as_configured(factory) -> None:
    with asyncio.Runner(loop_factory=factory) as runner:
        assert runner.run(_delays(True)) == [1, 1]
        assert runner.run(_delays(False)) == [0, 0]
