"""Sessions: passwords, ids, the handshake and the table that expires them.

Passwords and frames were captured from Apache ZooKeeper 3.9.5.
"""

from __future__ import annotations

import pytest

from zkserver.base.errors import ClientError, ErrorCode, LinkError
from zkserver.base.stat import CONTAINER_OWNER
from zkserver.session import handshake
from zkserver.session.ids import initial_session_id
from zkserver.session.passwords import is_password, password
from zkserver.session.tracker import Bucket, SessionTracker

PASSWORDS = {
    0x100001666820000: "4c07f47be9941a740a89e74dda9d8ec7",
    0x100001666820001: "5f28ee7b89e0f9b8ffcb4e79ae26a394",
    0x100001666820002: "26c5ff7ba9fd5bea200319f7338c652d",
    0x100001666820003: "39e6f97b49493b2f1546802207157afa",
    0x100001666820004: "988bdc7b69c39787df9484fb29c1e0fb",
    0x100001666820005: "abacd67b090f77ccd4d7eb26fc49f5c8",
}


@pytest.mark.parametrize("session_id", PASSWORDS)
def test_password_is_the_one_java_gives(session_id: int) -> None:
    assert password(session_id).hex() == PASSWORDS[session_id]
    assert is_password(session_id, bytes.fromhex(PASSWORDS[session_id]))


def test_password_does_not_depend_on_the_sign_of_the_id() -> None:
    assert password(-1) == password(0xFFFFFFFFFFFFFFFF)


@pytest.mark.parametrize("given", [None, b"", bytes(16), password(2), password(1) + b"\0"])
def test_wrong_password(given: bytes | None) -> None:
    assert not is_password(1, given)


def test_no_password_opens_session_zero() -> None:
    assert not is_password(0, password(0))


def test_first_session_id_holds_server_and_clock() -> None:
    # 0x166682 ms of uptime on a standalone server, as captured.
    assert initial_session_id(0x166682, 1) == 0x100001666820000
    assert initial_session_id(0x166682, 0xFF) == 0xFF00001666820000 - (1 << 64)


def test_first_session_id_keeps_40_bits_of_the_clock() -> None:
    assert initial_session_id((1 << 40) + 5, 3) == (3 << 56) | (5 << 16)


def test_first_session_id_is_never_the_owner_of_containers() -> None:
    assert initial_session_id(0, 0x80) == CONTAINER_OWNER + 1


REQUEST = bytes.fromhex("00000000 0000000000000005 00002710 0100001666820004 00000010")
SECRET = bytes.fromhex("988bdc7b69c39787df9484fb29c1e0fb")


def test_connect_request_of_today() -> None:
    request = handshake.parse_connect_request(REQUEST + SECRET + b"\x01")
    assert request == (0, 5, 10_000, 0x100001666820004, SECRET, True, True)


def test_connect_request_of_an_old_client() -> None:
    request = handshake.parse_connect_request(REQUEST + SECRET)
    assert request == (0, 5, 10_000, 0x100001666820004, SECRET, False, False)


def test_connect_request_with_null_password_and_more_behind() -> None:
    request = handshake.parse_connect_request(REQUEST[:-4] + b"\xff\xff\xff\xff" + b"\x00more")
    assert request.password is None
    assert (request.read_only, request.has_read_only) == (False, True)


@pytest.mark.parametrize("size", range(0, len(REQUEST + SECRET), 3))
def test_truncated_connect_request_breaks_the_link(size: int) -> None:
    with pytest.raises(LinkError, match=f"of {size} bytes"):
        handshake.parse_connect_request((REQUEST + SECRET)[:size])


def test_connect_request_with_absurd_password_length_breaks_the_link() -> None:
    with pytest.raises(LinkError):
        handshake.parse_connect_request(REQUEST[:-4] + b"\xff\xff\xff\xfe" + SECRET)


@pytest.mark.parametrize(
    ("asked_ms", "granted_ms"), [(-1, 4000), (4000, 4000), (9000, 9000), (99_000, 40_000)]
)
def test_timeout_is_clamped(asked_ms: int, granted_ms: int) -> None:
    assert handshake.negotiate(asked_ms, 4000, 40_000) == granted_ms


def test_connect_response_in_both_forms() -> None:
    captured = bytes.fromhex(
        "0000000000007530010000166682000400000010 988bdc7b69c39787df9484fb29c1e0fb00"
    )
    frame = handshake.connect_response(0x100001666820004, 30_000, True)
    assert frame == b"\0\0\0\x25" + captured
    frame = handshake.connect_response(0x100001666820004, 30_000, False)
    assert frame == b"\0\0\0\x24" + captured[:-1]
    assert handshake.connect_response(1, 1, True, True)[-1] == 1


def test_invalid_session_response_in_both_forms() -> None:
    captured = bytes(19) + b"\x10" + bytes(16)
    assert handshake.invalid_session_response(True) == b"\0\0\0\x25" + captured + b"\0"
    assert handshake.invalid_session_response(False) == b"\0\0\0\x24" + captured


