"""packaging/zkserver.service, as systemd reads it."""

from __future__ import annotations

import configparser
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.zkserver_process import ROOT
from zkserver.base.errors import ExitCode
from zkserver.cli.main import cli

UNIT = ROOT / "packaging" / "zkserver.service"
USERS = ROOT / "packaging" / "zkserver.sysusers"
NO_RESTART = (
    ExitCode.INVALID_INVOCATION,
    ExitCode.UNABLE_TO_ACCESS_DATADIR,
    ExitCode.TXNLOG_ERROR_TAKING_SNAPSHOT,
)


@pytest.fixture(name="service")
def _service() -> configparser.SectionProxy:
    unit = configparser.ConfigParser(strict=False, interpolation=None, delimiters="=")
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(UNIT)
    return unit["Service"]


def needs(program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not here: apt-get install systemd")


def test_systemd_finds_nothing_wrong(tmp_path: Path) -> None:
    needs("systemd-analyze")
    # It wants a program that is there.
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("/usr/bin/zkserver", sys.executable))
    done = subprocess.run(
        ["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_user_can_be_made(service: configparser.SectionProxy) -> None:
    needs("systemd-sysusers")
    user = USERS.read_text().split("\nu ")[1].split()[0]
    assert service["User"] == service["Group"] == user
    done = subprocess.run(
        ["systemd-sysusers", "--dry-run", str(USERS)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0
    assert "Failed" not in done.stderr


def test_the_command_is_one_of_ours(service: configparser.SectionProxy) -> None:
    program, command, *arguments = shlex.split(service["ExecStart"])
    assert Path(program).name == "zkserver"
    parsed = cli.commands[command].make_context(command, list(arguments))
    assert parsed.params["cfg"] == "/etc/zkserver/zoo.cfg"


def test_what_a_restart_cannot_mend_is_not_restarted(service: configparser.SectionProxy) -> None:
    assert service["Restart"] == "on-failure"
    codes = service["RestartPreventExitStatus"].split()
    assert sorted(map(int, codes)) == sorted(NO_RESTART)
