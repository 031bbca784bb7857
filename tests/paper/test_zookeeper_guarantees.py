"""The guarantees that ZooKeeper's documentation promises.

Sources: the Programmer's Guide, "Consistency Guarantees" (consistency-guarantees.mdx); "ZooKeeper
Internals", sections "Guarantees, Properties, and Definitions", "Leader Activation", "Active
Messaging" (internals.mdx). Both are in apache/zookeeper below zookeeper-website/app/pages/_docs, and
were the wiki's once.

What an ensemble has to do for them is tested here on the cores. What one server has to do for its
clients is tested where the server is: order of replies, watches and what a session may see in
`tests/sim/test_runs.py` by the checkers SessionOrder, WatchBeforeRead, WritesLinearizable and
Ephemerals; atomicity of multi in `tests/properties/test_tree_model.py`.
"""

from __future__ import annotations

import pytest

from tests.paper.test_zab_dsn2011 import THREE, serving
from tests.support import wire
from tests.support.quiet_server import QuietClient, QuietServer, Wire
from tests.support.zab_commands import Play
from tests.support.zab_walk import Walk
from zkserver.server.connection import Connection
from zkserver.zab.effects import Phase

START = "1:1,1:2,1:3"


# --- Sequential consistency


def test_sequential_consistency_of_a_clients_updates() -> None:
    """Updates of a client are applied in the order in which they were sent: on whatever server it
    is, its requests stay in order on the one link, and zxids are given out in that order.
    """
    play = serving()
    told = play.do("submit n2 a", "submit n2 b", "submit n2 c", "stabilize")
    assert [line for line in told if line.startswith("n3 → n1 PROPOSAL")] == [
        "n3 → n1 PROPOSAL 2:1 a",
        "n3 → n1 PROPOSAL 2:2 b",
        "n3 → n1 PROPOSAL 2:3 c",
    ]
    for n in (1, 2, 3):
        assert play.applied(n) == f"{START},a,b,c"


def test_sequential_consistency_where_others_write_too() -> None:
    """Updates of different clients come in some order, the same one everywhere; each client's own
    order is kept in it.
    """
    play = serving()
    play.do("submit n1 a1", "submit n2 b1", "submit n1 a2", "deliver n2 n3", "submit n2 b2")
    play.do("stabilize")
    order = play.applied(3).removeprefix(f"{START},").split(",")
    assert sorted(order) == ["a1", "a2", "b1", "b2"]
    assert order.index("a1") < order.index("a2")
    assert order.index("b1") < order.index("b2")
    assert play.applied(1) == play.applied(2) == play.applied(3)


# --- Atomicity


@pytest.mark.parametrize("first_seed", range(0, 60, 20))
def test_atomicity_no_update_is_done_in_part(first_seed) -> None:
    """An update succeeds or fails as a whole: when all faults are over a proposal is on all servers
    or on none, whatever had become of it and of who proposed it.
    """
    for seed in range(first_seed, first_seed + 20):
        walk = Walk(seed)
        walk.run(300)
        histories = [[body for _, body in server.applied] for server in walk.servers()]
        assert all(history == histories[0] for history in histories)
        assert len(set(histories[0])) == len(histories[0])


# --- Single system image


def test_single_system_image_a_server_serves_what_its_leader_began_with() -> None:
    """A client never sees an older view after it has moved to another server. For the part of the
    ensemble: a server that comes back serves nobody before it has caught up with its leader.
    """
    play = Play(*THREE, "lead n3", "follow n2 n3", "stabilize", "propose n3 a b", "stabilize")
    play.do("follow n1 n3")
    for _ in range(8):
        play.do("deliver", "sync-disk")
        if play.server(1).phase is Phase.BROADCAST:
            break
        assert play.applied(1) in (START, f"{START},a", f"{START},a,b")
    assert play.applied(1) == f"{START},a,b"


def test_single_system_image_a_client_that_has_seen_more_is_refused() -> None:
    """For the part of the server: the client says the last zxid it has seen when it connects, and a
    server that is behind that sends it away, to find another one.
    """
    quiet = QuietServer()
    QuietClient(quiet)
    seen = quiet.tree.last_zxid
    for last_zxid, is_refused in ((seen, False), (seen + 1, True)):
        transport = Wire()
        connection = Connection(quiet.server, transport, "127.0.0.1", 2)
        quiet.server.add(connection)
        connection.receive(wire.text(wire.connect_request(last_zxid=last_zxid)))
        assert transport.closed is is_refused


# --- Reliability


