"""docs/quickstart.md, done: its commands in their order, on a port of the test's own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import pages
from tests.support.server_process import free_port

PAGE = "docs/quickstart.md"
PORT = "21810"
# `make venv` and .ci/run do the same; here there is an environment already.
INSTALLS = ("python3 -m venv", ".venv/bin/pip install")


class Reader:
    """Somebody in a clone who types what the page says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = str(free_port())
        (folder / ".venv").symlink_to(sys.prefix, target_is_directory=True)
        self.environment = os.environ | {"ZOO_LOG_DIR": str(folder / "logs")}

    def types(self, command: str) -> str:
        """What the command prints; it must end with 0."""
        done = subprocess.run(
            ["bash", "-c", command.replace(PORT, self.port)],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"$ {command}\n{done.stdout}"
        return done.stdout

    def runs(self, program: str) -> str:
        """What a Python program prints."""
        file = self.folder / "program.py"
        file.write_text(program.replace(PORT, self.port))
        return self.types(f".venv/bin/python {file}")


@pytest.fixture(name="reader")
def _reader(tmp_path: Path) -> Iterator[Reader]:
    reader = Reader(tmp_path)
    yield reader
    if (tmp_path / "data" / "zookeeper_server.pid").exists():
        reader.types(".venv/bin/zkserver stop --data-dir data")


def pattern(expected: str) -> str:
    """`…` stands for anything."""
    return re.escape(expected.strip()).replace("…", "(?s:.*)")


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
            shown = reader.types(command).replace(reader.port, PORT)
            assert re.search(pattern(output), shown), f"{PAGE}:{line}: {command}\n{shown}"
            typed += 1
    assert typed >= 6
