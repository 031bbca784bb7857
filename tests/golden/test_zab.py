"""Stories of discovery, synchronisation and broadcast: commands, `---`, what could be seen.

A story is a text file in `zab`. After a change of behaviour that was meant,

    ZKSERVER_REWRITE=1 pytest tests/golden/test_zab.py

writes the new output into the files; read the difference before you commit it. Commands:

    voters 1 2 3                     who votes (1 2 3 unless said)
    server n1 [log=1:1-5,2:1] [at=2:0] [current=1] [accepted=1] [memory=N] [observer] [reaches=N]
                                     a server with that past; a txn's data is its zxid unless
                                     said as 1:1=a; reaches=N: the log on disk lacks the first N
    lead n1 · follow n2 n1 · cut n1 n2 · crash n1 · restart n1
    deliver [n1 n2] [count]          what is on the links, or from n1 to n2
    sync-disk [n1] [batches]         written becomes durable; what waited for it leaves
    stabilize [links]                deliver and sync (or only deliver) until nothing moves
    quiet                            the output of what came before is left out
    tick MS · propose n1 a b · submit n2 a · sync n2 TOKEN · touch n2 SESSION MS
    revalidate n2 SESSION · session SESSION · forge n1 n2 COMMIT 3:1 [data]
    counter n1 HEX                   the leader has proposed that many txns (in effect)
    force-snapshot · status
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.script import check_script
from tests.support.zab_world import Disk, Server, World, forged, show
from zkserver.base.zxid import make_zxid

FOLDER = Path(__file__).parent / "zab"
STORIES = sorted(FOLDER.glob("*.txt"))


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
    server = Server(number(name), disk, "observer" in given, int(given.get("memory", "500")))
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
        world.inject((ids[0], ids[1]), forged(rest))
    elif command == "counter":
        core = world.servers[ids[0]].core
        core.last_proposed = core.last_processed = make_zxid(core.epoch, int(rest[0], 16))
        world.servers[ids[0]].committed.clear()
    elif command == "force-snapshot":
        world.settings["force_snapshot"] = True
    elif command == "status":
        status(world)
    else:
        raise ValueError(f"no such command: {line}")


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.stem)
def test_a_story(story: Path) -> None:
    world = World()

    def play(lines: list[str]) -> list[str]:
        for line in lines:
            step(world, line)
        said = list(world.story)
        world.story.clear()
        return said

    check_script(story, play)


def test_there_are_stories_and_each_says_what_it_tells() -> None:
    assert len(STORIES) >= 20
    assert [story.name for story in STORIES if not story.read_text("utf-8").startswith("# ")] == []
