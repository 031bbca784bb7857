"""Election ports on simulated links: which connection stands, what is sent again, who is harmed."""

from __future__ import annotations

import pytest

from tests.support.election_hosts import PORT, Scene, Stranger, vote_for
from zkserver.jute.codec import pack_int
from zkserver.jute.notifications import (
    ANONYMOUS_OBSERVER,
    FRAME_LIMIT_BYTES,
    Frames,
    decode_initial_message,
    decode_notification,
    encode_bare_id,
    encode_initial_message,
    encode_notification,
    frame,
)

HOSTS = ["n1", "n2", "n3", "n4", "n5"]
EVERY_PAIR = sorted((f"n{big}", f"n{small}") for big in range(1, 6) for small in range(1, big))


@pytest.fixture
def scene():
    made = Scene(2)
    yield made
    made.close()


def linked(scene: Scene) -> Scene:
    """Servers 1 and 2 have told each other their votes."""
    scene.hosts[1].send(2, vote_for(1))
    scene.hosts[2].send(1, vote_for(2))
    scene.wait()
    assert scene.links() == [("n2", "n1")]
    return scene


def greeting(server_id: int, host: str = "stranger", port: int = 7) -> bytes:
    return encode_initial_message(server_id, ((host, port),))


@pytest.mark.parametrize("seed", range(10))
def test_each_pair_has_one_connection_and_the_greater_id_has_opened_it(seed: int) -> None:
    scene = Scene(5, seed)
    scene.all_tell_all()
    scene.wait(2)
    assert scene.links() == EVERY_PAIR
    for server_id, host in scene.hosts.items():
        others = [n for n in scene.hosts if n != server_id]
        assert host.port.reach() == others
        assert [set(host.votes(other)) for other in others] == [{n} for n in others]
    scene.close()


@pytest.mark.parametrize("receiver", [1, 2])
def test_whoever_sends_first_the_greater_id_opens(scene: Scene, receiver: int) -> None:
    sender = 3 - receiver
    scene.hosts[sender].send(receiver, vote_for(sender))
    assert scene.hosts[sender].port.reach() == []
    scene.wait(0.0001)
    assert scene.hosts[sender].port.reach() == [receiver]
    scene.wait()
    assert scene.links() == [("n2", "n1")]
    assert scene.hosts[receiver].votes(sender) == [sender]
    assert scene.hosts[sender].port.is_delivered
    assert not scene.hosts[sender].port.is_delivered


def test_only_the_newest_waits_and_the_last_is_sent_again_on_a_new_link(scene: Scene) -> None:
    linked(scene)
    scene.network.reset("n1")
    scene.wait()
    assert scene.links() == []
    for leader in (7, 8, 9):
        scene.hosts[1].send(2, vote_for(leader))
    scene.wait()
    assert scene.hosts[2].votes(1) == [1, 9]
    # Nobody asked server 2 to: its queue was empty.
    assert scene.hosts[1].votes(2) == [2, 2]


def test_a_link_that_has_no_room_keeps_the_newest_back(scene: Scene) -> None:
    linked(scene)
    scene.network.lives["n1"].pause()
    big = vote_for(5)._replace(config=b"x" * 150_000)
    scene.hosts[2].send(1, big)
    scene.wait()
    assert scene.hosts[2].port.is_delivered
    for leader in (6, 7, 8):
        scene.hosts[2].send(1, vote_for(leader))
    scene.wait()
    assert not scene.hosts[2].port.is_delivered
    scene.network.lives["n1"].resume()
    scene.wait()
    assert scene.hosts[1].votes(2) == [2, 5, 8]
    assert scene.hosts[2].port.is_delivered


def test_what_waits_when_a_link_is_lost_makes_a_new_one(scene: Scene) -> None:
    linked(scene)
    scene.network.lives["n1"].pause()
    scene.hosts[2].send(1, vote_for(5)._replace(config=b"x" * 150_000))
    scene.hosts[2].send(1, vote_for(6))
    scene.wait()
    scene.network.reset("n1")
    scene.network.lives["n1"].resume()
    scene.wait()
    assert scene.links() == [("n2", "n1")]
    assert scene.hosts[1].votes(2)[-1] == 6


