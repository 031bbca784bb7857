"""The commands of ZAB's stories: `tests/golden/test_zab.py` says what each does.

`Play` is the same for tests that ask what happened: it does some commands and gives the lines that
could be seen.
"""

from __future__ import annotations

from tests.support.zab_world import Disk, Server, World, forged, show
from zkserver.base.zxid import make_zxid


def number(name: str) -> int:
    return int(name.removeprefix("n"))


def zxid_of(text: str) -> int:
    epoch, colon, counter = text.partition(":")
    return make_zxid(int(epoch, 16), int(counter, 16)) if colon else int(text)


def past_of(text: str):
    for item in text.split(","):
        place, _, data = item.partition("=")
        first, _, last = place.partition("-")
        start = zxid_of(first)
        stop = start if not last else make_zxid(start >> 32, int(last, 16))
        for zxid in range(start, stop + 1):
            yield zxid, (data or show(zxid)).encode()


def add_server(world: World, name: str, *options: str) -> None:
    given = dict(option.partition("=")[::2] for option in options)
    disk = Disk(
        past_of(given["log"]) if "log" in given else (),
        zxid_of(given.get("at", "-1" if "log" in given else "0")),
        int(given.get("accepted", given.get("current", "0"))),
        int(given.get("current", "0")),
    )
    disk.log_begins = int(given.get("reaches", "0"))
    disk.size_of_snapshot = int(given.get("snapshot", disk.size_of_snapshot))
    server = Server(number(name), disk, "observer" in given, int(given.get("memory", "500")))
    server.config_version = int(given.get("config", "0"))
    world.servers[server.id] = server


def status(world: World) -> None:
    for _, server in sorted(world.servers.items()):
        role = server.phase.value if server.phase else "up" if server.is_up else "down"
        history = ",".join(data.decode() for _, data in server.applied)
        world.say(f"{server.name} {role} applied={history} disk={show(server.disk.place)}")


def step(world: World, line: str) -> None:
    """Do one command."""
    command, *words = line.split()
    ids = [number(word) for word in words if word.startswith("n") and word[1:].isdigit()]
    rest = words[len(ids) :]
    simple = {
        "lead": world.lead,
        "follow": world.follow,
        "cut": world.cut,
        "crash": world.crash,
        "restart": world.restart,
    }
    if command in simple:
        simple[command](*ids)
    elif command == "voters":
        world.voters = tuple(map(int, words))
    elif command == "server":
        add_server(world, *words)
    elif command == "deliver":
        for pair in [tuple(ids)] if ids else sorted(world.queues):
            world.deliver(pair, *map(int, rest))
    elif command == "sync-disk":
        for n in ids or sorted(world.servers):
            world.sync_disk(n, *map(int, rest))
    elif command == "stabilize":
        world.stabilize(disks=not words)
    elif command == "quiet":
        world.story.clear()
    elif command == "tick":
        world.tick(int(words[0]))
    elif command == "propose":
        world.propose(ids[0], *(word.encode() for word in rest))
    elif command == "submit":
        world.submit(ids[0], rest[0].encode())
    elif command == "sync":
        world.sync(ids[0], rest[0])
    elif command == "touch":
        world.servers[ids[0]].core.touch(int(rest[0], 16), int(rest[1]))
    elif command == "revalidate":
        world.revalidate(ids[0], int(rest[0], 16))
    elif command == "session":
        world.sessions[int(words[0], 16)] = True
    elif command == "forge":
        world.inject((ids[0], ids[1]), forged(rest), is_first="first" in rest)
    elif command == "counter":
        core = world.servers[ids[0]].core
        core.last_proposed = core.last_processed = make_zxid(core.epoch, int(rest[0], 16))
        world.servers[ids[0]].committed.clear()
    elif command == "force-snapshot":
        world.settings["force_snapshot"] = True
    elif command == "our-leaders":
        world.settings |= {"holds_commits": True, "makes_way": True}
    elif command == "status":
        status(world)
    else:
        raise ValueError(f"no such command: {line}")


class Play:
    """A world that commands are given to. `settings`: of its leaders."""

    def __init__(self, *lines: str, **settings):
        self.world = World()
        self.world.settings |= settings
        self.do(*lines)

    def do(self, *lines: str) -> list[str]:
        """Do commands, each a line, and tell what could be seen."""
        self.world.story.clear()
        for line in lines:
            step(self.world, line)
        return list(self.world.story)

    def server(self, n: int) -> Server:
        return self.world.servers[n]

    def applied(self, n: int) -> str:
        """The data of what a server has applied, as in `status`."""
        return ",".join(data.decode() for _, data in self.server(n).applied)

    def logged(self, n: int) -> str:
        """The data of what is on a server's disk, synced."""
        return ",".join(data.decode() for _, data in self.server(n).disk.history)
