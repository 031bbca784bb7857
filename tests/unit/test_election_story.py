"""What a peer remembers of its elections."""

from __future__ import annotations

from zkserver.election.story import KEPT, LONGEST, Happening, Story
from zkserver.election.votes import Vote
from zkserver.jute.notifications import Notification, PeerState

MINE, BETTER = Vote(1, 0x100000005, 1), Vote(3, 0x100000007, 1)


def said(vote: Vote, state: PeerState = PeerState.LOOKING) -> Notification:
    return Notification(state, vote.leader, vote.zxid, 1, vote.peer_epoch, 2, b"")


def test_an_election_is_told_from_the_first_vote_to_the_end_of_the_role() -> None:
    story = Story(1)
    story.begin(1000, 1_700_000_000_000)
    story.proposes(MINE, 1, 1000)
    story.hears(3, said(BETTER), 1004)
    story.proposes(BETTER, 1, 1004)
    story.decides(BETTER, PeerState.FOLLOWING, 1, 1030)
    story.serves(2, 1050)
    story.ends("the leader is gone")
    (chapter,) = story.chapters
    assert [(line.after_ms, line.happening, line.server_id, line.vote) for line in chapter.lines] == [
        (0, Happening.PROPOSES, 1, MINE),
        (4, Happening.HEARS, 3, BETTER),
        (4, Happening.PROPOSES, 1, BETTER),
        (30, Happening.DECIDES, 1, BETTER),
    ]
    assert (chapter.winner, chapter.role, chapter.took_ms) == (BETTER, PeerState.FOLLOWING, 30)
    assert (chapter.epoch, chapter.serves_after_ms, chapter.end) == (2, 50, "the leader is gone")


def test_what_is_told_again_and_what_comes_later_is_left_out() -> None:
    story = Story(1)
    story.hears(2, said(MINE), 5)
    story.begin(0, 0)
    story.proposes(MINE, 1, 0)
    story.hears(2, said(MINE), 1)
    story.proposes(MINE, 1, 200)
    story.decides(MINE, PeerState.LEADING, 1, 300)
    story.hears(3, said(MINE), 400)
    story.proposes(BETTER, 2, 400)
    assert [line.happening for line in story.chapters[0].lines] == [
        Happening.PROPOSES,
        Happening.HEARS,
        Happening.DECIDES,
    ]


def test_the_story_is_bounded_and_keeps_the_decision() -> None:
    story = Story(1)
    for number in range(KEPT + 3):
        story.begin(number, number)
    assert story.chapters[0].began_ms == 3
    for moment in range(LONGEST + 10):
        story.hears(2, said(MINE), 100 + moment)
    story.decides(MINE, PeerState.LEADING, 1, 900)
    chapter = story.chapters[-1]
    assert (len(chapter.lines), chapter.left_out) == (LONGEST + 1, 10)
    assert chapter.lines[-1].happening is Happening.DECIDES
