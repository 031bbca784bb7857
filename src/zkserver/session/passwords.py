"""Session passwords: 16 bytes that follow from the session id.

They are the first bytes that java.util.Random yields when it is seeded with the
id and a constant, so they prove little; but every server of an ensemble, Java's
and ours, must find the same ones, or sessions could not move.
"""

from __future__ import annotations

from struct import Struct

SIZE_BYTES = 16

# The linear congruential generator of java.util.Random: state*A + C modulo 2^48,
# of which each step gives the upper 32 bits. Seeds are mixed with A.
_A = 0x5DEECE66D
_C = 0xB
_MASK = (1 << 48) - 1
_SEED = 0xB3415C00 ^ _A
_pack = Struct("<4I").pack


def password(session_id: int) -> bytes:
    """The password of the session `session_id` (signed or unsigned)."""
    one = ((session_id ^ _SEED) * _A + _C) & _MASK
    two = (one * _A + _C) & _MASK
    three = (two * _A + _C) & _MASK
    four = (three * _A + _C) & _MASK
    return _pack(one >> 16, two >> 16, three >> 16, four >> 16)


def is_password(session_id: int, given: bytes | None) -> bool:
    """Whether `given` opens the session; nothing opens session 0."""
    return session_id != 0 and given == password(session_id)
