"""The console's JSON, asked as the page asks it: a standalone server, and real client sessions."""

from __future__ import annotations

import asyncio
import base64
import gc
import io
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.admin.inside import Answer, Inside
from zkserver.admin import console_sessions
from zkserver.base.auth_digest import generate_digest
from zkserver.cli.serve import _add_console
from zkserver.client import CREATOR_ALL_ACL, Client, CreateMode, quotas
from zkserver.runtime import logs
from zkserver.tree.owners import CONTAINER, TTL

ANN = {"Authorization": "digest ann:secret"}
HEADER = {"X-Zkserver-Console": "1"}


async def ask(inside: Inside, what: str, given: Any = None, **headers: str) -> Answer:
    """A GET, or a POST of `given`."""
    options: dict[str, Any] = {"headers": HEADER | headers}
    if given is not None:
        options["json"] = given
    method = "GET" if given is None else "POST"
    return await inside.ask(f"/console/api/{what}", method, **options)


def text(data: str) -> str:
    return base64.b64encode(data.encode()).decode()


def run(
    folder: Path, check: Callable[[Inside, Client], Awaitable[None]], *lines: str
) -> None:
    """`check` with a server that has a console, and a client of ann's."""

    async def go() -> None:
        async with Inside(folder, *lines, add_routes=[_add_console]) as inside:
            address = f"127.0.0.1:{inside.client_port}"
            async with Client(address, auth=[("digest", b"ann:secret")]) as client:
                await check(inside, client)

    asyncio.run(go())


def test_a_znode_with_data_stat_and_acl(tmp_path: Path) -> None:
    async def check(inside: Inside, client: Client) -> None:
        await client.create("/a", b"\x00\xff", acl=CREATOR_ALL_ACL)
        found = (await ask(inside, "znode?path=/a", **ANN)).report
        stat = await client.exists("/a")
        assert stat is not None
        assert base64.b64decode(found["data"]) == b"\x00\xff"
        assert found["stat"]["czxid"] == hex(stat.czxid)
        assert found["stat"]["mtime_ms"] == stat.mtime
        assert found["stat"]["owner"] is None
        [entry] = found["acl"]
        assert (entry["perms"], entry["scheme"]) == ("cdrwa", "digest")

    run(tmp_path, check)


def test_acls_hold_for_the_console_as_for_any_client(tmp_path: Path) -> None:
    async def check(inside: Inside, client: Client) -> None:
        await client.create("/secret", b"x", acl=CREATOR_ALL_ACL)
        for headers in ({}, {"Authorization": "digest ann:wrong"}):
            answer = await ask(inside, "znode?path=/secret", **headers)
            assert (answer.status, answer.report["code"]) == (403, "NOAUTH")
        change = {"path": "/secret", "data": text("y"), "version": 0}
        answer = await ask(inside, "set", change, Authorization="digest bob:pw")
        assert (answer.status, answer.report["code"]) == (403, "NOAUTH")
        assert (await client.get("/secret"))[0] == b"x"
        assert (await ask(inside, "set", change, **ANN)).status == 200
        assert (await client.get("/secret"))[0] == b"y"

    run(tmp_path, check)


@pytest.mark.parametrize(("forwarded", "status"), [("10.1.2.3", 200), ("127.0.0.1", 403)])
def test_an_acl_of_an_address_means_the_callers(
    tmp_path: Path, forwarded: str, status: int
) -> None:
    """The session comes from this machine; who asks for it may come from another."""

    async def check(inside: Inside, client: Client) -> None:
        from zkserver.client import ALL, Acl

        await client.create("/there", b"", acl=[Acl(ALL, "ip", "10.1.2.3")])
        answer = await ask(inside, "znode?path=/there", **{"X-Forwarded-For": forwarded})
        assert answer.status == status

    run(tmp_path, check, "IPAuthenticationProvider.usexforwardedfor=true")


