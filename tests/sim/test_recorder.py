"""The story of a run: packets, states and marks, written down without disturbing the run."""

from __future__ import annotations

import asyncio

import pytest

from zkserver.base.acl import Id
from zkserver.jute import notifications, txns
from zkserver.jute import quorum_packets as packets
from zkserver.jute.notifications import Notification, PeerState
from zkserver.jute.quorum_packets import Packet, PacketType
from zkserver.sim import packet_names
from zkserver.sim.ensemble_run import EnsembleOptions, simulate_ensemble
from zkserver.sim.packet_names import ElectionStream, QuorumStream
from zkserver.sim.recorder import Recorder
from zkserver.sim.seeds import Wish, watched
from zkserver.sim.story import Story
from zkserver.sim.world import World

# A seed that strikes every second or so, and what it strikes with.
SEED = 5
WISH = Wish(
    servers=3, duration_s=25.0, think_s=0.3, faults=("kill leader", "pause server", "partition one")
)
ENTRY = txns.encode((1, 2, (5 << 32) + 3, 0, 5, (b"/r1", b"x", 1)), None)


@pytest.fixture(name="story", scope="module")
def _story() -> Story:
    return watched(WISH, SEED)[1]


def test_a_run_is_the_same_with_a_recorder_and_without() -> None:
    options = WISH.options_of(SEED)
    alone = simulate_ensemble(SEED, options)
    again, story, _ = watched(WISH, SEED)
    assert again.digest == alone.digest
    assert again.broken == []
    assert watched(WISH, SEED)[1] == story


def test_a_packet_arrives_once_and_after_it_was_sent(story: Story) -> None:
    assert len(story.flights) > 1000
    arrived = [flight for flight in story.flights if flight.arrived_s is not None]
    assert all(flight.arrived_s > flight.sent_s for flight in arrived)
    assert 0 < len(story.flights) - len(arrived) < len(arrived)
    for flight in story.flights:
        assert {flight.sender, flight.receiver} < set(story.hosts)
        assert "does not read" not in flight.name
        assert not flight.name.startswith("type ")


def test_every_proposal_that_is_acknowledged_had_arrived(story: Story) -> None:
    arrived = {}
    for flight in story.flights:
        if flight.name.startswith("PROPOSAL") and flight.arrived_s is not None:
            key = flight.receiver, flight.sender, flight.name.split()[1]
            arrived.setdefault(key, flight.arrived_s)
    acks = [flight for flight in story.flights if flight.name.startswith("ACK ")]
    acks = [flight for flight in acks if not flight.name.endswith(":0")]
    assert len(acks) > 100
    for ack in acks:
        key = ack.sender, ack.receiver, ack.name.split()[1]
        assert arrived[key] <= ack.sent_s


def test_states_follow_one_another_as_roles_do(story: Story) -> None:
    before: dict[str, str] = {}
    seen = set()
    for state in story.states:
        seen.add(state.state)
        last = before.get(state.host, "DOWN")
        if state.state in ("FOLLOWING", "LEADING") and last != "PAUSED":
            assert last in ("LOOKING", state.state), state
        before[state.host] = state.state
    assert {"LOOKING", "FOLLOWING", "LEADING", "DOWN", "PAUSED"} <= seen
    assert "killed" in [state.detail for state in story.states if state.state == "DOWN"]


def test_faults_are_marks_at_their_hosts(story: Story) -> None:
    faults = [mark for mark in story.marks if mark.kind == "fault"]
    assert {mark.text.partition(":")[0] for mark in faults} == {"kill", "pause", "partition one"}
    kills = [(mark.at_s, mark.host) for mark in faults if mark.text.startswith("kill")]
    downs = [(state.at_s, state.host) for state in story.states if state.detail == "killed"]
    assert [down for down in downs if down not in kills] == []
    assert "act two: the faults are over" in [mark.text for mark in story.marks]


