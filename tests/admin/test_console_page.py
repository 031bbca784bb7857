"""The console in a browser: what it shows, what it lets one do, and what it never runs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.admin.console_browser import (
    chromium,
    new_page,
    sees,
    server_with_console,
    sign_in,
    with_client,
)
from zkserver.client import CREATOR_ALL_ACL, Client, CreateMode, Op, SyncClient, quotas

HOSTILE = "<img src=x onerror=alert(1)>"
HOSTILE_NAMES = (HOSTILE, "<script>alert(2)<\\script>", "\"'><svg onload=alert(3)>", "javascript:alert(4)")
MANY = 100_000
# Each view, and what stands there once it has all it shows.
WIDEST = {
    "ensemble": "standalone", "tree/config/orders": "9007199254740993", "tree/hostile": HOSTILE,
    "sessions": "127.0.0.1:", "quotas": "/config", "elections": "no elections",
}


@pytest.fixture(name="browser", scope="module")
def _browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture(name="served", scope="module")
def _served(
    browser: Any,  # noqa: ARG001 without one there is nothing to serve for
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[int, int]]:
    """The client port and the console's port of a server with something in it."""
    with server_with_console(tmp_path_factory.mktemp("console")) as (server, port):
        with_client(server.port, fill)
        yield server.port, port


async def fill(client: Client) -> None:
    await client.create("/config", b"")
    await client.create("/config/orders", b'{"replicas": 3, "serial": 9007199254740993}')
    await client.create("/config/notes", b"one\ntwo\n")
    await client.create("/blob", bytes(range(256)))
    await client.create("/hostile", HOSTILE.encode())
    for name in HOSTILE_NAMES:
        await client.create(f"/hostile/{name}", json.dumps({HOSTILE: HOSTILE}).encode())
    await quotas.set_quota(client, "/config", znodes=100)
    await client.add_auth("digest", b"eve:secret")
    await client.create("/secret", b"hush", acl=CREATOR_ALL_ACL)


def open_page(browser: Any, served: tuple[int, int], where: str, **options: Any) -> Any:
    page = new_page(browser, served[1], **options)
    page.goto(f"{page.base}#/{where}")
    return page


def test_the_ensemble_is_alive(browser: Any, served: tuple[int, int]) -> None:
    page = open_page(browser, served, "ensemble")
    page.expect(page.locator("tbody tr")).to_have_count(1)
    sees(page, "tbody", "standalone")
    line = page.locator(".spark path:last-child").nth(1)
    page.expect(line).to_have_attribute("d", re.compile("L"))
    assert page.complaints == []


def test_scripts_in_names_and_data_do_nothing(browser: Any, served: tuple[int, int]) -> None:
    with SyncClient(f"127.0.0.1:{served[0]}") as client:
        client.create(f"/hostile/{HOSTILE}e", mode=CreateMode.EPHEMERAL)
        client.get(f"/hostile/{HOSTILE}e", lambda _: None)
        page = open_page(browser, served, "tree/hostile")
        sees(page, "pre", HOSTILE)
        page.get_by_role("tree").focus()
        page.keyboard.press("ArrowRight")
        for name in HOSTILE_NAMES:
            page.locator(".row .name").get_by_text(name, exact=True).click()
            sees(page, ".crumbs b", name)
            sees(page, "pre .key", "onerror")
        page.fill("[type=search]", "alert")
        page.keyboard.press("Enter")
        page.expect(page.locator(".found button").first).to_be_visible()
        page.goto(f"{page.base}#/sessions")
        page.expect(page.locator("summary").first).to_be_visible()
        page.locator("summary").first.click()
        sees(page, "tbody", HOSTILE)
        assert page.locator("main img, main script, main svg[onload]").count() == 0
        assert page.complaints == []


