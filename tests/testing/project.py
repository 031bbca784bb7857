"""A pytest project of somebody who uses zkserver, in a folder of its own, run as they would."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import zkserver

# Without the plugins that happen to be installed here; ours is loaded by name.
PLUGIN = ("-p", "zkserver.testing.plugin")
STRICT = ("-W", "error", "-p", "no:cacheprovider", "--strict-markers")
LIMIT_S = 60


class Project:
    """Files by name, and what pytest says of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.write("pytest.ini", "[pytest]\n")

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def run(self, *arguments: str) -> tuple[dict[str, int], str]:
        """How many tests passed, failed, ...; and all that pytest has printed."""
        source = str(Path(zkserver.__file__).parents[1])
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *PLUGIN, *STRICT, *arguments],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": source, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        last = done.stdout.splitlines()[-1] if done.stdout else ""
        counts = {name: int(count) for count, name in re.findall(r"(\d+) (\w+)", last)}
        return counts, done.stdout + done.stderr
