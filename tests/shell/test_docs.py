"""docs/shell.md: its commands are run, and print what the page says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.support.shell_process import COMMAND, ROOT, WAIT_S, shell_environment

PAGE = ROOT / "docs" / "shell.md"
BLOCK = re.compile(r"^```(zkcli|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HEAD = re.compile(r"\AConnecting to \S+\n|\nWATCHER::\n\nWatchedEvent .*\n")


def steps(kind: str, text: str) -> list[tuple[str, str]]:
    """Commands of a block, each with what the page says it prints."""
    mark = "> " if kind == "zkcli" else "$ "
    found: list[tuple[str, str]] = []
    for line in text.splitlines():
        if line.startswith(mark):
            found.append((line.removeprefix(mark), ""))
        else:
            command, said = found[-1]
            found[-1] = command, said + line + "\n"
    return found


def test_the_page_tells_the_truth(port: int, tmp_path: Path) -> None:
    server = f"127.0.0.1:{port}"
    zkcli = f"{sys.executable} -m zkserver.cli.shell"
    blocks = BLOCK.findall(PAGE.read_text())
    assert len(blocks) > 4
    # The first block shows the ways to call it, without answers.
    for kind, text in blocks[1:]:
        for command, said in steps(kind, text):
            if kind == "zkcli":
                line = " ".join([*COMMAND, "-server", server, command])
            else:
                line = command.replace("zkcli ", f"{zkcli} ").replace("localhost:2181", server)
            done = subprocess.run(
                line, shell=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True, cwd=tmp_path, env=shell_environment(),
                timeout=WAIT_S, check=False,
            )  # fmt: skip
            assert HEAD.sub("", done.stdout) == said, command
