"""The election port's bytes: round trips, every old form, and noise."""

from __future__ import annotations

from contextlib import suppress
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zkserver.base.errors import LinkError
from zkserver.jute import notifications
from zkserver.jute.notifications import (
    Frames,
    InitialMessage,
    Notification,
    PeerState,
    decode_initial_message,
    decode_notification,
    encode_bare_id,
    encode_initial_message,
    encode_notification,
    frame,
)

longs = st.integers(-(2**63), 2**63 - 1)
states = st.sampled_from(PeerState)
told = st.builds(
    Notification, states, longs, longs, longs, longs, st.integers(2, 9), st.binary(max_size=99)
)
hosts = st.sampled_from(("zk1", "zk-2.example.org", "10.0.0.1", "fe80::1"))
addresses = st.lists(st.tuples(hosts, st.integers(0, 65535)), min_size=1, max_size=4).map(tuple)

LOOKING = Notification(PeerState.LOOKING, 3, 0x200000005, 7, 4, 0)
HEAD = pack(">iqqq", 0, 3, 0x200000005, 7)


@given(told)
def test_a_notification_reads_back(notification) -> None:
    assert decode_notification(encode_notification(notification)) == notification


@given(told)
def test_old_versions_read_back_without_version_and_text(notification) -> None:
    old = notification._replace(version=1, config=b"")
    payload = encode_notification(old)
    assert len(payload) == 40
    assert decode_notification(payload) == old._replace(version=0)


def test_every_old_form() -> None:
    assert decode_notification(HEAD) == LOOKING._replace(peer_epoch=2)
    assert decode_notification(HEAD + pack(">q", 4)) == LOOKING
    assert decode_notification(HEAD + pack(">qi", 4, 2)) == LOOKING
    assert decode_notification(HEAD + pack(">qi", 4, 1) + b"more") == LOOKING._replace(version=1)


def test_a_notification_as_apaches_server_sends_it() -> None:
    text = b"server.1=a:2888:3888:participant\nversion=0"
    payload = HEAD + pack(">qii", 4, 2, len(text)) + text
    assert decode_notification(payload) == LOOKING._replace(version=2, config=text)
    assert encode_notification(LOOKING._replace(version=2, config=text)) == payload


@pytest.mark.parametrize(
    "payload",
    [
        HEAD[:27],
        HEAD + b"1",
        HEAD + pack(">q", 4) + b"1",
        HEAD + pack(">qi", 4, 2) + b"123",
        HEAD + pack(">qii", 4, 2, -1),
        HEAD + pack(">qii", 4, 2, 1),
        HEAD + pack(">qii", 4, 2, 2**31 - 1) + b"text",
        pack(">iqqq", 4, 3, 5, 7),
        pack(">iqqq", -1, 3, 5, 7),
    ],
)
def test_malformed_payloads_are_the_links_error(payload) -> None:
    with pytest.raises(LinkError):
        decode_notification(payload)


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=6), st.data())
def test_frames_however_the_stream_is_cut(payloads, data) -> None:
    stream = b"".join(frame(payload) for payload in payloads)
    frames, found = Frames(), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += frames.feed(stream[:size])
        stream = stream[size:]
    assert found == payloads


@pytest.mark.parametrize("length", [0, -1, 524289, 2**31 - 1])
def test_a_frame_out_of_bounds_is_refused_before_it_is_read(length) -> None:
    with pytest.raises(LinkError):
        Frames().feed(pack(">i", length))


def test_the_longest_frame() -> None:
    frames = Frames()
    assert frames.feed(pack(">i", 524288) + bytes(524287)) == []
    assert frames.feed(b"123") == [bytes(524287) + b"1"]


@given(longs, addresses, st.booleans(), st.binary(max_size=9))
def test_an_initial_message_reads_back(server_id, some, several, rest) -> None:
    data = encode_initial_message(server_id, some, multi_address_enabled=several)
    kept = some if several else some[:1]
    assert decode_initial_message(data + rest) == (InitialMessage(server_id, kept), len(data))
    assert all(decode_initial_message(data[:size]) is None for size in range(len(data)))


def initial(kind: int, text: bytes) -> bytes:
    return pack(">qqi", kind, 3, len(text)) + text


def test_other_initial_messages() -> None:
    assert decode_initial_message(encode_bare_id(5)) == (InitialMessage(5), 8)
    anonymous, _ = decode_initial_message(encode_bare_id(2**63 - 1)) or (InitialMessage(0), 0)
    assert anonymous.is_anonymous
    data = initial(notifications.SEVERAL_ADDRESSES, b"0.0.0.0:1|[::]:2|[::1]:3|a:4")
    assert decode_initial_message(data) == (InitialMessage(3, (("::1", 3), ("a", 4))), len(data))


@pytest.mark.parametrize(
    "data",
    [
        pack(">q", -1),
        pack(">q", -65534),
        pack(">qqi", -65536, 3, 0),
        pack(">qqi", -65536, 3, -1),
        pack(">qqi", -65536, 3, 2049),
        initial(-65536, b"host"),
        initial(-65536, b":1"),
        initial(-65536, b"host:"),
        initial(-65536, b"host:port"),
        initial(-65536, b"host:65536"),
        initial(-65536, b"a:b:1"),
        initial(-65535, b"a:1||b:2"),
    ],
)
def test_malformed_initial_messages_are_the_links_error(data) -> None:
    with pytest.raises(LinkError):
        decode_initial_message(data)


@given(st.binary(max_size=120))
def test_noise_raises_nothing_but_link_errors(noise) -> None:
    with suppress(LinkError):
        decode_notification(noise)
    with suppress(LinkError):
        decode_initial_message(noise)
    with suppress(LinkError):
        Frames().feed(noise)


@given(st.binary(max_size=60))
def test_noise_behind_a_good_head(noise) -> None:
    with suppress(LinkError):
        decode_notification(HEAD + noise)
    with suppress(LinkError):
        decode_initial_message(pack(">qqi", -65535, 3, len(noise)) + noise)
