"""The commands of a standalone server, beside what Apache's 3.9.5 answers (apache_keys.json)."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.admin.inside import Inside, raw, run
from zkserver.admin.commands import COMMANDS, NAMES
from zkserver.admin.json_text import text_of

APACHE = json.loads((Path(__file__).parent / "apache_keys.json").read_text())
ALIASES = {
    "conf": "configuration", "config": "configuration", "cons": "connections",
    "crst": "connection_stat_reset", "env": "environment", "envi": "environment",
    "gtmk": "get_trace_mask", "icfg": "initial_configuration", "isro": "is_read_only",
    "lsnp": "last_snapshot", "lead": "leader", "mntr": "monitor",
    "orst": "observer_connection_stat_reset", "obsr": "observers", "rest": "restore",
    "stmk": "set_trace_mask", "srvr": "server_stats", "snap": "snapshot", "srst": "stat_reset",
    "stat": "stats", "sysp": "system_properties", "wchc": "watches", "wchp": "watches_by_path",
    "wchs": "watch_summary",
}


def missing(apache: Any, ours: Any, where: str = "") -> list[str]:
    """The keys of Apache's that are not there, by their way."""
    if isinstance(apache, list):
        pairs = [(apache[0], each) for each in ours] if apache else []
        return [lack for one, other in pairs for lack in missing(one, other, f"{where}[]")]
    if not isinstance(apache, dict):
        return []
    lacks = [f"{where}.{key}" for key in apache if key not in ours]
    for key in apache.keys() & ours.keys():
        lacks += missing(apache[key], ours[key], f"{where}.{key}")
    return lacks


def keys_of(name: str, role: str) -> dict[str, Any]:
    """Apache's keys; its list of properties is another one."""
    keys = dict(APACHE[role][name])
    return {"command": None, "error": None} if name == "system_properties" else keys


async def with_a_session(inside: Inside) -> Any:
    """A client with an ephemeral znode and a watch, in a thread."""
    from kazoo.client import KazooClient

    def begin() -> KazooClient:
        client = KazooClient(f"127.0.0.1:{inside.client_port}", timeout=10)
        client.start()
        client.create("/e", b"x", ephemeral=True)
        client.get("/e", watch=lambda _: None)
        for _ in range(130):
            client.create("/n-", b"x", sequence=True)
        return client

    return await asyncio.to_thread(begin)


def test_every_command_has_apaches_keys(tmp_path: Path) -> None:
    async def check() -> None:
        async with Inside(tmp_path) as inside:
            client = await with_a_session(inside)
            for name in APACHE["standalone"]:
                answer = await inside.ask(name)
                assert answer.status == 200, name
                assert answer.headers["Content-Type"] == "application/json"
                assert answer.report["command"] == name
                apache = keys_of(name, "standalone")
                assert missing(apache, answer.report, name) == []
                extra = answer.report.keys() - apache.keys()
                assert not extra or name == "system_properties", (name, extra)
            await asyncio.to_thread(client.stop)

    run(check)


