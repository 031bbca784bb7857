"""`make bench`: zkserver beside Apache ZooKeeper, on this machine, under the same load.

Prints the table of works and the single figures with their targets. README.md in this folder
says what is measured and how. The exit status is 0 unless something could not be measured (1)
or the options are wrong (2): a figure that falls short is printed, never an error.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import counting
from ensemble import EnsembleFigures
from ensemble import Sizes as EnsembleSizes
from million import Figures, Sizes
from servers import Contender, Load, Server, Unmeasured, build_load, file_system_of
from tables import (
    ENSEMBLE_HEADING,
    ENSEMBLE_SINGLE_KEYS,
    ENSEMBLE_WORKS,
    SINGLE_KEYS,
    WORKS,
    Row,
    Single,
    Work,
    as_json,
    closed_loop,
    report,
)
from turns import alternate, ended, say

HERE = Path(__file__).resolve().parent
BUILD = HERE / "build"
DEBIAN_CLASSPATH = "/etc/zookeeper/conf:/usr/share/java/zookeeper.jar"
MAIN_CLASS = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
# Mixed load first, then a share of the seconds for each path that the rows take.
WARM_UP = (("mixed:50", 0.5), ("exists", 0.1), ("create", 0.2), ("connect", 0.2))
IDLE_SETTLE_S = 5.0
ENSEMBLE_KEYS = (*(work.key for work in ENSEMBLE_WORKS), *ENSEMBLE_SINGLE_KEYS)
CLIENT_KEY = "client"
KEYS = (*(work.key for work in WORKS), *SINGLE_KEYS, "counting", *ENSEMBLE_KEYS, CLIENT_KEY)


def parse_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", default="", metavar="KEY,...",
                        help=f"of {','.join(KEYS)}; ensemble: all of e-…")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each, per server (3)")
    parser.add_argument("--seconds", type=float, default=5.0, help="measured per run (5)")
    parser.add_argument("--warm-up", type=float, default=20.0, help="seconds at the start (20)")
    parser.add_argument("--znodes", type=int, default=1_000_000,
                        help="for million and e-snap (1000000)")
    parser.add_argument("--quick", action="store_true",
                        help="a trial of the tool: 1 round, short runs, 50000 znodes")
    parser.add_argument("--data-dir", type=Path, default=BUILD / "data",
                        help="where both servers keep their data: a real disk")
    parser.add_argument("--python", default=sys.executable,
                        help="the interpreter whose environment has zkserver")
    parser.add_argument("--java", default="java")
    parser.add_argument("--apache-classpath", default=DEBIAN_CLASSPATH, metavar="CP",
                        help="another Apache ZooKeeper: 'dir/*'")
    parser.add_argument("--instead-of-zkserver", metavar="CP",
                        help="measure this Apache ZooKeeper in zkserver's place: tries the tool")
    parser.add_argument("--markdown", action="store_true", help="tables for a README")
    parser.add_argument("--json", type=Path, metavar="FILE", help="all rounds' figures")
    options = parser.parse_args(arguments)
    asked = [key for key in options.only.split(",") if key]
    options.only = [key for key in asked if key != "ensemble"] if asked else [*KEYS]
    if "ensemble" in asked:
        options.only += ENSEMBLE_KEYS
    if unknown := [key for key in options.only if key not in KEYS]:
        parser.error(f"--only: unknown: {', '.join(unknown)}; known: {', '.join(KEYS)}")
    if options.quick:
        options.rounds, options.seconds, options.warm_up = 1, 1.0, 4.0
        options.znodes = min(options.znodes, 50_000)
    if options.rounds < 1 or options.seconds <= 0 or options.znodes < 1:
        parser.error("--rounds, --seconds and --znodes must be positive")
    return options


# --- the contenders -----------------------------------------------------------------------


def apache_command(java: str, classpath: str) -> tuple[str, ...]:
    """As Apache's own script starts it: its heap limit, durable by default."""
    found = shutil.which(java)
    if found is None:
        raise Unmeasured(f"no {java}: install Apache ZooKeeper and Java first (make peers)")
    parts = [part for part in classpath.split(":") if part]
    if not any(Path(part.removesuffix("*")).exists() for part in parts if "conf" not in part):
        raise Unmeasured(f"no Apache ZooKeeper in {classpath}: make peers, or --apache-classpath")
    return (found, "-Xmx1000m", "-cp", classpath, MAIN_CLASS)


