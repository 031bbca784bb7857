"""Apache's own shell (zkCli), unchanged, against both servers: the same words come back."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.apache import SHELL_MAIN, ApacheServer, apache_available, run_java
from tests.support.zkserver_process import subject_server

COMMANDS = """\
ls /
create /s one
create -s /s/n- two
create -e /s/e three
create -c /s/c
create -t 100000 /s/t ttl
get -s /s
set -v 0 /s four
set -v 0 /s five
get /s
stat /s
ls -s /s
ls -R /s
getAllChildrenNumber /s
getEphemerals /s
setquota -n 10 -b 1000 /s
listquota /s
delquota /s
addauth digest ann:secret
create /p mine auth::cdrwa
getAcl /p
setAcl /p world:anyone:r
getAcl -s /p
whoami
addWatch /s
set /s six
removewatches /s
sync /s
delete /s
deleteall /s
ls /
config
quit
"""
WAIT_S = 60
LOG_LINE = re.compile(r" (DEBUG|INFO|WARN|ERROR) |SLF4J|^\s+at |^(java|org)\.\S+Exception|^EndOfStream")
# What differs from run to run: times, zxids, session ids, the order of an unordered list.
VARIABLE = [
    (re.compile(r"^(c|m)time = .*$", re.MULTILINE), "time"),
    (re.compile(r"0x[0-9a-f]+"), "0x"),
    (re.compile(r"127\.0\.0\.1:\d+"), "host"),
]


def told(port: int) -> list[str]:
    """The lines that the shell prints, sorted: watch events come in between when they like."""
    done = run_java(
        SHELL_MAIN, "-server", f"127.0.0.1:{port}", input=COMMANDS, timeout=WAIT_S
    )
    text: str = done.stdout + done.stderr
    for pattern, name in VARIABLE:
        text = pattern.sub(name, text)
    lists = re.compile(r"^\[.*\]$", re.MULTILINE)
    text = lists.sub(lambda found: str(sorted(found[0].strip("[]").split(", "))), text)
    return sorted(line for line in text.splitlines() if not LOG_LINE.search(line))


@pytest.mark.usefixtures("apache_installed")
def test_the_shell_cannot_tell_the_servers_apart(tmp_path: Path) -> None:
    properties = {"zookeeper.extendedTypesEnabled": "true"}
    with subject_server(tmp_path / "zkserver", properties) as server:
        ours = told(server.port)
    assert "Created /s/n-0000000000" in ours
    assert "four" in ours
    assert "dataLength = 4" in ours
    assert apache_available()
    with ApacheServer(tmp_path / "apache", properties) as server:
        assert told(server.port) == ours