def test_the_policy_holds(browser: Any, served: tuple[int, int]) -> None:
    page = open_page(browser, served, "ensemble")
    page.expect(page.locator("tbody tr")).to_have_count(1)
    tried = page.evaluate("""async () => {
      const tried = {};
      try { document.body.innerHTML += '<img src=x onerror="window.ran = 1">'; } catch { tried.html = true; }
      const script = document.createElement('script');
      try { script.textContent = 'window.ran = 1'; document.body.append(script); } catch { tried.script = true; }
      await fetch('http://127.0.0.1:9/').catch(() => { tried.fetch = true; });
      tried.ran = Boolean(window.ran);
      return tried;
    }""")
    assert tried == {"html": True, "script": True, "fetch": True, "ran": False}


def test_create_change_and_delete_by_keyboard(browser: Any, served: tuple[int, int]) -> None:
    page = open_page(browser, served, "tree/config")
    sees(page, ".crumbs b", "config")
    page.get_by_role("button", name="New child").focus()
    page.keyboard.press("Enter")
    sign_in(page)
    page.expect(page.locator("#create")).to_be_visible()
    page.keyboard.press("End")
    page.keyboard.type("made")
    for _ in range(3):
        page.keyboard.press("Tab")
    page.keyboard.type("first")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    sees(page, ".crumbs b", "made")
    sees(page, "pre", "first")

    page.get_by_role("button", name="Edit").focus()
    page.keyboard.press("Enter")
    page.expect(page.locator(".znode textarea")).to_be_focused()
    page.keyboard.press("Control+End")
    page.keyboard.type(" and second")
    page.keyboard.press("Control+Enter")
    sees(page, "pre", "first and second")
    assert with_client(served[0], lambda client: client.get("/config/made"))[0] == b"first and second"

    page.get_by_role("button", name="Delete").focus()
    page.keyboard.press("Enter")
    page.locator("#delete button.main").focus()
    page.keyboard.press("Enter")
    sees(page, ".crumbs b", "config")
    assert with_client(served[0], lambda client: client.exists("/config/made")) is None
    assert page.complaints == []


def test_a_conflict_shows_both_versions(browser: Any, served: tuple[int, int]) -> None:
    page = open_page(browser, served, "tree/config/notes")
    page.get_by_role("button", name="Edit").click()
    sign_in(page)
    page.locator(".znode textarea").fill("mine")
    with_client(served[0], lambda client: client.set("/config/notes", b"theirs"))
    page.get_by_role("button", name="Save").click()
    conflict = page.locator(".conflict")
    page.expect(conflict).to_contain_text("mine")
    page.expect(conflict).to_contain_text("theirs")
    assert with_client(served[0], lambda client: client.get("/config/notes"))[0] == b"theirs"
    conflict.get_by_role("button", name="Write mine over version").click()
    page.expect(conflict).to_have_count(0)
    sees(page, "pre", "mine")
    assert with_client(served[0], lambda client: client.get("/config/notes"))[0] == b"mine"


def test_text_json_and_hex(browser: Any, served: tuple[int, int]) -> None:
    page = open_page(browser, served, "tree/config/orders")
    # The number is longer than JavaScript's are.
    sees(page, "pre", '"serial": 9007199254740993\n}')
    page.locator(".choice").get_by_text("Hex").click()
    sees(page, "pre", "000000  7b 22 72")
    page.goto(f"{page.base}#/tree/blob")
    sees(page, "pre", "0000f0  f0 f1")
    assert page.get_by_role("radio", name="Text").is_disabled()


def test_what_an_acl_hides(browser: Any, served: tuple[int, int]) -> None:
    page = open_page(browser, served, "tree/secret")
    page.expect(page.locator(".error[role=alert]").filter(has_text="ACL")).to_be_visible()
    page.get_by_role("button", name="Sign in").click()
    sign_in(page, "eve", "secret")
    sees(page, "pre", "hush")
    page.get_by_role("button", name="eve – sign out").click()
    page.expect(page.locator("pre")).to_have_count(0)