def test_create_change_delete(tmp_path: Path) -> None:
    async def check(inside: Inside, client: Client) -> None:
        made = await ask(inside, "create", {"path": "/a", "data": text("one")}, **ANN)
        assert made.report == {"path": "/a"}
        sequential = {"path": "/a/n-", "data": "", "mode": "sequential"}
        made = await ask(inside, "create", sequential, **ANN)
        assert made.report == {"path": "/a/n-0000000000"}
        changed = await ask(inside, "set", {"path": "/a", "data": text("ü"), "version": 0}, **ANN)
        assert changed.report["stat"]["version"] == 1
        assert (await client.get("/a"))[0] == "ü".encode()
        refused = await ask(inside, "delete", {"path": "/a", "version": 1}, **ANN)
        assert (refused.status, refused.report["code"]) == (409, "NOTEMPTY")
        for path, version in (("/a/n-0000000000", 0), ("/a", 1)):
            answer = await ask(inside, "delete", {"path": path, "version": version}, **ANN)
            assert answer.status == 200
        assert await client.exists("/a") is None

    run(tmp_path, check)


def test_kinds_and_acls_of_new_znodes(tmp_path: Path) -> None:
    async def check(inside: Inside, _client: Client) -> None:
        for name, mode, kind in (("c", "container", CONTAINER), ("t", "ttl", TTL)):
            given = {"path": f"/{name}", "data": "", "mode": mode, "acl": "mine and read"}
            if mode == "ttl":
                given["ttl_ms"] = 60_000
            assert (await ask(inside, "create", given, **ANN)).status == 200
            found = (await ask(inside, f"znode?path=/{name}")).report
            assert [each["perms"] for each in found["acl"]] == ["cdrwa", "r"]
            owner = inside.server.tree.nodes[f"/{name}".encode()].owner
            assert inside.server.tree.owner_types.kind(owner) == kind

    run(tmp_path, check, "extendedTypesEnabled=true")


def test_a_conflict_shows_what_is_there(tmp_path: Path) -> None:
    async def check(inside: Inside, client: Client) -> None:
        await client.create("/a", b"one")
        await client.set("/a", b"two")
        for what in ("set", "delete"):
            given = {"path": "/a", "version": 0, "data": text("mine")}
            answer = await ask(inside, what, given, **ANN)
            assert (answer.status, answer.report["code"]) == (409, "BADVERSION")
            current = answer.report["current"]
            assert base64.b64decode(current["data"]) == b"two"
            assert current["stat"]["version"] == 1
        assert (await client.get("/a"))[0] == b"two"

    run(tmp_path, check)


def test_children_come_in_slices(tmp_path: Path) -> None:
    async def check(inside: Inside, client: Client) -> None:
        await client.create("/big")
        await asyncio.gather(*(client.create(f"/big/n{number}") for number in range(2500)))
        lines = (await ask(inside, "children?path=/big")).body.splitlines()
        head, *slices = (json.loads(line) for line in lines)
        assert head["count"] == head["stat"]["num_children"] == 2500
        assert [len(each) for each in slices] == [1000, 1000, 500]
        assert {name for each in slices for name in each} == {f"n{n}" for n in range(2500)}

    run(tmp_path, check)


def test_stats_of_several_children(tmp_path: Path) -> None:
    async def check(inside: Inside, client: Client) -> None:
        await client.create("/a/b".rpartition("/")[0])
        await client.create("/a/b", mode=CreateMode.EPHEMERAL)
        found = (await ask(inside, "stats", {"path": "/a", "names": ["b", "gone"]})).report
        first, second = found["stats"]
        assert first["owner"] == hex(client.session_id)
        assert second is None

    run(tmp_path, check)


