"""Stories of writes: the order in which a server looks at a request decides the answer."""

from __future__ import annotations

import pytest

from tests.support import wire
from tests.support.stories import (
    BAD_ARGUMENTS,
    BAD_VERSION,
    INVALID_ACL,
    MARSHALLING_ERROR,
    NO_AUTH,
    NO_CHILDREN_FOR_EPHEMERALS,
    NO_NODE,
    NODE_EXISTS,
    NOT_EMPTY,
    OK,
    QUOTA_EXCEEDED,
    RUNTIME_INCONSISTENCY,
    Story,
)

PERSISTENT, EPHEMERAL, SEQUENTIAL, EPHEMERAL_SEQUENTIAL, CONTAINER = range(5)
TTL, TTL_SEQUENTIAL = 5, 6
READ_ONLY = ((1, "world", "anyone"),)


def test_create_looks_at_acl_then_parent_then_permission_then_path(story: Story) -> None:
    s = story.session()
    assert s.create("/order", acl=READ_ONLY) == OK
    assert s.create("no slash", acl=None) == BAD_ARGUMENTS
    assert s.create("/nothing/x", acl=()) == INVALID_ACL
    assert s.create("/nothing/.") == NO_NODE
    assert s.create("/order/.") == NO_AUTH
    assert s.create("/order/") == NO_AUTH
    assert s.create("/free") == OK
    assert s.create("/free/") == BAD_ARGUMENTS
    assert s.create("/free/.") == BAD_ARGUMENTS
    assert s.create("/nothing/") == NO_NODE
    assert s.create("/free") == NODE_EXISTS


def test_paths_that_no_node_may_have(story: Story) -> None:
    s = story.session()
    assert s.create("/p") == OK
    for name in ("a\x00", "a\x01", "a\x1f", "\x7f", "\x9f", "\ue000", "\uf8ff", "\ufff0", ".", ".."):
        assert s.create("/p/" + name) == BAD_ARGUMENTS, name
    for raw in (b"/p/\xff", b"/p/\xed\xa0\x80", b"/p/\xf0\x9f\x98\x80", b"/p/\xc3"):
        assert s.create(raw) == BAD_ARGUMENTS, raw
    for name in (" ", "a b", "ü", "中", "\uf900", "\xa0", "...", ".a"):
        assert s.create("/p/" + name) == OK, name
    assert s.create("") == BAD_ARGUMENTS
    assert s.create("/") == NODE_EXISTS
    assert s.create("//") == BAD_ARGUMENTS


def test_flags_and_opcodes(story: Story) -> None:
    s = story.session()
    for flags in (7, -1, 100, TTL, TTL_SEQUENTIAL):
        assert s.create("/nowhere/flags", flags=flags) == BAD_ARGUMENTS
    assert s.create("/flags") == OK
    # The flag alone makes no container, and the opcode makes one whatever the flag.
    assert s.create("/flags/plain", flags=CONTAINER) == OK
    made = wire.create_request("/flags/container", flags=PERSISTENT)
    assert s.err(wire.CREATE_CONTAINER, made) == OK
    assert s.stat("/flags/container")["ephemeralOwner"] == 0
    assert s.create("/flags/container/child") == OK


def test_create_ttl_wants_a_ttl_mode_and_a_time_in_range(story: Story) -> None:
    s = story.session()

    def create_ttl(name: str, flags: int, ttl_ms: int) -> int | None:
        record = wire.create_ttl_request("/ttl-" + name, flags=flags, ttl_ms=ttl_ms)
        return s.err(wire.CREATE_TTL, record)

    assert create_ttl("a", TTL, 1) == OK
    assert create_ttl("b", TTL, 2**40 - 1) == OK
    assert create_ttl("c", TTL_SEQUENTIAL, 1000) == OK
    for ttl_ms in (0, -1, 2**40, -(2**63), 2**63 - 1):
        assert create_ttl("d", TTL, ttl_ms) == BAD_ARGUMENTS
    for flags in (PERSISTENT, EPHEMERAL, SEQUENTIAL, CONTAINER, 7):
        assert create_ttl("e", flags, 1000) == BAD_ARGUMENTS
    stat = s.stat("/ttl-a")
    assert (stat["ephemeralOwner"], stat["numChildren"]) == (0, 0)
    assert s.create("/ttl-b/child") == OK


