"""The search for a server that takes changes, while a read-only one serves.

Each of the other servers is asked with the four-letter word "isro"; one with a quorum answers
"rw". All are asked in a round, and the rounds come at growing intervals, as in Apache's
client, so that a long outage is not filled with questions.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence

from zkserver.client.hosts import Host

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 60.0
ANSWER_TIMEOUT_S = 1.0


async def first_writable(hosts: Sequence[Host], tls: ssl.SSLContext | None) -> Host:
    """The first server found that has a quorum; asks until there is one."""
    pause_s = FIRST_PAUSE_S
    while True:
        await asyncio.sleep(pause_s)
        for host in hosts:
            if await is_writable(host, tls):
                return host
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


async def is_writable(host: Host, tls: ssl.SSLContext | None) -> bool:
    """Whether a server says that it takes changes."""
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(host.name, host.port, ssl=tls)
            try:
                writer.write(b"isro")
                return await reader.read() == b"rw"
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError):
        return False