def test_search_goes_on_until_all_has_been_seen(tmp_path: Path) -> None:
    async def check(inside: Inside, client: Client) -> None:
        for parent in range(30):
            await client.create(f"/p{parent}")
            await asyncio.gather(*(client.create(f"/p{parent}/Leaf-{n}") for n in range(60)))
        found: list[str] = []
        answers = 0
        query = "search?path=/&name=LEAF-5"
        while query:
            report = (await ask(inside, query)).report
            assert report["looked_at"] - answers * 1024 <= 1024
            found += report["matches"]
            answers += 1
            query = f"search?id={report['id']}" if report["id"] else ""
        assert answers > 1
        assert len(found) == len(set(found)) == 30 * 11
        assert (await ask(inside, "search?id=0123")).status == 404

    run(tmp_path, check)


def test_paths_are_completed(tmp_path: Path) -> None:
    async def check(inside: Inside, client: Client) -> None:
        for path in ("/app", "/app/one", "/app/only", "/app/two"):
            await client.create(path)
        report = (await ask(inside, "complete?prefix=/app/on")).report
        assert report == {"paths": ["/app/one", "/app/only"], "count": 2}
        assert (await ask(inside, "complete?prefix=/ap")).report["paths"] == ["/app"]

    run(tmp_path, check)


def test_quotas_with_usage(tmp_path: Path) -> None:
    async def check(inside: Inside, client: Client) -> None:
        await client.create("/a", b"12345")
        await quotas.set_quota(client, "/a", znodes=3, size_bytes_hard=100)
        report = (await ask(inside, "quotas")).report
        assert report["is_complete"]
        assert report["quotas"] == [{
            "path": "/a", "znodes": 1, "bytes": 5, "znodes_soft": 3, "bytes_soft": None,
            "znodes_hard": None, "bytes_hard": 100,
        }]

    run(tmp_path, check)


def test_sessions_with_ephemerals_and_watches(tmp_path: Path) -> None:
    async def check(inside: Inside, client: Client) -> None:
        await client.create("/e", mode=CreateMode.EPHEMERAL)
        await client.get("/e", lambda _: None)
        report = (await ask(inside, "sessions")).report
        [row] = [each for each in report["sessions"] if each["id"] == hex(client.session_id)]
        assert row["ephemerals"] == row["watches"] == ["/e"]
        assert row["timeout_ms"] == client.session_timeout_ms
        assert row["connection"]["remote_socket_address"].startswith("127.0.0.1:")

    run(tmp_path, check)


def test_the_ensemble_of_one(tmp_path: Path) -> None:
    async def check(inside: Inside, client: Client) -> None:
        await client.create("/a")
        report = (await ask(inside, "ensemble")).report
        assert report["self"]["is_standalone"]
        [row] = report["servers"]
        [sample] = row["samples"]
        assert sample["mode"] == "standalone"
        assert sample["zxid"] == hex(client.last_zxid)
        assert sample["connections"] >= 1
        # Nobody is asked twice in a second.
        again = (await ask(inside, "ensemble")).report
        assert len(again["servers"][0]["samples"]) == 1
        nothing = (await ask(inside, f"ensemble?after={again['now_ms']}")).report
        assert nothing["servers"][0]["samples"] == []

    run(tmp_path, check)


def test_a_standalone_server_has_no_elections(tmp_path: Path) -> None:
    async def check(inside: Inside, _client: Client) -> None:
        report = (await ask(inside, "elections")).report
        assert report["is_standalone"]
        assert report["chapters"] == []
        assert (await ask(inside, "elections?began=5")).status == 404

    run(tmp_path, check)


def test_sessions_are_shared_and_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def check(inside: Inside, _client: Client) -> None:
        before = len(inside.server.sessions)
        for _ in range(3):
            await ask(inside, "whoami")
            await ask(inside, "whoami", **ANN)
        await ask(inside, "ensemble")
        assert len(inside.server.sessions) == before + 2
        async with asyncio.timeout(10):
            while len(inside.server.sessions) > before:
                await asyncio.sleep(0.01)  # polling with a deadline
        # And opened again for whoever comes next.
        assert (await ask(inside, "whoami", **ANN)).report["may_change"]

    monkeypatch.setattr(console_sessions, "IDLE_S", 0.2)
    monkeypatch.setattr(console_sessions, "SWEEP_S", 0.05)
    run(tmp_path, check)


