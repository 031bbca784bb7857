"""A story as text: what a person reads of it, line by line."""

from __future__ import annotations

from zkserver.sim.seeds import Wish, watched
from zkserver.sim.story import Flight, Mark, StateChange, Story
from zkserver.sim.telling import WIDTH, tell, until


def small_story() -> Story:
    """An election of three, a synchronisation of each kind, a dead leader, a broken property."""
    story = Story("1", "Three servers", ["n1", "n2", "n3"], 9.0)
    for host in story.hosts:
        story.marks.append(Mark(0.0, host, "log", "restored zxid=0x0 znodes=5 sessions=0"))
        story.states.append(StateChange(0.0, host, "LOOKING"))
    for at_s, sender, receiver, vote in (
        *((0.1, "n1", "n2", 1), (0.1, "n2", "n1", 2), (0.1, "n3", "n1", 3), (0.1, "n3", "n2", 3)),
        *((0.2, "n1", "n2", 3), (0.2, "n2", "n1", 3)),
    ):
        name = f"LOOKING votes {vote} (epoch 0, zxid 0:0, round 1)"
        story.flights.append(Flight(at_s, at_s + 0.01, sender, receiver, "election", name))
    story.states += [
        StateChange(0.3, "n1", "FOLLOWING", "of n3, not yet serving"),
        StateChange(0.3, "n2", "FOLLOWING", "of n3, not yet serving"),
        StateChange(0.31, "n3", "LEADING", "elected, not yet serving"),
        StateChange(0.5, "n3", "LEADING", "epoch 1"),
        StateChange(0.6, "n1", "FOLLOWING", "epoch 1, of n3"),
        StateChange(0.7, "n2", "FOLLOWING", "epoch 1, of n3"),
    ]
    for at_s, receiver, name in (
        *((0.40, "n1", "DIFF to 0:2"), (0.41, "n1", "PROPOSAL 0:1"), (0.41, "n1", "COMMIT 0:1")),
        *((0.42, "n1", "PROPOSAL 0:2"), (0.43, "n1", "NEWLEADER epoch 1")),
        *((0.44, "n2", "SNAP of 0:2"), (0.44, "n2", "TREE of 400 bytes")),
        *((0.45, "n2", "NEWLEADER epoch 1"), (1.0, "n1", "COMMIT 1:1"), (1.0, "n2", "COMMIT 1:1")),
        *((1.1, "n1", "COMMIT 1:2"), (1.2, "n1", "COMMIT 1:a")),
    ):
        story.flights.append(Flight(at_s, at_s + 0.001, "n3", receiver, "quorum", name))
    story.marks += [
        Mark(2.0, "n3", "fault", "kill: n3"),
        Mark(2.1, "n1", "log", "the role has ended role=FOLLOWING reason=the other side hung up"),
        Mark(2.1, "n2", "log", "the role has ended role=FOLLOWING reason=the other side hung up"),
        Mark(2.5, "", "note", "ends: slow link"),
        Mark(3.0, "", "broken", "CommittedSurvive: " + "n1 has not 1:a, " * 9),
        Mark(4.0, "", "note", "act two: the faults are over"),
    ]
    story.states += [
        StateChange(2.0, "n3", "DOWN", "killed"),
        StateChange(2.1, "n1", "LOOKING"),
        StateChange(2.1, "n2", "LOOKING"),
    ]
    return story


TOLD = """\
     0.000  n1, n2 and n3 start with nothing on their disks and look for a leader
     0.200  n1, n2 and n3 vote for n3 in round 1
     0.300  n1 and n2 decide to follow n3
     0.310  n3 is elected, by its own count
     0.500  n3 leads epoch 1 and serves: a quorum has its history
     0.600  n1 serves in epoch 1 of n3, after DIFF of 2 txns
     0.700  n2 serves in epoch 1 of n3, after SNAP of 0:2 (400 bytes)
     1.200  3 txns are committed: 1:1 to 1:a
     2.000  FAULT kill: n3
     2.100  n1 and n2 stop following n3 and look for a leader: the other side hung up
     2.500  END OF slow link
     3.000  BROKEN CommittedSurvive: n1 has not 1:a, n1 has not 1:a, n1 has not 1:a, n1 has not 1:a,
            n1 has not 1:a, n1 has not 1:a, n1 has not 1:a, n1 has not 1:a, n1 has not 1:a,
     4.000  ---- act two: the faults are over ----
"""


def test_what_a_person_reads() -> None:
    assert tell(small_story()) == TOLD.splitlines()


def test_a_story_up_to_a_moment_is_the_beginning_of_the_story() -> None:
    assert tell(until(small_story(), 2.0)) == TOLD.splitlines()[:9]


def test_a_pause_is_told_once() -> None:
    story = Story("1", "", ["n1", "n2"], 2.0)
    story.states = [
        StateChange(0.0, "n1", "FOLLOWING", "epoch 1, of n2"),
        StateChange(1.0, "n1", "PAUSED"),
        StateChange(1.5, "n1", "FOLLOWING", "epoch 1, of n2"),
    ]
    story.marks = [Mark(1.0, "n1", "fault", "pause: n1"), Mark(1.5, "", "note", "ends: pause: n1")]
    assert [line[12:] for line in tell(story)] == [
        "n1 serves in epoch 1 of n2",
        "FAULT pause: n1",
        "END OF pause: n1",
    ]


def test_the_story_of_a_real_run() -> None:
    _, story, shown = watched(Wish(duration_s=20.0, think_s=0.5), 5)
    assert shown == []
    lines = tell(story)
    assert max(map(len, lines)) <= WIDTH
    times = [float(line[:10]) for line in lines if line[:10].strip()]
    assert times == sorted(times)
    text = "\n".join(lines)
    for words in (" vote for n", " leads epoch 1 ", "after DIFF of ", "txns are committed: ", "FAULT "):
        assert words in text
    assert "the faults are over" in text
