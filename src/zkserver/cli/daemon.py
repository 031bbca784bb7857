"""A server in the background: its pid file, its start and stop, and asking it for its mode.

The pid file holds the decimal process id and nothing else (ZooKeeper's
zookeeper_server.pid). It is written by the command that starts the server and
removed by the one that stops it, so after a crash or a reboot it may name a
process that is gone, or a stranger; both count as "not running".
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

START_WAIT_S = 1.0
"""How long a new process must live to count as started; zkServer.sh waits as long."""

STOP_WAIT_S = 30.0
"""How long a server has to end after SIGTERM before SIGKILL."""

POLL_S = 0.02
ANSWER_WAIT_S = 5.0
ANSWER_SIZE_BYTES = 1 << 20
FAILURE_LINES = 10

Say = Callable[[str], None]
"""Takes words for standard output, without a line end of its own."""


def read_pid(pid_file: Path) -> int | None:
    """The process id in that file, or None where it cannot be read or holds none."""
    try:
        text = pid_file.read_text("ascii", "replace").strip()
    except OSError:
        return None
    return int(text) if text.isascii() and text.isdigit() and int(text) > 0 else None


def is_running(pid: int) -> bool:
    """Whether that process lives and is a ZooKeeper server, ours or Java's.

    Where there is no /proc to tell a server from a stranger, living is enough.
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # It lives and is somebody else's.
    try:
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
        command = Path(f"/proc/{pid}/cmdline").read_bytes().lower()
    except OSError:
        return not Path("/proc/self/stat").exists()
    return state not in (b"Z", b"X") and (b"zkserver" in command or b"zookeeper" in command)


def start(
    command: Sequence[str],
    pid_file: Path,
    out_file: Path,
    say: Say,
    is_serving: Callable[[], bool],
) -> int:
    """Start `command` in the background and write its id; the exit code for the shell.

    Returns once the process serves, has ended, or has lived for `START_WAIT_S`.
    """
    say("Starting zookeeper ... ")
    running = read_pid(pid_file)
    if running is not None and is_running(running):
        say(f"already running as process {running}.\n")
        return 1
    # Whoever answers before the start is not the new server, so its answer is no sign.
    is_port_taken = is_serving()
    try:
        out_file.parent.mkdir(parents=True, exist_ok=True)
        begin = out_file.stat().st_size if out_file.exists() else 0
        process = _spawn(command, out_file)
    except OSError as error:
        say(f"FAILED TO START\n{error.filename}: {error.strerror}\n")
        return 1
    try:
        pid_file.parent.mkdir(parents=True, exist_ok=True)
        pid_file.write_text(str(process.pid), "ascii")
    except OSError as error:
        process.terminate()
        process.wait()
        say(f"FAILED TO WRITE PID\n{error.filename}: {error.strerror}\n")
        return 1
    deadline = time.monotonic() + START_WAIT_S
    while process.poll() is None and time.monotonic() < deadline:
        if not is_port_taken and is_serving():
            break
        time.sleep(POLL_S)
    if process.poll() is None:
        # The server outlives this command, which is not to wait for it.
        process.returncode = 0
        say("STARTED\n")
        return 0
    pid_file.unlink(missing_ok=True)
    say(f"FAILED TO START\nexit code {process.returncode}, see {out_file}\n")
    say(_last_lines(out_file, begin))
    return 1


def _spawn(command: Sequence[str], out_file: Path) -> subprocess.Popen[bytes]:
    """Run a command in a session of its own, so that it outlives the terminal."""
    with out_file.open("ab") as out:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _last_lines(out_file: Path, begin: int) -> str:
    """The end of what a process wrote there since it began."""
    with out_file.open("rb") as out:
        out.seek(begin)
        lines = out.read().decode("utf-8", "replace").splitlines(keepends=True)
    return "".join(lines[-FAILURE_LINES:])


def stop(pid_file: Path, say: Say, *, wait_s: float = STOP_WAIT_S) -> int:
    """Ask the server of that pid file to end, make it end after `wait_s`; the exit code."""
    say("Stopping zookeeper ... ")
    if not os.path.lexists(pid_file):
        say(f"no zookeeper to stop (could not find file {pid_file})\n")
        return 0
    pid = read_pid(pid_file)
    if pid is None:
        say(f"no zookeeper to stop ({pid_file} does not hold a process id)\n")
        return 1
    if not is_running(pid):
        pid_file.unlink(missing_ok=True)
        say(f"no zookeeper to stop (process {pid} of {pid_file} is gone)\n")
        return 0
    try:
        os.kill(pid, signal.SIGTERM)
        if not _wait_for_end(pid, wait_s):
            say(f"still there after {wait_s:g} s, killing process {pid} ... ")
            os.kill(pid, signal.SIGKILL)
            _wait_for_end(pid, wait_s)
    except PermissionError:
        say(f"FAILED: process {pid} belongs to another user\n")
        return 1
    except ProcessLookupError:
        pass  # It ended by itself between two looks.
    pid_file.unlink(missing_ok=True)
    say("STOPPED\n")
    return 0


def _wait_for_end(pid: int, wait_s: float) -> bool:
    deadline = time.monotonic() + wait_s
    while is_running(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


def status(address: str, port: int, say: Say) -> int:
    """Print the mode of the server at that client port; 0 if it told one, else 1."""
    host = _host_to_dial(address)
    say(f"Client port found: {port}. Client address: {host}. Client SSL: false.\n")
    try:
        answer = four_letter_word(host, port, "srvr")
    except OSError:
        say("Error contacting service. It is probably not running.\n")
        return 1
    mode = mode_line(answer)
    if mode is not None:
        say(f"{mode}\n")
        return 0
    reason = answer.strip() or "It closed the connection without an answer."
    say(f"Error contacting service. Something listens there, but tells no mode: {reason}\n")
    return 1


def is_serving(address: str, port: int) -> bool:
    """Whether a server at that client port tells its mode within a moment."""
    try:
        answer = four_letter_word(_host_to_dial(address), port, "srvr", wait_s=0.5)
    except OSError:
        return False
    return mode_line(answer) is not None


def mode_line(answer: str) -> str | None:
    """The line "Mode: …" of an answer to srvr."""
    for line in answer.splitlines():
        if line.startswith("Mode:"):
            return line
    return None


def four_letter_word(
    host: str, port: int, word: str, *, wait_s: float = ANSWER_WAIT_S
) -> str:
    """Send one of ZooKeeper's four-letter words to a client port and return the answer.

    Raises OSError where nobody answers within `wait_s` for each step.
    """
    answer = b""
    with socket.create_connection((host, port), wait_s) as link:
        link.sendall(word.encode("ascii"))
        with suppress(ConnectionResetError):
            while len(answer) < ANSWER_SIZE_BYTES:
                chunk = link.recv(65536)
                if not chunk:
                    break
                answer += chunk
    return answer.decode("utf-8", "replace")


def _host_to_dial(address: str) -> str:
    """clientPortAddress as a client dials it: "any address" is this machine."""
    host = address.strip("[]")
    return "localhost" if host in ("", "0.0.0.0", "::") else host
