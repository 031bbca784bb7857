"""The stories of `election/*.txt`, each played by elections in virtual time.

    ensemble n1=1:8 n2=1:9 n3=3:1:9   servers by last zxid, or by current epoch and last zxid
        observers=4,5                 of these the ones without a vote
        groups=1:2:3/4:5:6            hierarchical quorums, with weights=1:0/2:1 (default 1)
        current=1,2,3 next=3,4,5      a reconfiguration between these voters is in flight
        old=3                         servers that send 40 bytes, version 0
        early=no                      the finalize wait is never cut short
        reconfig=yes                  reconfigEnabled
        version=5                     of the configuration
    start 1 2      processes start and look for a leader
    look 1         a server lost its leader and looks again
    crash 1        a process ends
    cut 1 2        two servers lose their connection; heal 1 2 brings it back
    deliver        all that is on its way and all that follows, oldest link first;
                   from=1 and to=2 restrict it to some links, count=1 to so many
    wait 200       time passes and nobody delivers; delivered=no: no queue ran empty
    run            deliver and wait until every server has decided, at most for=MS
    synced 1 2     servers finished the synchronisation in epoch=N
    tell 1         a notification from=2 with state= leader= zxid= epoch= round= version= config=
    status         what everybody is
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.election_world import World, shown_vote
from tests.support.script import Command, check_script, parse_command
from zkserver.base.quorum import Hierarchical, Majority, QuorumVerifier, TwoConfigs
from zkserver.base.zxid import epoch_of, make_zxid
from zkserver.election.election import Timing
from zkserver.jute.notifications import Notification, PeerState

SCRIPTS = sorted((Path(__file__).parent / "election").glob("*.txt"))


def ids(text: str) -> tuple[int, ...]:
    return tuple(int(word) for word in text.split(",") if word)


def zxid_of(text: str) -> int:
    if text == "-1":
        return -1
    epoch, counter = (int(part, 16) for part in text.split(":"))
    return make_zxid(epoch, counter)


def history_of(text: str) -> tuple[int, int]:
    """Last zxid and current epoch, from `zxid` or `epoch:zxid`."""
    if text.count(":") == 2:
        epoch, _, zxid = text.partition(":")
        return zxid_of(zxid), int(epoch, 16)
    zxid = zxid_of(text)
    return zxid, 0 if zxid == -1 else epoch_of(zxid)


def verifier_of(command: Command, servers: list[int]) -> QuorumVerifier:
    observers = ids(command.option("observers"))
    version = int(command.option("version", "0"))
    following = ids(command.option("next"))
    voters = [server for server in servers if server not in observers]
    groups = command.option("groups")
    if groups:
        named = {n: map(int, g.split(":")) for n, g in enumerate(groups.split("/"), 1)}
        given = [pair.split(":") for pair in command.option("weights").split("/") if pair]
        weights = dict.fromkeys(servers, 1) | {int(s): int(w) for s, w in given}
        return Hierarchical(named, weights, observers, version)
    if following:
        current = ids(command.option("current"))
        return TwoConfigs(Majority(current, (), version), Majority(following, (), version + 1))
    return Majority(voters, observers, version)


class Stage:
    """Plays the commands of one script."""

    def __init__(self) -> None:
        self.world = World(Majority(()), {}, Timing())

    def play(self, command: Command) -> list[str]:
        self.world.lines = []
        getattr(self, f"_{command.name}")(command)
        return self.world.lines

    def _ensemble(self, command: Command) -> None:
        histories = {
            int(key[1:]): history_of(value)
            for key, value in command.options.items()
            if key[:1] == "n" and key[1:].isdigit()
        }
        self.world = World(
            verifier_of(command, sorted(histories)),
            histories,
            Timing(decides_early=command.option("early", "yes") == "yes"),
            old_servers=ids(command.option("old")),
            reconfig_enabled=command.option("reconfig") == "yes",
        )

    def _start(self, command: Command) -> None:
        for word in command.words:
            self.world.start(int(word))

    def _look(self, command: Command) -> None:
        for word in command.words:
            self.world.look(int(word))

    def _crash(self, command: Command) -> None:
        for word in command.words:
            self.world.crash(int(word))

    def _cut(self, command: Command) -> None:
        self.world.cut(*map(int, command.words))

    def _heal(self, command: Command) -> None:
        self.world.heal(*map(int, command.words))

    def _deliver(self, command: Command) -> None:
        sender, receiver = command.option("from"), command.option("to")
        left = int(command.option("count", "10000"))
        while left:
            links = [
                link
                for link in self.world.queues
                if sender in ("", str(link[0])) and receiver in ("", str(link[1]))
            ]
            if not links:
                return
            self.world.deliver_one(*links[0])
            left -= 1

    def _wait(self, command: Command) -> None:
        delivered = command.option("delivered", "yes") == "yes"
        until_ms = self.world.now_ms + int(command.words[0])
        self.world.pass_time(until_ms, delivered=delivered)

    def _run(self, command: Command) -> None:
        end_ms = self.world.now_ms + int(command.option("for", "1000"))
        while True:
            self._deliver(Command("deliver", (), {}))
            due = self.world.next_due()
            if due is None or due[0] > end_ms:
                return
            self.world.pass_time(due[0])

    def _synced(self, command: Command) -> None:
        for word in command.words:
            self.world.elections[int(word)].update_election_vote(int(command.option("epoch"), 16))

    def _tell(self, command: Command) -> None:
        zxid = zxid_of(command.option("zxid", "0:0"))
        epoch = command.option("epoch")
        notification = Notification(
            PeerState[command.option("state", "LOOKING")],
            int(command.option("leader")),
            zxid,
            int(command.option("round", "1")),
            int(epoch, 16) if epoch else epoch_of(zxid),
            int(command.option("version", "2")),
            command.option("config").replace(",", "\n").encode(),
        )
        for word in command.words:
            self.world.inject(int(command.option("from")), int(word), notification)

    def _status(self, _command: Command) -> None:
        for server, election in sorted(self.world.elections.items()):
            vote = shown_vote(election.vote)
            state = election.state.name
            self.world.lines.append(f"n{server} {state} round {election.round} vote {vote}")


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_the_story_goes_as_told(path: Path) -> None:
    stage = Stage()
    check_script(
        path, lambda lines: [said for line in lines for said in stage.play(parse_command(line))]
    )


def test_the_stories_are_there() -> None:
    assert len(SCRIPTS) >= 15
