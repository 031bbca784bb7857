"""What an ephemeralOwner means, under each of the settings that decide it."""

from __future__ import annotations

import pytest

from zkserver.base.stat import CONTAINER_OWNER, TTL_MAX_MS
from zkserver.tree.owners import CONTAINER, NORMAL, TTL, VOID, OwnerTypes

SESSION = 0x0100018F00000000
EXTENDED_TTL = (0xFF << 56 | 5000) - (1 << 64)
TTL_OF_353 = (1 << 63 | 5000) - (1 << 64)


@pytest.mark.parametrize(
    ("extended", "emulate_353", "extended_kind", "kind_of_353"),
    [
        (False, False, NORMAL, NORMAL),
        (False, True, NORMAL, NORMAL),
        (True, False, TTL, NORMAL),
        (True, True, TTL, TTL),
    ],
)
def test_the_settings_decide_what_is_a_ttl(
    extended: bool, emulate_353: bool, extended_kind: int, kind_of_353: int
) -> None:
    types = OwnerTypes(extended, emulate_353)
    assert types.kind(EXTENDED_TTL) == extended_kind
    assert types.kind(TTL_OF_353) == kind_of_353
    assert types.kind(CONTAINER_OWNER) == CONTAINER
    assert types.kind(SESSION) == NORMAL
    assert types.kind(0) == VOID


def test_new_ttls_are_written_the_new_way_even_when_3_5_3_is_emulated() -> None:
    """Apache 3.9.5 looks at the setting when it reads an owner, and only then."""
    types = OwnerTypes(extended=True, emulate_353=True)
    assert types.ttl_owner(5000) == EXTENDED_TTL
    assert types.ttl_max_ms == TTL_MAX_MS
    assert types.ttl_ms(EXTENDED_TTL) == types.ttl_ms(TTL_OF_353) == 5000
