"""What the stories of elections do not tell: the order of votes, and calls at odd times."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from zkserver.base.members import version_of_text
from zkserver.base.quorum import Hierarchical, Majority
from zkserver.election.election import Effects, Election, Timing
from zkserver.election.votes import NO_VOTE, Ballot, Vote, rank, supports
from zkserver.jute.notifications import Notification, PeerState

LOOKING, FOLLOWING = PeerState.LOOKING, PeerState.FOLLOWING
WEIGHTS = {1: 1, 2: 0, 3: 2, 4: 0}
VERIFIER = Hierarchical({1: [1, 2, 3, 4]}, WEIGHTS)

votes = st.builds(Vote, st.integers(1, 4), st.integers(0, 3), st.integers(0, 3))


def beats(new: Vote, old: Vote) -> bool:
    """The rule as the documentation of Apache ZooKeeper words it, one comparison at a time."""
    if WEIGHTS.get(new.leader, 0) == 0 and WEIGHTS.get(old.leader, 0) != 0:
        return False
    if WEIGHTS.get(old.leader, 0) == 0 and WEIGHTS.get(new.leader, 0) != 0:
        return True
    if new.peer_epoch != old.peer_epoch:
        return new.peer_epoch > old.peer_epoch
    if new.zxid != old.zxid:
        return new.zxid > old.zxid
    return new.leader > old.leader


@given(votes, votes)
def test_the_order_of_votes_is_what_the_naive_twin_says(left: Vote, right: Vote) -> None:
    assert (rank(left, VERIFIER) > rank(right, VERIFIER)) == beats(left, right)
    assert (rank(left, VERIFIER) == rank(right, VERIFIER)) == (left == right)
    assert rank(left, VERIFIER) > rank(NO_VOTE, VERIFIER)


ballots = st.builds(
    Ballot,
    st.builds(Vote, st.integers(1, 2), st.integers(0, 1), st.integers(0, 1)),
    st.integers(1, 2),
    st.sampled_from(PeerState),
    st.sampled_from([0, 2]),
)


@given(ballots, ballots)
def test_support_is_mutual_and_a_matter_of_the_leader(left: Ballot, right: Ballot) -> None:
    assert supports(left, right) == supports(right, left)
    assert supports(left, left)
    if supports(left, right):
        assert left.vote.leader == right.vote.leader


def looking(leader: int, zxid: int = 1, election_round: int = 1) -> Notification:
    return Notification(LOOKING, leader, zxid, election_round, 0)


def test_before_it_begins_an_election_does_nothing() -> None:
    election = Election(1, Majority([1, 2, 3]))
    assert election.deadline_ms is None
    assert election.receive(2, looking(2), 0) == Effects(LOOKING)
    assert election.wake(1000) == Effects(LOOKING)
    assert election.reach([1, 2], 0) == Effects(LOOKING)


def decided_election() -> Election:
    election = Election(1, Majority([1, 2, 3]), b"version=0")
    election.begin(1, 0, 0)
    election.reach([1, 2], 0)
    effects = election.receive(2, looking(2), 5)
    assert (effects.decided, effects.state) == (Vote(2, 1, 0), FOLLOWING)
    assert len(effects.send) == 2
    return election


def test_once_decided_nothing_is_due_and_only_those_that_look_are_answered() -> None:
    election = decided_election()
    assert election.deadline_ms is None
    assert election.wake(10_000) == Effects(FOLLOWING)
    assert election.receive(3, looking(3)._replace(state=FOLLOWING), 6) == Effects(FOLLOWING)
    ((receiver, answer),) = election.receive(3, looking(3), 6).send
    assert (receiver, answer.leader, answer.state) == (3, 2, FOLLOWING)
    assert (answer.version, answer.config) == (2, b"version=0")


def test_the_epoch_reached_is_told_until_the_next_election() -> None:
    election = decided_election()
    election.update_election_vote(7)
    assert election.receive(3, looking(3), 6).send[0][1].peer_epoch == 7
    election.begin(1, 7, 10)
    assert election.round == 2
    election.update_election_vote(9)
    assert election.vote == Vote(1, 1, 7)


def test_an_early_wake_is_harmless() -> None:
    election = Election(1, Majority([1, 2, 3]), timing=Timing(decides_early=False))
    election.begin(1, 0, 0)
    election.receive(2, looking(1), 0)
    assert election.finalize_ms == election.deadline_ms == 200
    assert election.wake(199) == Effects(LOOKING)
    assert election.wake(200).decided == Vote(1, 1, 0)


def test_a_notification_of_oneself_is_no_news() -> None:
    election = Election(1, Majority([1, 2, 3]))
    election.begin(1, 0, 0)
    assert election.receive(1, looking(3, zxid=9), 0) == Effects(LOOKING)


def test_configurations_in_notifications_count_only_with_reconfiguration_enabled() -> None:
    told = looking(2)._replace(config=b"server.1=a:1:2\nversion=100000000")
    for enabled in (False, True):
        election = Election(1, Majority([1, 2, 3]), reconfig_enabled=enabled)
        election.begin(1, 0, 0)
        assert (election.receive(2, told, 0).newer_config == told.config) == enabled


def test_a_voter_that_leaves_reach_is_not_waited_for() -> None:
    election = Election(2, Majority([1, 2, 3]))
    election.begin(1, 0, 0)
    assert election.receive(1, looking(2), 0).decided is None
    assert election.reach([1, 2], 50).decided == Vote(2, 1, 0)


def test_the_version_in_the_text_of_a_configuration() -> None:
    assert version_of_text(b"server.1=a:1:2:participant\nversion=1f") == 31
    assert version_of_text(b"version=1\nversion = 2 \n") == 2
    assert version_of_text(b"server.1=a:1:2") is None
    assert version_of_text(b"version=what") is None
    assert version_of_text(b"version=\xff") is None


def test_peers_that_disagree_about_the_voters_do_not_answer_each_other_for_ever() -> None:
    # 4 has been added, and 1 does not know; 4 is in a later round.
    peers = {1: Election(1, Majority([1, 2, 3])), 4: Election(4, Majority([1, 2, 3, 4]))}
    peers[1].begin(1, 0, 0)
    for _ in range(3):
        peers[4].begin(1, 0, 0)
    messages = [(4, 1, looking(4, election_round=3))]
    count = 0
    while messages and count < 50:
        sender, receiver, told = messages.pop(0)
        count += 1
        for to, answer in peers[receiver].receive(sender, told, 1).send:
            if to in peers:
                messages.append((receiver, to, answer))
    assert count < 10
