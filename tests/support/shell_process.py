"""The shell as a child process, and what is normalised in the output of a shell."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "zkserver.cli.shell"]
WAIT_S = 30
# What differs from run to run: zxids, session ids, times, addresses.
VARIABLE = (
    (re.compile(r"zxid: \d+"), "zxid: N"),
    (re.compile(r"0x[0-9a-f]+"), "0xN"),
    (re.compile(r"^(.time = ).*$", re.MULTILINE), r"\1"),
    (re.compile(r"127\.0\.0\.1:\d+"), "HOST"),
)


def shell_environment(**changes: str) -> dict[str, str]:
    """This source tree's zkserver, and nothing of the user's."""
    environment = dict(os.environ) | {"PYTHONPATH": str(ROOT / "src"), "TERM": "xterm-256color"}
    for name in ("NO_COLOR", "CLIENT_JVMFLAGS", "JVMFLAGS", "XDG_STATE_HOME"):
        environment.pop(name, None)
    return environment | changes


def run_shell(
    port: int,
    *words: str,
    lines: str | None = None,
    merged: bool = False,
    environment: Mapping[str, str] | None = None,
    chroot: str = "",
) -> subprocess.CompletedProcess[str]:
    """Run the shell to its end: one command, or `lines` through a pipe."""
    return subprocess.run(
        [*COMMAND, "-server", f"127.0.0.1:{port}{chroot}", *words],
        input=lines or "",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if merged else subprocess.PIPE,
        text=True,
        timeout=WAIT_S,
        env=dict(environment) if environment is not None else shell_environment(),
        check=False,
    )


def normalised(text: str) -> str:
    """A shell's output without what differs from run to run."""
    for pattern, name in VARIABLE:
        text = pattern.sub(name, text)
    return text