@pytest.mark.parametrize("crashed", [1, 2, 3])
def test_reliability_what_is_answered_outlives_any_server(crashed) -> None:
    """A successful update persists until it is overwritten. It is answered when a quorum has it on
    disk, so any one of three may be lost for ever at that moment, the leader as well.
    """
    play = serving()
    play.do("propose n3 a", "deliver n3 n2", "sync-disk n2", "sync-disk n3", "deliver n2 n3")
    assert play.applied(3) == f"{START},a"
    play.do(f"crash n{crashed}")
    for n in {1, 2, 3} - {crashed}:
        play.world.end_role(play.server(n))
    leader, other = sorted(
        {1, 2, 3} - {crashed}, key=lambda n: play.server(n).vote, reverse=True
    )
    play.do(f"lead n{leader}", f"follow n{other} n{leader}", "stabilize")
    assert play.applied(leader) == play.applied(other) == f"{START},a"


def test_reliability_not_even_all_at_once_lose_it() -> None:
    """The same when the power of all fails at the moment of the answer: what is acknowledged is on
    disks, not in memories.
    """
    play = serving()
    play.do("propose n3 a", "deliver n3 n2", "deliver n3 n1", "sync-disk n2", "sync-disk n3")
    play.do("deliver n2 n3")
    assert play.applied(3) == f"{START},a"
    play.do("crash n1", "crash n2", "crash n3", "restart n1", "restart n2")
    assert (play.logged(1), play.logged(2)) == (START, f"{START},a")
    play.do("lead n2", "follow n1 n2", "stabilize")
    assert play.applied(1) == play.applied(2) == f"{START},a"


def test_reliability_what_a_client_has_seen_is_never_rolled_back() -> None:
    """Second corollary: what was seen through a read stays, too. A server applies nothing that is
    not committed: n2 has the proposal on its disk and shows it to nobody, and when the next leader
    has never heard of it nobody has lost anything.
    """
    play = serving()
    play.do("propose n3 a", "deliver n3 n2", "sync-disk n2")
    assert (play.logged(2), play.applied(2)) == (f"{START},a", START)
    play.do("crash n3", "crash n2", "restart n3", "lead n3", "follow n1 n3", "stabilize")
    play.do("propose n3 b", "stabilize")
    play.do("restart n2", "follow n2 n3", "stabilize")
    for n in (1, 2, 3):
        assert play.applied(n) == play.logged(n) == f"{START},b"


def test_reliability_on_a_lost_connection_nobody_knows() -> None:
    """First corollary: when the answer is lost the update may have been applied or not. Both happen,
    and the client's server cannot tell at the time.
    """
    ends = []
    for is_delivered in (True, False):
        play = serving()
        play.do("submit n2 a", *(["deliver n2 n3", "sync-disk n3"] if is_delivered else []))
        play.do("cut n2 n3", "stabilize", "follow n2 n3", "stabilize")
        ends.append(play.applied(1).endswith(",a"))
    assert ends == [True, False]


# --- Timeliness


def test_timeliness_a_follower_notices_a_silent_leader() -> None:
    """A client's view is current within a bound, or the outage is detected: a follower that hears
    nothing for syncLimit serves nobody any more. The limit here is 5 ticks of a second.
    """
    play = serving()
    play.do("tick 5000")
    assert play.world.is_serving(play.server(2))
    told = play.do("tick 1")
    assert "n2 ends its role: the leader is silent for more than 5 ticks" in told
    assert not play.world.is_serving(play.server(2))
    play = serving()
    play.do("cut n1 n3")
    assert not play.world.is_serving(play.server(1))


def test_timeliness_a_leader_notices_that_it_is_alone() -> None:
    """The other end: a leader that hears from no quorum within syncLimit gives up, so its clients
    do not read an old state for ever.
    """
    play = serving()
    play.do("cut n1 n3", "cut n2 n3")
    assert play.world.is_serving(play.server(3))
    assert any(line.startswith("n3 ends its role: no quorum") for line in play.do("tick 5001"))


def test_timeliness_a_follower_that_cannot_keep_up_is_cut() -> None:
    """A follower whose disk does not keep up would show an ever older state: it owes an ACK for
    longer than syncLimit, and the leader closes its link.
    """
    play = serving()
    play.do("propose n3 a", "deliver n3 n2", "sync-disk n3", "deliver n3 n1", "sync-disk n1")
    told = []
    for _ in range(7):
        told += play.do("tick 1000", "deliver n3 n1", "deliver n3 n2", "deliver n1 n3", "deliver n2 n3")
    assert any(line.startswith("n3 closes the link of n2: owes an ACK") for line in told)
    assert play.world.is_serving(play.server(3))


# --- what is not promised, and sync


def test_no_simultaneously_consistent_views_without_sync() -> None:
    """The callout of the section: after A's update was answered, B may read the old value on another
    server. If B says sync first it reads the new one.
    """
    play = serving()
    play.do("submit n2 a", "deliver n2 n3", "deliver n3 n2", "sync-disk", "deliver n2 n3")
    play.do("deliver n3 n2")
    assert (play.applied(2), play.applied(1)) == (f"{START},a", START)
    play.do("sync n1 mine")
    told = play.do("stabilize")
    assert told.index("n1 apply 2:1 a") < told.index("n1 sync mine is done")


