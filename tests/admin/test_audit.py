"""The audit log: what is told of each operation, by which server, and in which form."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from kazoo.client import KazooClient
from kazoo.exceptions import KazooException
from kazoo.security import ACL, OPEN_ACL_UNSAFE, Id, make_digest_acl

from tests.support import wire
from tests.support.apache import NOT_INSTALLED, ApacheServer, apache_available
from tests.support.ensemble_processes import ZKSERVER, EnsembleProcesses
from tests.support.quiet_server import QuietClient, QuietServer
from tests.support.zkserver_process import ZkserverProcess
from zkserver.base import opcodes as op
from zkserver.jute import txns
from zkserver.server.audit import AuditedCommits, AuditedTxns, audited
from zkserver.server.database import Database
from zkserver.server.learning import LearnerPipeline
from zkserver.server.pipeline import Pipeline
from zkserver.tree.tree import DataTree
from zkserver.zab.committed_log import CommittedLog

LOG4J = """\
appender.c.type = Console
appender.c.name = C
appender.c.layout.type = PatternLayout
appender.c.layout.pattern = %m%n
rootLogger.level = WARN
rootLogger.appenderRef.c.ref = C
logger.a.name = org.apache.zookeeper.audit
logger.a.level = INFO
"""
EVENT = re.compile(r"(?:session=0x[0-9a-f]+\t)?user=\S+\t.*result=\w+$")
DELETION = "ephemeralZNodeDeletionOnSessionCloseOrExpire"


def told(server) -> list[str]:
    """The events in a server's log, with sessions by the order in which they appear."""
    sessions: dict[str, str] = {}
    lines = []
    for line in (server.folder / "server.log").read_text().splitlines():
        if match := EVENT.search(line):
            lines.append(
                re.sub(
                    "0x[0-9a-f]+",
                    lambda found: sessions.setdefault(found[0], f"S{len(sessions)}"),
                    match[0],
                    count=1,
                )
            )
    return lines


def attempt(call, *arguments, **options):
    """A call that may be refused."""
    try:
        return call(*arguments, **options)
    except KazooException:
        return None


def connected(port: int) -> KazooClient:
    client = KazooClient(f"127.0.0.1:{port}", timeout=10)
    client.start(timeout=30)
    return client


def ended(client: KazooClient) -> None:
    client.stop()
    client.close()


def single_operations(client: KazooClient) -> None:
    create = client.create
    for path, options in (
        ("/a", {}), ("/a", {}), ("/no/parent", {}), ("/d", {}), ("/a/e", {"ephemeral": True}),
        ("/a/s-", {"sequence": True}),
    ):  # fmt: skip
        attempt(create, path, b"x", **options)
    attempt(client.set, "/a", b"y")
    attempt(client.set, "/none", b"y")
    attempt(client.set, "/a", b"y", version=77)
    for path in ("/d", "/none", "/a"):
        attempt(client.delete, path)
    two = [ACL(31, Id("world", "anyone")), ACL(1, Id("ip", "127.0.0.1"))]
    attempt(client.set_acls, "/a", two)
    attempt(client.set_acls, "/none", OPEN_ACL_UNSAFE)
    client.add_auth("digest", "bob:secret")
    attempt(create, "/bob", b"", acl=[ACL(31, Id("auth", ""))])
    attempt(client.set_acls, "/bob", [make_digest_acl("bob", "secret", all=True)])
    attempt(create, "/bad", b"", acl=[ACL(31, Id("nosuch", "x"))])
    attempt(client.get, "/a")
    attempt(client.reconfig, joining=None, leaving="3", new_members=None)


def multis(client: KazooClient) -> None:
    first = client.transaction()
    first.create("/m", b"")
    first.set_data("/a", b"z")
    first.check("/a", -1)
    first.create("/m-", b"", sequence=True)
    first.create("/me", b"", ephemeral=True)
    first.delete("/m")
    first.commit()
    second = client.transaction()
    second.create("/m", b"")
    second.delete("/none")
    second.commit()


def the_story(port: int) -> None:
    client = connected(port)
    single_operations(client)
    multis(client)
    other = connected(port)
    attempt(other.set, "/bob", b"no")
    other.create("/other", b"", ephemeral=True)
    ended(other)
    client.delete("/a/e")
    client.delete("/me")
    ended(client)


