"""zkserver.client beside kazoo: one client, pipelined, on the same zkserver.

Both keep the same number of requests on their way and await the oldest before they send the
next. They take turns, each with a session of its own; the CPU figure is the client's process
alone. Prints a small table; the target is five times kazoo's throughput.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import statistics
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kazoo.client import KazooClient
from servers import Contender, Server, Unmeasured
from turns import say

from zkserver.client import Client, SyncClient

HERE = Path(__file__).resolve().parent
BUILD = HERE / "build"
PATH = "/bench-client"
TARGET = 5.0
WORKS = ("get", "set", "exists", "create")
CLIENTS = ("zkserver", "zkserver uvloop", "zkserver sync", "kazoo")
DATA = b"x" * 100


@dataclass
class Figures:
    """Of one client and work: operations per second, and CPU microseconds each."""

    ops_per_s: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)

    def note(self, count: int, seconds: float, cpu_s: float) -> None:
        self.ops_per_s.append(count / seconds)
        self.cpu_us.append(cpu_s / count * 1e6)

    def median(self) -> float:
        return statistics.median(self.ops_per_s)

    def median_cpu_us(self) -> float:
        return statistics.median(self.cpu_us)


Calls = dict[str, Callable[[int], Any]]


async def run_async(calls: Calls, work: str, seconds: float, window: int) -> tuple[int, float]:
    """How many calls were answered in how many seconds."""
    call = calls[work]
    on_way: deque[Any] = deque()
    count = 0
    begun = time.perf_counter()
    end = begun + seconds
    while time.perf_counter() < end:
        for _ in range(100):
            on_way.append(call(count))
            count += 1
            if len(on_way) >= window:
                await on_way.popleft()
    for future in on_way:
        await future
    return count, time.perf_counter() - begun


def run_threads(
    calls: Calls, work: str, seconds: float, window: int, wait: Callable[[Any], Any]
) -> tuple[int, float]:
    """The same with futures of another thread."""
    call = calls[work]
    on_way: deque[Any] = deque()
    count = 0
    begun = time.perf_counter()
    end = begun + seconds
    while time.perf_counter() < end:
        for _ in range(100):
            on_way.append(call(count))
            count += 1
            if len(on_way) >= window:
                wait(on_way.popleft())
    for future in on_way:
        wait(future)
    return count, time.perf_counter() - begun


@dataclass
class Bench:
    """The server and what has been found."""

    options: argparse.Namespace
    server: Server
    found: dict[tuple[str, str], Figures] = field(default_factory=dict)

    def note(self, name: str, work: str, result: tuple[int, float], cpu_s: float) -> None:
        self.found.setdefault((name, work), Figures()).note(*result, cpu_s)

    def clear(self) -> None:
        """The znode that is read and written, without children."""
        with SyncClient(self.server.hosts) as client:
            if client.exists(PATH) is not None:
                client.delete_all(PATH)
            client.create(PATH, DATA)

    def run(self) -> None:
        for number in range(self.options.rounds):
            say(f"round {number + 1} of {self.options.rounds}")
            for name in CLIENTS:
                self.clear()
                self.measure(name)

    def measure(self, name: str) -> None:
        if name == "kazoo":
            self.measure_kazoo(name)
        elif name == "zkserver sync":
            self.measure_sync(name)
        elif name == "zkserver":
            asyncio.run(self.measure_ours(name))
        else:
            import uvloop

            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self.measure_ours(name))

    async def measure_ours(self, name: str) -> None:
        seconds, window = self.options.seconds, self.options.window
        async with Client(self.server.hosts) as client:
            calls: Calls = {
                "get": lambda _: client.get(PATH),
                "set": lambda _: client.set(PATH, DATA),
                "exists": lambda _: client.exists(PATH),
                "create": lambda number: client.create(f"{PATH}/{number}", DATA),
            }
            for work in WORKS:
                cpu = time.process_time()
                result = await run_async(calls, work, seconds, window)
                self.note(name, work, result, time.process_time() - cpu)

    def measure_sync(self, name: str) -> None:
        with SyncClient(self.server.hosts) as client:
            submit = client.submit
            calls: Calls = {
                "get": lambda _: submit(Client.get, PATH),
                "set": lambda _: submit(Client.set, PATH, DATA),
                "exists": lambda _: submit(Client.exists, PATH),
                "create": lambda number: submit(Client.create, f"{PATH}/{number}", DATA),
            }
            self.measure_threads(name, calls, lambda future: future.result())

    def measure_kazoo(self, name: str) -> None:
        client = KazooClient(self.server.hosts)
        client.start()
        try:
            calls: Calls = {
                "get": lambda _: client.get_async(PATH),
                "set": lambda _: client.set_async(PATH, DATA),
                "exists": lambda _: client.exists_async(PATH),
                "create": lambda number: client.create_async(f"{PATH}/{number}", DATA),
            }
            self.measure_threads(name, calls, lambda result: result.get())
        finally:
            client.stop()
            client.close()

    def measure_threads(self, name: str, calls: Calls, wait: Callable[[Any], Any]) -> None:
        for work in WORKS:
            cpu = time.process_time()
            result = run_threads(calls, work, self.options.seconds, self.options.window, wait)
            self.note(name, work, result, time.process_time() - cpu)

    def table(self) -> str:
        """Throughput of each client, and how many times kazoo's."""
        lines = [f"{'':8}" + "".join(f"{name:>26}" for name in CLIENTS)]
        for work in WORKS:
            kazoo = self.found["kazoo", work].median()
            cells = []
            for name in CLIENTS:
                one = self.found[name, work]
                ratio = one.median() / kazoo
                cells.append(f"{one.median():>9,.0f}/s {one.median_cpu_us():4.0f} µs ×{ratio:5.2f}")
            lines.append(f"{work:8}" + "".join(f"{cell:>26}" for cell in cells))
        return "\n".join(lines)

    def verdict(self) -> str:
        short = [
            work
            for work in ("get", "set")
            if self.found["zkserver", work].median() < TARGET * self.found["kazoo", work].median()
        ]
        return (
            f"short of ×{TARGET:g}: {', '.join(short)}"
            if short
            else f"get and set: ×{TARGET:g} and more"
        )


def parse_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="runs of each (3)")
    parser.add_argument("--seconds", type=float, default=3.0, help="per work and run (3)")
    parser.add_argument("--window", type=int, default=1000, help="requests on their way (1000)")
    parser.add_argument(
        "--data-dir",
        type=Path,
        default=BUILD / "data",
        help="where the server keeps its data: a real disk",
    )
    return parser.parse_args(arguments)


def main() -> int:
    options = parse_options()
    options.data_dir.mkdir(parents=True, exist_ok=True)
    command = (sys.executable, "-m", "zkserver.cli.main", "start-foreground")
    server = Contender("zkserver", command, options.data_dir.resolve()).server("client")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda found, _: sys.exit(128 + found))
    bench = Bench(options, server)
    try:
        server.start()
        server.first_reply()
        bench.run()
    except (Unmeasured, OSError) as error:
        say(f"cannot measure: {error}")
        return 1
    finally:
        server.stop(signal.SIGKILL)
        server.remove_data()
    print(bench.table())
    print(f"\nMedians of {options.rounds} rounds of {options.seconds:g} s, the clients in turn, "
          f"{options.window} requests on their way; {bench.verdict()}.")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
