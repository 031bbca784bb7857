"""Random faults on ensembles of real processes, for as long as you like.

    python -m tests.torture --minutes 10 --seed 1

Every round is another ensemble with clients and a sequence of faults, both of the seed, and is
judged like the stories of `tests/peers/test_ensemble_faults.py`. A round that fails ends the
torture, keeps its folder and names the seed; `--first` begins with a later round. Times are those of
the machine, so the same seed gives the same faults and not the same run.
"""

from __future__ import annotations

import argparse
import random
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.support.ensemble_under_faults import EnsembleUnderFaults
from tests.support.server_process import NotStarted

ROUND_S = 30.0
LONGEST_FAULT_S = 4.0
# Faults that began so long before a gap are told with it.
BEFORE_S = 4.0
Undo = Callable[[], object]


class Torture:
    """The faults of one round, one after another; some begin before the last one is over."""

    def __init__(self, each: EnsembleUnderFaults, chance: random.Random) -> None:
        self.each = each
        self.chance = chance
        self.count = 0
        # What ends a fault, and when it is due (s, monotonic).
        self._ends: list[tuple[float, Undo]] = []
        self._faults: list[Callable[[], Undo]] = [
            self._kill,
            self._kill_leader,
            self._kill_all,
            self._terminate,
            self._stop,
            self._stop_leader,
            self._isolate,
            self._isolate_leader,
            self._cut,
            self._one_way,
            self._reset,
            self._delay,
            self._abandon,
        ]

    def run(self, length_s: float) -> None:
        """Faults for so long."""
        end_s = time.monotonic() + length_s
        while time.monotonic() < end_s:
            undo = self.chance.choice(self._faults)()
            self.count += 1
            hold_s = self.chance.random() ** 2 * LONGEST_FAULT_S
            self._ends.append((time.monotonic() + hold_s, undo))
            self._let_pass(self.chance.random() * LONGEST_FAULT_S / 2)
        for _, undo in self._ends:
            undo()

    def _let_pass(self, length_s: float) -> None:
        end_s = time.monotonic() + length_s
        while (now_s := time.monotonic()) < end_s:
            for due in [due for due in self._ends if due[0] <= now_s]:
                self._ends.remove(due)
                due[1]()
            time.sleep(0.01)  # faults take their time

    def _any(self) -> int:
        return self.chance.choice(self.each.numbers)

    def _leader(self) -> int:
        leaders = [number for number, mode in self.each.modes().items() if mode == "leader"]
        return leaders[0] if leaders else self._any()

    def _pair(self) -> tuple[int, int]:
        one, other = self.chance.sample(self.each.numbers, 2)
        return one, other

    # Processes

    def _end(self, what: str, numbers: list[int], end: Callable[[int], object]) -> Undo:
        each = self.each
        each.note(f"{what} of {numbers}")
        for number in numbers:
            each.look_after(number)
            end(number)

        def undo() -> None:
            for number in numbers:
                each.look_after(number)
                if not each.is_up(number):
                    each.note(f"start of {number}")
                    each.launch(number)

        return undo

    def _kill(self) -> Undo:
        return self._end("kill -9", [self._any()], self.each.kill)

    def _kill_leader(self) -> Undo:
        return self._end("kill -9, as the leader,", [self._leader()], self.each.kill)

    def _kill_all(self) -> Undo:
        return self._end("kill -9", self.each.numbers, self.each.kill)

    def _terminate(self) -> Undo:
        return self._end("SIGTERM", [self._any()], self.each.terminate)

    def _halt(self, number: int) -> Undo:
        each = self.each
        each.note(f"SIGSTOP of {number}")
        each.stop(number)

        def undo() -> None:
            each.note(f"SIGCONT of {number}")
            each.go_on(number)

        return undo

    def _stop(self) -> Undo:
        return self._halt(self._any())

    def _stop_leader(self) -> Undo:
        return self._halt(self._leader())

    # Links

    def _heal(self) -> None:
        self.each.note("all links are whole")
        self.each.proxy.heal()

    def _isolate(self) -> Undo:
        number = self._any()
        self.each.note(f"{number} is cut from all")
        self.each.proxy.isolate(number)
        return self._heal

    def _isolate_leader(self) -> Undo:
        number = self._leader()
        self.each.note(f"{number}, as the leader, is cut from all")
        self.each.proxy.isolate(number)
        return self._heal

    def _cut(self) -> Undo:
        pair = self._pair()
        self.each.note(f"a cut between {pair}")
        self.each.proxy.cut(*pair)
        return self._heal

    def _one_way(self) -> Undo:
        one, other = self._pair()
        self.each.note(f"{other} does not hear {one}")
        self.each.proxy.cut(one, other, both=False)
        return self._heal

    def _reset(self) -> Undo:
        pair = self._pair()
        self.each.note(f"a reset between {pair}")
        self.each.proxy.reset(*pair)
        return lambda: None

    def _delay(self) -> Undo:
        pair = self._pair()
        delay_s = self.chance.random() ** 2
        self.each.note(f"a delay of {delay_s:.3f} s between {pair}")
        self.each.proxy.delay(*pair, delay_s)
        return self._heal

    # Clients

    def _abandon(self) -> Undo:
        load = self.each.load
        client = self.chance.choice(load.working)
        self.each.note(f"{client.name} is no more, and another comes")
        load.abandon(client)
        load.start(f"c{len(load.clients)}")
        return lambda: None


def play_round(seed: str, folder: Path, length_s: float) -> str:
    """One round; what to say of it. Raises AssertionError or NotStarted."""
    chance = random.Random(seed)
    count = chance.choice((3, 3, 5))
    clients = chance.choice((2, 3, 5))
    cfg = {"snapCount": str(chance.choice((100, 1000, 100_000)))}
    with EnsembleUnderFaults(
        folder, seed, count, clients, cfg, session_timeout_ms=chance.choice((2000, 4000))
    ) as each:
        torture = Torture(each, chance)
        since_s = each.note("the torture begins")
        torture.run(length_s)
        began_s, ended_s = each.load.longest_gap(since_s)
        meanwhile = each.load.told(began_s - BEFORE_S, ended_s)
        each.finish()
        requests = each.load.history.requests
        done = sum(request.outcome == "done" for request in requests)
        return (
            f"{count} servers, {clients} clients, {cfg}: {torture.count} faults, "
            f"{done} of {len(requests)} requests answered, "
            f"no write for {ended_s - began_s:.1f} s at most, from {began_s:.1f} to {ended_s:.1f}:\n"
            + "\n".join(meanwhile)
        )


def main() -> int:
    """Rounds until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", default=str(random.randrange(10**6)))
    parser.add_argument("--first", type=int, default=0, help="the first round")
    options = parser.parse_args()
    end_s = time.monotonic() + 60 * options.minutes
    number = options.first
    print(f"seed {options.seed}", flush=True)
    while time.monotonic() < end_s:
        folder = Path(tempfile.mkdtemp(prefix="zkserver-torture-"))
        try:
            told = play_round(f"{options.seed}-{number}", folder, ROUND_S)
        except (AssertionError, NotStarted) as error:
            print(f"seed {options.seed}, round {number}, in {folder}:\n{error}", flush=True)
            return 1
        print(f"round {number}: {told}", flush=True)
        shutil.rmtree(folder)
        number += 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