def test_ephemerals_have_no_children(story: Story) -> None:
    s = story.session()
    assert s.create("/short", flags=EPHEMERAL) == OK
    assert s.create("/short/child") == NO_CHILDREN_FOR_EPHEMERALS
    assert s.stat("/short")["ephemeralOwner"].startswith("session")


def test_sequence_numbers_count_creations_only(story: Story) -> None:
    s = story.session()
    assert s.create("/seq") == OK
    assert s.created("/seq/n-", SEQUENTIAL) == b"/seq/n-0000000000"
    assert s.created("/seq/", SEQUENTIAL) == b"/seq/0000000001"
    assert s.delete("/seq/n-0000000000") == OK
    assert s.create("/seq/n-", flags=SEQUENTIAL, acl=()) == INVALID_ACL
    assert s.create("/seq/plain") == OK
    assert s.created("/seq/n-", EPHEMERAL_SEQUENTIAL) == b"/seq/n-0000000003"
    # Creates that wait behind each other must not get the same number.
    one = (wire.CREATE, wire.create_request("/seq/q-", flags=SEQUENTIAL))
    names = [reply["body"]["path"] for reply in s.burst(one, one, one)]
    assert names == [b"/seq/q-0000000004", b"/seq/q-0000000005", b"/seq/q-0000000006"]


def test_the_numbers_in_a_stat(story: Story) -> None:
    s = story.session()
    assert s.create("/stat", b"four") == OK
    assert s.create("/stat/a") == OK
    assert s.create("/stat/b") == OK
    assert s.delete("/stat/a") == OK
    stat = s.stat("/stat")
    # Shown cversion counts deletions too.
    assert (stat["cversion"], stat["numChildren"], stat["dataLength"]) == (3, 1, 4)
    assert s.set_data("/stat", None) == OK
    assert s.set_acl("/stat", wire.OPEN_ACL) == OK
    after = s.stat("/stat")
    assert (after["version"], after["aversion"], after["dataLength"]) == (1, 1, 0)
    assert after["pzxid"] == stat["pzxid"] < after["mzxid"]
    assert s.ask(wire.GET_DATA, wire.read_request("/stat"))["body"]["data"] is None


def test_versions(story: Story) -> None:
    s = story.session()
    assert s.create("/v") == OK
    assert s.set_data("/v", b"1", 0) == OK
    assert s.set_data("/v", b"2", 0) == BAD_VERSION
    assert s.set_data("/v", b"2", -2) == BAD_VERSION
    assert s.set_acl("/v", wire.OPEN_ACL, 1) == BAD_VERSION
    assert s.set_acl("/v", wire.OPEN_ACL, 0) == OK
    assert s.create("/v/child") == OK
    assert s.delete("/v", 0) == BAD_VERSION
    assert s.delete("/v", 1) == NOT_EMPTY


def test_system_nodes(story: Story) -> None:
    s = story.session()
    for path in ("/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"):
        assert s.delete(path) == BAD_ARGUMENTS
    assert s.create("/zookeeper/mine") == OK
    assert s.delete("/zookeeper/mine") == OK
    assert s.set_data("/zookeeper/config") == NO_AUTH
    assert s.set_acl("/zookeeper/config", wire.OPEN_ACL) == NO_AUTH
    assert s.get_data("/zookeeper/config") == OK
    assert s.auth("super:test") == OK
    assert s.set_acl("/zookeeper/config", READ_ONLY) == OK


@pytest.mark.since(3, 9, 0)
def test_anyone_may_send_delete_container(story: Story) -> None:
    s = story.session()
    nobody = ((31, "ip", "10.0.0.1"),)
    assert s.create("/dc", acl=nobody) == OK
    assert s.delete("/dc") == OK  # DELETE is asked of the parent
    assert s.create("/dc2", acl=READ_ONLY) == OK
    assert s.create("/dc3", flags=EPHEMERAL) == OK
    assert s.err(wire.DELETE_CONTAINER, wire.path_request("/dc2")) == OK
    assert s.err(wire.DELETE_CONTAINER, wire.path_request("/dc3")) == BAD_VERSION
    assert s.err(wire.DELETE_CONTAINER, wire.path_request("/zookeeper")) == BAD_ARGUMENTS
    assert s.err(wire.DELETE_CONTAINER, wire.path_request("/dc4")) == NO_NODE


