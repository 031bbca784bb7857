"""No page shows a command or a program that no test carries out."""

from __future__ import annotations

import re

from tests.support import pages

CARRIED_OUT_BY = {
    "README.md": "tests/docs/test_readme.py",
    "admin.md": "tests/admin/test_guide.py",
    "authentication.md": "tests/docs/test_authentication.py",
    "client.md": "tests/client/test_docs.py",
    "migration.md": "tests/peers/test_migration.py",
    "operations.md": "tests/tools/test_page.py",
    "quickstart.md": "tests/docs/test_quickstart.py",
    "shell.md": "tests/shell/test_docs.py",
    "testing.md": "tests/testing/test_docs.py",
}
LANGUAGES = ("console", "python", "sh", "toml", "zkcli")


def test_every_page_with_something_to_do_is_done() -> None:
    with_blocks = {page.name for page in pages.pages() if pages.blocks(page, *LANGUAGES)}
    assert with_blocks == set(CARRIED_OUT_BY)


def test_its_test_reads_the_page() -> None:
    for page, test in CARRIED_OUT_BY.items():
        assert page in (pages.ROOT / test).read_text(), f"{test} does not read {page}"


def test_blocks_say_what_they_are() -> None:
    for page in pages.pages():
        unnamed = [block.line for block in pages.blocks(page) if not block.language]
        assert not unnamed, f"{page.name}: blocks without a language, in lines {unnamed}"


def test_links_lead_somewhere() -> None:
    for page in pages.pages():
        text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.M | re.S)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if "://" in target:
                continue
            path, _, anchor = target.partition("#")
            file = page.parent / path if path else page
            assert file.exists(), f"{page.name} links to {target}"
            if anchor:
                heads = re.findall(r"^#+ (.+)$", file.read_text("utf-8"), re.M)
                anchors = {re.sub(r"[^\w\- ]", "", head).strip().lower().replace(" ", "-") for head in heads}
                assert anchor in anchors, f"{page.name} links to {target}"
