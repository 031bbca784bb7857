"""Stories of connections and sessions: handshakes, odd frames, identities, ends."""

from __future__ import annotations

import pytest

from tests.support import wire
from tests.support.raw_client import Closed
from tests.support.stories import (
    AUTH_FAILED,
    DELETED,
    INVALID_ACL,
    MARSHALLING_ERROR,
    NO_AUTH,
    NO_NODE,
    OK,
    RECONFIG_DISABLED,
    UNIMPLEMENTED,
    Session,
    Story,
)

MAX_BUFFER = 0xFFFFF


def test_both_forms_of_the_handshake(story: Story) -> None:
    s = story.unconnected()
    new = s.connect(read_only=False)
    assert (new["protocol_version"], new["password"], new["read_only"]) == (0, "right", False)
    assert s.reconnect(read_only=None)["read_only"] is None
    assert s.reconnect(read_only=True)["read_only"] is False


@pytest.mark.parametrize(
    ("asked_ms", "given_ms"),
    [(0, 4000), (-5, 4000), (3999, 4000), (4001, 4001), (40000, 40000), (2**31 - 1, 40000)],
)
def test_timeouts_are_between_2_and_20_ticks(story: Story, asked_ms: int, given_ms: int) -> None:
    assert story.unconnected().connect(timeout_ms=asked_ms)["timeout_ms"] == given_ms


def _intrude(story: Story, victim: Session, password: bytes) -> None:
    """Somebody else asks for the victim's session and is told that there is none."""
    intruder = story.unconnected()
    for side in story.pair.sides:
        side.credentials[intruder.slot] = side.credentials[victim.slot]
    answer = intruder.reconnect(password=password)
    assert (answer["session_id"], answer["timeout_ms"], answer["password"]) == (0, 0, "right")
    assert intruder.closed


@pytest.mark.parametrize("password", [bytes(16), b"", b"x" * 17])
def test_a_wrong_password_is_told_and_hung_up_on(story: Story, password: bytes) -> None:
    s = story.session()
    assert s.send_raw(wire.int32(-1))
    _intrude(story, s, password)
    assert s.reconnect()["timeout_ms"] == 40000


@pytest.mark.alone
def test_a_wrong_password_does_not_disturb_the_right_client(story: Story) -> None:
    """Apache closes the connection of a session before it looks at the new one's password."""
    s = story.session()
    _intrude(story, s, bytes(16))
    assert s.exists("/") == OK


def test_an_unknown_session_is_told_and_hung_up_on(story: Story) -> None:
    s = story.session()
    assert s.close() == OK
    answer = s.reconnect()
    assert (answer["session_id"], answer["timeout_ms"]) == (0, 0)
    assert s.closed
    story.session()


def test_a_client_that_has_seen_more_is_hung_up_on(story: Story) -> None:
    s = story.unconnected()
    assert s.connect(last_zxid=2**62) == {}
    assert s.closed


def test_the_same_session_again_takes_the_place_of_the_old_connection(story: Story) -> None:
    s, other = story.session(), story.session()
    assert s.create("/l1", flags=1) == OK
    s.reconnect()
    moved = [frame for frame in s.outcome.replies(s.slot) if "old connection" in frame]
    assert moved == [{"old connection": "closed"}]
    assert other.exists("/l1") == OK
    assert s.delete("/l1") == OK


def test_closing_a_session_removes_its_ephemerals_at_once(story: Story) -> None:
    s, other = story.session(), story.session()
    for name in ("/l2a", "/l2b"):
        assert s.create(name, flags=1) == OK
        assert other.get_data(name, watch=True) == OK
    reply = s.ask(wire.CLOSE_SESSION)
    assert (reply["err"], reply["body"]) == (OK, None)
    assert s.closed
    assert other.pair_events(s.outcome) == [(DELETED, b"/l2a"), (DELETED, b"/l2b")]
    zxids = {frame["zxid"] for frame in s.outcome.frames[other.slot] if "event" in frame}
    assert zxids in ({reply["zxid"]}, {"any"})