def test_sync_waits_for_what_is_in_flight() -> None:
    """sync is answered behind the commit of everything that was proposed when it came to the
    leader, and at once if nothing is.
    """
    play = serving()
    told = play.do("sync n1 first", "deliver n1 n3", "deliver n3 n1")
    assert "n1 sync first is done" in told
    told = play.do("propose n3 a", "sync n1 second", "deliver n1 n3", "deliver n3 n1")
    assert not any("second" in line for line in told)
    told = play.do("stabilize")
    assert told.index("n1 apply 2:1 a") < told.index("n1 sync second is done")


# --- availability


def test_availability_a_minority_commits_nothing_and_a_majority_does() -> None:
    """A write needs a quorum, and a quorum is enough ("Guarantees, Properties, and Definitions":
    quorums that intersect).
    """
    play = serving()
    play.do("cut n2 n3", "propose n3 a", "stabilize")
    assert play.applied(3) == play.applied(1) == f"{START},a"
    play.do("cut n1 n3", "propose n3 b", "stabilize")
    assert play.applied(3) == f"{START},a"


# --- ZooKeeper Internals


def test_internals_a_leader_takes_no_proposal_before_newleader_is_committed() -> None:
    """"Leader Activation": a new leader accepts no proposals until NEW_LEADER is committed."""
    play = Play(*THREE, "lead n3", "follow n2 n3", *["deliver", "sync-disk"] * 2, "deliver n2 n3")
    assert play.server(3).phase is Phase.SYNCHRONISATION
    out = play.server(3).core.propose([(play.server(3).core.last_proposed + 1, b"x")])
    assert (out.writes, out.send, out.apply) == ([], {}, [])


def test_internals_a_follower_acknowledges_newleader_after_it_has_synchronised() -> None:
    """"Leader Activation": a follower ACKs NEW_LEADER once it has what the leader has."""
    play = Play(*THREE, "server n4 log=1:1 current=1 accepted=1", "voters 3 4")
    play.do("lead n3", "follow n4 n3", *["deliver", "sync-disk"] * 2, "deliver n4 n3")
    told = play.do("deliver n3 n4", "sync-disk n4", "sync-disk n4")
    assert told.index("n4 append 1:3 1:3") < told.index("n4 → n3 ACK 2:0")
    assert play.logged(4) == START


def test_internals_a_follower_acknowledges_newleader_of_one_zxid_from_one_server() -> None:
    """"Leader Activation": NEW_LEADER of a given zxid is acknowledged to a single server. Both n2 and
    n3 arrive at epoch 2; n1 promises it to n3, and what it says to n2 counts for nothing there.
    """
    play = Play(*THREE, "lead n2", "lead n3", "follow n1 n2", "deliver", "sync-disk n2")
    play.do("cut n1 n2", "follow n1 n3", "deliver", "sync-disk n3", "deliver", "sync-disk n1")
    play.do("deliver n1 n3")
    assert play.server(2).core.epoch == play.server(3).core.epoch == 2
    told = play.do("cut n1 n3", "follow n1 n2", "stabilize")
    assert "n1 → n2 ACKEPOCH 1:3 current=-1" in told
    assert not any("ACK 2:0" in line for line in told)
    assert play.server(2).phase is Phase.DISCOVERY


def test_internals_discards_what_no_quorum_has_seen() -> None:
    """"Leader Activation": a follower that comes with proposals U that the leader has not seen is
    told to discard them; no quorum can have seen U.
    """
    play = Play("server n1 log=1:1-3,1:4=U current=1 accepted=1", THREE[1], THREE[2])
    play.do("lead n3", "follow n2 n3", "stabilize")
    assert "n1 cut the log at 1:3" in play.do("follow n1 n3", "stabilize")
    assert play.applied(1) == play.logged(1) == START


def test_internals_commits_what_it_has_before_it_is_active() -> None:
    """"Summary": uncommitted proposals of an earlier epoch that the new leader has seen are committed
    before it becomes active.
    """
    play = Play("server n3 log=1:1-3,1:4=late current=1 accepted=1", THREE[0], THREE[1])
    told = play.do("lead n3", "follow n2 n3", "stabilize")
    assert told.index("n2 apply 1:4 late") < told.index("n3 ⇨ broadcast")


def test_internals_messages_are_acknowledged_and_committed_in_order() -> None:
    """"Active Messaging": proposals, ACKs and COMMITs each go in order on FIFO channels."""
    play = serving()
    told = play.do("propose n3 a", "propose n3 b", "propose n3 c", "stabilize")
    for start in ("n3 → n2 PROPOSAL", "n2 → n3 ACK", "n3 → n2 COMMIT", "n2 apply"):
        zxids = [line.removeprefix(start).split()[0] for line in told if line.startswith(start)]
        assert zxids == ["2:1", "2:2", "2:3"]
