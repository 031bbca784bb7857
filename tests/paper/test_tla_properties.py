"""The safety properties of ZooKeeper's TLA+ specifications, on random walks of the real cores.

Both specifications are in apache/zookeeper, below zookeeper-specifications: `protocol-spec/Zab.tla`
(the protocol of the paper, with its doc.md) and `system-spec/zk-3.7/ZkV3_7_0.tla` (as it is
implemented). They state the same invariants under the same names, but for one: ShouldNotBeTriggered
is CheckDuringAction in the latter. A model checker walks through all the states of a small model;
here a seed walks through some states of the cores themselves, with crashes, cuts and elections.

To show that a property can fail at all, each is broken by a bug that is planted in a core, or, where
no core can be made to, by a history in `tests/sim/test_zab_checkers.py`.
"""

from __future__ import annotations

import re
from contextlib import suppress

import pytest

from tests.paper.test_zab_dsn2011 import THREE, serving
from tests.properties import test_zab_walk as planted
from tests.support.zab_commands import Play
from tests.support.zab_recorder import Recorder
from tests.support.zab_walk import Broken, Walk
from zkserver.base.errors import FatalError
from zkserver.sim.zab_checkers import ZAB_CHECKERS
from zkserver.zab.effects import Phase
from zkserver.zab.leader import Leader

STEPS = 300
SEEDS = range(5000, 5080)
ESTABLISHED = (Phase.SYNCHRONISATION, Phase.BROADCAST)

# Why links close and roles end when everybody keeps to the protocol: failures of links and
# servers, and the checks by which a prospective leader is recognised as one that may not lead.
EXPECTED = re.compile(
    r"the link broke"
    r"|learner \d+ is ahead of the leader"
    r"|the leader's epoch \w+ is less than the accepted \w+"
    r"|the leader is silent for more than \d+ ticks"
    r"|no quorum in \w+ within \d+ ticks"
    r"|no quorum of learners was heard of within \d+ ticks"
    r"|silent for more than \d+ ticks"
    r"|owes an ACK for more than \d+ ticks"
)
# The note with which a synchronisation begins.
ORDINARY = "synchronises "


class Monitor:
    """The variables of the specification that only verify: what must not be triggered, and
    `epochLeader`. Established is, as there, who has left discovery."""

    def __init__(self, walk):
        self.walk = walk
        self.triggered = []
        self.epoch_leader = {}
        self.two_at_once = []
        walk.world.on_effects = self

    def __call__(self, server, out):
        reasons = [reason for _, reason in out.closed]
        reasons += [out.ended] if out.ended is not None else []
        self.triggered += [note for note in out.notes if not note.startswith(ORDINARY)]
        self.triggered += [reason for reason in reasons if not EXPECTED.fullmatch(reason)]
        if isinstance(server.core, Leader) and out.phase in ESTABLISHED:
            self.epoch_leader.setdefault(server.core.epoch, set()).add(server.id)
        leading = [s for s in self.walk.leaders() if s.core.phase in ESTABLISHED]
        epochs = [s.core.epoch for s in leading]
        if len(set(epochs)) != len(epochs):
            self.two_at_once.append([s.name for s in leading])


def walked(seed, servers=None):
    """A walk to its end or to where a planted bug ends it: the monitor and the history."""
    walk = Walk(seed, servers)
    monitor = Monitor(walk)
    recorder = Recorder(walk.world)
    with suppress(Broken, FatalError):
        walk.run(STEPS)
    return monitor, recorder.history


@pytest.fixture(scope="module")
def walks():
    return [walked(seed) for seed in SEEDS] + [walked(seed, 4) for seed in SEEDS[:20]]


# --- ShouldNotBeTriggered (Zab.tla), CheckDuringAction (ZkV3_7_0.tla)


def test_should_not_be_triggered(walks) -> None:
    """No action meets a message in a state in which it cannot make sense of it: none of the entries
    of violatedInvariants ever becomes true. Where the specification sets one, the cores end a role,
    close a link, note it, or stop the server; in honest walks they do none of that, except for
    reasons that are failures.
    """
    assert [what for monitor, _ in walks for what in monitor.triggered] == []
    assert sum(monitor.walk.world.panics for monitor, _ in walks) == 0


def test_state_inconsistent_is_noticed() -> None:
    """violatedInvariants.stateInconsistent: FollowerProcessSyncMessage and FollowerProcessUPTODATE
    have their place in SYNCHRONIZATION only.
    """
    play = serving()
    told = play.do("forge n3 n1 UPTODATE 0:0", "forge n3 n2 DIFF 2:0", "deliver n3 n1", "deliver n3 n2")
    assert "n1 ends its role: UPTODATE, though this learner serves already" in told
    assert any("means nothing to a learner" in line for line in told)
    play = Play(*THREE, "lead n3", "follow n2 n3")
    told = play.do("forge n3 n2 NEWLEADER 2:0", "deliver n3 n2")
    assert any(line.startswith("n2 ends its role: LEADERINFO has to come first") for line in told)


def test_proposal_inconsistent_is_noticed() -> None:
    """violatedInvariants.proposalInconsistent: FollowerProcessPROPOSAL expects the next zxid
    (IsNextZxid). Apache's server warns of another one, and so does ours.
    """
    play = serving()
    told = play.do("forge n3 n2 PROPOSAL 2:5 x", "deliver n3 n2")
    assert any("got zxid 200000005 after" in line for line in told)


