"""The tree against a model: plain dicts and the rules in words, through the wire and back."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from tests.support import wire
from tests.support.quiet_server import QuietClient, QuietServer

OK, BAD_ARGUMENTS, NO_NODE, BAD_VERSION = 0, -8, -101, -103
NO_CHILDREN_FOR_EPHEMERALS, NODE_EXISTS, NOT_EMPTY = -108, -110, -111
EPHEMERAL, SEQUENTIAL = 1, 2


@dataclass
class Node:
    """What a client can learn of a znode, short of times and zxids."""

    data: bytes | None
    ephemeral: bool = False
    version: int = 0
    created: int = 0
    children: set[str] = field(default_factory=set)


class Model:
    """The rules of create, delete and setData."""

    def __init__(self) -> None:
        self.nodes = {"": Node(b"", children={"zookeeper"})}

    def create(self, path: str, data: bytes | None, flags: int) -> tuple[int, str]:
        parent_path, _, name = path.rpartition("/")
        parent = self.nodes.get(parent_path)
        if parent is None:
            return NO_NODE, ""
        if flags & SEQUENTIAL:
            name += f"{parent.created:010d}"
            path = f"{parent_path}/{name}"
        if path in self.nodes:
            return NODE_EXISTS, ""
        if parent.ephemeral:
            return NO_CHILDREN_FOR_EPHEMERALS, ""
        parent.created += 1
        parent.children.add(name)
        self.nodes[path] = Node(data, bool(flags & EPHEMERAL))
        return OK, path

    def delete(self, path: str, version: int) -> int:
        parent_path, _, name = path.rpartition("/")
        if parent_path not in self.nodes or path not in self.nodes:
            return NO_NODE
        if version not in (-1, self.nodes[path].version):
            return BAD_VERSION
        if self.nodes[path].children:
            return NOT_EMPTY
        del self.nodes[path]
        self.nodes[parent_path].children.remove(name)
        return OK

    def set_data(self, path: str, data: bytes | None, version: int) -> int:
        node = self.nodes.get(path)
        if node is None:
            return NO_NODE
        if version not in (-1, node.version):
            return BAD_VERSION
        node.data = data
        node.version += 1
        return OK


NAMES = st.sampled_from(["/a", "/b", "/a/a", "/a/b", "/b/a", "/a/a/a"])
DATA = st.sampled_from([None, b"", b"x", b"data"])
VERSIONS = st.sampled_from([-1, -1, 0, 1, 2, -2])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("create"), NAMES, DATA, st.sampled_from([0, 0, EPHEMERAL, SEQUENTIAL])),
        st.tuples(st.just("delete"), NAMES, VERSIONS),
        st.tuples(st.just("set_data"), NAMES, DATA, VERSIONS),
        st.just(("sync",)),
    ),
    max_size=40,
)


@given(STEPS)
def test_every_reply_and_every_znode(steps: list[tuple]) -> None:  # type: ignore[type-arg]
    quiet = QuietServer()
    client = QuietClient(quiet)
    model = Model()
    expected: list[tuple[int, str]] = []
    opcodes: list[int] = []
    for number, (kind, *rest) in enumerate(steps):
        if kind == "sync":
            quiet.sync()
            continue
        if kind == "create":
            path, data, flags = rest
            opcode, record = wire.CREATE, wire.create_request(path, data, flags=flags)
            expected.append(model.create(path, data, flags))
        elif kind == "delete":
            opcode, record = wire.DELETE, wire.version_request(*rest)
            expected.append((model.delete(*rest), ""))
        else:
            opcode, record = wire.SET_DATA, wire.set_data_request(*rest)
            expected.append((model.set_data(*rest), ""))
        opcodes.append(opcode)
        client.receive(wire.request(number, opcode, record))
    quiet.sync()
    for opcode, (error, path), frame in zip(opcodes, expected, client.frames(), strict=True):
        reply = wire.decode_reply(opcode, frame)
        assert reply["err"] == error
        if path:
            assert reply["body"]["path"] == path.encode()
    look_at_all(client, model)


def look_at_all(client: QuietClient, model: Model) -> None:
    """Every znode as getData and getChildren2 show it."""
    for path, node in model.nodes.items():
        client.receive(
            wire.request(1, wire.GET_DATA, wire.read_request(path or "/")),
            wire.request(2, wire.GET_CHILDREN2, wire.read_request(path or "/")),
        )
        first, second = client.frames()
        got = wire.decode_reply(wire.GET_DATA, first)["body"]
        assert got["data"] == node.data
        stat = got["stat"]
        assert stat["version"] == node.version
        assert stat["dataLength"] == len(node.data or b"")
        assert stat["numChildren"] == len(node.children)
        if path:
            assert stat["cversion"] == 2 * node.created - len(node.children)
        assert bool(stat["ephemeralOwner"]) == node.ephemeral
        listed = wire.decode_reply(wire.GET_CHILDREN2, second)["body"]["children"]
        assert sorted(listed) == sorted(name.encode() for name in node.children)
