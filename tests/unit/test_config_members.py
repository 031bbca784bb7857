"""The servers of an ensemble in a configuration, as Apache ZooKeeper 3.9.5 takes them."""

from collections.abc import Mapping

import pytest

from tests.support.configuration import BASE, load, refusal
from zkserver.base.members import Address, Role

THREE = """\
initLimit=10
syncLimit=5
server.1=a:2888:3888
server.2=b:2888:3888
server.3=c:2888:3888
"""


def test_an_ensemble() -> None:
    loaded, warnings = load(BASE + THREE, files={"/data/myid": "2\n"})
    assert loaded.is_distributed
    assert loaded.server_id == 2
    assert [member.server_id for member in loaded.membership.participants] == [1, 2, 3]
    assert loaded.membership.members[0].addresses == (Address("a", 2888, 3888),)
    assert (loaded.init_limit_ticks, loaded.sync_limit_ticks) == (10, 5)
    assert loaded.properties["zookeeper.server.1"] == "a:2888:3888"
    assert not warnings


@pytest.mark.parametrize("text", ["1", "1\n", "1\r\n", "+1\nrest"])
def test_myid_is_the_first_line(text: str) -> None:
    assert load(BASE, files={"/data/myid": text})[0].server_id == 1


@pytest.mark.parametrize("text", ["", "1 \n", "\n1", "one", "1.5"])
def test_myid_must_be_a_number_even_for_a_standalone_server(text: str) -> None:
    message = refusal(BASE, files={"/data/myid": text})
    assert message.startswith("/data/myid:1: myid = ")
    assert message.endswith(": must be the server's id: digits and nothing else")


NO_LIMIT = "must be set, to a number of ticks that is not 0, in an ensemble"
NO_MYID = "the file is missing; it must hold this server's id, N of its server.N"


@pytest.mark.parametrize(
    ("text", "properties", "myid", "message"),
    [
        (THREE, {}, None, f"/data/myid: myid: {NO_MYID}"),
        (THREE.replace("initLimit=10\n", ""), {}, "1", f"zoo.cfg: initLimit: {NO_LIMIT}"),
        (
            THREE.replace("syncLimit=5", "syncLimit=0"), {}, "1",
            f"zoo.cfg:4: syncLimit = 0: {NO_LIMIT}",
        ),
        (
            THREE, {"zookeeper.extendedTypesEnabled": "true"}, "255",
            "/data/myid:1: myid = 255: must be at most 254 with extendedTypesEnabled",
        ),
    ],
)
def test_an_ensemble_refuses(
    text: str, properties: Mapping[str, str], myid: str | None, message: str
) -> None:
    files = {} if myid is None else {"/data/myid": myid}
    assert refusal(BASE + text, properties, files) == message


def test_a_standalone_server_may_have_any_id() -> None:
    properties = {"zookeeper.extendedTypesEnabled": "true"}
    assert load(BASE, properties, {"/data/myid": "255"})[0].server_id == 255


def test_ensembles_that_work_badly_are_warned_of() -> None:
    files = {"/data/myid": "9"}
    two = THREE.replace("server.3=c:2888:3888\n", "")
    four = THREE + "server.4=d:2888:3888\n"
    assert "zoo.cfg: server.N: no failure is survived with fewer than 3 participants" in (
        load(BASE + two, files=files)[1]
    )
    warnings = load(BASE + four, files=files)[1]
    assert "zoo.cfg: server.N: 4 participants survive no more failures than 3" in warnings
    assert "/data/myid:1: myid: 9 is not among the servers of the configuration" in warnings


def test_one_server_alone_is_standalone_unless_it_may_not_be() -> None:
    loaded, warnings = load(BASE + "server.1=h:1:2")
    assert not loaded.is_distributed
    assert warnings == ["zoo.cfg:3: server.1 = h:1:2: is the only server: it runs standalone"]
    text = BASE + "standaloneEnabled=false\ninitLimit=1\nsyncLimit=1\nserver.1=h:1:2"
    assert load(text, files={"/data/myid": "1"})[0].is_distributed


