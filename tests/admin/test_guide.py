"""docs/admin.md: its commands are run, and its table is that of the commands."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.admin.inside import Inside, run
from zkserver.admin.commands import COMMANDS, NAMES

GUIDE = (Path(__file__).parents[2] / "docs" / "admin.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```sh\n(.*?)^```\n(?:```json\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_the_commands_do_what_is_written(tmp_path: Path) -> None:
    blocks = BLOCK.findall(GUIDE)
    assert len(blocks) == 4
    (tmp_path / "shell").mkdir()

    async def check() -> None:
        async with Inside(tmp_path / "data") as inside:
            for script, expected in blocks:
                done = await asyncio.to_thread(
                    subprocess.run,
                    ["bash", "-e", "-c", script.replace(":8080/", f":{inside.admin.port}/")],
                    cwd=tmp_path / "shell", capture_output=True, text=True, check=False,
                )
                assert done.returncode == 0, (script, done.stdout, done.stderr)
                if expected:
                    assert done.stdout == expected.removesuffix("\n")
            assert '"last_zxid" : 0' in done.stdout

    run(check)


def test_every_command_is_in_the_table() -> None:
    table = GUIDE[GUIDE.index("| command | short |") : GUIDE.index("Passwords in settings")]
    words = set(re.findall(r"`([a-z_]+)", table))
    assert words == set(COMMANDS)
    assert set(NAMES) <= words


def test_the_example_of_https_works(tmp_path: Path) -> None:
    """The commands of the section, but for their paths."""
    if shutil.which("openssl") is None or shutil.which("curl") is None:
        pytest.skip("there is no openssl or no curl")
    section = GUIDE[GUIDE.index("    openssl req") : GUIDE.index("## For those")]
    lines = [line.removeprefix("    ") for line in section.splitlines()]
    settings = [line for line in lines if re.match(r"(admin|ssl)\.", line)]
    make = "\n".join(lines[: lines.index("# zoo.cfg")])
    (ask,) = [line for line in lines if line.startswith("curl")]
    subprocess.run(["bash", "-e", "-c", make], cwd=tmp_path, check=True, capture_output=True)

    async def check() -> None:
        cfg = [line.replace("/path/to", str(tmp_path)) for line in settings]
        async with Inside(tmp_path / "data", *cfg) as inside:
            command = ask.replace(":8080/", f":{inside.admin.port}/").split()
            done = await asyncio.to_thread(
                subprocess.run, [*command, "-s"], cwd=tmp_path, capture_output=True, text=True,
                check=False,
            )
            assert '"command" : "ruok"' in done.stdout, done.stderr

    run(check)
