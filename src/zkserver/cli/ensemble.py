"""`zkserver ensemble 3`: a whole ensemble on this machine, to see it work and to break it.

Every server has a directory of its own, `DIR/N` with zoo.cfg, data and server.log, and free ports
near the usual ones. What is on the screen is what the servers say to the four-letter words, twice
a second, and the epoch that they keep on disk. On a terminal the lines are drawn in place, and
keys act: a digit kills that server as `kill -9` would, or starts it again, q ends everything.
Without a terminal a line is printed whenever a server has changed its state.

The servers end with this command; their directories stay, and the next one goes on with them.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import click

from zkserver.cli import daemon, serve

REFRESH_S = 0.5
ANSWER_WAIT_S = 0.5
STOP_WAIT_S = 10.0
QUORUM_PORT = 2888
ELECTION_PORT = 3888
ADMIN_PORT = 8080

_UP, _CLEAR_LINE = "\x1b[{}A", "\x1b[K"
_COLOURS = {"leader": "green", "looking": "yellow", "starting": "yellow", "down": "red"}

SETTINGS = {
    "tickTime": "1000",
    "initLimit": "10",
    "syncLimit": "5",
    "clientPortAddress": "127.0.0.1",
    "4lw.commands.whitelist": "*",
}


class Ports(NamedTuple):
    """The ports of one server, all of this machine alone."""

    client: int
    quorum: int
    election: int
    admin: int


class Look(NamedTuple):
    """What a server says of itself: its state, and a text of figures behind it."""

    state: str
    figures: str = ""


@dataclass
class Seat:
    """One server's place: its directory and ports, and the process that sits there."""

    number: int
    folder: Path
    ports: Ports
    process: subprocess.Popen[bytes] | None = None

    def prepare(self, members: Sequence[str]) -> None:
        """Write zoo.cfg and myid. `members` are the server lines of all."""
        data_dir = self.folder / "data"
        data_dir.mkdir(parents=True, exist_ok=True)
        (data_dir / "myid").write_text(f"{self.number}\n")
        keys = SETTINGS | {
            "dataDir": str(data_dir),
            "clientPort": str(self.ports.client),
            "admin.serverPort": str(self.ports.admin),
        }
        lines = [f"{key}={value}" for key, value in keys.items()]
        (self.folder / "zoo.cfg").write_text("\n".join([*lines, *members, ""]))

    def start(self) -> None:
        """Start the server; its output goes to server.log."""
        command = serve.foreground_command(serve.Options(cfg=str(self.folder / "zoo.cfg")))
        with (self.folder / "server.log").open("ab") as out:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                # A Ctrl-C of the terminal is this command's alone.
                start_new_session=True,
            )

    @property
    def is_running(self) -> bool:
        """Whether the process is there."""
        return self.process is not None and self.process.poll() is None

    def toggle(self) -> None:
        """Kill the server, or start it again."""
        if self.process is not None and self.is_running:
            self.process.kill()
            self.process.wait()
        else:
            self.start()

    def look(self) -> Look:
        """Ask the server how it is."""
        if self.process is None or not self.is_running:
            code = None if self.process is None else self.process.returncode
            is_news = code not in (None, -signal.SIGKILL)
            return Look("down", f"exit code {code}, see server.log" if is_news else "")
        try:
            srvr, mntr = (self._ask(word) for word in ("srvr", "mntr"))
        except OSError:
            return Look("starting")
        mode = daemon.mode_line(srvr)
        if mode is None:
            return Look("looking")
        rows = dict(line.split("\t", 1) for line in mntr.splitlines() if "\t" in line)
        zxid = srvr.partition("\nZxid: ")[2].partition("\n")[0]
        sessions = int(rows.get("zk_global_sessions", 0)) + int(rows.get("zk_local_sessions", 0))
        return Look(
            mode.partition(": ")[2],
            f"epoch {self._epoch()}  zxid {zxid:<11}  sessions {sessions}"
            f"  latency {rows.get('zk_avg_latency')} ms (max {rows.get('zk_max_latency')})",
        )

    def _epoch(self) -> str:
        """The reign that the server has joined last; a server alone has none."""
        file = self.folder / "data" / "version-2" / "currentEpoch"
        return file.read_text().strip() if file.exists() else "-"

    def _ask(self, word: str) -> str:
        port = self.ports.client
        return daemon.four_letter_word("127.0.0.1", port, word, wait_s=ANSWER_WAIT_S)


