"""Somebody in a clone who types what a page says, on a port of the test's own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.support.server_process import free_port


class Reader:
    """`port` is what the page says, and is replaced by a free one."""

    def __init__(self, folder: Path, port: str) -> None:
        self.folder = folder
        self._said = port
        self.port = str(free_port())
        (folder / ".venv").symlink_to(sys.prefix, target_is_directory=True)
        self.environment = os.environ | {
            "ZOO_LOG_DIR": str(folder / "logs"),
            "SERVER_JVMFLAGS": "-Dzookeeper.admin.serverPort=0",
        }

    def types(self, command: str) -> str:
        """What the command prints; it must end with 0."""
        done = subprocess.run(
            ["bash", "-c", command.replace(self._said, self.port)],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"$ {command}\n{done.stdout}"
        return done.stdout.replace(self.port, self._said)

    def runs(self, program: str) -> str:
        """What a Python program prints."""
        file = self.folder / "program.py"
        file.write_text(program.replace(self._said, self.port))
        return self.types(f".venv/bin/python {file}")


def pattern(expected: str) -> str:
    """`…` stands for anything."""
    return re.escape(expected.strip()).replace("…", "(?s:.*)")