def test_a_server_tells_what_apaches_tells(tmp_path: Path) -> None:
    if not apache_available():
        pytest.skip(NOT_INSTALLED)
    (tmp_path / "log4j2.properties").write_text(LOG4J)
    java = {
        "log4j2.configurationFile": str(tmp_path / "log4j2.properties"),
        "org.slf4j.simpleLogger.log.org.apache.zookeeper.audit": "info",
    }
    cfg = {"audit.enable": "true"}
    answers = []
    for server in (
        ZkserverProcess(tmp_path / "zkserver", cfg=cfg),
        ApacheServer(tmp_path / "apache", {"zookeeper.audit.enable": "true", **java}),
    ):
        with server:
            the_story(server.port)
        answers.append(told(server))
    assert answers[0] == answers[1]
    assert len(answers[0]) > 25
    assert answers[0][0].endswith("\toperation=serverStart\tresult=success")
    assert answers[0][-1].endswith("\toperation=serverStop\tresult=invoked")


def test_the_server_of_the_connection_tells_and_all_tell_of_ephemerals(tmp_path: Path) -> None:
    cfg = {"audit.enable": "true"}
    with EnsembleProcesses(tmp_path, ZKSERVER * 3, observers=1, cfg=cfg) as ensemble:
        numbers = {mode: number for number, mode in ensemble.modes().items()}
        for mode in ("follower", "leader", "observer"):
            client = connected(ensemble.server(numbers[mode]).port)
            client.create(f"/{mode}", b"", ephemeral=True)
            attempt(client.set, "/none", b"")
            ended(client)
        # Each server has applied the last closeSession once it has answered a sync behind it.
        for number in numbers.values():
            client = connected(ensemble.server(number).port)
            client.sync("/")
            ended(client)
        logs = {mode: told(ensemble.server(number)) for mode, number in numbers.items()}
    for mode, lines in logs.items():
        own = [line for line in lines if "\tip=" in line]
        assert [line.partition("\tip=127.0.0.1\t")[2] for line in own] == [
            f"operation=create\tznode=/{mode}\tznode_type=ephemeral\tresult=success",
            "operation=setData\tznode=/none\tresult=failure",
        ]
        gone = [line.partition("\toperation=")[2] for line in lines if DELETION in line]
        assert gone == [
            f"{DELETION}\tznode=/{each}\tresult=success"
            for each in ("follower", "leader", "observer")
        ]


def test_as_json_and_whatever_the_level(tmp_path: Path) -> None:
    class AsJson(ZkserverProcess):
        def command(self) -> list[str]:
            words = super().command()
            return [*words[:-1], "--json-logs", "--log-level", "ERROR", words[-1]]

    with AsJson(tmp_path, cfg={"audit.enable": "true"}) as server:
        client = connected(server.port)
        client.create("/a b=ü", b"")
        ended(client)
    lines = (server.folder / "server.log").read_text().splitlines()
    events = [json.loads(line) for line in lines if line.startswith("{")]
    assert {event["logger"] for event in events} == {"audit"}
    assert [event["operation"] for event in events] == ["serverStart", "create", "serverStop"]
    assert events[1]["znode"] == "/a b=ü"
    assert list(events[1])[4:] == [
        "session", "user", "ip", "operation", "znode", "znode_type", "result"
    ]


def test_a_server_that_cannot_start_says_so(tmp_path: Path) -> None:
    cfg = {"audit.enable": "true", "clientPortAddress": "192.0.2.1"}
    server = ZkserverProcess(tmp_path, cfg=cfg)
    server.launch()
    server.process.wait(30)
    assert [line.partition("\t")[2] for line in told(server)] == [
        "operation=serverStart\tresult=failure"
    ]


class Auditor:
    """A quiet server that audits."""

    def __init__(self, **settings: object) -> None:
        self.quiet = QuietServer(**settings)
        self.events: list[dict[str, str]] = []
        self.quiet.host.audit = self.events.append
        self.quiet.server.pipeline = AuditedTxns(self.quiet.server)
        self.client = QuietClient(self.quiet)

    def tell(self, kind: int, record: bytes) -> list[dict[str, str]]:
        """What is told of one request."""
        self.events.clear()
        self.client.receive(wire.request(1, kind, record))
        self.quiet.sync()
        return list(self.events)