def seats(count: int, folder: Path, first_port: int) -> list[Seat]:
    """Places for `count` servers, with their files. Raises OSError where they cannot be made."""
    firsts = first_port, QUORUM_PORT, ELECTION_PORT, ADMIN_PORT
    rows = [_free_ports(count, first) for first in firsts]
    folder = folder.absolute()
    made, members = [], []
    for number, ports in enumerate(zip(*rows, strict=True), 1):
        made.append(Seat(number, folder / str(number), Ports(*ports)))
        members.append(f"server.{number}=127.0.0.1:{ports[1]}:{ports[2]};127.0.0.1:{ports[0]}")
    for seat in made:
        seat.prepare(members)
    return made


def _free_ports(count: int, first: int) -> list[int]:
    """The first `count` ports from `first` on where nobody listens."""
    found: list[int] = []
    for port in range(first, 65536):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            break
    return found


class Screen:
    """Where the servers' lines go. `say` takes words for standard output."""

    def __init__(self, ensemble: Sequence[Seat], say: Callable[[str], None], is_live: bool) -> None:
        self._seats = ensemble
        self._say = say
        self._is_live = is_live
        self._drawn = 0
        self._states: dict[int, str] = {}

    def begin(self) -> None:
        """What does not change."""
        hosts = ",".join(f"127.0.0.1:{seat.ports.client}" for seat in self._seats)
        consoles = "  ".join(f"http://localhost:{seat.ports.admin}/" for seat in self._seats)
        self._say(f"Connection string: {hosts}\nConsoles: {consoles}\n")
        self._say(f"Directories: {self._seats[0].folder.parent}\n\n")

    def show(self) -> None:
        """Ask every server, and draw or print."""
        looks = [(seat, seat.look()) for seat in self._seats]
        if self._is_live:
            self._draw(looks)
            return
        for seat, look in looks:
            if self._states.get(seat.number) != look.state:
                self._states[seat.number] = look.state
                self._say(" ".join(self._line(seat, look).split()) + "\n")

    def _draw(self, looks: Sequence[tuple[Seat, Look]]) -> None:
        width = shutil.get_terminal_size().columns - 1
        lines = []
        for seat, look in looks:
            line = self._line(seat, look)[:width]
            state = f"{look.state:<9}"
            coloured = click.style(state, fg=_COLOURS.get(look.state), bold=look.state == "leader")
            lines.append(line.replace(state, coloured, 1))
        lines += ["", f"1-{len(looks)}: kill -9 or start again   q: quit"[:width]]
        up = _UP.format(self._drawn) if self._drawn else ""
        self._say(up + "".join(f"{line}{_CLEAR_LINE}\n" for line in lines))
        self._drawn = len(lines)

    @staticmethod
    def _line(seat: Seat, look: Look) -> str:
        return f"server {seat.number}  {look.state:<9}  :{seat.ports.client:<5}  {look.figures}"


@contextmanager
def _keys() -> Iterator[Callable[[float], str]]:
    """Gives a function that waits so many seconds for keys, and returns those that came.

    Without a terminal it only waits.
    """
    terminal = sys.stdin.fileno()
    watched = [terminal] if os.isatty(terminal) else []

    def read(wait_s: float) -> str:
        ready, _, _ = select.select(watched, [], [], wait_s)
        return os.read(terminal, 100).decode("ascii", "replace") if ready else ""

    if not watched:
        yield read
        return
    before = termios.tcgetattr(terminal)

    try:
        tty.setcbreak(terminal)
        yield read
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


class _Quit(Exception):
    """A signal asks for the end."""


def _quit(*_: object) -> None:
    raise _Quit


def run(count: int, folder: Path, first_port: int, say: Callable[[str], None]) -> int:
    """Run an ensemble until q or a signal; the exit code for the shell."""
    try:
        ensemble = seats(count, folder, first_port)
    except OSError as error:
        say(f"cannot make the servers' directories: {error}\n")
        return 1
    screen = Screen(ensemble, say, sys.stdout.isatty())
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _quit)
    try:
        screen.begin()
        for seat in ensemble:
            seat.start()
        with _keys() as wait_for_keys:
            while _obey(wait_for_keys(0), ensemble):
                screen.show()
                if not _obey(wait_for_keys(REFRESH_S), ensemble):
                    break
    except _Quit:
        pass
    finally:
        _end(ensemble)
    say("All servers have ended.\n")
    return 0


def _obey(keys: str, ensemble: Sequence[Seat]) -> bool:
    """Do what the keys say; False: it is over."""
    for seat in ensemble:
        if str(seat.number) in keys:
            seat.toggle()
    return "q" not in keys.lower()


def _end(ensemble: Sequence[Seat]) -> None:
    """Ask all servers to end, and make those end that do not."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    running = [seat.process for seat in ensemble if seat.process is not None and seat.is_running]
    for process in running:
        process.terminate()
    deadline = time.monotonic() + STOP_WAIT_S
    for process in running:
        try:
            process.wait(max(deadline - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
