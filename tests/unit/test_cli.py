"""The commands: which configuration they find, what they print, how they end."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import zkserver
from zkserver.cli import daemon
from zkserver.cli.main import main
from zkserver.cli.serve import CommandError, Options, load_config, locate
from zkserver.runtime import logs

# A process that looks like a server in the process list and does what its arguments say.
STAND_IN = """
# zkserver stand-in
import signal, socket, sys, time
port, answer, on_term = int(sys.argv[1]), sys.argv[2], sys.argv[3]
if on_term == "ignore":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if on_term == "fail":
    sys.exit("zoo.cfg:3: clientPort = x: must be a number")
listener = socket.create_server(("127.0.0.1", port))
while True:
    link, _ = listener.accept()
    link.recv(4)
    link.sendall(answer.encode())
    link.close()
"""

pytestmark = pytest.mark.usefixtures("_environ")

NO_CONFIG = "Using config: none, defaults apply\n"
SRVR = "Zookeeper version: 3.9.5\nMode: standalone\nNode count: 5\n"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def stand_in(port: int, answer: str = SRVR, on_term: str = "end") -> list[str]:
    return [sys.executable, "-c", STAND_IN, str(port), answer, on_term]


@contextlib.contextmanager
def answering(answer: bytes) -> Iterator[int]:
    """A port that gives one answer to whoever asks, until the block ends."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve_all() -> None:
        with contextlib.suppress(OSError):
            while True:
                link, _ = listener.accept()
                with link:
                    link.recv(4)
                    link.sendall(answer)

    thread = threading.Thread(target=serve_all)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


@pytest.fixture
def words() -> list[str]:
    return []