def zkserver_command(python: str) -> tuple[str, ...]:
    # Not resolved: a virtual environment's python is a link out of it.
    program = Path(os.path.abspath(shutil.which(python) or python)).parent / "zkserver"
    if not program.exists():
        raise Unmeasured(f"no {program}: make venv first, or name its interpreter by --python")
    return (str(program), "start-foreground")


# --- the machine --------------------------------------------------------------------------


def output_of(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except OSError:
        return ""
    return (done.stdout + done.stderr).strip()


def sync_ms(directory: Path) -> float:
    """The median of 50 times 4 KiB written and synced: what a durable write costs at least."""
    path, spent = directory / "sync-probe", []
    with open(path, "wb") as probe:
        for _ in range(50):
            begun = time.perf_counter()
            os.write(probe.fileno(), bytes(4096))
            os.fdatasync(probe.fileno())
            spent.append((time.perf_counter() - begun) * 1000)
    path.unlink()
    return statistics.median(spent)


def describe_machine(options: argparse.Namespace) -> dict[str, str]:
    cpu = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    script = (
        "import importlib.metadata as m, platform\n"
        "try: loop = 'uvloop ' + m.version('uvloop')\n"
        "except m.PackageNotFoundError: loop = 'no uvloop'\n"
        "print(platform.python_version(), 'with', loop)"
    )
    java = re.search(r"\(build ([^)]+)\)", output_of(options.java, "-version"))
    return {
        "cpu": cpu[1] if cpu else platform.machine(),
        "cores": str(len(os.sched_getaffinity(0))),
        "kernel": platform.release(),
        "disk": f"{file_system_of(options.data_dir)}, 4 KiB synced in "
                f"{sync_ms(options.data_dir):.2f} ms",
        "python": output_of(options.python, "-c", script),
        "java": java[1] if java else "?",
    }  # fmt: skip


def machine_line(machine: dict[str, str]) -> str:
    text = (
        "{cpu}, {cores} cores; Linux {kernel}; {disk}; Python {python}; Java {java}"
    ).format(**machine)
    versions = [f"{name} {machine[name]}" for name in ("zkserver", "Apache") if name in machine]
    return "; ".join([text, *versions])


# --- the measuring ------------------------------------------------------------------------


@dataclass
class Bench:
    """One run of the benchmark and what it has found so far."""

    options: argparse.Namespace
    load: Load
    contenders: tuple[Contender, Contender]
    machine: dict[str, str]
    rows: list[Row] = field(default_factory=list)
    singles: list[Single] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    ensembles: EnsembleFigures | None = None
    clients: str = ""

    def run(self) -> None:
        wanted = self.options.only
        works = [work for work in WORKS if work.key in wanted]
        small = [key for key in ("get-1x1", "set-1x1") if key in wanted]
        if works or small:
            self.attempt("start and warm-up", lambda: self.measure_load(works, small))
        if "idle" in wanted:
            self.attempt("idle memory and start", self.measure_idle)
        if "million" in wanted:
            self.attempt("many znodes", self.measure_million)
        if "counting" in wanted:
            self.attempt("what counting costs", self.measure_counting)
        if set(ENSEMBLE_KEYS).intersection(wanted):
            self.measure_ensembles()
        if CLIENT_KEY in wanted:
            self.attempt("the client", self.measure_clients)

    def attempt(self, what: str, action: Callable[[], None]) -> None:
        """Runs a part; what cannot be measured is noted and the rest goes on."""
        try:
            action()
        except (Unmeasured, OSError, subprocess.SubprocessError) as error:
            self.failures.append(f"{what}: {error}")
            say(f"not measured: {what}: {error}")

    def note(self, single: Single, server: Server, value: float) -> None:
        ours = server.contender is self.contenders[0]
        (single.zkserver if ours else single.apache).append(value)

    def note_version(self, server: Server) -> None:
        self.machine[server.name] = server.version()

    def warm_up(self, server: Server) -> None:
        say(f"starting and warming {server.name}, {self.options.warm_up:g} s")
        server.start()
        server.first_reply()
        self.note_version(server)
        for op, share in WARM_UP:
            self.load.run(server, "-o", op, "-W", 0.1, "-d", share * self.options.warm_up)
        server.settle()
        server.prune()

    def measure_load(self, works: Sequence[Work], small: list[str]) -> None:
        with ended([contender.server("load") for contender in self.contenders]) as pair:
            alternate(pair, self.warm_up)
            for work in works:
                self.attempt(work.title, partial(self.measure_row, pair, work))
            if small:
                self.attempt("1 × 1", lambda: self.measure_one_by_one(pair, small))
            self.attempt("memory after the load", lambda: self.note_memory(pair))

    def measure_row(self, pair: Sequence[Server], work: Work) -> None:
        row = Row(work)
        self.rows.append(row)

        def once(server: Server) -> None:
            result = self.run_load(server, work.load)
            ours = server.contender is self.contenders[0]
            (row.zkserver if ours else row.apache).append(result)

        self.alternate_rounds(pair, once, work.title)
        say(f"    {work.title}: × {row.ratio('ops_per_s') or 0:.2f}, "
            f"per CPU-second × {row.ratio('ops_per_cpu_s') or 0:.2f} {row.verdict()}")  # fmt: skip

    def measure_one_by_one(self, pair: Sequence[Server], keys: list[str]) -> None:
        for key, op, title, at_most in (
            ("get-1x1", "get", "p50 of getData, 1 × 1", 2 / 3),
            ("set-1x1", "set", "p50 of setData 100 B, 1 × 1", 1.0),
        ):
            if key not in keys:
                continue
            p50 = Single(key, title, "µs", at_most=at_most)
            p99 = Single(f"{key}-p99", title.replace("p50", "p99"), "µs")
            self.singles += [p50, p99]

            def once(server: Server, op: str = op, p50: Single = p50, p99: Single = p99) -> None:
                result = self.run_load(server, closed_loop(op, 1, 1))
                self.note(p50, server, result["p50_us"])
                self.note(p99, server, result["p99_us"])

            self.alternate_rounds(pair, once, title)

    def run_load(self, server: Server, load: Sequence[str]) -> dict[str, Any]:
        # A paused server has missed its ticks: the seconds before measuring are its own.
        seconds = self.options.seconds
        result = self.load.run(server, *load, "-W", min(2.0, seconds), "-d", seconds)
        server.settle()
        server.prune()
        return result

    def alternate_rounds(
        self, pair: Sequence[Server], action: Callable[[Server], None], title: str
    ) -> None:
        for number in range(self.options.rounds):
            say(f"{title}: round {number + 1} of {self.options.rounds}")
            alternate(pair, action)

    def note_memory(self, pair: Sequence[Server]) -> None:
        single = Single("load-memory", "memory after the works above", "MB")
        self.singles.append(single)
        for server in pair:
            self.note(single, server, server.rss_mb())

    def measure_idle(self) -> None:
        memory = Single("idle-memory", "idle memory, empty server", "MB", at_most=0.5)
        start = Single("start", "start to first reply, empty server", "s", at_most=0.5, digits=2)
        self.singles += [memory, start]

        def once(server: Server) -> None:
            server.start()
            self.note(start, server, server.first_reply())
            self.note_version(server)
            time.sleep(IDLE_SETTLE_S)
            self.note(memory, server, server.rss_mb())
            server.stop()

        for number in range(self.options.rounds):
            say(f"idle memory and start: round {number + 1} of {self.options.rounds}")
            with ended([contender.server("idle") for contender in self.contenders]) as pair:
                alternate(pair, once)

    def measure_million(self) -> None:
        quick = self.options.quick
        sizes = Sizes(self.options.znodes, self.options.warm_up, 20, 1 if quick else
                      self.options.rounds)  # fmt: skip
        figures = Figures(self.load, sizes, self.contenders[0].name)
        self.singles += figures.all()
        with ended([contender.server("million") for contender in self.contenders]) as pair:
            figures.measure(lambda action: alternate(pair, action), say)
            alternate(pair, self.note_version)

    def measure_counting(self) -> None:
        options = self.options
        pair = counting.contenders(options.python, options.data_dir, None)
        for work, (title, _) in counting.LOADS.items():
            added = Single(
                f"counting-{work}", f"CPU time that counting adds to {title}", "%",
                below=counting.LIMIT_PERCENT, digits=1,
            )  # fmt: skip
            self.singles.append(added)
            found = counting.measure(
                self.load, pair, work, pairs=1 if options.quick else counting.PAIRS,
                seconds=options.seconds, say=say,
            )  # fmt: skip
            added.zkserver.append(counting.added_percent(found))

    def measure_ensembles(self) -> None:
        options = self.options
        sizes = EnsembleSizes(
            rounds=options.rounds, seconds=options.seconds, warm_up_s=options.warm_up,
            kills=1 if options.quick else 5, behind=10_000 if options.quick else 100_000,
            znodes=options.znodes,
        )  # fmt: skip
        self.ensembles = EnsembleFigures(self.load, sizes, self.contenders, self.attempt)
        self.ensembles.measure(options.only)
        self.machine |= self.ensembles.versions

    def measure_clients(self) -> None:
        """zkserver's client beside kazoo: a program of its own, client.py, and its table."""
        options = self.options
        command = [options.python, str(HERE / "client.py"), f"--data-dir={options.data_dir}",
                   f"--rounds={options.rounds}", f"--seconds={options.seconds}"]  # fmt: skip
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        self.clients = "One client, pipelined, on zkserver\n\n" + done.stdout.rstrip()

    def all_figures(self) -> tuple[list[Row], list[Single]]:
        """Those of single servers, then those of ensembles."""
        if self.ensembles is None:
            return self.rows, self.singles
        return self.rows + self.ensembles.rows, self.singles + self.ensembles.singles

    def tables(self) -> str:
        markdown = self.options.markdown
        parts = [report(self.rows, self.singles, markdown)]
        if self.ensembles is not None:
            found = self.ensembles
            parts.append(report(found.rows, found.singles, markdown, ENSEMBLE_HEADING))
        return "\n\n".join(part for part in (*parts, self.clients) if part)

    def unmeasured(self) -> list[str]:
        """Failures, and figures with a target that have no verdict."""
        rows, singles = self.all_figures()
        missing = [row.work.key for row in rows if not row.verdict()]
        missing += [one.title for one in singles if one.target() and not one.verdict()]
        return self.failures + [f"{title}: no figure" for title in missing]


def prepare(options: argparse.Namespace) -> Bench:
    options.data_dir = options.data_dir.resolve()
    options.data_dir.mkdir(parents=True, exist_ok=True)
    if file_system_of(options.data_dir).startswith(("tmpfs", "ramfs")):
        raise Unmeasured(f"{options.data_dir} is in memory; --data-dir must be on a disk")
    if options.instead_of_zkserver:
        ours = apache_command(options.java, options.instead_of_zkserver)
    else:
        ours = zkserver_command(options.python)
    contenders = (
        Contender("zkserver", ours, options.data_dir),
        Contender("Apache", apache_command(options.java, options.apache_classpath),
                  options.data_dir),
    )  # fmt: skip
    load = build_load(HERE / "zkload.c", BUILD / "zkload")
    return Bench(options, load, contenders, describe_machine(options))


def main() -> int:
    options = parse_options()
    # Leave by an exception: what was started is ended, what was stored is deleted.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda found, _: sys.exit(128 + found))
    try:
        bench = prepare(options)
    except (Unmeasured, OSError, subprocess.SubprocessError) as error:
        say(f"cannot measure: {error}")
        return 1
    begun = time.monotonic()
    bench.run()
    took_s = time.monotonic() - begun
    print(bench.tables())
    print(f"\nMedians of {options.rounds} rounds, the servers in turn. "
          f"{machine_line(bench.machine)}. Took {took_s / 60:.0f} min.")  # fmt: skip
    if options.quick:
        print("A quick trial: these figures mean nothing.")
    unmeasured = bench.unmeasured()
    if options.json:
        result = as_json(*bench.all_figures())
        result |= {"machine": bench.machine, "rounds": options.rounds, "unmeasured": unmeasured}
        options.json.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    for line in unmeasured:
        print(f"NOT MEASURED: {line}")
    return 1 if unmeasured else 0


if __name__ == "__main__":
    sys.exit(main())
