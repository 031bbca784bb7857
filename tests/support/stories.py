"""Words for the stories of `tests/peers/test_stories_*.py`.

A story is told to zkserver and to Apache ZooKeeper in lock-step and states what both
must answer. Where Apache is missing, or too old for the story, zkserver is asked alone:
what the story states still holds.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tests.support import wire
from tests.support.lockstep import Burst, Connect, Outcome, Pair, Raw, Request

OK, MARSHALLING_ERROR, UNIMPLEMENTED, BAD_ARGUMENTS = 0, -5, -6, -8
RUNTIME_INCONSISTENCY, NO_NODE, NO_AUTH, BAD_VERSION = -2, -101, -102, -103
NO_CHILDREN_FOR_EPHEMERALS, NODE_EXISTS, NOT_EMPTY, INVALID_ACL = -108, -110, -111, -114
AUTH_FAILED, NO_WATCHER, RECONFIG_DISABLED, QUOTA_EXCEEDED = -115, -121, -123, -125

CREATED, DELETED, CHANGED, CHILD = 1, 2, 3, 4

Events = list[tuple[int, bytes]]


class Session:
    """A session of the story, the same on both servers. Each call is one compared step."""

    def __init__(self, pair: Pair, slot: int) -> None:
        self.pair = pair
        self.slot = slot
        self.outcome = Outcome()

    # -- connections

    def connect(self, **form: Any) -> wire.Record:
        """A new connection and session; its answer (empty if the server just closed)."""
        self.outcome = self.pair.perform(Connect(self.slot, **form))
        return self._first()

    def reconnect(self, **form: Any) -> wire.Record:
        """A new connection of the same session."""
        return self.connect(session=True, **form)

    @property
    def closed(self) -> bool:
        """Whether the last step ended this connection."""
        return self.slot in self.outcome.closed

    def send_raw(self, data: bytes) -> bool:
        """Send bytes that are no frame; whether the server closed the connection."""
        self.outcome = self.pair.perform(Raw(self.slot, data))
        return self.closed

    # -- requests

    def ask(
        self, opcode: int, record: bytes = b"", xid: int | None = None, silent: bool = False
    ) -> wire.Record:
        """One request; its reply (empty if none came)."""
        self.outcome = self.pair.perform(Request(self.slot, opcode, record, xid, silent))
        return self._first()

    def burst(self, *requests: tuple[int, bytes]) -> list[wire.Record]:
        """Several requests in one write; their replies."""
        self.outcome = self.pair.perform(Burst(self.slot, requests))
        return self.outcome.replies(self.slot)[: len(requests)]

    def _first(self) -> wire.Record:
        replies = self.outcome.replies(self.slot)
        return replies[0] if replies else {}

    def err(self, opcode: int, record: bytes = b"", xid: int | None = None) -> int | None:
        """The error code of one request."""
        return self.ask(opcode, record, xid).get("err")

    def events(self) -> Events:
        """The watch events that the last step brought here, whoever caused it."""
        return self.pair_events(self.outcome)

    def pair_events(self, outcome: Outcome) -> Events:
        """This session's events of a step that another session took."""
        return outcome.events(self.slot)

    # -- the operations by name; those that return int give the error code

    def create(
        self,
        path: wire.Text,
        data: bytes | None = b"",
        acl: wire.AclEntries = wire.OPEN_ACL,
        flags: int = 0,
    ) -> int | None:
        """create"""
        return self.err(wire.CREATE, wire.create_request(path, data, acl, flags))

    def created(self, path: wire.Text, flags: int = 0, data: bytes | None = b"") -> bytes:
        """create that must succeed; the path it made"""
        reply = self.ask(wire.CREATE, wire.create_request(path, data, flags=flags))
        made: bytes = reply["body"]["path"]
        return made

    def delete(self, path: wire.Text, version: int = -1) -> int | None:
        """delete"""
        return self.err(wire.DELETE, wire.version_request(path, version))

    def set_data(self, path: wire.Text, data: bytes | None = b"", version: int = -1) -> int | None:
        """setData"""
        return self.err(wire.SET_DATA, wire.set_data_request(path, data, version))

    def set_acl(self, path: wire.Text, acl: wire.AclEntries, version: int = -1) -> int | None:
        """setACL"""
        return self.err(wire.SET_ACL, wire.set_acl_request(path, acl, version))

    def exists(self, path: wire.Text, watch: bool = False) -> int | None:
        """exists"""
        return self.err(wire.EXISTS, wire.read_request(path, watch))

    def stat(self, path: wire.Text) -> wire.Record:
        """The Stat of a node that must be there"""
        reply = self.ask(wire.EXISTS, wire.read_request(path))
        found: wire.Record = reply["body"]["stat"]
        return found

    def get_data(self, path: wire.Text, watch: bool = False) -> int | None:
        """getData"""
        return self.err(wire.GET_DATA, wire.read_request(path, watch))

    def get_children(self, path: wire.Text, watch: bool = False) -> int | None:
        """getChildren"""
        return self.err(wire.GET_CHILDREN, wire.read_request(path, watch))

    def acl(self, path: wire.Text) -> wire.Record:
        """getACL"""
        return self.ask(wire.GET_ACL, wire.path_request(path))

    def auth(self, user_and_password: str) -> int | None:
        """auth with scheme digest"""
        record = wire.auth_request("digest", user_and_password.encode())
        return self.err(wire.AUTH, record, wire.XID_AUTH)

    def multi(self, *operations: tuple[int, bytes]) -> wire.Record:
        """multi"""
        return self.ask(wire.MULTI, wire.multi_request(operations))

    def add_watch(self, path: wire.Text, mode: int) -> int | None:
        """addWatch: 0 persistent, 1 persistent recursive"""
        return self.err(wire.ADD_WATCH, wire.typed_path_request(path, mode))

    def check_watches(self, path: wire.Text, kind: int) -> int | None:
        """checkWatches: 1 children, 2 data, 3 any, 4 persistent, 5 recursive"""
        return self.err(wire.CHECK_WATCHES, wire.typed_path_request(path, kind))

    def remove_watches(self, path: wire.Text, kind: int) -> int | None:
        """removeWatches, kinds as for checkWatches"""
        return self.err(wire.REMOVE_WATCHES, wire.typed_path_request(path, kind))

    def set_watches(self, zxid: int, *parts: Iterable[wire.Text] | None) -> int | None:
        """setWatches with three lists of paths, setWatches2 with five"""
        opcode = wire.SET_WATCHES if len(parts) == 3 else wire.SET_WATCHES2
        record = wire.set_watches_request(zxid, *parts)
        return self.err(opcode, record, wire.XID_SET_WATCHES)

    def close(self) -> int | None:
        """closeSession"""
        return self.err(wire.CLOSE_SESSION)


class Story:
    """Hands out sessions, and ends them when the story is told."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.slots = 0

    def session(self, **form: Any) -> Session:
        """A new connected session."""
        session = self.unconnected()
        session.connect(**form)
        return session

    def unconnected(self) -> Session:
        """A session that has yet to connect."""
        self.slots += 1
        return Session(self.pair, self.slots)

    def end(self) -> None:
        """Close the sessions that are still open."""
        if not self.pair.broken:
            for slot in self.pair.live_slots:
                self.pair.perform(Request(slot, wire.CLOSE_SESSION))
        self.pair.close()
        for side in self.pair.sides:
            side.credentials.clear()