def test_the_role_comes_from_the_server_key() -> None:
    text = BASE + THREE.replace("c:2888:3888", "c:2888:3888:Observer")
    loaded, warnings = load(text, files={"/data/myid": "3"})
    assert loaded.peer_type == "observer"
    assert loaded.membership.observers[0].role is Role.OBSERVER
    assert (
        "zoo.cfg: peerType: the server.N keys make this server an observer, and they count"
        in warnings
    )


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("", "must have the form"),
        ("h:1", "must have the form"),
        ("h:1:2:participant:x", "must have the form"),
        ("::1:1:2", "must have the form"),
        ("h:1:2;3;4", "must have the form"),
        ("h:1:2;a:b:3", "must have the form"),
        ("[::1]:", "must have the form"),
        ("h:1:1", "must have a quorum port and an election port that differ"),
        ("h:x:1", "the quorum and election ports: each must be a port, 0 to 65535"),
        ("h:70000:1", "the quorum and election ports: each must be a port, 0 to 65535"),
        ("h:1:2 ", "the quorum and election ports: each must be a port, 0 to 65535"),
        ("h:1:2;x", "the client port must be a port, 0 to 65535"),
        ("h:1:2:leader", "must be participant or observer"),
        ("[::1:1:2", "must close the bracket of an IPv6 address"),
        ("[::1]1:2:3", "must have a colon after the bracket of an IPv6 address"),
        ("a:1:2|b:1:2", "must be one address unless multiAddress.enabled is true"),
    ],
)
def test_server_values_that_are_refused(value: str, problem: str) -> None:
    message = refusal(BASE + f"server.1={value}\n")
    assert message.startswith("zoo.cfg:3: server.1 = ")
    assert f": {problem}" in message


def test_server_values_that_are_read() -> None:
    text = (
        "server.3=[::1]:1:2: Observer;[::2]:3\nserver.2=:1:2;\nserver.1=h:1:2:;:3\n"
        "server.10=a:1:2|b:3:4:participant\nmultiAddress.enabled=true\n"
    )
    files = {"/data/myid": "5"}
    loaded, _ = load("dataDir=/data\ninitLimit=1\nsyncLimit=1\n" + text, files=files)
    one, two, three, ten = loaded.membership.members
    assert (one.client_host, one.client_port) == ("localhost", 3)
    assert (two.addresses, two.client_port) == ((Address("localhost", 1, 2),), None)
    assert (three.addresses, three.role) == ((Address("::1", 1, 2),), Role.OBSERVER)
    assert (three.client_host, three.client_port) == ("::2", 3)
    assert ten.addresses == (Address("a", 1, 2), Address("b", 3, 4))
    assert "must give all addresses of a server the same role" in refusal(
        BASE + "multiAddress.enabled=true\nserver.1=a:1:2:observer|b:1:2:participant"
    )


@pytest.mark.parametrize("key", ["server.x", "server.", "server.1.a", "groupX", "weights"])
def test_membership_keys_need_a_number(key: str) -> None:
    assert ".N, N an integer" in refusal(BASE + f"{key}=1")


@pytest.mark.parametrize(
    ("lines", "place", "problem"),
    [
        ("group.1=1:2", "7: server.3 = c:2888:3888", "server 3 must be in a group"),
        ("weight.1=1", "5: server.1 = a:2888:3888", "server 1 must be in a group"),
        ("group.1=1:2\ngroup.2=2:3", "9: group.2 = 2:3", "server 2 must be in one group, once"),
        ("group.1=1:1:2:3", "8: group.1 = 1:1:2:3", "server 1 must be in one group, once"),
        (
            "group.1=1:2:3:4", "8: group.1 = 1:2:3:4",
            "server 4 must be a participant or have a weight",
        ),
        ("group.1=1:x:3", "8: group.1 = 1:x:3", "must be an integer of 64 bits"),
        ("group.1=1:2:3\nweight.1=x", "9: weight.1 = x", "must be an integer of 64 bits"),
        ("version=zz", "8: version = zz", "must be a hexadecimal number of 64 bits"),
    ],
)
def test_groups_and_weights_that_are_refused(lines: str, place: str, problem: str) -> None:
    message = refusal(BASE + THREE + lines, files={"/data/myid": "1"})
    assert message == f"zoo.cfg:{place}: {problem}"


def test_groups_and_weights_that_are_read() -> None:
    lines = "group.2=3\ngroup.1=1:2:\nweight.2=5\nversion=1f"
    loaded, _ = load(BASE + THREE + lines, files={"/data/myid": "1"})
    assert loaded.membership.groups == ((1, (1, 2)), (2, (3,)))
    assert loaded.membership.weights == ((1, 1), (2, 5), (3, 1))
    assert loaded.membership.version == 0x1F
    loaded, _ = load(BASE + THREE + "group.1=1\noraclePath=/o", files={"/data/myid": "1"})
    assert loaded.membership.groups == ()


# The client port of a server key.