def test_cut_and_healed_all_are_linked_again() -> None:
    scene = Scene(5)
    for other in HOSTS[1:]:
        scene.network.cut("n1", other)
        scene.network.cut(other, "n1")
    scene.all_tell_all()
    scene.wait(20)
    assert scene.links() == [pair for pair in EVERY_PAIR if "n1" not in pair]
    assert scene.hosts[1].port.reach() == []
    assert 1 not in scene.hosts[5].port.reach()
    scene.network.heal()
    scene.hosts[1].life.call(scene.hosts[1].port.reconnect)
    scene.wait(2)
    assert scene.links() == EVERY_PAIR
    assert [scene.hosts[n].votes(1) for n in (2, 3, 4, 5)] == [[1]] * 4
    assert [scene.hosts[1].votes(n) for n in (2, 3, 4, 5)] == [[2], [3], [4], [5]]
    scene.close()


@pytest.mark.parametrize("server_id", [1, 3, 5])
@pytest.mark.parametrize("end", ["kill", "power_off"])
def test_who_comes_back_is_linked_to_all_and_told_the_last_of_each(
    server_id: int, end: str
) -> None:
    scene = Scene(5)
    scene.all_tell_all()
    scene.wait(2)
    getattr(scene.network, end)(f"n{server_id}")
    scene.wait()
    back = scene.boot(server_id)
    for other in scene.addresses:
        if other != server_id:
            back.send(other, vote_for(server_id, 2))
    scene.wait(5)
    assert scene.links() == EVERY_PAIR
    for other in scene.addresses:
        if other != server_id:
            assert back.votes(other) == [other]
            assert scene.hosts[other].heard[-1] == (server_id, vote_for(server_id, 2))
    scene.close()


def test_a_half_open_link_gives_way_to_who_calls_again(scene: Scene) -> None:
    linked(scene)
    scene.network.forget("n1")
    scene.wait()
    assert scene.hosts[2].port.reach() == [1]
    scene.hosts[1].send(2, vote_for(3))
    scene.wait()
    assert scene.links() == [("n2", "n1")]
    assert scene.hosts[2].votes(1) == [1, 3]
    assert scene.hosts[1].votes(2) == [2, 2]


def test_a_half_open_link_is_dropped_if_the_caller_cannot_be_called_back(scene: Scene) -> None:
    linked(scene)
    scene.network.forget("n1")
    scene.network.refuse("n1")
    scene.hosts[1].send(2, vote_for(3))
    scene.wait()
    assert scene.hosts[2].port.reach() == []
    assert "election link is lost" in scene.hosts[2].events(1)


def test_a_server_that_is_down_makes_one_line_until_it_was_there(scene: Scene) -> None:
    line = "no election link to a server"
    scene.network.kill("n1")
    for _ in range(50):
        scene.hosts[2].send(1, vote_for(2))
        scene.hosts[2].life.call(scene.hosts[2].port.reconnect)
        scene.wait(0.5)
    assert scene.hosts[2].events(1) == [line]
    scene.boot(1)
    scene.wait(5)
    scene.hosts[2].send(1, vote_for(2))
    scene.wait_for(lambda: scene.hosts[1].votes(2) == [2], limit_s=5)
    scene.network.kill("n1")
    scene.wait()
    for _ in range(10):
        scene.hosts[2].send(1, vote_for(2))
        scene.wait(10)
    lost = ["election link is up", "election link is lost"]
    assert scene.hosts[2].events(1) == [line, *lost, line]


def test_who_refuses_is_not_dialled_more_often_than_ten_times_a_second(scene: Scene) -> None:
    asked: list[float] = []
    connect = scene.network.connect

    async def counted(*arguments):
        asked.append(scene.world.loop.time())
        return await connect(*arguments)

    scene.network.connect = counted
    scene.network.refuse("n1")
    for _ in range(1000):
        scene.hosts[2].send(1, vote_for(2))
        scene.wait(0.001)
    assert 5 <= len(asked) <= 11


def test_a_dial_that_nobody_answers_ends_in_time() -> None:
    scene = Scene(2, connect_timeout_ms=300)
    scene.network.cut("n1", "n2")
    scene.hosts[2].send(1, vote_for(2))
    scene.wait(0.29)
    assert scene.hosts[2].port.reach() == [1]
    scene.wait(0.02)
    assert scene.hosts[2].port.reach() == []
    assert scene.hosts[2].lines[-1][1]["problem"] == "n1:3888: no answer within 300 ms"
    # Dialled again it is no hope before it was reached.
    scene.wait(0.1)
    scene.hosts[2].send(1, vote_for(2))
    scene.wait(0.1)
    assert scene.hosts[2].port.reach() == []
    scene.network.heal()
    scene.wait(0.3)
    scene.hosts[2].send(1, vote_for(2))
    scene.wait(0.3)
    assert scene.hosts[2].port.reach() == [1]
    scene.close()