def test_the_tree_by_arrows(browser: Any, served: tuple[int, int]) -> None:
    page = open_page(browser, served, "tree")
    chosen = page.locator("[role=treeitem][aria-selected=true]")
    sees(page, ".row", "config")
    page.get_by_role("tree").focus()
    page.keyboard.press("Home")
    for _ in range(20):
        if chosen.get_attribute("title") == "/config":
            break
        page.keyboard.press("ArrowDown")
    sees(page, ".crumbs b", "config")
    page.keyboard.press("ArrowRight")
    page.expect(chosen).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("ArrowRight")
    page.expect(chosen).to_have_attribute("aria-level", "3")
    active = page.get_by_role("tree").get_attribute("aria-activedescendant")
    assert chosen.get_attribute("id") == active
    page.keyboard.press("ArrowLeft")
    page.expect(chosen).to_have_attribute("title", "/config")
    page.keyboard.press("ArrowLeft")
    page.expect(chosen).to_have_attribute("aria-expanded", "false")


def test_search_by_path_and_by_name(browser: Any, served: tuple[int, int]) -> None:
    page = open_page(browser, served, "tree")
    sees(page, ".row", "config")
    page.fill("[type=search]", "/config/or")
    page.expect(page.locator(".found button")).to_have_text(["/config/orders"])
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    sees(page, ".crumbs b", "orders")
    page.get_by_role("treeitem").first.click()
    page.fill("[type=search]", "NOTE")
    page.keyboard.press("Enter")
    page.expect(page.locator(".found button")).to_have_text(["/config/notes"])


def test_a_hundred_thousand_children(browser: Any, tmp_path: Path) -> None:
    async def fill_big(client: Client) -> None:
        await client.create("/big")
        for begin in range(0, MANY, 2000):
            await client.multi([Op.create(f"/big/n{n:06}", b"") for n in range(begin, begin + 2000)])

    with server_with_console(tmp_path) as (server, port):
        with_client(server.port, fill_big)
        page = new_page(browser, port)
        page.goto(f"{page.base}#/tree/big")
        sees(page, ".crumbs b", "big")
        page.get_by_role("tree").focus()
        page.keyboard.press("ArrowRight")
        sees(page, ".row", "n000000")
        page.keyboard.press("End")
        # The last row of the list is /zookeeper.
        page.keyboard.press("ArrowUp")
        sees(page, ".crumbs b", f"n{MANY - 1:06}")
        assert page.get_by_role("treeitem").count() < 100
        page.evaluate("document.querySelector('.tree').scrollTop = 26 * 50000")
        sees(page, ".row", "n050005")
        assert page.complaints == []


@pytest.mark.parametrize(("width", "scheme"), [(360, "dark"), (1200, "light")])
def test_nothing_is_wider_than_the_page(
    browser: Any, served: tuple[int, int], width: int, scheme: str
) -> None:
    options = {"viewport": {"width": width, "height": 740}, "color_scheme": scheme}
    page = new_page(browser, served[1], **options)
    for view in WIDEST:
        page.goto(f"{page.base}#/{view}")
        page.locator(f'nav a[aria-current][href="#/{view.partition("/")[0]}"]').wait_for()
        sees(page, "main", WIDEST[view])
        excess = page.evaluate("""() => {
          const main = document.querySelector('main');
          return [document.documentElement.scrollWidth - innerWidth, main.scrollWidth - main.clientWidth];
        }""")
        assert excess == [0, 0], view
    light, dark = 200, 60
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0]")
    assert int(ground) > light if scheme == "light" else int(ground) < dark
    assert page.complaints == []


def test_quotas_and_no_elections(browser: Any, served: tuple[int, int]) -> None:
    page = open_page(browser, served, "quotas")
    sees(page, "tbody", "/config")
    page.get_by_role("link", name="Elections").click()
    sees(page, "main", "It has no ensemble, so it holds no elections")