def test_a_session_that_has_ended_is_replaced(tmp_path: Path) -> None:
    async def check(inside: Inside, client: Client) -> None:
        await ask(inside, "whoami", **ANN)
        for connection in list(inside.server.connections):
            if connection.session_id != client.session_id:
                connection.close()
        await asyncio.sleep(0)
        statuses = [(await ask(inside, "whoami", **ANN)).status for _ in range(20)]
        assert statuses[-1] == 200
        assert set(statuses) <= {200, 503}

    run(tmp_path, check)


def test_no_more_sessions_than_so_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes next takes the place of the one that has been idle longest."""

    async def check(inside: Inside, _client: Client) -> None:
        before = len(inside.server.sessions)
        for user in range(6):
            answer = await ask(inside, "whoami", Authorization=f"digest user{user}:pw")
            assert answer.status == 200
        async with asyncio.timeout(10):
            while len(inside.server.sessions) > before + 3:
                await asyncio.sleep(0.01)  # polling with a deadline
        users = [
            each.ids[1].id.partition(":")[0]
            for each in inside.server.connections
            if len(each.ids) > 1 and each.ids[1].id.startswith("user")
        ]
        assert sorted(users) == ["user3", "user4", "user5"]

    monkeypatch.setattr(console_sessions, "MAX_SESSIONS", 3)
    run(tmp_path, check)


def test_a_server_that_takes_no_more_connections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check(inside: Inside, client: Client) -> None:
        answer = await ask(inside, "whoami")
        assert (answer.status, answer.report["code"]) == (504, "OPERATIONTIMEOUT")
        # What nobody awaits any more must not be an error of the server's.
        gc.collect()
        await client.create("/a")
        assert inside.process.exit_code == 0

    monkeypatch.setattr(console_sessions, "OPEN_LIMIT_S", 0.3)
    run(tmp_path, check, "maxClientCnxns=1")


def test_a_server_that_serves_only_who_has_authenticated(tmp_path: Path) -> None:
    async def check(inside: Inside, _client: Client) -> None:
        answer = await ask(inside, "znode?path=/")
        assert (answer.status, answer.report["code"]) == (403, "SESSIONCLOSEDREQUIRESASLAUTH")
        assert (await ask(inside, "znode?path=/", **ANN)).status == 200

    run(tmp_path, check, "enforce.auth.enabled=true", "enforce.auth.schemes=digest")


def test_quotas_hold_and_changes_are_audited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[dict[str, str]] = []

    async def check(inside: Inside, client: Client) -> None:
        await client.create("/a", b"")
        await quotas.set_quota(client, "/a", znodes_hard=2)
        events.clear()
        for name, status in (("b", 200), ("c", 409)):
            given = {"path": f"/a/{name}", "data": ""}
            answer = await ask(inside, "create", given, Authorization="digest zoe:pw")
            assert answer.status == status
        assert answer.report["code"] == "QUOTAEXCEEDED"
        seen = [(each["user"], each["znode"], each["result"]) for each in events]
        assert ("zoe,127.0.0.1", "/a/b", "success") in seen

    monkeypatch.setattr(logs, "audit", lambda fields: events.append(dict(fields)))
    run(tmp_path, check, "enforceQuota=true", "audit.enable=true")


def test_who_somebody_is(tmp_path: Path) -> None:
    async def check(inside: Inside, _client: Client) -> None:
        nobody = (await ask(inside, "whoami")).report
        assert nobody == {"ids": [{"scheme": "ip", "id": "127.0.0.1"}], "may_change": False}
        ann = (await ask(inside, "whoami", **ANN)).report
        assert ann["may_change"]
        other = await ask(inside, "whoami", Authorization="digest jürgen:pä ß:ü")
        expected = generate_digest("jürgen:pä ß:ü")
        assert other.report["ids"][1]["id"] == "jürgen"
        ids = [str(one.id) for each in inside.server.connections for one in each.ids]
        assert expected in ids
        assert ann["ids"][1] == {"scheme": "digest", "id": "ann"}

    run(tmp_path, check)


@pytest.mark.parametrize(
    ("what", "given", "status"),
    [
        ("znode", None, 400),
        ("znode?path=nothing", None, 400),
        ("znode?path=/a//b", None, 400),
        ("znode?path=/gone", None, 404),
        ("children?path=/gone", None, 404),
        ("complete?prefix=x", None, 400),
        ("search?path=/&name=", None, 400),
        ("sessions?begin=-1", None, 400),
        ("ensemble?after=x", None, 400),
        ("nothing", None, 404),
        ("stats", [], 400),
        ("stats", {"path": "/", "names": "x"}, 400),
        ("stats", {"path": "/", "names": [1]}, 400),
        ("stats", {"path": "/", "names": ["x"] * 501}, 400),
        ("create", {"path": "/a"}, 400),
        ("create", {"path": "/a", "data": "no Base64!"}, 400),
        ("create", {"path": "/a", "data": "", "mode": "ephemeral"}, 400),
        ("create", {"path": "/a", "data": "", "acl": ["open"]}, 400),
        ("create", {"path": "/a", "data": "", "mode": "ttl"}, 400),
        ("create", {"path": "/a\x00", "data": ""}, 400),
        ("create", {"path": "/zookeeper", "data": ""}, 409),
        ("create", {"path": "/gone/a", "data": ""}, 404),
        ("set", {"path": "/", "data": "", "version": -1}, 400),
        ("set", {"path": "/", "data": "", "version": True}, 400),
        ("delete", {"path": "/zookeeper", "version": 0}, 400),
    ],
)
def test_what_cannot_be(tmp_path: Path, what: str, given: Any, status: int) -> None:
    async def check(inside: Inside, client: Client) -> None:
        answer = await ask(inside, what, given, **ANN)
        assert answer.status == status, answer.body
        assert await client.exists("/a") is None
        # The server lives on.
        assert (await ask(inside, "whoami", **ANN)).status == 200

    run(tmp_path, check)


def test_data_that_are_too_long(tmp_path: Path) -> None:
    async def check(inside: Inside, _client: Client) -> None:
        for size, status in ((1_000_000, 200), (1_060_000, 400)):
            given = {"path": f"/a{size}", "data": base64.b64encode(bytes(size)).decode()}
            body = io.BytesIO(json.dumps(given).encode())
            headers = HEADER | ANN | {"Content-Type": "application/json"}
            answer = await inside.ask("/console/api/create", "POST", data=body, headers=headers)
            assert answer.status == status

    run(tmp_path, check)


def test_a_body_that_is_too_long(tmp_path: Path) -> None:
    async def check(inside: Inside, client: Client) -> None:
        body = io.BytesIO(json.dumps({"path": "/a", "data": "A" * 3_000_000}).encode())
        headers = HEADER | ANN | {"Content-Type": "application/json"}
        answer = await inside.ask("/console/api/create", "POST", data=body, headers=headers)
        assert answer.status == 413
        assert await client.exists("/a") is None

    run(tmp_path, check)


def test_passwords_are_not_logged(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    async def check(inside: Inside, _client: Client) -> None:
        await ask(inside, "whoami", Authorization="digest eve:topmost-secret")
        await ask(inside, "whoami", Authorization="topmost-secret")
        await ask(inside, "create", {"path": "/a"}, Authorization="digest eve:topmost-secret")

    run(tmp_path, check)
    out, err = capfd.readouterr()
    assert "topmost-secret" not in out + err