def test_a_greater_id_that_does_not_call_back_is_out_of_reach(scene: Scene) -> None:
    scene.network.refuse("n1")
    scene.hosts[1].send(2, vote_for(1))
    scene.wait(0.9)
    assert scene.hosts[1].port.reach() == [2]
    scene.wait(0.5)
    assert scene.hosts[1].port.reach() == []
    assert scene.hosts[1].lines[-1][1]["problem"] == "it does not call back"


def test_who_calls_is_called_back_at_once_though_a_dial_hangs(scene: Scene) -> None:
    scene.network.power_off("n1")
    scene.hosts[2].send(1, vote_for(2))
    # TCP asks for the last time before 5 s are over.
    scene.wait(3.1)
    scene.boot(1)
    scene.hosts[1].send(2, vote_for(1))
    scene.wait(0.5)
    assert scene.hosts[1].votes(2) == [2]
    assert scene.hosts[2].votes(1) == [1]


def test_the_addresses_of_a_server_are_tried_in_turn() -> None:
    scene = Scene(1, multi_address_enabled=True)
    scene.addresses[2] = [("nowhere", PORT), ("n2", 1), ("n2", PORT)]
    scene.addresses[3] = [("n3", PORT), ("n3", PORT + 1)]
    scene.boot(2, bind_host="")
    three = scene.boot(3)
    scene.wait(0.01)
    assert [facts["address"] for _, facts in three.lines] == ["n3:3888", "n3:3889"]
    three.send(2, vote_for(3))
    scene.wait_for(lambda: scene.hosts[2].votes(3) == [3], limit_s=5)
    scene.network.reset("n2")
    scene.wait()
    # The one that worked comes first now.
    three.send(2, vote_for(4))
    scene.wait_for(lambda: scene.hosts[2].votes(3)[-1] == 4, limit_s=0.3)
    scene.close()


GARBAGE = [
    b"GET / HTTP/1.1\r\n\r\n",
    b"\xff" * 40,
    greeting(3)[:16] + pack_int(100_000),
    encode_initial_message(3, (("a host", 3),)).replace(b":3", b"?3"),
    encode_bare_id(5) + pack_int(FRAME_LIMIT_BYTES + 1),
    greeting(5) + frame(b"short"),
    greeting(5) + frame(b"\0\0\0\x09" + bytes(36)),
    greeting(1) + greeting(1),
    greeting(2),
    greeting(-7),
]


@pytest.mark.parametrize("words", GARBAGE)
def test_garbage_costs_its_connection_and_harms_nobody(scene: Scene, words: bytes) -> None:
    linked(scene)
    stranger = scene.call(2, words)
    scene.wait()
    assert stranger.lost
    assert stranger.data == b""
    assert scene.links() == [("n2", "n1")]
    assert scene.hosts[2].port.reach() == [1]
    scene.hosts[1].send(2, vote_for(4))
    scene.wait()
    assert scene.hosts[2].votes(1)[-1] == 4


def test_garbage_makes_one_line(scene: Scene) -> None:
    # The others begin as a server does that is known, or as an old one with a great id.
    for words in GARBAGE[1:4]:
        del scene.hosts[2].lines[:]
        scene.call(2, words)
        scene.wait()
        assert scene.hosts[2].events() == ["an election connection is refused"]


@pytest.mark.parametrize("words", [b"", greeting(1)[:-1]])
def test_who_says_nothing_in_time_is_hung_up_on(scene: Scene, words: bytes) -> None:
    stranger = scene.call(2, words)
    scene.wait(4)
    linked(scene)
    assert not stranger.lost
    scene.wait()
    assert stranger.lost
    refused = [facts for event, facts in scene.hosts[2].lines if "refused" in event]
    assert [facts["reason"] for facts in refused] == ["no initial message in time"]
    assert scene.links() == [("n2", "n1")]


def test_who_hangs_up_without_a_word_makes_no_line(scene: Scene) -> None:
    scene.call(2, b"")
    scene.network.kill("stranger")
    scene.wait(10)
    assert scene.hosts[2].events() == ["election port is open"]