@pytest.mark.parametrize(
    ("static", "client", "expected"),
    [
        ("", "2185", (2185, "")),
        ("", "127.0.0.1:2185", (2185, "127.0.0.1")),
        ("clientPort=2181", "2181", (2181, "")),
        ("clientPort=2181", "127.0.0.1:2181", (2181, "127.0.0.1")),
        ("clientPort=2181\nclientPortAddress=localhost", "127.0.0.1:2181", (2181, "127.0.0.1")),
        ("clientPort=2181\nclientPortAddress=my.name", "10.0.0.1:2181", (2181, "10.0.0.1")),
    ],
)
def test_the_client_port_of_the_server_key(
    static: str, client: str, expected: tuple[int, str]
) -> None:
    text = f"dataDir=/data\nserver.1=h:1:2;{client}\n{static}"
    loaded, _ = load(text, files={"/data/myid": "1"})
    assert (loaded.client_port, loaded.client_port_address) == expected
    assert load(text)[0].client_port == (2181 if static else None)


@pytest.mark.parametrize(
    ("static", "client", "place"),
    [
        ("clientPort=2181", "0.0.0.0:2185", "3: clientPort = 2181"),
        (
            "clientPort=2181\nclientPortAddress=127.0.0.1", "0.0.0.0:2181",
            "4: clientPortAddress = 127.0.0.1",
        ),
        (
            "clientPort=2181\nclientPortAddress=127.0.0.1", "127.0.0.2:2181",
            "4: clientPortAddress = 127.0.0.1",
        ),
    ],
)
def test_the_client_port_must_not_contradict_the_server_key(
    static: str, client: str, place: str
) -> None:
    text = f"dataDir=/data\nserver.1=h:1:2;{client}\n{static}"
    message = f"zoo.cfg:{place}: must be as in server.1, which says {client}"
    assert refusal(text, files={"/data/myid": "1"}) == message


# The dynamic file.

DYNAMIC = "".join(f"server.{n}=h{n}:1:2;218{n}\n" for n in (1, 2, 3))
FILE = "/c/zoo.cfg.dynamic.1a"
STATIC = f"dataDir=/data\ninitLimit=1\nsyncLimit=1\ndynamicConfigFile={FILE}\n"


def test_the_dynamic_file() -> None:
    files = {FILE: DYNAMIC, "/data/myid": "3"}
    loaded, _ = load(STATIC, files=files)
    assert loaded.is_distributed
    assert (loaded.client_port, loaded.membership.version) == (2183, 0x1A)
    assert loaded.last_seen_membership is None
    proposed = files | {"zoo.cfg.dynamic.next": DYNAMIC + "server.4=h4:1:2;2184\nversion=2b\n"}
    last_seen = load(STATIC, files=proposed)[0].last_seen_membership
    assert last_seen is not None
    assert (len(last_seen.members), last_seen.version) == (4, 0x2B)


@pytest.mark.parametrize("name", ["dyn", "/a.b/dyn", "zoo.cfg.dynamic", "dyn."])
def test_a_dynamic_file_without_a_version_in_its_name(name: str) -> None:
    text = STATIC.replace(FILE, name)
    assert load(text, files={name: DYNAMIC, "/data/myid": "1"})[0].membership.version == 0


ELSEWHERE = "must be in the file that dynamicConfigFile names"
NO_VERSION = "must not be in a dynamic file: the version is the end of the file's name"
NO_OTHERS = "only server.N, group.N and weight.N may be in a dynamic file"
FORM = "must have the form host:quorumPort:electionPort"


@pytest.mark.parametrize(
    ("static", "dynamic", "place", "problem"),
    [
        (STATIC, None, f"zoo.cfg:4: dynamicConfigFile = {FILE}", "must name a file that can"),
        (STATIC + "server.1=h:1:2", DYNAMIC, "zoo.cfg:5: server.1 = h:1:2", ELSEWHERE),
        ("group.1=1\n" + STATIC, DYNAMIC, "zoo.cfg:1: group.1 = 1", ELSEWHERE),
        (STATIC + "weight.1=1", DYNAMIC, "zoo.cfg:5: weight.1 = 1", ELSEWHERE),
        (STATIC, DYNAMIC + "version=1", f"{FILE}:4: version = 1", NO_VERSION),
        (STATIC, "tickTime=5\n" + DYNAMIC, f"{FILE}:1: tickTime = 5", NO_OTHERS),
        (STATIC, "server.1=h:1", f"{FILE}:1: server.1 = h:1", FORM),
    ],
)
def test_dynamic_files_that_are_refused(
    static: str, dynamic: str | None, place: str, problem: str
) -> None:
    files = {"/data/myid": "1"}
    if dynamic is not None:
        files[FILE] = dynamic
    assert refusal(static, files=files).startswith(f"{place}: {problem}")