def test_commit_inconsistent_is_noticed() -> None:
    """violatedInvariants.commitInconsistent: FollowerProcessCOMMIT delivers the next pending txn and
    no other; LeaderTryToCommit commits in order.
    """
    play = serving()
    told = play.do("propose n3 a b", "deliver n3 n2", "forge n3 n2 COMMIT 2:2", "deliver n3 n2")
    assert any("panic: exit 12" in line for line in told)
    play = serving()
    play.do("propose n3 a b", "deliver n3 n2", "sync-disk n2")
    # The ACK of 2:2 vouches for 2:1 too, and both are committed in order.
    told = play.do("sync-disk n3", "deliver n2 n3")
    commits = [line for line in told if line.startswith("n3 → n2 COMMIT")]
    assert commits == ["n3 → n2 COMMIT 2:1", "n3 → n2 COMMIT 2:2"]


def test_ack_inconsistent_is_noticed() -> None:
    """violatedInvariants.ackInconsistent: LeaderProcessACKLD wants the ACK of its own epoch, and
    LeaderProcessACK one of a proposal that exists.
    """
    play = Play(*THREE, "lead n3", "follow n2 n3", *["deliver", "sync-disk"] * 2, "deliver n2 n3")
    told = play.do("forge n2 n3 ACK 1:0", "deliver n2 n3")
    assert any(line.startswith("n3 closes the link of n2") for line in told)
    play = serving()
    play.do("propose n3 a", "sync-disk n3", "forge n2 n3 ACK 2:7", "deliver n2 n3")
    assert play.applied(3) == "1:1,1:2,1:3"


def test_message_illegal_is_noticed() -> None:
    """violatedInvariants.messageIllegal: FilterNonexistentMessage finds what only the other side
    sends, such as a PROPOSAL to a leader or an ACK to a follower.
    """
    play = serving()
    told = play.do("forge n2 n3 PROPOSAL 2:1 x", "forge n3 n1 ACK 2:1", "deliver n2 n3", "deliver n3 n1")
    assert [line for line in told if "means nothing to a l" in line] == [
        "n3 notes: a packet of type 2, which means nothing to a leader",
        "n1 notes: a packet of type 3, which means nothing to a learner",
    ]
    assert play.applied(1) == play.applied(3) == "1:1,1:2,1:3"


# --- Leadership1 and Leadership2


def test_leadership_1(walks) -> None:
    """Leadership1: two leaders in SYNCHRONIZATION or BROADCAST at one time have different epochs."""
    assert [found for monitor, _ in walks for found in monitor.two_at_once] == []


def test_leadership_2(walks) -> None:
    """Leadership2: epochLeader, the set of all that were ever established in an epoch, has at most
    one member.
    """
    led = [leaders for monitor, _ in walks for leaders in monitor.epoch_leader.values()]
    assert all(len(leaders) == 1 for leaders in led)
    assert len(led) > 200
    for _, history in walks:
        assert next(ZAB_CHECKERS["OneLeaderPerEpoch"](history), None) is None


def test_leadership_can_break(monkeypatch) -> None:
    """A leader that counts who promised the epoch to somebody before shares it with that one."""
    planted.count_an_epoch_promised_before(monkeypatch)
    monitors = [walked(seed)[0] for seed in range(50)]
    assert any(len(leaders) > 1 for m in monitors for leaders in m.epoch_leader.values())


# --- the properties of the paper

PROPERTIES = (
    "PrefixConsistency",
    "Integrity",
    "Agreement",
    "TotalOrder",
    "LocalPrimaryOrder",
    "GlobalPrimaryOrder",
    "PrimaryIntegrity",
)


@pytest.mark.parametrize("name", PROPERTIES)
def test_property(name, walks) -> None:
    """The invariant of that name; what is looked at instead of history and lastCommitted is in the
    docstring of its checker. Walks with 3, 4 and 5 servers.
    """
    for _, history in walks:
        assert next(ZAB_CHECKERS[name](history), None) is None


@pytest.mark.parametrize("name", ["CommittedSurvive", "EqualDigestAtEqualZxid"])
def test_what_follows_for_servers(name, walks) -> None:
    """Not in the specification, but what it is for: nothing committed is lost, all trees equal."""
    for _, history in walks:
        assert next(ZAB_CHECKERS[name](history), None) is None


@pytest.mark.parametrize(
    ("name", "plant", "seeds"),
    [
        ("PrefixConsistency", planted.commit_without_a_quorum, 50),
        ("PrefixConsistency", planted.count_acks_of_a_former_link, 100),
        ("Integrity", planted.cut_one_record_short, 100),
        ("TotalOrder", planted.skip_a_record_of_a_diff, 100),
        ("LocalPrimaryOrder", planted.skip_a_record_of_a_diff, 200),
        ("PrimaryIntegrity", planted.commit_without_a_quorum, 50),
        ("CommittedSurvive", planted.acknowledge_before_the_disk, 300),
        ("EqualDigestAtEqualZxid", planted.cut_one_record_short, 50),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_property_can_break(name, plant, seeds, monkeypatch) -> None:
    """A core with this bug breaks this property within so many seeds."""
    plant(monkeypatch)
    for seed in range(seeds):
        _, history = walked(seed)
        if next(ZAB_CHECKERS[name](history), None) is not None:
            return
    pytest.fail(f"{plant.__name__} does not break {name}")
