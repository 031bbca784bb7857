"""Stories of requests that no client library sends, yet a server must survive."""

from __future__ import annotations

import pytest

from tests.support import wire
from tests.support.raw_client import RawClient
from tests.support.stories import AUTH_FAILED, MARSHALLING_ERROR, NO_NODE, OK, Story


def zxid_now(story: Story) -> int:
    """The last zxid, asked in a session of its own (which takes one)."""
    zxid: int = story.session().ask(wire.SYNC, wire.path_request("/"))["zxid"]
    return zxid


@pytest.mark.parametrize("token", [b"token", b""])
def test_sasl_without_a_login_is_answered_with_nothing(story: Story, token: bytes) -> None:
    s = story.session()
    reply = s.ask(wire.SASL, wire.text(token), 5)
    assert (reply["xid"], reply["zxid"], reply["err"]) == (5, 0, OK)
    assert reply["body"] == {"token": None}
    assert s.exists("/") == OK


@pytest.mark.parametrize("record", [wire.text(None), b"", b"\x00\x00", wire.int32(-7)])
def test_sasl_that_does_not_read_ends_the_connection(story: Story, record: bytes) -> None:
    s = story.session()
    assert s.ask(wire.SASL, record) == {}
    assert s.closed
    assert s.reconnect()["timeout_ms"] == 40000


@pytest.mark.parametrize("record", [b"", bytes(5), wire.int32(0) + wire.int32(-7)])
def test_auth_that_does_not_read_ends_the_connection(story: Story, record: bytes) -> None:
    s = story.session()
    assert s.ask(wire.AUTH, record, wire.XID_AUTH) == {}
    assert s.closed


@pytest.mark.parametrize(
    ("scheme", "token"),
    [(None, b"x"), ("digest", None), ("sasl", b"x"), ("x509", b"x"), ("ensemble", b"x")],
)
def test_auth_of_schemes_that_are_not_set_up(
    story: Story, scheme: str | None, token: bytes | None
) -> None:
    s = story.session()
    assert s.err(wire.AUTH, wire.auth_request(scheme, token), wire.XID_AUTH) == AUTH_FAILED
    assert s.closed


def test_auth_of_scheme_ip_adds_nothing_that_was_not_there(story: Story) -> None:
    s = story.session()
    assert s.err(wire.AUTH, wire.auth_request("ip", b"1.2.3.4"), wire.XID_AUTH) == OK
    assert s.ask(wire.WHO_AM_I)["body"]["clients"] == [(b"ip", b"127.0.0.1")]


def test_a_create_session_inside_a_session_is_another_handshake_answer(story: Story) -> None:
    before = zxid_now(story)
    for side in story.pair.sides:
        with RawClient(side.server.port) as client:
            first = client.connect()
            client.send(wire.request(1, wire.CREATE_SESSION, wire.int32(5000)))
            again = wire.decode_connect_response(client.receive())
            assert again["session_id"] == first["session_id"]
            assert client.call(wire.EXISTS, wire.read_request("/nothing"))["err"] == NO_NODE
            client.close_session()
    assert zxid_now(story) == before + 4


def test_a_create_session_that_does_not_read(story: Story) -> None:
    s = story.session()
    before = s.ask(wire.SYNC, wire.path_request("/"))["zxid"]
    reply = s.ask(wire.CREATE_SESSION)
    assert (reply["err"], reply["zxid"]) == (MARSHALLING_ERROR, before + 1)


def test_a_second_connect_request_is_read_as_a_request(story: Story) -> None:
    """Its first eight bytes are then an xid and the opcode 0."""
    for side in story.pair.sides:
        with RawClient(side.server.port) as client:
            client.connect()
            client.send(wire.connect_request())
            assert wire.decode_header(client.receive()) == {"xid": 0, "zxid": -1, "err": -6}


def test_requests_may_come_with_the_handshake(story: Story) -> None:
    for side in story.pair.sides:
        with RawClient(side.server.port) as client:
            payloads = [
                wire.connect_request(),
                wire.request(1, wire.EXISTS, wire.read_request("/")),
                wire.request(2, wire.CREATE, wire.create_request("/o1", flags=1)),
                wire.request(3, wire.GET_DATA, wire.read_request("/o1")),
            ]
            client.send_bytes(b"".join(wire.int32(len(one)) + one for one in payloads))
            assert wire.decode_connect_response(client.receive())["timeout_ms"] == 40000
            assert [wire.decode_header(client.receive())["err"] for _ in range(3)] == [OK] * 3
            client.xid = 3
            client.close_session()


@pytest.mark.parametrize("step", [1, 3, 7])
def test_bytes_may_come_one_by_one(story: Story, step: int) -> None:
    for side in story.pair.sides:
        with RawClient(side.server.port) as client:
            request = wire.request(9, wire.EXISTS, wire.read_request("/"))
            whole = b"".join(wire.text(part) for part in (wire.connect_request(), request))
            for start in range(0, len(whole), step):
                client.send_bytes(whole[start : start + step])
            assert wire.decode_connect_response(client.receive())["timeout_ms"] == 40000
            assert wire.decode_reply(wire.EXISTS, client.receive())["err"] == OK
            client.close_session()


@pytest.mark.parametrize(
    "payload",
    [
        wire.connect_request(password=None),
        wire.connect_request(last_zxid=-5),
        wire.connect_request() + b"more",
        wire.int32(5) + wire.connect_request()[4:],
    ],
)
def test_a_new_session_asks_for_little(story: Story, payload: bytes) -> None:
    for side in story.pair.sides:
        with RawClient(side.server.port) as client:
            client.send(payload)
            response = wire.decode_connect_response(client.receive())
            assert response["password"] == wire.password_of(response["session_id"])
            client.close_session()


@pytest.mark.parametrize("xid", [-1, -2, -4])
def test_closing_with_a_reserved_xid(story: Story, xid: int) -> None:
    s = story.session()
    assert s.ask(wire.CLOSE_SESSION, xid=xid)["err"] == OK
    assert s.closed


def test_a_null_path_is_malformed_everywhere(story: Story) -> None:
    s = story.session()
    reads = (wire.EXISTS, wire.GET_DATA, wire.GET_CHILDREN, wire.GET_CHILDREN2)
    for opcode in reads:
        assert s.err(opcode, wire.read_request(None, True)) == MARSHALLING_ERROR
    for opcode in (wire.GET_ACL, wire.GET_ALL_CHILDREN_NUMBER):
        assert s.err(opcode, wire.path_request(None)) == MARSHALLING_ERROR
    assert s.err(wire.SYNC, wire.path_request(None)) == OK
    for opcode in (wire.SET_DATA, wire.SET_ACL, wire.DELETE):
        assert s.ask(opcode, wire.path_request(None) + bytes(40))["err"] != OK


def test_closing_by_hanging_up_keeps_the_session(story: Story) -> None:
    s, other = story.session(), story.session()
    assert s.create("/o2", flags=1) == OK
    s.reconnect(hang_up=True)
    assert other.exists("/o2") == OK
    assert s.delete("/o2") == OK
