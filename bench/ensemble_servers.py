"""Three servers of one kind as an ensemble: start, serve, pause, kill, who leads.

A paused ensemble wakes up with all its ticks missed: reads between its servers time out and it
may elect anew. So `resume` waits until the same one leads for some seconds and each answers.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass

from servers import Contender, Server, Unmeasured, free_port, process_tree, rss_mb, settle

VOTERS = 3
# As in the sample configuration that Apache ships.
COMMON_SETTINGS = {"initLimit": 10, "syncLimit": 5}
SERVING_DEADLINE_S = 300
STEADY_S = 3.0
POLL_S = 0.01


@dataclass(eq=False)
class Ensemble:
    """Servers 1 to 3 with their data; each may be ended and started again."""

    contender: Contender
    members: list[Server]
    settings: Mapping[str, object]
    paused: bool = False

    @classmethod
    def new(
        cls, contender: Contender, tag: str, settings: Mapping[str, object] | None = None
    ) -> Ensemble:
        """With new, empty data directories; not started."""
        members = [contender.server(f"{tag}-{number}") for number in range(1, VOTERS + 1)]
        lines: dict[str, object] = {**COMMON_SETTINGS, **(settings or {})}
        for number, member in enumerate(members, 1):
            lines[f"server.{number}"] = f"127.0.0.1:{free_port()}:{free_port()}"
            (member.home / "data").mkdir()
            (member.home / "data" / "myid").write_text(str(number))
        return cls(contender, members, lines)

    @property
    def name(self) -> str:
        return self.contender.name

    @property
    def hosts(self) -> str:
        return ",".join(member.hosts for member in self.members)

    @property
    def pids(self) -> list[int]:
        return [member.pid for member in self.members]

    def start(self) -> float:
        """Starts all; seconds until all serve."""
        begun = time.monotonic()
        for member in self.members:
            self.start_member(member)
        self.wait_serving()
        return time.monotonic() - begun

    def start_member(self, member: Server) -> None:
        """Starts one of them; does not wait."""
        member.start(self.settings)

    def modes(self) -> list[str]:
        """leader or follower for each; "" for one that does not serve."""
        return [member.said(r"^Mode: (\w+)$") for member in self.members]

    def wait_serving(self, steady_s: float = 0.0) -> None:
        """Until one leads and the others follow, and have done so for `steady_s`."""
        deadline = time.monotonic() + SERVING_DEADLINE_S
        before: list[str] = []
        since = 0.0
        while (now := time.monotonic()) < deadline:
            modes = self.modes()
            if modes != before:
                before, since = modes, now
            serving = sorted(modes) == ["follower"] * (VOTERS - 1) + ["leader"]
            if serving and now - since >= steady_s:
                return
            _ = self.pids  # all of them run
            time.sleep(POLL_S if steady_s == 0 else 0.1)
        raise Unmeasured(f"{self.name}: no quorum within {SERVING_DEADLINE_S} s: {self.modes()}")

    def leader(self) -> Server:
        return self._in_mode("leader")[0]

    def followers(self) -> list[Server]:
        return self._in_mode("follower")

    def _in_mode(self, mode: str) -> list[Server]:
        modes = self.modes()
        found = [member for member, one in zip(self.members, modes, strict=True) if one == mode]
        if not found:
            raise Unmeasured(f"{self.name}: no {mode}: {modes}")
        return found

    def back_in_service(self, member: Server, zxid: int = 0) -> float:
        """Seconds from its start until `member` calls itself a follower, with `zxid` applied."""
        deadline = member.started_at + SERVING_DEADLINE_S
        while time.monotonic() < deadline:
            _ = member.pid
            if member.said(r"^Mode: (follower)$") and zxid_of(member) >= zxid:
                return time.monotonic() - member.started_at
            time.sleep(POLL_S)
        raise Unmeasured(f"{self.name}: no follower within {SERVING_DEADLINE_S} s")

    def pause(self) -> None:
        for member in self.members:
            member.pause()
        self.paused = any(member.paused for member in self.members)

    def resume(self) -> None:
        """Wakes all and waits until the quorum is steady again."""
        if not self.paused:
            return
        self.paused = False
        for member in self.members:
            member.resume()
        self.wait_serving(STEADY_S)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        self.paused = False
        for member in self.members:
            member.stop(how)

    def remove_data(self) -> None:
        for member in self.members:
            member.remove_data()

    def settle(self) -> None:
        settle(self.pids)

    def prune(self) -> None:
        for member in self.members:
            member.prune()

    def rss_mb(self) -> float:
        """Resident memory of all and their descendants."""
        return sum(rss_mb(pid) for one in self.pids for pid in process_tree(one))

    def version(self) -> str:
        return self.members[0].version()


def zxid_of(member: Server) -> int:
    """The last zxid that it has applied, as it says itself; -1 if it does not serve."""
    return int(member.said(r"^Zxid: 0x([0-9a-f]+)$") or "-1", 16)
