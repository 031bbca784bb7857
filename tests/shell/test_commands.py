"""The shell for scripts: output and exit codes of single commands and of whole sessions.

`scripts/session.expected` is what the shell of Apache ZooKeeper 3.9.5 printed for
`scripts/session.txt` against a fresh zkserver, normalised. ZKSERVER_PEER_CLASSPATH says which
version the comparison runs today; what 3.9 added is left out of it.
"""

from __future__ import annotations

import base64
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.apache import SHELL_MAIN, run_java
from tests.support.server_process import free_port
from tests.support.shell_process import normalised, run_shell, shell_environment
from tests.support.zkserver_process import ZkserverProcess

SCRIPTS = Path(__file__).parent / "scripts"
PROPERTIES = {"zookeeper.extendedTypesEnabled": "true"}
CONNECTED = "Connecting to HOST\n\nWATCHER::\n\nWatchedEvent state:SyncConnected type:None path:null zxid: -1\n"
NOT_YET = "Connecting to HOST\n"

# Command, exit code, standard output behind the head, standard error; in this order.
ONE_SHOTS = (
    ("create /one data", 0, CONNECTED, "Created /one\n"),
    ("create /one", 1, CONNECTED, "Node already exists: /one\n"),
    ("get /one", 0, CONNECTED + "data\n", ""),
    ("get /none", 1, CONNECTED, "Node does not exist: /none\n"),
    ("ls none", 1, NOT_YET, "Path must start with / character\n"),
    ("ls -z /", 1, NOT_YET, "org.apache.commons.cli.UnrecognizedOptionException: Unrecognized option: -z\n"),
    ("create -t x /two", 1, NOT_YET, "-t argument must be a long value\n"),
    ("create -s -t 50000 /one/ x", 0, CONNECTED, "Created /one/0000000000\n"),
    ("set -v 7 /one x", 1, CONNECTED, "version No is not valid : /one\n"),
    ("delete /one", 1, CONNECTED, "Node not empty: /one\n"),
    ("set -v many /one x", 1, NOT_YET, 'For input string: "many"\n'),
    ("deleteall /one", 0, CONNECTED, ""),
    ("reconfig -remove 1", 1, CONNECTED, "KeeperErrorCode = Reconfig is disabled\n"),
    ("quit", 0, NOT_YET + "\nWATCHER::\n\nWatchedEvent state:Closed type:None path:null zxid: -1\n", ""),
)  # fmt: skip


def test_one_command_each(port: int) -> None:
    for command, exit_code, out, err in ONE_SHOTS:
        done = run_shell(port, *command.split())
        assert (done.returncode, normalised(done.stdout), done.stderr) == (exit_code, out, err), command


def test_an_unknown_command_is_answered_with_the_usage(port: int) -> None:
    done = run_shell(port, "frobnicate")
    assert done.returncode == 127
    assert done.stderr.startswith("ZooKeeper -server host:port -client-configuration properties-file cmd args\n")
    assert done.stderr.endswith("Command not found: Command not found frobnicate\n")
    assert "\tls [-s] [-w] [-R] path\n" in done.stderr


def test_a_session_prints_what_apaches_shell_prints(tmp_path: Path) -> None:
    with ZkserverProcess(tmp_path, PROPERTIES) as server:
        done = run_shell(server.port, lines=(SCRIPTS / "session.txt").read_text(), merged=True)
    assert normalised(done.stdout) == (SCRIPTS / "session.expected").read_text()
    assert done.returncode == 1


# 3.8 has no get -x and -b, words `set` otherwise, and says no zxid in events. Java prints events
# when its thread comes to it, which may be after they were switched off.
LEFT_OUT = re.compile(r"get -[xb] |set /q/tab$|printwatches (off|maybe)")
LOG_LINE = re.compile(r" (DEBUG|INFO|WARN|ERROR) |SLF4J|^EndOfStream|^\t|^\s+at ")


@pytest.mark.usefixtures("apache_installed")
def test_both_shells_say_the_same_to_the_same_script(tmp_path: Path) -> None:
    lines = (SCRIPTS / "session.txt").read_text().splitlines()
    script = "".join(f"{line}\n" for line in lines if not LEFT_OUT.match(line))
    with ZkserverProcess(tmp_path / "ours", PROPERTIES) as server:
        ours = run_shell(server.port, lines=script, merged=True)
    with ZkserverProcess(tmp_path / "theirs", PROPERTIES) as server:
        theirs = run_java(SHELL_MAIN, "-server", f"127.0.0.1:{server.port}", input=script, timeout=60)
    assert ours.returncode == theirs.returncode == 1
    # Java prints events on a thread of its own: they and the rest are compared each in order.
    assert told(ours.stdout) == told(theirs.stdout + theirs.stderr)


