"""Servers with a console as processes, and headless Chromium to look at them."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.server_process import ServerProcess, free_port
from tests.support.zkserver_process import ZkserverProcess
from zkserver.client import Client

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser; skips the test where there is none."""
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no chromium here: `make peers` installs it")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        browser.expect = playwright.expect
        yield browser
        browser.close()


def new_page(browser: Any, port: int, **options: Any) -> Any:
    """A page with a list of what should not happen: errors, and requests to anybody else.

    `page.base` is the address of the console on that port.
    """
    context = browser.new_context(**({"viewport": {"width": 1200, "height": 780}} | options))
    page = context.new_page()
    page.expect = browser.expect
    page.base = f"http://localhost:{port}/"
    page.complaints = []
    page.set_default_timeout(10_000)

    def said(message: Any) -> None:
        # Chromium reports answers like 404 and 409, which the page shows by itself.
        if message.type == "error" and "the server responded with a status" not in message.text:
            page.complaints.append(message.text)

    def asked(request: Any) -> None:
        if not request.url.startswith((page.base, "data:", "blob:")):
            page.complaints.append(request.url)

    page.on("console", said)
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("request", asked)
    page.on("dialog", lambda dialog: page.complaints.append(f"dialog {dialog.message}"))
    return page


@contextmanager
def server_with_console(folder: Path) -> Iterator[tuple[ServerProcess, int]]:
    """A standalone server, and the port of its console."""
    port = free_port()
    cfg = {"admin.enableServer": "true", "admin.serverPort": str(port)}
    with ZkserverProcess(folder, cfg=cfg) as server:
        yield server, port


def with_client(port: int, work: Callable[[Client], Awaitable[Any]]) -> Any:
    """The result of `work` with a client; in a thread, as Playwright has a loop in this one."""

    async def go() -> Any:
        async with Client(f"127.0.0.1:{port}") as client:
            return await work(client)

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(go())).result()


def sees(page: Any, selector: str, text: str) -> None:
    """Wait until there is such an element with that text in it.

    It is looked at with each frame; Playwright's own `expect` takes up to a second between looks.
    """
    page.locator(selector).filter(has_text=text).first.wait_for()


def sign_in(page: Any, user: str = "ann", password: str = "pw") -> None:
    """Fill in the dialog, which is open, by keyboard."""
    page.locator("#sign-in").wait_for()
    page.keyboard.type(user)
    page.keyboard.press("Tab")
    page.keyboard.type(password)
    page.keyboard.press("Enter")
    page.locator("#sign-in").wait_for(state="hidden")
