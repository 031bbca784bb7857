"""What somebody reads, or a machine, when the configuration is refused."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from zkserver.cli.main import main


@pytest.fixture(autouse=True)
def _logging() -> Iterator[None]:
    """Put the root logger's handlers and level back as they were."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    """The lines on standard error of a start that ends with exit code 2."""
    with pytest.raises(SystemExit) as ended:
        main(["start-foreground", *arguments])
    assert ended.value.code == 2
    return capsys.readouterr().err.splitlines()


def test_a_misspelt_key_is_named_beside_the_missing_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cfg = tmp_path / "zoo.cfg"
    cfg.write_text("datadir=/d\nclientPort=2181\n")
    lines = refused(capsys, str(cfg))
    assert lines[0] == f"Using config: {cfg}"
    assert lines[1].endswith(f" WARN  {cfg}:1: datadir: is not known; is dataDir meant?")
    assert lines[2:] == [
        f"{cfg}: dataDir: is not set; must name the folder of the data",
        "Invalid config, exiting abnormally",
    ]


def test_machines_get_the_refusal_as_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cfg = tmp_path / "zoo.cfg"
    cfg.write_text("dataDir=/d\nclientPort=2181\ntickTime=x\n")
    events = [json.loads(line) for line in refused(capsys, "--json-logs", str(cfg))]
    assert [event["level"] for event in events] == ["INFO", "ERROR"]
    assert f"{cfg}:3: tickTime = x: must be an integer" in events[1]["message"]
    assert events[1]["exit_code"] == 2


def test_machines_get_a_missing_file_as_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = refused(capsys, "--json-logs", str(tmp_path / "no.cfg"))
    assert json.loads(lines[-1])["message"].endswith("no.cfg: No such file or directory")