def told(text: str) -> tuple[list[str], list[str]]:
    """Events, and all other lines sorted, because the streams are apart in Java's case."""
    lines = [re.sub(r" zxid: .*", "", line) for line in normalised(text).splitlines()]
    kept = [line for line in lines if line and not LOG_LINE.search(line)]
    events = [line for line in kept if line.startswith("WatchedEvent")]
    return events, sorted(line for line in kept if line not in events)


def test_raw_bytes_go_through_a_pipe(port: int) -> None:
    data = bytes(range(256))
    assert run_shell(port, "create", "/raw").returncode == 0
    assert run_shell(port, "set", "-b", "/raw", base64.b64encode(data).decode()).returncode == 0
    command = [sys.executable, "-m", "zkserver.cli.shell", "-server", f"127.0.0.1:{port}", "get", "/raw"]
    done = subprocess.run(command, capture_output=True, env=shell_environment(), timeout=30, check=True)
    assert done.stdout.endswith(b"zxid: -1\n" + data + b"\n")


def test_nobody_answers() -> None:
    done = run_shell(free_port(), "ls", "/")
    assert (done.returncode, done.stderr) == (1, "KeeperErrorCode = ConnectionLoss for /\n")
    waiting = run_shell(free_port(), "-timeout", "300", "-waitforconnection", "ls", "/")
    assert waiting.returncode == 1
    assert "no session within 300 ms" in waiting.stderr
    assert "Traceback" not in waiting.stderr


def test_a_chroot(port: int) -> None:
    assert run_shell(port, "create", "/rooted").returncode == 0
    assert run_shell(port, "create", "/x", "here", chroot="/rooted").stderr == "Created /x\n"
    assert run_shell(port, "get", "/rooted/x").stdout.endswith("\nhere\n")
    assert run_shell(port, "ls", "-R", "/", chroot="/rooted").stdout.endswith("\n/\n/x\n")


@pytest.mark.parametrize(("text", "code", "words"), [
    ("", 0, ""),
    ("zookeeper.client.secure=false\n", 0, ""),
    ("zookeeper.client.secure=true\nzookeeper.ssl.trustStore.location=/none\n", 2, "TLS: "),
    ("zookeeper.client.secure=true\nzookeeper.ssl.keyStore.location=STORE\n", 2, "keytool -importkeystore"),
    (None, 2, "Error while processing"),
])  # fmt: skip
def test_client_configuration(port: int, tmp_path: Path, text: str | None, code: int, words: str) -> None:
    store = tmp_path / "store.jks"
    store.write_bytes(b"\xfe\xed\xfe\xed\0\0\0\2")
    file = tmp_path / "client.properties"
    if text is not None:
        file.write_text(text.replace("STORE", str(store)))
    done = run_shell(port, "-client-configuration", str(file), "ls", "/zookeeper")
    assert done.returncode == code
    assert words in done.stderr


def test_wrong_options_of_the_shell(port: int) -> None:
    assert run_shell(port, "-server").returncode == 2
    ignored = run_shell(port, "-frob", "ls", "/zookeeper")
    assert ignored.returncode == 0
    assert "Unknown option -frob is ignored" in ignored.stderr
    assert run_shell(port, "-timeout", "soon", "ls", "/").stderr == 'For input string: "soon"\n'


def test_the_reader_of_the_output_may_leave(port: int) -> None:
    command = f"{sys.executable} -m zkserver.cli.shell -server 127.0.0.1:{port} ls -R / | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, env=shell_environment(), timeout=30)
    assert done.stdout == f"Connecting to 127.0.0.1:{port}\n"
    assert done.stderr == ""


def test_a_command_alone_imports_nothing_for_terminals(port: int) -> None:
    done = run_shell(port, "ls", "/", environment=shell_environment(PYTHONPROFILEIMPORTTIME="1"))
    assert "zkserver.client" in done.stderr
    for heavy in ("prompt_toolkit", "rich", "aiohttp", "cryptography", "zkserver.server"):
        assert f" {heavy}" not in done.stderr, heavy
