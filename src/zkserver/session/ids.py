"""Session ids: the server's number above, the time of its start below.

The top byte is the server's id, the next 40 bits are milliseconds of the
monotonic clock, and the low 16 bits count up from 0 (SessionTrackerImpl). A
standalone server has the number 1.
"""

from __future__ import annotations

from zkserver.base.stat import CONTAINER_OWNER

_MASK = 0xFFFFFFFFFFFFFFFF


def signed(value: int) -> int:
    """`value` wrapped to a signed 64-bit integer."""
    value &= _MASK
    return value - (1 << 64) if value >> 63 else value


def initial_session_id(now_ms: int, server_id: int) -> int:
    """The first session id (signed, 64 bits) of a server that starts at `now_ms`."""
    session_id = signed((now_ms << 24 & _MASK) >> 8 | server_id << 56)
    # The one id that would read as the owner of a container.
    return session_id + 1 if session_id == CONTAINER_OWNER else session_id