def make_tracker(now_ms: int = 0) -> SessionTracker:
    return SessionTracker(tick_time_ms=1000, server_id=1, now_ms=now_ms)


def test_ids_grow_by_one_and_skip_those_in_use() -> None:
    tracker = make_tracker()
    first = tracker.create(5000, 0)
    assert first == 1 << 56
    tracker.add(first + 1, 5000, 0)
    assert tracker.create(5000, 0) == first + 2
    assert len(tracker) == 3


def test_session_expires_at_the_end_of_its_tick() -> None:
    tracker = make_tracker()
    session_id = tracker.create(5000, 300)
    assert tracker.expired(5300) == []
    assert tracker.expired(5999) == []
    assert tracker.expired(6000) == [session_id]


def test_timeout_that_ends_on_a_tick_gets_the_whole_next_tick() -> None:
    tracker = make_tracker()
    session_id = tracker.create(5000, 0)
    assert tracker.expired(5999) == []
    assert tracker.expired(6000) == [session_id]


def test_touch_puts_expiry_off() -> None:
    tracker = make_tracker()
    session_id = tracker.create(5000, 0)
    assert tracker.touch(session_id, 4500)
    assert tracker.expired(9999) == []
    assert tracker.expired(10_000) == [session_id]


def test_expired_session_is_closing_until_it_is_removed() -> None:
    tracker = make_tracker()
    session_id = tracker.create(1000, 0)
    assert tracker.expired(2000) == [session_id]
    assert tracker.is_closing(session_id)
    assert session_id in tracker
    assert not tracker.touch(session_id, 2000)
    assert not tracker.set_timeout(session_id, 1000, 2000)
    assert tracker.expired(99_000) == []
    tracker.remove(session_id)
    assert not tracker.is_closing(session_id)
    assert session_id not in tracker


def test_late_call_handles_buckets_in_order() -> None:
    tracker = make_tracker()
    slow = tracker.create(8000, 0)
    quick = tracker.create(2000, 0)
    touched = tracker.create(1000, 0)
    tracker.touch(touched, 6000)
    alive = tracker.create(50_000, 0)
    assert tracker.expired(20_000) == [quick, touched, slow]
    assert not tracker.is_closing(alive)


def test_check_accepts_live_sessions_only() -> None:
    tracker = make_tracker()
    session_id = tracker.create(5000, 0)
    tracker.check(session_id)
    tracker.set_closing(session_id)
    for unfit in (session_id, 77):
        with pytest.raises(ClientError) as caught:
            tracker.check(unfit)
        assert caught.value.code is ErrorCode.SESSIONEXPIRED


def test_unknown_sessions_are_harmless() -> None:
    tracker = make_tracker()
    assert not tracker.touch(7, 0)
    assert not tracker.is_closing(7)
    assert tracker.timeout_ms(7) is None
    tracker.set_closing(7)
    tracker.remove(7)
    assert len(tracker) == 0


def test_new_timeout_rules_expiry_but_not_the_snapshot() -> None:
    tracker = make_tracker()
    tracker.add(9, 30_000, 0)
    assert tracker.set_timeout(9, 4000, 1000)
    assert tracker.timeout_ms(9) == 4000
    assert tracker.timeouts() == {9: 30_000}
    assert tracker.expired(6000) == [9]


def test_longer_timeout_after_reconnect() -> None:
    tracker = make_tracker()
    tracker.add(9, 4000, 0)
    tracker.set_timeout(9, 30_000, 1000)
    assert tracker.expired(31_999) == []
    assert tracker.expired(32_000) == [9]


def test_snapshot_holds_sessions_whose_transaction_was_applied() -> None:
    tracker = make_tracker()
    session_id = tracker.create(5000, 0)
    assert tracker.timeouts() == {}
    tracker.add(session_id, 5000, 100)
    assert tracker.timeouts() == {session_id: 5000}
    assert len(tracker) == 1
    tracker.set_closing(session_id)
    assert tracker.timeouts() == {session_id: 5000}
    tracker.remove(session_id)
    assert tracker.timeouts() == {}


def test_restored_session_with_negative_timeout_still_expires() -> None:
    tracker = make_tracker(5500)
    tracker.add(9, -60_000, 5500)
    assert tracker.timeouts() == {9: -60_000}
    assert tracker.expired(6000) == [9]


def test_next_expiry_is_the_end_of_the_tick() -> None:
    tracker = make_tracker(500)
    assert tracker.next_expiry_ms() == 1000
    tracker.expired(999)
    assert tracker.next_expiry_ms() == 1000
    tracker.expired(1000)
    assert tracker.next_expiry_ms() == 2000
    tracker.expired(7200)
    assert tracker.next_expiry_ms() == 8000


def test_dump_groups_live_sessions_by_expiry() -> None:
    tracker = make_tracker()
    one, two, three = (tracker.create(5000, 0) for _ in range(3))
    tracker.touch(one, 2000)
    tracker.set_closing(two)
    assert tracker.dump(2500) == [Bucket(3500, [three]), Bucket(5500, [one])]