def test_a_refused_write_takes_a_zxid(story: Story) -> None:
    s = story.session()
    before = s.ask(wire.SYNC, wire.path_request("/"))["zxid"]
    refused = s.ask(wire.CREATE, wire.create_request("/no/parent"))
    assert (refused["err"], refused["zxid"], refused["body"]) == (NO_NODE, before + 1, None)
    assert s.exists("/refused") == NO_NODE
    assert s.ask(wire.SYNC, wire.path_request("/"))["zxid"] == before + 1


@pytest.mark.since(3, 9, 0)
def test_an_unreadable_write_takes_none(story: Story) -> None:
    s = story.session()
    before = s.ask(wire.SYNC, wire.path_request("/"))["zxid"]
    whole = wire.create_request("/cut", b"data")
    for record in (whole[:-1], whole[:9], b"", wire.int32(-5) + whole[4:]):
        reply = s.ask(wire.CREATE, record)
        assert (reply["err"], reply["zxid"], reply["body"]) == (MARSHALLING_ERROR, before, None)
    reply = s.ask(wire.DELETE_CONTAINER, wire.path_request(None))
    assert (reply["err"], reply["zxid"]) == (MARSHALLING_ERROR, before)
    # Bytes behind a whole record are nobody's.
    assert s.err(wire.CREATE, whole + b"more") == OK
    # A null path reads well, so it takes its zxid before it fails.
    reply = s.ask(wire.CREATE, wire.create_request(None))
    assert (reply["err"], reply["zxid"]) == (MARSHALLING_ERROR, before + 2)


def test_multi_is_all_or_nothing(story: Story) -> None:
    s = story.session()
    create_a = (wire.CREATE, wire.create_request("/m"))
    child = (wire.CREATE, wire.create_request("/m/n-", flags=SEQUENTIAL))
    change = (wire.SET_DATA, wire.set_data_request("/m", b"x", 0))
    wrong = (wire.CHECK, wire.version_request("/m", 7))
    right = (wire.CHECK, wire.version_request("/m", 1))
    gone = (wire.DELETE, wire.version_request("/m/n-0000000000"))
    failed = s.multi(create_a, change, wrong, gone)
    assert failed["err"] == OK
    codes = [result["error"] for result in failed["body"]["results"]]
    assert codes == [OK, OK, BAD_VERSION, RUNTIME_INCONSISTENCY]
    assert s.exists("/m") == NO_NODE
    done = s.multi(create_a, child, change, right, gone)
    types = [result["type"] for result in done["body"]["results"]]
    assert types == [wire.CREATE, wire.CREATE, wire.SET_DATA, wire.CHECK, wire.DELETE]
    stat = s.stat("/m")
    assert stat["czxid"] == stat["mzxid"] == stat["pzxid"] == done["zxid"]
    assert s.multi()["body"]["results"] == []


def test_a_failed_multi_leaves_no_trace_for_what_waits_behind_it(story: Story) -> None:
    s = story.session()
    assert s.create("/trace") == OK
    first = (wire.CREATE, wire.create_request("/trace/n-", flags=SEQUENTIAL))
    fails = (wire.DELETE, wire.version_request("/trace/none"))
    replies = s.burst(
        first,
        (wire.MULTI, wire.multi_request([first, first, fails])),
        first,
        (wire.GET_CHILDREN2, wire.read_request("/trace")),
    )
    assert replies[2]["body"]["path"] == b"/trace/n-0000000001"
    assert replies[3]["body"]["stat"]["cversion"] == 2


@pytest.mark.since(3, 9, 0)
def test_reads_and_writes_do_not_mix_in_a_multi(story: Story) -> None:
    s = story.session()
    read = (wire.GET_DATA, wire.read_request("/"))
    write = (wire.CREATE, wire.create_request("/mixed"))
    assert s.multi(write, read)["err"] == MARSHALLING_ERROR
    assert s.err(wire.MULTI_READ, wire.multi_request([read, write])) == MARSHALLING_ERROR
    assert s.exists("/mixed") == NO_NODE
    for operation in ((wire.CHECK, b"\x00"), (wire.SYNC, wire.path_request("/")), (77, b"")):
        assert s.multi(operation)["err"] == MARSHALLING_ERROR