def test_kinds_of_znodes() -> None:
    auditor = Auditor()
    found = []
    for flags in range(4):
        found += auditor.tell(op.CREATE, wire.create_request(f"/{flags}", flags=flags))
    found += auditor.tell(op.CREATE_CONTAINER, wire.create_request("/4", flags=4))
    assert [event["znode_type"] for event in found] == [
        "persistent", "ephemeral", "persistent_sequential", "ephemeral_sequential", "container"
    ]
    assert found[2]["znode"] == "/20000000002"
    unknown = auditor.tell(op.CREATE, wire.create_request("/9", flags=9))
    assert [event["result"] for event in unknown] == ["failure"]
    assert "znode_type" not in unknown[0]


def test_the_servers_own_deletions_and_reads_are_not_told() -> None:
    auditor = Auditor()
    auditor.tell(op.CREATE_CONTAINER, wire.create_request("/c", flags=4))
    auditor.events.clear()
    auditor.quiet.server.pipeline.submit_internal(
        op.DELETE_CONTAINER, 0, wire.path_request("/c")
    )
    auditor.quiet.sync()
    assert auditor.quiet.tree.find(b"/c") is None
    assert auditor.events == []
    assert auditor.tell(op.GET_DATA, wire.read_request("/")) == []
    assert auditor.tell(op.SET_DATA, b"\0\0") == []


def test_a_session_that_ends_without_naming_its_ephemerals() -> None:
    auditor = Auditor(close_session_txn_enabled=False)
    auditor.tell(op.CREATE, wire.create_request("/e", flags=1))
    found = auditor.tell(op.CLOSE_SESSION, b"")
    assert [(event["operation"], event["znode"]) for event in found] == [(DELETION, "/e")]
    assert "ip" not in found[0]


def test_without_the_setting_nothing_is_on_the_way() -> None:
    assert audited(Pipeline, False) is Pipeline
    assert audited(Pipeline, True) is AuditedTxns
    assert issubclass(audited(LearnerPipeline, True), LearnerPipeline)


def test_a_client_may_ask_for_the_deletion_of_a_container() -> None:
    """The request is meant for servers alone, but any client can send it."""
    auditor = Auditor()
    auditor.tell(op.CREATE_CONTAINER, wire.create_request("/c", flags=4))
    record = wire.path_request("/c")
    found = auditor.tell(op.DELETE_CONTAINER, record) + auditor.tell(op.DELETE_CONTAINER, record)
    assert [(event["operation"], event["znode"], event["result"]) for event in found] == [
        ("delete", "/c", "success"), ("delete", "/c", "failure")
    ]


def test_a_client_may_give_all_its_requests_the_same_cxid() -> None:
    """On a learner, where a transaction has to be found by its session and cxid."""
    quiet = QuietServer()
    events: list[dict[str, str]] = []
    quiet.host.audit = events.append
    client = QuietClient(quiet)
    database = Database(DataTree, CommittedLog(10))
    pipeline = quiet.server.pipeline = AuditedCommits(quiet.server, database, "follower")
    session_id, zxids = client.connection.session_id, iter(range(100, 200))

    def commit(kind: int, body: object, cxid: int = 5) -> None:
        zxid = next(zxids)
        txn = session_id, cxid, zxid, 0, kind, body
        pipeline.committed([(zxid, txns.encode(txn, None))])

    part = op.SET_DATA, wire.set_data_request("/", b"x")
    client.receive(
        wire.request(5, op.CREATE_SESSION, wire.int32(1000)),
        wire.request(5, op.MULTI, wire.multi_request([part])),
        wire.request(5, op.SET_DATA, wire.set_data_request("/", b"y")),
        wire.request(5, op.SET_DATA, wire.set_data_request("/", b"z")),
    )
    # The session is no change. What comes of the server's own doing has another cxid or type.
    commit(op.CREATE_SESSION, (1000,))
    commit(op.ERROR, (-101,), cxid=0)
    commit(op.MULTI, ((op.SET_DATA, (b"/", b"x", 1)),))
    commit(op.SET_DATA, (b"/", b"y", 2))
    commit(op.ERROR, (-103,))
    commit(op.ERROR, (-103,))
    assert [(each["operation"], each["znode"], each["result"]) for each in events] == [
        ("setData", "/", "success"), ("setData", "/", "success"), ("setData", "/", "failure")
    ]