def test_frames_up_to_the_limit_are_read(story: Story) -> None:
    s = story.session()
    empty = len(wire.request(0, wire.CREATE, wire.create_request("/l3")))
    assert s.create("/l3", b"x" * (MAX_BUFFER - empty)) == OK
    assert s.stat("/l3")["dataLength"] == MAX_BUFFER - empty
    assert s.get_data("/l3") == OK
    record = wire.set_data_request("/l3", b"x" * (MAX_BUFFER + 1))
    assert s.send_raw(wire.int32(MAX_BUFFER + 1) + record[:100])


@pytest.mark.parametrize(
    "data",
    [wire.int32(-1), wire.int32(0), wire.int32(4) + b"abcd", b"ruok", b"abcd", b"\xff\xf4\xff\xfd"],
)
def test_a_broken_frame_ends_the_connection_and_not_the_session(story: Story, data: bytes) -> None:
    s = story.session()
    assert s.send_raw(data)
    assert s.reconnect()["timeout_ms"] == 40000


def test_a_handshake_that_does_not_read_ends_the_connection(story: Story) -> None:
    whole = wire.connect_request()
    for payload in (whole[:20], whole[:-3], b"", wire.int32(0) * 2):
        s = story.session()
        for side in story.pair.sides:
            link = side.links[s.slot]
            fresh = type(link)(side.server.port)
            fresh.send(payload)
            with pytest.raises(Closed):
                fresh.receive()
            fresh.close()


@pytest.mark.since(3, 9, 0)
def test_unknown_opcodes_end_the_connection(story: Story) -> None:
    s = story.session()
    for opcode in (0, 10, 13, 23, 99, 108, -1, -2, 2**31 - 1):
        reply = s.ask(opcode, wire.path_request("/"))
        assert (reply["err"], reply["zxid"], reply["body"]) == (UNIMPLEMENTED, -1, None)
        assert s.closed
        s.reconnect()


def test_reserved_xids_are_only_numbers(story: Story) -> None:
    s = story.session()
    for xid in (0, -2, -3, -4, -8, 2**31 - 1, -(2**31)):
        assert s.ask(wire.EXISTS, wire.read_request("/nothing"), xid)["err"] == NO_NODE
        assert s.ask(wire.CREATE, wire.create_request("/no/way"), xid)["err"] == NO_NODE
    # A ping is always answered with its own xid.
    assert s.ask(wire.PING, xid=77)["xid"] == wire.XID_PING
    assert s.ask(wire.PING, b"with a body")["err"] == OK


def test_records_that_do_not_read(story: Story) -> None:
    s = story.session()
    for opcode in (wire.EXISTS, wire.GET_DATA, wire.GET_CHILDREN, wire.GET_CHILDREN2):
        for record in (b"", wire.text("/"), wire.int32(-5), wire.int32(2**31 - 1) + b"/"):
            assert s.err(opcode, record) == MARSHALLING_ERROR
        assert s.err(opcode, wire.read_request("/") + b"more") == OK
    assert s.err(wire.SET_WATCHES, wire.int64(0) + wire.int32(-7) * 3) == OK
    assert s.err(wire.SET_WATCHES, wire.int64(0) + wire.int32(2**31 - 1)) == MARSHALLING_ERROR
    assert s.err(wire.REMOVE_WATCHES, wire.text("/")) == MARSHALLING_ERROR


def test_sync_echoes_its_path_unseen(story: Story) -> None:
    s = story.session()
    for path in ("/nothing", "no slash", "", "/\x00", "/ü"):
        reply = s.ask(wire.SYNC, wire.path_request(path))
        assert (reply["err"], reply["body"]["path"]) == (OK, path.encode())
    reply = s.ask(wire.SYNC, wire.path_request(b"/\xff"))
    assert reply["body"]["path"] == "/\ufffd".encode()


def test_reconfig_is_refused(story: Story) -> None:
    s = story.session()
    assert s.err(wire.RECONFIG, wire.reconfig_request("server.1=x:1:2")) == RECONFIG_DISABLED


def test_good_credentials(story: Story) -> None:
    s = story.session()
    reply = s.ask(wire.AUTH, wire.auth_request("digest", b"ann:secret"), wire.XID_AUTH)
    assert (reply["xid"], reply["zxid"], reply["err"], reply["body"]) == (-4, 0, OK, None)
    assert s.auth("bob:pw") == OK
    clients = s.ask(wire.WHO_AM_I)["body"]["clients"]
    assert clients == [(b"digest", b"ann"), (b"digest", b"bob"), (b"ip", b"127.0.0.1")]
    assert s.auth("nocolon") == OK
    assert s.auth("super:test") == OK