def test_what_is_shown_is_what_the_words_say(tmp_path: Path) -> None:
    async def check() -> None:
        async with Inside(tmp_path) as inside:
            client = await with_a_session(inside)
            session_id = client.client_id[0]
            report = (await inside.ask("dump")).report
            assert report["session_id_to_ephemeral_paths"] == {str(session_id): ["/e"]}
            assert [session_id] in report["expiry_time_to_session_ids"].values()
            assert (await inside.ask("watches")).report["session_id_to_watched_paths"] == {
                str(session_id): ["/e"]
            }
            assert (await inside.ask("wchp")).report["path_to_session_ids"] == {"/e": [session_id]}
            assert (await inside.ask("wchs")).report["num_total_watches"] == 1
            (connection,) = (await inside.ask("cons")).report["connections"]
            assert f" /{connection['remote_socket_address']}[1](queued=0," in await inside.word("cons")
            assert connection["session_id"] == session_id
            digests = (await inside.ask("hash")).report["digests"]
            assert [each["zxid"] for each in digests] == [128]
            assert f"80: {digests[0]['digest']}\n" == await inside.word("hash")
            stats = (await inside.ask("srvr")).report
            srvr = await inside.word("srvr")
            assert f"Node count: {stats['node_count']}\n" in srvr
            assert f"Zxid: 0x{stats['server_stats']['last_processed_zxid']:x}\n" in srvr
            rows = {line.partition("\t")[0] for line in (await inside.word("mntr")).splitlines()}
            monitor = (await inside.ask("monitor")).report
            assert {f"zk_{key}" for key in monitor} - rows == {"zk_command", "zk_error"}
            await inside.ask("srst")
            assert (await inside.ask("stats")).report["server_stats"]["packets_received"] <= 1
            await asyncio.to_thread(client.stop)

    run(check)


def test_aliases_list_page_and_unknown_names(tmp_path: Path) -> None:
    assert {name: COMMANDS[name].name for name in COMMANDS if name not in NAMES} == ALIASES

    async def check() -> None:
        async with Inside(tmp_path) as inside:
            alias = await inside.ask("conf")
            assert alias.report == (await inside.ask("configuration")).report | {"command": "conf"}
            for path in ("/commands", "/commands/", "/commands?x=1"):
                page = await inside.ask(path)
                links = page.body.decode().split("\n<br/>\n")
                assert links[0] == '<a href="/commands/configuration">configuration</a>'
                assert len(links) == len(NAMES) + 1
                assert page.headers["Content-Type"].startswith("text/html")
            for name in ("nonsense", "RUOK", "ruok/", "ruok/x", "a<b>", "ü"):
                answer = await inside.ask(f"/commands/{name}")
                assert answer.status == 200
                assert answer.report == {"command": name, "error": f"Unknown command: {name}"}
            assert (await inside.ask("/")).status == 404
            assert (await inside.ask("/favicon.ico")).status == 404

    run(check)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("TRACE", "ruok", 403), ("TRACE", "/commands", 403), ("PUT", "ruok", 405),
        ("DELETE", "ruok", 405), ("OPTIONS", "ruok", 200), ("HEAD", "ruok", 200),
        ("POST", "ruok", 405), ("POST", "nonsense", 200), ("POST", "/commands", 200),
    ],
)
def test_methods(tmp_path: Path, method: str, path: str, status: int) -> None:
    async def check() -> None:
        async with Inside(tmp_path) as inside:
            answer = await inside.ask(path, method)
            assert answer.status == status
            assert answer.headers["Server"] == "zkserver"
            if method == "HEAD":
                assert answer.body == b""
            if status == 405:
                assert "GET" in answer.headers["Allow"]

    run(check)


@pytest.mark.parametrize("name", ["stat_reset", "set_trace_mask?traceMask=1", "orst", "crst"])
def test_a_page_of_another_site_resets_nothing(tmp_path: Path, name: str) -> None:
    async def check() -> None:
        async with Inside(tmp_path) as inside:
            for site, status in (("cross-site", 403), ("same-site", 403), ("same-origin", 200)):
                got = await inside.ask(name, headers={"Sec-Fetch-Site": site})
                assert got.status == status, site
            got = await inside.ask("srvr", headers={"Sec-Fetch-Site": "cross-site"})
            assert got.status == 200

    run(check)


def test_trace_mask(tmp_path: Path) -> None:
    async def check() -> None:
        async with Inside(tmp_path) as inside:
            assert (await inside.ask("gtmk")).report["tracemask"] == 306
            error = "setTraceMask requires long traceMask argument"
            assert (await inside.ask("stmk")).report["error"] == error
            report = (await inside.ask("stmk?traceMask=abc")).report
            assert report["error"] == f"{error}, got abc"
            assert (await inside.ask("stmk?traceMask=-5")).report["tracemask"] == -5
            assert (await inside.ask("gtmk")).report["tracemask"] == -5
            assert await inside.word("gtmk") == "-5"

    run(check)