def test_multi_read_answers_each_for_itself(story: Story) -> None:
    s = story.session()
    assert s.create("/mr", b"data") == OK
    reply = s.ask(
        wire.MULTI_READ,
        wire.multi_request(
            [
                (wire.GET_DATA, wire.read_request("/mr", True)),
                (wire.GET_DATA, wire.read_request("/nothing")),
                (wire.GET_CHILDREN, wire.read_request("/mr", True)),
            ]
        ),
    )
    results = reply["body"]["results"]
    assert [result["type"] for result in results] == [wire.GET_DATA, -1, wire.GET_CHILDREN]
    assert (results[0]["data"], results[1]["error"]) == (b"data", NO_NODE)
    assert s.set_data("/mr") == OK
    assert s.events() == []


@pytest.mark.since(3, 9, 0)
@pytest.mark.parametrize(
    "broken",
    [(wire.GET_DATA, wire.read_request(None)), (wire.CREATE, wire.create_request("/mb"))],
    ids=["null path", "write"],
)
def test_multi_read_that_breaks_off_gives_what_it_has(
    story: Story, broken: tuple[int, bytes]
) -> None:
    s = story.session()
    good = [(wire.GET_CHILDREN, wire.read_request(name)) for name in ("/zookeeper", "/none")]
    before = [] if broken[0] == wire.CREATE else good
    reply = s.ask(wire.MULTI_READ, wire.multi_request([*before, broken]))
    assert reply["err"] == MARSHALLING_ERROR
    assert len(reply["body"]["results"]) == len(before)


def test_hard_quotas(story: Story) -> None:
    s = story.session()
    assert s.create("/quota", b"1234") == OK
    assert s.create("/zookeeper/quota/quota") == OK
    limits = b"count=-1,bytes=-1=;byteHardLimit=10;countHardLimit=2"
    assert s.create("/zookeeper/quota/quota/zookeeper_limits", limits) == OK
    assert s.create("/zookeeper/quota/quota/zookeeper_stats", b"count=0,bytes=0") == OK
    assert s.create("/quota/a", b"1234567") == QUOTA_EXCEEDED
    assert s.create("/quota/a", b"1") == OK
    assert s.create("/quota/b") == QUOTA_EXCEEDED
    assert s.set_data("/quota", b"1234567890") == QUOTA_EXCEEDED
    assert s.set_data("/quota", b"123456789") == OK
    assert s.get_data("/zookeeper/quota/quota/zookeeper_stats") == OK
    assert s.delete("/zookeeper/quota/quota/zookeeper_limits") == OK
    assert s.create("/quota/b") == OK


@pytest.mark.alone
def test_ill_formed_quotas_harm_nobody(story: Story) -> None:
    s = story.session()
    assert s.create("/illq") == OK
    assert s.create("/zookeeper/quota/illq") == OK
    for text in (b"count=x,bytes=", b"\xff\xfe", b"", None, b"===;;,,", b"countHardLimit=99999999999999999999"):
        s.create("/zookeeper/quota/illq/zookeeper_limits", text)
        s.create("/zookeeper/quota/illq/zookeeper_stats", text)
        s.set_data("/zookeeper/quota/illq/zookeeper_stats", text)
        assert s.set_data("/illq", b"data") == OK
        assert s.create("/illq/n-", flags=SEQUENTIAL) == OK
        s.delete("/zookeeper/quota/illq/zookeeper_stats")
        s.delete("/zookeeper/quota/illq/zookeeper_limits")


@pytest.mark.alone
def test_a_negative_ttl_with_a_mode_that_takes_none_is_refused(story: Story) -> None:
    """Apache 3.9.5 logs it, dies of it, and dies again at every start."""
    s = story.session()
    for flags in (PERSISTENT, EPHEMERAL, SEQUENTIAL, CONTAINER):
        record = wire.create_ttl_request("/negative", flags=flags, ttl_ms=-5)
        assert s.err(wire.CREATE_TTL, record) == BAD_ARGUMENTS
        s.multi((wire.CREATE_TTL, record))
    assert s.ask(wire.WHO_AM_I)["err"] == OK
