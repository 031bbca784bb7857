"""Who may ask the console what: other sites, other names, no credentials."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.admin.inside import Inside
from zkserver.admin.console_access import Refused, check_host, credentials_of
from zkserver.cli.serve import _add_console

GOOD = {"X-Zkserver-Console": "1", "Authorization": "digest ann:pw"}
NAMES = frozenset({"localhost", "zk1.example.com"})


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "localhost:8080", "LOCALHOST.:8080", "127.0.0.1:8080", "10.0.0.7", "[::1]:8080",
        "[fe80::1]", "zk1.example.com:8080",
    ],
)
def test_names_of_this_server(host: str) -> None:
    check_host(host, NAMES)


@pytest.mark.parametrize(
    "host",
    [
        None, "", "evil.example.com", "evil.example.com:8080", "localhost.evil.com", "127.0.0.1.nip.io",
        "127.0.0.1@evil.com", "[::1].evil.com", "2130706433", "0x7f.1", "localhost:80:80", "[localhost]",
        "localhost/evil.com", "127.1",
    ],
)
def test_names_of_others(host: str | None) -> None:
    with pytest.raises(Refused) as caught:
        check_host(host, NAMES)
    assert caught.value.status == 421


def test_a_password_may_hold_blanks_and_colons() -> None:
    headers = {"Authorization": "digest ann:a b:c"}
    found = credentials_of(headers, "127.0.0.1", trusts_forwarded=False)
    assert found.token == "ann:a b:c"
    assert "a b" not in repr(found)


@pytest.mark.parametrize("given", ["basic YTpi", "digest", "digest ann", "digest :pw", "ann:pw"])
def test_credentials_that_are_none(given: str) -> None:
    with pytest.raises(Refused) as caught:
        credentials_of({"Authorization": given}, "127.0.0.1", trusts_forwarded=False)
    assert caught.value.status == 401


def try_changes(folder: Path, attempts: dict[str, tuple[dict[str, Any], int]]) -> None:
    """Each attempt, options of a request and the status wanted, tries to create /made."""

    async def go() -> None:
        async with Inside(folder, add_routes=[_add_console]) as inside:
            for name, (options, status) in attempts.items():
                method = options.pop("method", "POST")
                options.setdefault("json", {"path": "/made", "data": ""})
                if "data" in options:
                    del options["json"]
                answer = await inside.ask("/console/api/create", method, **options)
                assert answer.status == status, (name, answer)
                assert (b"/made" in inside.server.tree.nodes) == (status == 200), name

    asyncio.run(go())


def test_cross_site_requests_change_nothing(tmp_path: Path) -> None:
    def with_headers(**more: str) -> dict[str, Any]:
        return {"headers": GOOD | {name.replace("_", "-"): value for name, value in more.items()}}

    form = {"path": "/made", "data": ""}
    try_changes(tmp_path, {
        "no header of ours": ({"headers": {"Authorization": "digest ann:pw"}}, 403),
        "another origin": (with_headers(Origin="http://evil.example.com"), 403),
        "an origin of nobody": (with_headers(Origin="null"), 403),
        "cross-site": (with_headers(Sec_Fetch_Site="cross-site"), 403),
        "same site, another origin": (with_headers(Sec_Fetch_Site="same-site"), 403),
        "another host": (with_headers(Host="evil.example.com"), 421),
        "text": ({"headers": GOOD | {"Content-Type": "text/plain"}, "data": "{}"}, 415),
        "a form": ({"headers": GOOD, "data": form}, 415),
        "GET": ({"method": "GET", "headers": GOOD}, 405),
        "PUT": ({"method": "PUT", "headers": GOOD}, 405),
        "no JSON": ({"headers": GOOD | {"Content-Type": "application/json"}, "data": "{"}, 400),
        "nobody": ({"headers": {"X-Zkserver-Console": "1"}}, 401),
        "no digest": ({"headers": GOOD | {"Authorization": "ip"}}, 401),
        "all is well": (with_headers(Sec_Fetch_Site="same-origin"), 200),
    })


def test_reads_are_not_for_other_sites_either(tmp_path: Path) -> None:
    async def go() -> None:
        async with Inside(tmp_path, add_routes=[_add_console]) as inside:
            for path in ("ensemble", "sessions", "elections", "znode?path=/", "children?path=/"):
                url = f"/console/api/{path}"
                assert (await inside.ask(url)).status == 403
                for header in ({"Origin": "http://evil.example.com"}, {"Sec-Fetch-Site": "cross-site"}):
                    assert (await inside.ask(url, headers=GOOD | header)).status == 403
                answer = await inside.ask(url, headers=GOOD | {"Host": "evil.example.com"})
                assert answer.status == 421
                assert (await inside.ask(url, headers=GOOD)).status == 200

    asyncio.run(go())


def test_the_page_is_guarded(tmp_path: Path) -> None:
    async def go() -> None:
        async with Inside(tmp_path, add_routes=[_add_console]) as inside:
            for path, kind in (("/", "text/html"), ("/console.js", "text/javascript"), ("/console.css", "text/css")):
                answer = await inside.ask(path)
                assert answer.status == 200
                assert answer.headers["Content-Type"].startswith(kind)
                policy = answer.headers["Content-Security-Policy"]
                assert "default-src 'none'" in policy
                assert "frame-ancestors 'none'" in policy
                assert "unsafe" not in policy
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                assert (await inside.ask(path, headers={"Host": "evil.example.com"})).status == 421
            # Commands are where they were.
            assert (await inside.ask("ruok")).status == 200

    asyncio.run(go())


def test_the_page_takes_nothing_from_outside() -> None:
    import re

    folder = Path(__file__).resolve().parents[2] / "src" / "zkserver" / "admin"
    files = [file for file in folder.glob("console*") if file.suffix != ".py"]
    assert len(files) > 3
    for file in files:
        text = file.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?:|//[a-z]+\.|@import|url\(", text), file
        for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "localStorage"):
            assert way not in text, file


def test_a_wheel_will_have_the_page() -> None:
    import tomllib

    root = Path(__file__).resolve().parents[2]
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["zkserver.admin"]
    folder = root / "src" / "zkserver" / "admin"
    for file in folder.iterdir():
        if file.suffix not in (".py", ""):
            assert any(file.match(pattern) for pattern in patterns), file
