"""docs/operations.md, done: every console block runs as it stands and prints what it says."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.zkserver_process import ROOT
from tests.tools import logs, snapshots
from tests.tools.conftest import ENTRIES, Tool
from zkserver.base import opcodes as op
from zkserver.base.acl import OPEN_ACL
from zkserver.cli import main, tools
from zkserver.jute import txns
from zkserver.tree.tree import DataTree

PAGE = ROOT / "docs" / "operations.md"
TIME_MS = logs.TIME_MS
BLOCKS = re.findall(r"```console\n(.*?)```", PAGE.read_text(), re.DOTALL)
def history() -> tuple[DataTree, list[bytes]]:
    """Nine transactions on two znodes."""
    bodies = (
        (op.CREATE_SESSION, (30000,)),
        (op.CREATE, (b"/config", b"none", OPEN_ACL, False, 1)),
        (op.SET_DATA, (b"/config", b"grey", 1)),
        (op.CREATE, (b"/old", b"", OPEN_ACL, False, 2)),
        (op.SET_DATA, (b"/config", b"red", 2)),
        (op.SET_DATA, (b"/config", b"grey", 3)),
        (op.SET_DATA, (b"/config", b"blue", 4)),
        (op.SET_DATA, (b"/config", b"red", 5)),
        (op.DELETE, (b"/old",)),
    )
    tree = DataTree()
    entries = []
    for zxid, (kind, body) in enumerate(bodies, 1):
        txn = (1, zxid, zxid, TIME_MS, kind, body)
        tree.apply(txn)
        entries.append(txns.encode(txn, tree.digest))
    return tree, entries


def prepare(folder: Path) -> None:
    """A server's directories as the page has them."""
    _, entries = history()
    for place in ("data", "logs", "bad", "new"):
        (folder / place).mkdir()
    (folder / "zoo.cfg").write_text("dataDir=data\ndataLogDir=logs\nclientPort=2181\n")
    (folder / "new" / "zoo.cfg").write_text("dataDir=new/data\n")
    for zxid in (0, 3, 5, 6, 9):
        tree = DataTree()
        for entry in entries[:zxid]:
            tree.apply(txns.decode(entry)[0])
        saved = snapshots.save(folder / "data", tree, sessions={1: 30000})
        assert saved.name == f"snapshot.{zxid:x}"
    (folder / "logs" / "version-2").mkdir()
    for begin, end in ((1, 4), (4, 7), (7, 10)):
        content = logs.log_of(entries[begin - 1 : end - 1])
        (folder / "logs" / "version-2" / f"log.{begin}").write_bytes(content)
    (folder / "bad" / "log.7").write_bytes(content.replace(b"red", b"rad"))


def steps() -> list[tuple[str, str]]:
    """Every command of the page with what it is to print; its exit code in brackets if not 0."""
    found = []
    for block in BLOCKS:
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, expected = part.partition("\n")
            found.append((command, expected))
    return found


def pattern(expected: str) -> str:
    """`…` stands for anything, over lines too where it has a line of its own."""
    whole = re.escape(expected).replace(re.escape("  …\n"), "(?s:.*)")
    whole = re.sub(r"^…\\\n", "(?s:.*)", whole, flags=re.MULTILINE)
    return whole.replace("…", ".*")


def run(command: str, tool: Tool) -> str:
    """What a command line leaves on a terminal: results, trouble, and the exit code if not 0."""
    name, *arguments = shlex.split(command)
    if name in ENTRIES:
        code, out, err = tool(name, *arguments)
    else:
        done = subprocess.run([name, *arguments], capture_output=True, text=True, timeout=30)
        code, out, err = done.returncode, done.stdout, done.stderr
    if out and not out.endswith("\n"):
        out += "\n"
    return out + err + (f"[{code}]\n" if code else "")


def test_the_page_says_what_happens(
    tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert len(steps()) >= 15
    for command, expected in steps():
        shown = run(command, tool)
        assert re.fullmatch(pattern(expected), shown), f"$ {command}\n{shown}\nis not\n{expected}"


def test_the_page_names_every_program() -> None:
    table = PAGE.read_text().partition("| command | Apache's script |")[2].partition("\n\n")[0]
    assert set(re.findall(r"`(zk[A-Z]\S+\.sh)`", table)) == {
        name for name in ENTRIES if name.endswith(".sh")
    }


def test_the_command_knows_its_tools_without_importing_them() -> None:
    assert set(main.TOOL_NAMES) == set(tools.TOOLS)
    program = "import sys, zkserver.cli.main; sys.exit('zkserver.cli.tools' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
