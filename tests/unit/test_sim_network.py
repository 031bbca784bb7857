"""Links: FIFO, nothing lost but with the link, and the semantics of asyncio's transports."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from zkserver.sim import grudges
from zkserver.sim.transport import HIGH_WATER_BYTES, WINDOW_BYTES, End
from zkserver.sim.world import World

HOSTS = ["n1", "n2", "n3", "n4", "n5"]


class Peer(asyncio.Protocol):
    """Writes down all that it is told."""

    def __init__(self, keep_open: bool = False) -> None:
        self.data = b""
        self.told: list[str] = []
        self.keep_open = keep_open
        self.end: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.end = transport

    def data_received(self, data: bytes) -> None:
        self.data += data

    def eof_received(self) -> bool:
        self.told.append("eof")
        return self.keep_open

    def pause_writing(self) -> None:
        self.told.append("pause")

    def resume_writing(self) -> None:
        self.told.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.told.append("lost" if exc is None else type(exc).__name__)


class Pair:
    """A client on n1, a server on n2, and what happens to both."""

    def __init__(self, seed: int = 1, keep_open: bool = False) -> None:
        self.world = World(seed)
        for host in ("n1", "n2", "test"):
            self.world.network.boot(host)
        self.server = Peer(keep_open)
        self.client = Peer()
        self.run("n2", self.world.loop.create_server(lambda: self.server, port=9))
        self.run("n1", self.world.loop.create_connection(lambda: self.client, "n2", 9))
        self.wait()

    def run(self, host: str, coroutine: Any) -> Any:
        return self.world.run(host, coroutine)

    def wait(self, seconds: float = 1.0) -> None:
        self.run("test", asyncio.sleep(seconds))

    def close(self) -> None:
        assert not self.world.loop.errors
        self.world.__exit__()


@pytest.fixture
def pair():
    made = Pair()
    yield made
    made.close()


def end(pair: Pair) -> End:
    return pair.client.end


@pytest.mark.parametrize("seed", range(20))
def test_bytes_arrive_once_and_in_order_whatever_is_cut_meanwhile(seed: int) -> None:
    pair = Pair(seed)
    network = pair.world.network
    sent = b""
    for number in range(40):
        piece = b"%d," % number * 50
        sent += piece
        end(pair).write(piece)
        if number % 7 == 3:
            network.cut("n1", "n2")
        if number % 7 == 5:
            network.heal()
        pair.wait(0.002)
    network.heal()
    pair.wait()
    assert pair.server.data == sent
    pair.close()


def test_a_cut_in_one_direction_leaves_the_other(pair: Pair) -> None:
    pair.world.network.cut("n1", "n2")
    end(pair).write(b"there")
    pair.server.end.write(b"back")
    pair.wait(100)
    assert (pair.server.data, pair.client.data) == (b"", b"back")
    pair.world.network.heal()
    pair.wait()
    assert pair.server.data == b"there"


def test_a_reader_that_stops_blocks_the_writer_until_it_goes_on(pair: Pair) -> None:
    pair.server.end.pause_reading()
    end(pair).write(b"x" * WINDOW_BYTES)
    end(pair).write(b"y" * (HIGH_WATER_BYTES + 1))
    pair.wait()
    assert pair.client.told == ["pause"]
    assert end(pair).get_write_buffer_size() == HIGH_WATER_BYTES + 1
    pair.server.end.resume_reading()
    pair.wait()
    assert pair.client.told == ["pause", "resume"]
    assert len(pair.server.data) == WINDOW_BYTES + HIGH_WATER_BYTES + 1


def test_a_paused_host_is_connected_to_and_takes_what_came_when_it_resumes(pair: Pair) -> None:
    life = pair.world.network.lives["n2"]
    life.pause()
    end(pair).write(b"early")
    pair.wait(10)
    assert pair.server.data == b""
    life.resume()
    pair.wait()
    assert pair.server.data == b"early"


def test_close_sends_the_buffer_first_and_the_other_side_sees_an_end(pair: Pair) -> None:
    pair.server.end.pause_reading()
    end(pair).write(b"z" * (2 * WINDOW_BYTES))
    end(pair).close()
    pair.wait()
    assert pair.client.told[-1] != "lost"
    pair.server.end.resume_reading()
    pair.wait()
    assert len(pair.server.data) == 2 * WINDOW_BYTES
    assert pair.client.told[-1] == "lost"
    assert pair.server.told == ["eof", "lost"]
    assert not pair.world.network.ends


def test_abort_drops_the_buffer(pair: Pair) -> None:
    pair.server.end.pause_reading()
    end(pair).write(b"z" * (2 * WINDOW_BYTES))
    end(pair).abort()
    pair.server.end.resume_reading()
    pair.wait()
    assert len(pair.server.data) == WINDOW_BYTES
    assert pair.client.told[-1] == "lost"


def test_closing_with_bytes_unread_resets(pair: Pair) -> None:
    pair.server.end.pause_reading()
    end(pair).write(b"unread")
    pair.wait()
    pair.server.end.close()
    pair.wait()
    assert pair.client.told == ["ConnectionResetError"]


def test_one_direction_may_end_before_the_other() -> None:
    pair = Pair(keep_open=True)
    end(pair).write_eof()
    pair.wait()
    assert pair.server.told == ["eof"]
    pair.server.end.write(b"still")
    pair.server.end.close()
    pair.wait()
    assert pair.client.data == b"still"
    assert pair.client.told == ["eof", "lost"]
    pair.close()


def test_a_reset_is_seen_by_both(pair: Pair) -> None:
    pair.world.network.reset("n1")
    pair.wait()
    assert pair.client.told == pair.server.told == ["ConnectionResetError"]
    end(pair).write(b"ignored")


def test_a_half_open_connection_is_noticed_by_who_sends(pair: Pair) -> None:
    pair.world.network.forget("n2")
    pair.wait(1000)
    assert pair.client.told == []
    end(pair).write(b"hello?")
    pair.wait()
    assert pair.client.told == ["ConnectionResetError"]


def test_after_a_power_cut_nobody_answers_until_the_host_is_back(pair: Pair) -> None:
    network = pair.world.network
    network.power_off("n2")
    end(pair).write(b"hello?")
    pair.wait(1000)
    assert pair.client.told == []
    network.boot("n2")
    end(pair).write(b"now?")
    pair.wait()
    assert pair.client.told == ["ConnectionResetError"]


def test_a_killed_process_has_its_sockets_closed(pair: Pair) -> None:
    pair.server.end.write(b"last words")
    pair.world.network.kill("n2")
    pair.wait()
    assert pair.client.data == b"last words"
    assert pair.client.told == ["eof", "lost"]
    assert pair.server.told == []


def test_connects_are_refused_or_left_without_an_answer(pair: Pair) -> None:
    network, loop = pair.world.network, pair.world.loop

    def connect(port: int = 9) -> Any:
        return pair.run("n1", loop.create_connection(Peer, "n2", port))

    with pytest.raises(ConnectionRefusedError):
        connect(port=10)
    network.refuse("n2")
    with pytest.raises(ConnectionRefusedError):
        connect()
    network.heal()
    network.cut("n2", "n1")
    before_s = loop.time()
    with pytest.raises(TimeoutError):
        connect()
    assert loop.time() - before_s == 63
    network.heal()
    connect()


def test_a_slow_link_is_slow(pair: Pair) -> None:
    pair.world.network.slow("n1", "n2", 10_000)
    end(pair).write(b"x")
    pair.wait(0.9)
    assert pair.server.data == b""
    pair.wait(1000)
    assert pair.server.data == b"x"


def test_streams_of_asyncio_run_unchanged(pair: Pair) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        await writer.drain()
        writer.close()

    async def ask() -> bytes:
        reader, writer = await asyncio.open_connection("n2", 7)
        writer.write(b"hello\n")
        answer = await reader.read()
        writer.close()
        return answer

    pair.run("n2", asyncio.start_server(echo, "n2", 7))
    assert pair.run("n1", ask()) == b"hello\n"


def hears(grudge: grudges.Grudge) -> dict[str, list[str]]:
    return {host: [h for h in HOSTS if h not in grudge.get(host, ())] for host in HOSTS}


def test_grudges_as_data() -> None:
    assert hears(grudges.halves(HOSTS))["n1"] == ["n1", "n2"]
    assert hears(grudges.halves(HOSTS))["n5"] == ["n3", "n4", "n5"]
    assert hears(grudges.isolated(HOSTS, "n2"))["n2"] == ["n2"]
    assert hears(grudges.isolated(HOSTS, "n2"))["n1"] == ["n1", "n3", "n4", "n5"]
    assert hears(grudges.bridge(HOSTS)) == {
        "n1": ["n1", "n2", "n3"],
        "n2": ["n1", "n2", "n3"],
        "n3": HOSTS,
        "n4": ["n3", "n4", "n5"],
        "n5": ["n3", "n4", "n5"],
    }
    assert hears(grudges.one_way(["n1"], HOSTS[1:]))["n1"] == ["n1"]
    assert hears(grudges.one_way(["n1"], HOSTS[1:]))["n2"] == HOSTS


def test_in_the_majorities_ring_all_hear_a_majority_and_each_another_one() -> None:
    majorities = list(hears(grudges.majorities_ring(HOSTS)).values())
    assert all(len(majority) == 3 for majority in majorities)
    assert len({tuple(majority) for majority in majorities}) == 5
    assert all(host in heard for host, heard in zip(HOSTS, majorities, strict=True))
