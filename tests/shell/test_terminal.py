"""The shell as a person has it: completion, history, events, colours, keys."""

from __future__ import annotations

import signal
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.server_process import free_port
from tests.support.shell_process import COMMAND, run_shell, shell_environment
from tests.support.terminal import Terminal


@contextmanager
def terminal(port: int, home: Path, *words: str, **environment: str) -> Iterator[Terminal]:
    """A shell in a terminal, its first prompt shown (unless a command is given)."""
    changes = {"HOME": str(home), "PROMPT_TOOLKIT_NO_CPR": "1"} | environment
    command = [*COMMAND, "-server", f"127.0.0.1:{port}", *words]
    with Terminal(command, shell_environment(**changes)) as screen:
        if not words:
            screen.wait_for(r"\) 0\] ")
        yield screen


def leave(screen: Terminal) -> None:
    # While a command runs the terminal is not the prompt's, and swallows the key.
    assert screen.leave() == 0


def test_tab_completes_commands_options_and_paths(port: int, tmp_path: Path) -> None:
    run_shell(port, lines='create /tabbed\ncreate "/tabbed/one two" here\ncreate /tabbed/only\n')
    with terminal(port, tmp_path) as screen:
        screen.type("getAllCh\t")
        screen.wait_for("getAllChildrenNumber")
        screen.type(" /tab\t")
        screen.wait_for(r"/tab[\s\x08]*bed")
        screen.type("\r")
        screen.wait_for(r"\n2\n")
        screen.type("ls /tabbed/on\t")
        screen.wait_for("one two")
        screen.wait_for("only")
        screen.type("\x03")
        screen.type("get /tabbed/one\t")
        screen.wait_for('two"')
        screen.type("\r")
        screen.wait_for("\nhere\n")
        screen.type("create -\t")
        for options in (r"-e\s+-c", r"-s\s+-t"):
            screen.wait_for(options)
        screen.type("\x03addWatch -m \t")
        screen.wait_for("PERSISTENT_RECURSIVE")
        screen.type("\x03setAcl /tabbed world\t")
        screen.wait_for("world:anyone:cdrwa")
        screen.type("\x03")
        leave(screen)


def test_the_history_is_kept_without_secrets(port: int, tmp_path: Path) -> None:
    with terminal(port, tmp_path) as screen:
        for number, line in enumerate(("addauth digest ann:hunter2", "ls /zookeeper/quota")):
            screen.type(line + "\r")
            screen.wait_for(rf"\) {number + 1}\] ")
        screen.type("history\r")
        screen.wait_for("0 - addauth digest ann:hunter2\n1 - ls /zookeeper/quota\n2 - history")
        screen.type("redo 1\r")
        screen.wait_for(r"\n\[\]\n")
        leave(screen)
    file = tmp_path / ".zkcli_history"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "hunter2" not in file.read_text()
    with terminal(port, tmp_path) as screen:
        screen.type("\x1b[A\x1b[A\x1b[A")
        screen.wait_for("ls /zookeeper/quota")
        screen.type("\r")
        screen.wait_for(r"\n\[\]\n")
        leave(screen)


def test_the_history_has_its_place_in_xdg(port: int, tmp_path: Path) -> None:
    with terminal(port, tmp_path, XDG_STATE_HOME=str(tmp_path / "state")) as screen:
        screen.type("ls /\r")
        leave(screen)
    assert "ls /" in (tmp_path / "state/zkcli/history").read_text()


def test_an_event_comes_above_the_line_that_is_being_typed(port: int, tmp_path: Path) -> None:
    run_shell(port, "create", "/seen")
    with terminal(port, tmp_path) as screen:
        screen.type("ls -w /seen\r")
        screen.wait_for(r"\[\]\n")
        screen.wait_for(r"\) 1\] ")
        screen.type("get /zookee")
        screen.wait_for("get /zookee")
        run_shell(port, "create", "/seen/child")
        screen.wait_for("watch: NodeChildrenChanged /seen  zxid 0x")
        screen.wait_for("get /zookee")
        screen.type("per\r")
        screen.wait_for(r"\(empty\)")
        leave(screen)


