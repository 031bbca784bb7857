"""README.md, done: its commands and programs, as far as a test can be their reader.

make's targets are tried without being carried out (`make -n`): .ci/run carries them out, but for the
benchmark. `zkserver ensemble` wants a terminal and has tests of its own.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.reader import Reader
from tests.support import pages

PAGE = "README.md"
ELSEWHERE = {
    ".venv/bin/zkserver ensemble": "tests/peers/test_local_ensemble.py",
    ".venv/bin/zkserver simulate": "tests/sim/test_command.py",
}


@pytest.fixture(name="reader")
def _reader(tmp_path: Path) -> Iterator[Reader]:
    reader = Reader(tmp_path, "2181")
    (tmp_path / "zoo.cfg").write_text(f"dataDir={tmp_path}/own\nclientPort={reader.port}\n")
    reader.types(".venv/bin/zkserver start --port 2181 --data-dir data")
    yield reader
    for folder in ("data", "own"):
        if (tmp_path / folder / "zookeeper_server.pid").exists():
            reader.types(f".venv/bin/zkserver stop --data-dir {folder}")


def carry_out(reader: Reader, command: str) -> None:
    """One command of the page."""
    for beginning, test in ELSEWHERE.items():
        if command.startswith(beginning):
            assert beginning.rpartition(" ")[2] in (pages.ROOT / test).read_text()
            return
    if command.startswith("make "):
        reader.types(f"make -n -C {pages.ROOT} {command.partition('#')[0][5:]}")
        return
    if command == ".venv/bin/zkserver start zoo.cfg":
        reader.types(".venv/bin/zkserver stop --data-dir data")
    reader.types(command)


@pytest.mark.skipif(shutil.which("nc") is None, reason="the page uses nc (netcat-openbsd)")
def test_a_reader_can_do_what_the_page_says(reader: Reader) -> None:
    typed = 0
    for block in pages.blocks(PAGE, "console", "python"):
        if block.language == "console":
            for _, command, _ in pages.commands(block):
                carry_out(reader, command)
                typed += 1
        elif "asyncio.run" in block.text:
            assert reader.runs(block.text) == "b'hello again' 1\n"
    assert typed >= 10


def test_the_fixture_in_the_page_is_there_by_itself(zookeeper) -> None:
    (block,) = (block for block in pages.blocks(PAGE, "python") if "(zookeeper)" in block.text)
    assert "zookeeper.hosts" in block.text
    host, _, port = zookeeper.hosts.partition(":")
    assert host == "127.0.0.1"
    assert int(port) > 0
    assert callable(zookeeper.expire)