@pytest.fixture
def _environ(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A current directory of our own, and none of the variables that commands read."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    names = "ZOOCFGDIR ZOOCFG ZOO_LOG_DIR ZOOPIDFILE ZOO_DATADIR_AUTOCREATE_DISABLE"
    for name in (*names.split(), "JVMFLAGS", "SERVER_JVMFLAGS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHONPATH", str(Path(zkserver.__file__).resolve().parents[1]))
    monkeypatch.chdir(tmp_path)
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


class Result(NamedTuple):
    """What a command printed, and its exit code."""

    stdout: str
    stderr: str
    exit_code: int


def run(*args: str) -> Result:
    """Run a command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        main(args)
    code = ended.value.code
    return Result(out.getvalue(), err.getvalue(), code if isinstance(code, int) else 0)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "waited for 10 s"
        time.sleep(0.005)


class TestLocate:
    """Which zoo.cfg, which environment."""

    def test_without_anything_defaults_apply(self) -> None:
        deployment = locate(Options(), {})
        assert deployment.config_file is None
        assert deployment.data_dir == Path("data")
        assert deployment.pid_file == Path("data/zookeeper_server.pid")
        assert deployment.out_file.parent == Path("data/logs")

    def test_a_path_stands_as_it_is(self) -> None:
        options = Options(cfg="conf/my.cfg", config_dir="/etc/other")
        assert locate(options, {}).config_file == Path("conf/my.cfg")

    def test_a_bare_name_is_in_the_named_configuration_directory(self, tmp_path) -> None:
        (tmp_path / "my.cfg").touch()
        assert locate(Options(cfg="my.cfg"), {}).config_file == Path("my.cfg")
        by_option = locate(Options(cfg="my.cfg", config_dir="/etc/zk"), {"ZOOCFGDIR": "/x"})
        assert by_option.config_file == Path("/etc/zk/my.cfg")
        by_variable = locate(Options(cfg="my.cfg"), {"ZOOCFGDIR": "/etc/zk"})
        assert by_variable.config_file == Path("/etc/zk/my.cfg")

    def test_the_directory_and_zoocfg_give_the_default_name(self) -> None:
        assert locate(Options(config_dir="/c"), {}).config_file == Path("/c/zoo.cfg")
        environment = {"ZOOCFGDIR": "/c", "ZOOCFG": "my.cfg"}
        assert locate(Options(), environment).config_file == Path("/c/my.cfg")
        assert locate(Options(), {"ZOOCFG": "/d/my.cfg"}).config_file == Path("/d/my.cfg")

    def test_port_and_data_dir_contradict_a_file(self) -> None:
        with pytest.raises(CommandError, match=r"set clientPort and dataDir in zoo/my\.cfg"):
            locate(Options(cfg="zoo/my.cfg", port=2181), {})
        assert locate(Options(port=2182, data_dir="d"), {}).data_dir == Path("d")

    def test_scripts_of_the_configuration_directory_set_variables(self, tmp_path) -> None:
        (tmp_path / "zookeeper-env.sh").write_text('ZOOPIDFILE="$HOME_OF_PID/zk.pid"\necho hi\n')
        (tmp_path / "java.env").write_text("export JVMFLAGS='-Dzookeeper.snapCount=7\n-Xmx1g'\n")
        environment = {"HOME_OF_PID": "/run", "PATH": os.environ["PATH"]}
        deployment = locate(Options(config_dir=str(tmp_path)), environment)
        assert deployment.pid_file == Path("/run/zk.pid")
        assert deployment.environ["JVMFLAGS"] == "-Dzookeeper.snapCount=7\n-Xmx1g"

    def test_a_script_that_fails_is_named(self, tmp_path) -> None:
        (tmp_path / "java.env").write_text("exit 3\n")
        with pytest.raises(CommandError, match=r"java\.env: .* ended with 3"):
            locate(Options(config_dir=str(tmp_path)), os.environ)

    def test_log_directory_and_pid_file_by_variable(self) -> None:
        environment = {"ZOO_LOG_DIR": "/var/log/zk", "ZOOPIDFILE": "/run/zk", "USER": "me"}
        deployment = locate(Options(), environment)
        assert deployment.pid_file == Path("/run/zk")
        host = socket.gethostname()
        assert deployment.out_file == Path(f"/var/log/zk/zookeeper-me-server-{host}.out")


class TestDaemon:
    """Start, stop and the pid file, with a stand-in for the server."""

    def start(self, command: list[str], tmp_path: Path, words: list[str], port: int) -> int:
        return daemon.start(
            command,
            tmp_path / "run" / "zk.pid",
            tmp_path / "logs" / "zk.out",
            words.append,
            lambda: daemon.is_serving("", port),
        )

    def test_start_then_stop(self, tmp_path, words) -> None:
        port, pid_file = free_port(), tmp_path / "run" / "zk.pid"
        assert self.start(stand_in(port), tmp_path, words, port) == 0
        assert "".join(words) == "Starting zookeeper ... STARTED\n"
        pid = int(pid_file.read_text())
        assert daemon.is_running(pid)
        assert os.getsid(pid) == pid

        words.clear()
        assert self.start(stand_in(port), tmp_path, words, port) == 1
        assert "".join(words) == f"Starting zookeeper ... already running as process {pid}.\n"

        words.clear()
        assert daemon.stop(pid_file, words.append) == 0
        assert "".join(words) == "Stopping zookeeper ... STOPPED\n"
        assert not daemon.is_running(pid)
        assert not pid_file.exists()

    def test_a_start_that_fails_says_why_and_where(self, tmp_path, words) -> None:
        (tmp_path / "logs").mkdir()
        (tmp_path / "logs" / "zk.out").write_text("of an earlier run\n")
        assert self.start(stand_in(0, on_term="fail"), tmp_path, words, free_port()) == 1
        assert "".join(words) == (
            "Starting zookeeper ... FAILED TO START\n"
            f"exit code 1, see {tmp_path}/logs/zk.out\n"
            "zoo.cfg:3: clientPort = x: must be a number\n"
        )
        assert not (tmp_path / "run" / "zk.pid").exists()

    def test_another_servers_answer_is_no_sign_of_life(self, tmp_path, words) -> None:
        with answering(SRVR.encode()) as port:
            assert self.start(stand_in(port), tmp_path, words, port) == 1
        assert "FAILED TO START" in "".join(words)
        assert "Address already in use" in "".join(words)

    def test_no_directory_for_the_pid_file(self, tmp_path, words) -> None:
        (tmp_path / "run").touch()
        port = free_port()
        assert self.start(stand_in(port), tmp_path, words, port) == 1
        assert "FAILED TO WRITE PID" in "".join(words)
        assert not daemon.is_serving("", port)

    def test_stop_kills_what_does_not_end(self, tmp_path, words) -> None:
        port, pid_file = free_port(), tmp_path / "run" / "zk.pid"
        assert self.start(stand_in(port, on_term="ignore"), tmp_path, words, port) == 0
        pid = int(pid_file.read_text())
        words.clear()
        assert daemon.stop(pid_file, words.append, wait_s=0.1) == 0
        assert "".join(words) == (
            f"Stopping zookeeper ... still there after 0.1 s, killing process {pid} ... STOPPED\n"
        )
        assert not daemon.is_running(pid)

    def test_nothing_to_stop(self, tmp_path, words) -> None:
        pid_file = tmp_path / "zk.pid"
        assert daemon.stop(pid_file, words.append) == 0
        assert words.pop() == f"no zookeeper to stop (could not find file {pid_file})\n"
        pid_file.write_text("soon")
        assert daemon.stop(pid_file, words.append) == 1
        assert words.pop() == f"no zookeeper to stop ({pid_file} does not hold a process id)\n"

    def test_a_stale_pid_file_is_removed(self, tmp_path, words) -> None:
        ended = subprocess.Popen([sys.executable, "-c", ""])
        ended.wait()
        pid_file = tmp_path / "zk.pid"
        pid_file.write_text(f"{ended.pid}\n")
        assert daemon.stop(pid_file, words.append) == 0
        assert words[-1] == f"no zookeeper to stop (process {ended.pid} of {pid_file} is gone)\n"
        assert not pid_file.exists()

    @pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
    def test_a_stranger_with_an_old_pid_is_not_killed(self, tmp_path, words) -> None:
        stranger = subprocess.Popen(["sleep", "60"])
        try:
            pid_file = tmp_path / "zk.pid"
            pid_file.write_text(str(stranger.pid))
            wait_until(lambda: b"sleep" in Path(f"/proc/{stranger.pid}/cmdline").read_bytes())
            assert daemon.stop(pid_file, words.append) == 0
            assert stranger.poll() is None
            assert not daemon.is_running(stranger.pid)
        finally:
            stranger.send_signal(signal.SIGKILL)
            stranger.wait()


class TestStatus:
    """Asking a server for its mode."""

    def status(self, tmp_path: Path, lines: str) -> Result:
        (tmp_path / "zoo.cfg").write_text(f"dataDir={tmp_path}\n{lines}")
        return run("status", "zoo.cfg")

    def test_mode(self, tmp_path) -> None:
        with answering(SRVR.encode()) as port:
            result = self.status(tmp_path, f"clientPort={port}\nclientPortAddress=127.0.0.1\n")
        assert result.stdout == (
            f"Client port found: {port}. Client address: 127.0.0.1. Client SSL: false.\n"
            "Mode: standalone\n"
        )
        assert result.stderr == "Using config: zoo.cfg\n"
        assert result.exit_code == 0

    def test_nobody_there(self, tmp_path) -> None:
        result = self.status(tmp_path, f"clientPort={free_port()}\n")
        assert result.stdout.endswith("Error contacting service. It is probably not running.\n")
        assert "Client address: localhost." in result.stdout
        assert result.exit_code == 1

    def test_a_server_that_may_not_tell(self, tmp_path) -> None:
        refusal = "srvr is not executed because it is not in the whitelist."
        with answering(refusal.encode()) as port:
            result = self.status(tmp_path, f"clientPort={port}\n")
        assert "Error contacting service." in result.stdout
        assert refusal in result.stdout
        assert result.exit_code == 1

    def test_the_port_of_the_servers_own_line(self, tmp_path) -> None:
        (tmp_path / "myid").write_text("2\n")
        members = "server.1=a:2888:3888;1\nserver.2=b:2888:3888:participant;127.0.0.1:{}\n"
        with answering(SRVR.encode()) as port:
            assert self.status(tmp_path, members.format(port)).exit_code == 0
            (tmp_path / "zoo.dynamic").write_text(members.format(port))
            dynamic = self.status(tmp_path, f"dynamicConfigFile={tmp_path}/zoo.dynamic\n")
        assert "Looking in dynamic config file." in dynamic.stdout
        assert "Mode: standalone" in dynamic.stdout

    def test_no_port_at_all(self, tmp_path) -> None:
        result = self.status(tmp_path, "")
        assert "myid could not be determined" in result.stdout
        assert "Unable to find either secure or unsecure client port" in result.stdout
        assert result.exit_code == 1

    def test_only_a_secure_port(self, tmp_path) -> None:
        result = self.status(tmp_path, "secureClientPort=2281\n")
        assert "TLS is not built yet" in result.stdout
        assert result.exit_code == 1

    def test_without_a_file_the_port_is_2181_or_the_option(self) -> None:
        port = free_port()
        result = run("status", "--port", str(port))
        assert f"Client port found: {port}." in result.stdout
        assert result.stderr == NO_CONFIG


class TestConfiguration:
    """What the file, the environment and the command line come to."""

    def load(self, options: Options, **environ: str):
        deployment = locate(options, environ)
        return load_config(deployment, logs.get_log("test"))

    def test_without_a_file(self) -> None:
        config, warnings = self.load(Options(port=2199))
        assert (config.client_port, config.data_dir, warnings) == (2199, "data", [])
        assert self.load(Options(data_dir="d"))[0].client_port == 2181

    def test_precedence_of_properties(self, tmp_path) -> None:
        cfg = tmp_path / "zoo.cfg"
        cfg.write_text(f"dataDir={tmp_path}\nclientPort=2181\n")
        environ = {
            "SERVER_JVMFLAGS": "-Xmx1g -Dzookeeper.snapCount=10 -Dzookeeper.maxCnxns=1",
            "JVMFLAGS": "-Dzookeeper.snapCount=20 '-Dzookeeper.ensembleAuthName=a b'",
        }
        options = Options(cfg=str(cfg))
        config, _ = self.load(options, **environ)
        assert (config.snap_count, config.max_cnxns) == (20, 1)
        assert config.ensemble_auth_name == "a b"
        options = Options(cfg=str(cfg), defines=("zookeeper.snapCount=30",))
        assert self.load(options, **environ)[0].snap_count == 30
        cfg.write_text(f"dataDir={tmp_path}\nclientPort=2181\nsnapCount=40\n")
        assert self.load(options, **environ)[0].snap_count == 40

    def test_other_jvm_flags_are_named_for_who_debugs(self) -> None:
        out = io.StringIO()
        logs.configure(level="DEBUG", stream=out)
        self.load(Options(), SERVER_JVMFLAGS="-Xmx1g")
        assert out.getvalue().endswith("variable=SERVER_JVMFLAGS flag=-Xmx1g\n")

    def test_autocreate_can_be_disabled(self) -> None:
        assert self.load(Options())[0].datadir_autocreate
        config, _ = self.load(Options(), ZOO_DATADIR_AUTOCREATE_DISABLE="1")
        assert not config.datadir_autocreate

    def test_server_lines_and_a_myid_make_a_peer(self, tmp_path) -> None:
        (tmp_path / "myid").write_text("1")
        members = "server.1=a:2888:3888\nserver.2=b:2888:3888\nserver.3=c:2888:3888\n"
        timing = "initLimit=10\nsyncLimit=5\n"
        cfg = tmp_path / "zoo.cfg"
        cfg.write_text(f"dataDir={tmp_path}\nclientPort=2181\n{timing}{members}")
        config, warnings = self.load(Options(cfg=str(cfg)))
        assert (config.is_distributed, config.server_id, warnings) == (True, 1, [])

    def test_a_server_without_a_client_port_is_refused(self, tmp_path) -> None:
        (tmp_path / "zoo.cfg").write_text(f"dataDir={tmp_path}\n")
        with pytest.raises(CommandError, match="clientPort is not set"):
            self.load(Options(cfg=str(tmp_path / "zoo.cfg")))


class TestCommandLine:
    """The commands from the shell's side."""

    def test_a_bad_configuration_names_the_line_and_ends_with_2(self, tmp_path) -> None:
        (tmp_path / "zoo.cfg").write_text(f"dataDir={tmp_path}\nclientPort=many\n")
        result = run("start-foreground", "zoo.cfg")
        assert result.exit_code == 2
        assert "zoo.cfg:2: clientPort = many: " in result.stderr
        assert result.stderr.endswith("\nInvalid config, exiting abnormally\n")

    def test_a_file_that_is_no_properties_file(self, tmp_path) -> None:
        (tmp_path / "zoo.cfg").write_text("dataDir=\\u12\n")
        result = run("stop", "zoo.cfg")
        assert result.exit_code == 2
        assert "zoo.cfg:1: " in result.stderr

    def test_a_file_that_is_not_there(self) -> None:
        result = run("--config", "/nowhere", "start-foreground", "zoo.cfg")
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr == (
            "Using config: /nowhere/zoo.cfg\n/nowhere/zoo.cfg: No such file or directory\n"
        )

    def test_missing_data_directories_stop_the_start(self, tmp_path, monkeypatch) -> None:
        monkeypatch.setenv("ZOO_DATADIR_AUTOCREATE_DISABLE", "1")
        result = run("start", "--data-dir", "gone", "--port", str(free_port()))
        assert result.exit_code == 1
        assert result.stderr.endswith(
            "ZooKeeper data directory is missing at gone fix the path or run initialize\n"
        )
        assert not (tmp_path / "gone").exists()

    def test_print_cmd_is_what_start_runs(self, monkeypatch) -> None:
        monkeypatch.setenv("ZOO_LOG_DIR", "/var/log/my zk")
        result = run("print-cmd", "-Dzookeeper.snapCount=7", "-D", "a=b c", "--json-logs", "my.cfg")
        command = shlex.split(result.stdout)
        assert command[:5] == [sys.executable, "-P", "-m", "zkserver.cli.main", "start-foreground"]
        assert command[5:7] == ["-Dzookeeper.snapCount=7", "-Da=b c"]
        assert command[7:10] == ["--json-logs", "--", "my.cfg"]
        assert command[11].startswith("/var/log/my zk/zookeeper-")

    def test_version(self) -> None:
        assert run("version").stdout.startswith("zkserver, version ")

    def test_a_daemons_life(self, tmp_path) -> None:
        options = ("--port", str(free_port()), "--data-dir", "my data")
        started = run("start", *options)
        try:
            assert started == ("Starting zookeeper ... STARTED\n", NO_CONFIG, 0)
            pid_file = tmp_path / "my data" / "zookeeper_server.pid"
            first_pid = int(pid_file.read_text())
            wait_until(lambda: run("status", *options).exit_code == 0)
            assert run("status", *options).stdout.endswith("\nMode: standalone\n")
            assert "already running" in run("start", *options).stdout

            restarted = run("restart", *options)
            assert restarted.stdout == (
                "Stopping zookeeper ... STOPPED\nStarting zookeeper ... STARTED\n"
            )
            assert int(pid_file.read_text()) != first_pid
        finally:
            stopped = run("stop", *options)
        assert stopped == ("Stopping zookeeper ... STOPPED\n", NO_CONFIG, 0)
        assert run("status", *options).exit_code == 1
        written = next((tmp_path / "my data" / "logs").iterdir()).read_text()
        assert written.count(" INFO  serving ") == 2

    def test_a_server_in_the_foreground_ends_well_on_sigterm(self, tmp_path) -> None:
        port = free_port()
        (tmp_path / "java.env").write_text("JVMFLAGS='-Xmx1g'\n")
        (tmp_path / "zoo.cfg").write_text(f"dataDir={tmp_path}/data\nclientPort={port}\n")
        command = (sys.executable, "-m", "zkserver.cli.main", "start-foreground", "--json-logs")
        server = subprocess.Popen(
            [*command, "--log-level", "debug", "--config", str(tmp_path)],
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            wait_until(lambda: server.poll() is not None or daemon.is_serving("", port))
        finally:
            server.terminate()
            written = server.communicate()[1]
        assert server.returncode == 0
        events = [json.loads(line) for line in written.splitlines()]
        assert events[0]["file"] == f"{tmp_path}/zoo.cfg"
        assert [event["flag"] for event in events if "flag" in event] == ["-Xmx1g"]
        assert not (tmp_path / "data" / "zookeeper_server.pid").exists()


def test_simulate_becomes_the_simulated_world(monkeypatch: pytest.MonkeyPatch) -> None:
    """All its words are handed on, those that look like options of ours too."""
    commands: list[list[str]] = []

    def execv(program: str, command: list[str]) -> None:
        assert program == sys.executable
        commands.append(command)

    monkeypatch.setattr(os, "execv", execv)
    words = ["--seed", "7", "--hours", "0.5", "--faults", "kill,slow disk", "--help", "-h"]
    run("simulate", *words)
    assert commands == [[sys.executable, "-P", "-m", "zkserver.sim", *words]]


def test_simulate_explains_itself() -> None:
    command = [sys.executable, "-m", "zkserver.cli.main", "simulate", "--help"]
    ours = subprocess.run(command, capture_output=True, text=True, check=True)
    command = [sys.executable, "-m", "zkserver.sim", "--help"]
    theirs = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ours.stdout == theirs.stdout
    assert ours.stdout.startswith("usage: zkserver simulate ")
    assert "--trace FILE.html" in ours.stdout
    assert "simulate " in run("--help").stdout
