"""Stories of discovery, synchronisation and broadcast: commands, `---`, what could be seen.

A story is a text file in `zab`. After a change of behaviour that was meant,

    ZKSERVER_REWRITE=1 pytest tests/golden/test_zab.py

writes the new output into the files; read the difference before you commit it. Commands:

    voters 1 2 3                     who votes (1 2 3 unless said)
    server n1 [log=1:1-5,2:1] [at=2:0] [current=1] [accepted=1] [memory=N] [observer] [reaches=N]
                                     a server with that past; a txn's data is its zxid unless
                                     said as 1:1=a; reaches=N: the log on disk lacks the first N;
                                     snapshot=N: the bytes of its snapshot; config=N: the version
                                     of its configuration
    lead n1 · follow n2 n1 · cut n1 n2 · crash n1 · restart n1
    deliver [n1 n2] [count]          what is on the links, or from n1 to n2
    sync-disk [n1] [batches]         written becomes durable; what waited for it leaves
    stabilize [links]                deliver and sync (or only deliver) until nothing moves
    quiet                            the output of what came before is left out
    tick MS · propose n1 a b · submit n2 a · sync n2 TOKEN · touch n2 SESSION MS
    revalidate n2 SESSION · session SESSION
    forge n1 n2 COMMIT 3:1 [data] [leader=2] [first]
                                     a packet behind all others on the link, or before them;
                                     leader=2: the data of an activation
    counter n1 HEX                   the leader has proposed that many txns (in effect)
    force-snapshot · status
    our-leaders                      from now on leaders hold COMMITs back until UPTODATE, and make
                                     way for a later promise; Apache's do neither
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.script import check_script
from tests.support.zab_commands import step
from tests.support.zab_world import World

FOLDER = Path(__file__).parent / "zab"
STORIES = sorted(FOLDER.glob("*.txt"))


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
