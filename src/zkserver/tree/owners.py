"""What an ephemeralOwner means: nobody, a session, a container or a time to live.

The raw 64-bit value tells (EphemeralType): 0 nobody; Long.MIN_VALUE a container;
with extended types on, top byte 0xFF an extended type, whose next 16 bits must be 0
for TTL and whose low 40 bits are milliseconds. ZooKeeper 3.5.3 wrote TTLs with the
top bit set; `emulate_353` takes such owners for TTLs too, of as many milliseconds as
their low 40 bits say. New ones are written the new way whatever it says, as in Java.
"""

from __future__ import annotations

from zkserver.base.stat import CONTAINER_OWNER, TTL_MAX_MS

VOID = 0
NORMAL = 1
CONTAINER = 2
TTL = 3

_MASK = 0xFFFFFFFFFFFFFFFF
_EXTENDED = 0xFF << 56
_SIGN = 1 << 63


class OwnerTypes:
    """The reading of ephemeralOwner under a configuration."""

    def __init__(self, extended: bool = False, emulate_353: bool = False) -> None:
        self.extended = extended
        self.emulate_353 = emulate_353
        self.ttl_max_ms = TTL_MAX_MS

    def kind(self, owner: int) -> int:
        """VOID, NORMAL, CONTAINER or TTL."""
        if owner == 0:
            return VOID
        if self.extended and owner != CONTAINER_OWNER:
            raw = owner & _MASK
            if self.emulate_353 and raw & _SIGN:
                return TTL
            if raw & _EXTENDED == _EXTENDED and raw >> 40 & 0xFFFF == 0:
                return TTL
        return CONTAINER if owner == CONTAINER_OWNER else NORMAL

    def ttl_owner(self, ttl_ms: int) -> int:
        """The ephemeralOwner of a node with this time to live, as a signed long."""
        return (_EXTENDED | ttl_ms) - (1 << 64)

    def ttl_ms(self, owner: int) -> int:
        """The time to live that a TTL owner stands for."""
        return owner & TTL_MAX_MS