@pytest.mark.parametrize(
    ("scheme", "token"), [("nosuch", b"x"), ("world", b"anyone"), ("super", b""), ("", b"")]
)
def test_bad_credentials_end_the_connection(story: Story, scheme: str, token: bytes) -> None:
    s = story.session()
    reply = s.ask(wire.AUTH, wire.auth_request(scheme, token), wire.XID_AUTH)
    assert (reply["err"], reply["zxid"]) == (AUTH_FAILED, 0)
    assert s.closed


def test_an_identity_belongs_to_the_connection(story: Story) -> None:
    s = story.session()
    assert s.create("/l4", acl=((31, "auth", ""),)) == INVALID_ACL
    assert s.auth("ann:secret") == OK
    assert s.create("/l4", b"x", acl=((31, "auth", ""), (31, "auth", "again"))) == OK
    entries = s.acl("/l4")["body"]["acl"]
    assert {entry[1] for entry in entries} == {b"digest"}
    assert s.get_data("/l4") == OK
    s.reconnect()
    assert s.get_data("/l4") == NO_AUTH
    assert s.acl("/l4")["err"] == NO_AUTH
    assert s.auth("ann:secret") == OK
    assert s.set_acl("/l4", ((31, "auth", ""), (1, "world", "anyone"))) == OK
    other = story.session()
    masked = other.acl("/l4")["body"]["acl"]
    assert masked == [(31, b"digest", b"ann:x"), (1, b"world", b"anyone")]
    root = story.session()
    assert root.auth("super:test") == OK
    assert root.delete("/l4") == OK


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.0/8", "0.0.0.0/0"])
def test_addresses_as_identities(story: Story, address: str) -> None:
    s = story.session()
    assert s.create("/l5", acl=((31, "ip", address),)) == OK
    assert s.get_data("/l5") == OK
    assert s.set_acl("/l5", ((31, "ip", "10.0.0.0/8"),)) == OK
    assert s.set_data("/l5") == NO_AUTH
    assert s.delete("/l5") == OK


def test_invalid_acls(story: Story) -> None:
    s = story.session()
    bad: list[wire.AclEntries] = [
        None,
        (),
        ((31, "world", "somebody"),),
        ((31, "digest", "no colon"),),
        ((31, "ip", "1.2.3"),),
        ((31, "ip", "127.0.0.1/33"),),
        ((31, "nosuch", "x"),),
        ((31, None, "x"),),
        ((31, "world", "anyone"), (1, "nosuch", "x")),
    ]
    for acl in bad:
        assert s.create("/l6", acl=acl) == INVALID_ACL, acl
        assert s.set_acl("/", acl) == INVALID_ACL, acl


def test_counting_and_listing(story: Story) -> None:
    s = story.session()
    for path in ("/l7", "/l7/a", "/l7/a/b", "/l7x"):
        assert s.create(path) == OK
    count = s.ask(wire.GET_ALL_CHILDREN_NUMBER, wire.path_request("/l7"))
    assert count["body"]["number"] == 2
    whole, empty = (
        s.ask(wire.GET_ALL_CHILDREN_NUMBER, wire.path_request(path))["body"]["number"]
        for path in ("/", "")
    )
    assert empty == whole + 1
    for path in ("/l7/e", "/l7/ee", "/l8"):
        assert s.create(path, flags=1) == OK

    def ephemerals(prefix: wire.Text) -> list[bytes]:
        reply = s.ask(wire.GET_EPHEMERALS, wire.path_request(prefix))
        found: list[bytes] = reply["body"]["ephemerals"]
        return found

    assert ephemerals("/l7/e") == [b"/l7/e", b"/l7/ee"]
    # Java's trim takes all up to the blank from both ends.
    for prefix in ("/", "", " ", "/\0", "\x1f/ ", None):
        assert ephemerals(prefix) == [b"/l7/e", b"/l7/ee", b"/l8"]
    assert ephemerals("/none") == []