def test_a_link_that_is_cut_loses_what_is_on_it() -> None:
    """Byte counts decide: a packet arrives with its last byte, and one that has not is lost."""
    with World(0) as world:
        recorder = Recorder(world, ["n1", "n2"], "two hosts")
        network = world.network
        server, client = network.boot("n1"), network.boot("n2")
        ping, ack = packets.build(Packet(PacketType.PING, 0)), packets.build(Packet(PacketType.ACK, 1))

        async def listen() -> None:
            await world.loop.create_server(asyncio.Protocol, "n1", 2888)

        async def talk() -> None:
            transport, _ = await world.loop.create_connection(asyncio.Protocol, "n1", 2888)
            transport.write(ping + ack[:7])
            await asyncio.sleep(1)
            transport.write(ack[7:])
            await asyncio.sleep(1)
            network.cut("n2", "n1")
            transport.write(ping)
            await asyncio.sleep(1)
            network.power_off("n1")

        server.start(listen())
        world.loop.run_until_complete(client.start(talk()))
        story = recorder.finish([], world.loop.time())
    names = [(flight.name, flight.arrived_s is None) for flight in story.flights]
    assert names == [("PING", False), ("ACK 0:1", False), ("PING", True)]
    assert story.flights[1].sent_s > story.flights[0].arrived_s


NAMES = (
    (Packet(PacketType.PROPOSAL, (5 << 32) + 3, ENTRY), "PROPOSAL 5:3 setData /r1"),
    (Packet(PacketType.COMMIT, (5 << 32) + 0x1A), "COMMIT 5:1a"),
    (Packet(PacketType.ACKEPOCH, (4 << 32) + 9, packets.build_int(4)), "ACKEPOCH current 4, last 4:9"),
    (Packet(PacketType.ACKEPOCH, 0, packets.build_int(-1)), "ACKEPOCH accepted before, last 0:0"),
    (Packet(PacketType.ACKEPOCH, 0), "ACKEPOCH that does not read"),
    (Packet(PacketType.DIFF, (5 << 32) + 3), "DIFF to 5:3"),
    (Packet(PacketType.NEWLEADER, 12 << 32), "NEWLEADER epoch c"),
    (Packet(PacketType.PING, 7, b"", (Id("ip", "x"),)), "PING"),
    (Packet(77, 0), "type 77"),
)


@pytest.mark.parametrize(("packet", "name"), NAMES)
def test_the_name_of_a_packet(packet: Packet, name: str) -> None:
    assert packet_names.name_of_packet(packet) == name


@pytest.mark.parametrize("step", [1, 3, 20, 1000])
def test_sizes_add_up_to_the_stream_in_whatever_pieces_it_comes(step: int) -> None:
    tree = b"a tree" * 9 + (10).to_bytes(4, "big") + b"BenWasHere"
    whole = [packets.build(packet) for packet, _ in NAMES]
    whole += [packets.build(Packet(PacketType.SNAP, 1)), tree, whole[0]]
    data = b"".join(whole)
    stream = QuorumStream()
    found = [each for at in range(0, len(data), step) for each in stream.feed(data[at : at + step])]
    assert [size for _, size in found] == [len(each) for each in whole]
    assert [name for name, _ in found[-3:]] == ["SNAP of 0:1", "TREE of 68 bytes", NAMES[0][1]]


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_an_election_stream(step: int) -> None:
    votes = [
        Notification(PeerState.LOOKING, 3, (4 << 32) + 9, 7, 4),
        Notification(PeerState.LOOKING, -(2**63), -(2**63), 7, -(2**63)),
    ]
    whole = [notifications.encode_initial_message(2, (("n2", 3888),))]
    whole += [notifications.frame(notifications.encode_notification(vote)) for vote in votes]
    data = b"".join(whole)
    stream = ElectionStream(has_called=True)
    found = [each for at in range(0, len(data), step) for each in stream.feed(data[at : at + step])]
    assert found == [
        ("HELLO of 2", len(whole[0])),
        ("LOOKING votes 3 (epoch 4, zxid 4:9, round 7)", len(whole[1])),
        ("LOOKING has no vote (round 7)", len(whole[2])),
    ]


def test_a_stream_that_does_not_read_has_no_more_names() -> None:
    quorum, election = QuorumStream(), ElectionStream(has_called=False)
    bad = b"\0\0\0\1" + bytes(8) + b"\xf0\0\0\0" + bytes(40)
    assert list(quorum.feed(bad)) == []
    assert list(quorum.feed(packets.build(Packet(PacketType.PING, 0)))) == []
    assert list(election.feed(b"\xff" * 8)) == []
    assert list(election.feed(b"\0\0\0\1x")) == []


def test_options_of_a_wish() -> None:
    options = Wish(servers=3, observers=2, faults=(), duration_s=9.0).options_of(8)
    assert options == EnsembleOptions(
        **{
            **vars(EnsembleOptions.of(8)),
            "servers": 3,
            "observers": 2,
            "is_grouped": False,
            "faults": (),
            "duration_s": 9.0,
        }
    )