def test_a_server_with_the_same_id_is_hung_up_on_with_one_line(scene: Scene) -> None:
    stranger = scene.call(2, greeting(2))
    scene.wait()
    assert stranger.lost
    event, facts = scene.hosts[2].lines[-1]
    assert event == "an election connection is refused"
    assert facts["reason"] == "it says that it is server 2, as this one is"


def test_a_smaller_id_that_nobody_knows_is_called_back_where_it_listens(scene: Scene) -> None:
    listener = Stranger()
    scene.run("stranger", scene.world.loop.create_server(lambda: listener, port=7))
    stranger = scene.call(2, greeting(0))
    scene.wait()
    assert stranger.lost
    found = decode_initial_message(listener.data)
    assert found is not None
    assert found[0].server_id == 2
    assert found[0].addresses == (("n2", PORT),)
    assert scene.hosts[2].port.reach() == [0]
    listener.transport.write(frame(encode_notification(vote_for(0))))
    scene.wait()
    assert scene.hosts[2].votes(0) == [0]


def test_a_smaller_id_that_tells_no_address_is_left(scene: Scene) -> None:
    stranger = scene.call(2, encode_bare_id(0))
    scene.wait()
    assert stranger.lost
    assert scene.hosts[2].lines[-1] == ("a server has called and told no address", {"server": 0})


def test_observers_without_an_id_get_ids_below_0_and_are_answered(scene: Scene) -> None:
    said = frame(encode_notification(vote_for(9)))
    callers = [scene.call(2, greeting(ANONYMOUS_OBSERVER) + said) for _ in range(2)]
    scene.wait()
    assert [sender for sender, _ in scene.hosts[2].heard] == [-1, -2]
    scene.hosts[2].send(-2, vote_for(2))
    scene.wait()
    assert callers[0].data == b""
    assert [decode_notification(p) for p in Frames().feed(callers[1].data)] == [vote_for(2)]
    scene.network.kill("stranger")
    scene.wait()
    assert scene.hosts[2].port.reach() == []
    scene.hosts[2].send(-2, vote_for(2))
    scene.wait()


def test_a_greater_id_that_calls_again_replaces_its_link(scene: Scene) -> None:
    first = scene.call(2, greeting(5))
    scene.wait()
    scene.hosts[2].send(5, vote_for(2))
    scene.wait()
    second = scene.call(2, greeting(5))
    scene.wait()
    assert first.lost
    assert not second.lost
    assert first.data == second.data == frame(encode_notification(vote_for(2)))
    assert scene.hosts[2].port.reach() == [5]
    # Of a stranger that is gone nothing is kept.
    scene.network.kill("stranger")
    scene.wait()
    third = scene.call(2, greeting(5), host="another")
    scene.wait()
    assert (third.lost, third.data) == (False, b"")


def test_owners_are_told_of_links_that_come_and_go_but_not_from_within(scene: Scene) -> None:
    host = scene.hosts[2]

    async def ask() -> int:
        before = host.changes
        host.port.send(1, vote_for(2))
        host.port.reconnect()
        return host.changes - before

    assert host.life is scene.network.lives["n2"]
    assert scene.run("n2", ask()) == 0
    scene.wait()
    assert host.changes == 2
    scene.network.reset("n1")
    scene.wait()
    assert host.changes == 3


def test_a_taken_port_ends_the_start_after_three_attempts() -> None:
    scene = Scene(1)
    scene.addresses[2] = [("n2", PORT)]
    scene.network.boot("n2")
    scene.run("n2", scene.world.loop.create_server(Stranger, port=PORT))
    host = scene.boot(2)
    scene.wait(1.5)
    assert host.error is None
    scene.wait()
    assert host.error is not None
    assert host.error.exit_code == 14
    assert "n2:3888" in str(host.error)
    scene.close()


def test_a_closed_port_has_no_connection_and_makes_none(scene: Scene) -> None:
    linked(scene)
    silent = scene.call(2, b"")
    scene.hosts[2].life.call(scene.hosts[2].port.close)
    scene.wait()
    assert silent.lost
    assert scene.links() == []
    scene.hosts[2].send(1, vote_for(2))
    scene.hosts[2].life.call(scene.hosts[2].port.reconnect)
    scene.wait(10)
    assert scene.links() == []
    with pytest.raises(ConnectionRefusedError):
        scene.call(2, greeting(5))
