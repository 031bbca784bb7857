"""docs/quickstart.md, done: its commands in their order."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.reader import Reader, pattern
from tests.support import pages

PAGE = "docs/quickstart.md"
# `make venv` and .ci/run do the same; here there is an environment already.
INSTALLS = ("python3 -m venv", ".venv/bin/pip install")


@pytest.fixture(name="reader")
def _reader(tmp_path: Path) -> Iterator[Reader]:
    reader = Reader(tmp_path, "21810")
    yield reader
    if (tmp_path / "data" / "zookeeper_server.pid").exists():
        reader.types(".venv/bin/zkserver stop --data-dir data")


@pytest.mark.skipif(shutil.which("nc") is None, reason="the page uses nc (netcat-openbsd)")
def test_a_reader_gets_what_the_page_promises(reader: Reader) -> None:
    typed = 0
    for block in pages.blocks(PAGE, "console", "python"):
        if block.language == "python":
            assert reader.runs(block.text) == "b'hello' 0\n"
            continue
        for line, command, output in pages.commands(block):
            if command.startswith(INSTALLS):
                continue
            shown = reader.types(command)
            assert re.search(pattern(output), shown), f"{PAGE}:{line}: {command}\n{shown}"
            typed += 1
    assert typed >= 6
