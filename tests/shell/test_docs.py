"""docs/shell.md: its commands are run, and print what the page says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.support.shell_process import ROOT, WAIT_S, shell_environment
from tests.support.zkserver_process import ZkserverProcess

PAGE = ROOT / "docs" / "shell.md"
BLOCK = re.compile(r"^```(zkcli|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HEAD = re.compile(
    r"\AConnecting to \S+\n(Welcome to ZooKeeper!\nJLine support is disabled\n)?"
    r"|\nWATCHER::\n\nWatchedEvent .*\n"
)


def steps(text: str, mark: str) -> list[tuple[str, str]]:
    """Commands of a block, each with what the page says it prints."""
    found: list[tuple[str, str]] = []
    for line in text.splitlines():
        if line.startswith(mark):
            found.append((line.removeprefix(mark), ""))
        else:
            command, said = found[-1]
            found[-1] = command, said + line + "\n"
    return found


def test_the_page_tells_the_truth(tmp_path: Path) -> None:
    with ZkserverProcess(tmp_path / "server") as server:
        check_page(f"127.0.0.1:{server.port}", tmp_path)


def check_page(server: str, folder: Path) -> None:
    zkcli = f"{sys.executable} -m zkserver.cli.shell"
    blocks = BLOCK.findall(PAGE.read_text())
    assert len(blocks) > 4

    def printed(command: str, lines: str = "") -> str:
        done = subprocess.run(
            command, shell=True, input=lines, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, cwd=folder, env=shell_environment(), timeout=WAIT_S, check=False,
        )  # fmt: skip
        return HEAD.sub("", done.stdout)

    # The first block shows the ways to call it, without answers.
    for kind, text in blocks[1:]:
        if kind == "zkcli":
            told = steps(text, "> ")
            lines = "".join(f"{command}\n" for command, _ in told)
            assert printed(f"{zkcli} -server {server}", lines) == "".join(said for _, said in told)
            continue
        for command, said in steps(text, "$ "):
            line = command.replace("zkcli ", f"{zkcli} ").replace("localhost:2181", server)
            assert printed(line) == said