def test_no_password_is_shown(tmp_path: Path) -> None:
    lines = (
        "ssl.quorum.keyStore.password=sesame1",
        "ssl.keyStore.passwordPath=/a/file",
        "DigestAuthenticationProvider.superDigest = super:sesame2",
        "ssl.keyStore.pass\\\nword=\\\n  sesame3\\\n# sesame4",
        "tickTime=\\\n2000",
        "# a comment on a password=1",
    )

    async def check() -> None:
        async with Inside(tmp_path, *lines) as inside:
            text = (await inside.ask("icfg")).report["initial_configuration"]
            known = (await inside.ask("sysp")).report
            assert known["zookeeper.ssl.quorum.keyStore.password"] == "(hidden)"
            assert known["zookeeper.ssl.keyStore.passwordPath"] == "/a/file"
            assert "sesame" not in text + json.dumps(known)
            assert text.startswith(f"dataDir={tmp_path}\n")
            assert text.endswith("tickTime=\\\n2000\n# a comment on a password=1\n")

    run(check)


def test_another_url(tmp_path: Path) -> None:
    async def check(url: str, page: str, command: str) -> None:
        async with Inside(tmp_path, f"admin.commandURL={url}") as inside:
            assert f'<a href="{command}">' in (await inside.ask(page)).body.decode()
            assert (await inside.ask(command)).report == {"command": "ruok", "error": None}

    run(lambda: check("/a/b/", "/a/b", "/a/b/ruok"))
    run(lambda: check("x", "/x", "/x/ruok"))
    run(lambda: check("/", "/", "/ruok"))


def test_others_add_routes(tmp_path: Path) -> None:
    from aiohttp import web

    def add(app: web.Application, view: Any) -> None:
        async def page(_request: web.Request) -> web.Response:
            return web.Response(text=str(view.last_zxid))

        app.router.add_get("/page", page)

    async def check() -> None:
        async with Inside(tmp_path, add_routes=[add]) as inside:
            assert (await inside.ask("/page")).body == b"0"
            assert b"HTTP/1.1 404" in await raw(
                inside.admin.port or 0, b"GET /other HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            )

    run(check)


def test_the_text_is_apaches() -> None:
    report = {
        "connections": [{"a": 1}, {"b": "ü\n"}], "none": [], "ids": [1, 2], "empty": {},
        "error": None, "yes": True, "average": 0.5,
    }
    assert text_of(report) == (
        '{\n  "connections" : [ {\n    "a" : 1\n  }, {\n    "b" : "ü\\n"\n  } ],\n  "none" : [ ],\n'
        '  "ids" : [ 1, 2 ],\n  "empty" : { },\n  "error" : null,\n  "yes" : true,\n'
        '  "average" : 0.5\n}'
    )


def test_a_proxys_word_for_the_address_counts_only_where_it_is_trusted(tmp_path: Path) -> None:
    from kazoo.client import KazooClient
    from kazoo.security import make_acl

    async def check(trusts: str, status: int) -> None:
        line = f"IPAuthenticationProvider.usexforwardedfor={trusts}"
        async with Inside(tmp_path / trusts, line, "admin.rateLimiterIntervalInMS=0") as inside:
            client = KazooClient(f"127.0.0.1:{inside.client_port}")
            await asyncio.to_thread(client.start)
            acl = [make_acl("ip", "10.9.8.7", all=True)]
            await asyncio.to_thread(client.set_acls, "/", acl)
            headers = {"Authorization": "ip", "X-Forwarded-For": "10.9.8.7, 10.0.0.1"}
            assert (await inside.ask("snapshot", headers=headers)).status == status
            await asyncio.to_thread(client.stop)

    run(lambda: check("true", 200))
    run(lambda: check("false", 403))