def test_data_is_shown_as_what_it_is(port: int, tmp_path: Path) -> None:
    with terminal(port, tmp_path) as screen:
        screen.type("""create /shown '{"k": [1, true]}'\r""")
        screen.wait_for("Created /shown")
        screen.type("get /shown\r")
        screen.wait_for('{\n  "k": \\[\n    1,\n    true\n  \\]\n}\n')
        screen.type("set -b /shown G1szMW1yZWQ=\rget /shown\r")
        screen.wait_for(r"\|00000000\| 1b 5b 33 31 6d 72 65 64 +\|\.\[31mred +\|")
        screen.type("set /shown plain\rget /shown\r")
        screen.wait_for(r"\nplain\n")
        leave(screen)
        assert "\x1b[31mred" not in screen.raw


def test_errors_say_what_to_do(port: int, tmp_path: Path) -> None:
    with terminal(port, tmp_path) as screen:
        for line, words in (
            ("getacl /", "Did you mean getAcl?"),
            ("get /none", "Node does not exist: /none\n`ls` of a znode above"),
            ("ls -z /", r"\nUnrecognized option: -z\nWrite: ls \[-s\]"),
            ("ls x", "Path must start with / character\nA path begins with a slash"),
            ("help ls", r"ls \[-s\] \[-w\] \[-R\] path\n  the children of a znode"),
            ("close", "session: Closed"),
            ("ls /", "Not connected\n`connect` begins a new session"),
        ):
            screen.type(line + "\r")
            screen.wait_for(words)
        leave(screen)
        assert "Traceback" not in screen.text


def test_ctrl_c_takes_a_line_back_and_cancels_a_command(port: int, tmp_path: Path) -> None:
    with terminal(port, tmp_path) as screen:
        screen.type("create /never")
        screen.wait_for("create /never")
        screen.type("\x03")
        screen.wait_for(r"\) 0\] ")
        screen.type("quit\r")
        assert screen.ended() == 0
    assert run_shell(port, "get", "/never").returncode == 1
    # It takes connections and never says a word.
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        terminal(silent.getsockname()[1], tmp_path) as screen,
    ):
        screen.type("get /zoo\r")
        screen.wait_for("Waiting for 127.0.0.1:.*; Ctrl-C cancels.")
        screen.type("\x03")
        screen.wait_for("Cancelled.")
        leave(screen)


@pytest.mark.parametrize("words", [(), ("-waitforconnection",)])
def test_without_a_server(tmp_path: Path, words: tuple[str, ...]) -> None:
    command = [*COMMAND, "-server", f"127.0.0.1:{free_port()}", "-timeout", "60000", *words]
    environment = shell_environment(HOME=str(tmp_path), PROMPT_TOOLKIT_NO_CPR="1")
    with Terminal(command, environment) as screen:
        if words:
            screen.wait_for("Ctrl-D leaves")
            screen.type("\x03")
            assert screen.ended() in (130, -signal.SIGINT)
            assert "Traceback" not in screen.text
            return
        screen.wait_for("No session on .* yet, still trying")
        screen.wait_for(r"\(CONNECTING\) 0\] ")
        screen.type("ls /\r")
        screen.wait_for("KeeperErrorCode = ConnectionLoss for /\nNo server answers")
        leave(screen)


def test_one_command_on_a_terminal(port: int, tmp_path: Path) -> None:
    with terminal(port, tmp_path, "ls", "/zookeeper") as screen:
        assert screen.ended() == 0
        assert screen.text == "[config, quota]\n"
        assert "\x1b[36mconfig\x1b[0m" in screen.raw
    with terminal(port, tmp_path, "ls", "/zookeeper", NO_COLOR="1") as screen:
        assert screen.ended() == 0
        assert "\x1b" not in screen.raw
    run_shell(port, lines="create /many\n" + "".join(f"create /many/name-{n:03}\n" for n in range(60)))
    with terminal(port, tmp_path, "ls", "/many") as screen:
        assert screen.ended() == 0
        lines = screen.text.splitlines()
        assert lines[0].split()[0] == "name-000"
        assert len(lines[0].split()) == 12
        assert lines[-1] == "60 names"


def test_a_bar_shows_how_far_it_is(port: int, tmp_path: Path) -> None:
    file = tmp_path / "bar.json"
    with terminal(port, tmp_path, "export", "/zookeeper", str(file)) as screen:
        assert screen.ended() == 0
        assert "Exported" in screen.text
    assert file.exists()
