"""What clients of an ensemble meet besides data: its configuration, a leader that takes none,
reads without a leader, sessions of one server alone, and sessions that move.

Each story is told to an ensemble of zkserver and, where it is installed, to one of Apache's
servers; what it states holds for both.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.support import wire
from tests.support.apache import apache_available
from tests.support.ensemble_processes import APACHE, ZKSERVER, EnsembleProcesses
from tests.support.raw_client import Closed, RawClient, new_session
from tests.support.server_process import four_letter_word

NOT_READ_ONLY, EPHEMERAL_ON_LOCAL, RECONFIG_DISABLED = -119, -120, -123
Started = Callable[..., EnsembleProcesses]


@pytest.fixture(name="started", params=[ZKSERVER, APACHE])
def _started(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Started]:
    """Starts an ensemble of one kind."""
    kind = request.param
    if kind == APACHE and not apache_available():
        pytest.skip("Apache ZooKeeper is not installed")
    with ExitStack() as stack:

        def start(servers: int = 2, waits: bool = True, **options: object) -> EnsembleProcesses:
            ensemble = EnsembleProcesses(tmp_path, kind * servers, **options)  # type: ignore[arg-type]
            stack.push(ensemble.__exit__)
            for server in ensemble.servers:
                server.launch()
            if waits:
                ensemble.wait_serving()
            return ensemble

        yield start


def _numbers(ensemble: EnsembleProcesses) -> tuple[int, int]:
    """A follower and the leader."""
    modes = {mode: number for number, mode in ensemble.modes().items()}
    return modes["follower"], modes["leader"]


@contextmanager
def _client(ensemble: EnsembleProcesses, number: int, **form: object) -> Iterator[RawClient]:
    with RawClient(ensemble.server(number).port) as client:
        client.connect(**form)  # type: ignore[arg-type]
        yield client


def _create(path: str, flags: int = 0) -> bytes:
    return wire.create_request(path, flags=flags)


def _err(client: RawClient, opcode: int, record: bytes = b"") -> int:
    return int(client.call(opcode, record)["err"])


def _is_refused(port: int, **form: object) -> bool:
    with RawClient(port) as client:
        try:
            client.connect(**form)  # type: ignore[arg-type]
        except Closed:
            return True
    return False


def _row(ensemble: EnsembleProcesses, number: int, name: str) -> str:
    answer = four_letter_word(ensemble.server(number).port, "mntr")
    rows = dict(line.split("\t", 1) for line in answer.splitlines() if "\t" in line)
    return rows.get(f"zk_{name}", "")


def _until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)  # polling with a deadline


def test_the_configuration_is_a_znode(started: Started) -> None:
    ensemble = started()
    text = "\n".join([*(f"server.{n}={ensemble.cfg[f'server.{n}']}" for n in (1, 2)), "version=0"])
    for number in (1, 2):
        with _client(ensemble, number) as client:
            body = client.call(wire.GET_DATA, wire.read_request("/zookeeper/config", True))["body"]
            assert body["data"] == text.encode()
            stat = body["stat"]
            assert (stat["version"], stat["mzxid"], stat["dataLength"]) == (-1, 0, len(text))
            assert _err(client, wire.RECONFIG, wire.reconfig_request("", "", text)) == (
                RECONFIG_DISABLED
            )
            client.close_session()


def test_a_create_session_inside_a_session_is_another_handshake_answer(started: Started) -> None:
    for number in _numbers(ensemble := started()):
        with RawClient(ensemble.server(number).port) as client:
            first = client.connect()
            client.send(wire.request(1, wire.CREATE_SESSION, wire.int32(5000)))
            again = wire.decode_connect_response(client.receive())
            assert again["session_id"] == first["session_id"]
            assert _err(client, wire.CREATE, _create(f"/behind-{number}")) == 0
            client.close_session()


def test_a_leader_may_take_no_clients(started: Started) -> None:
    ensemble = started(servers=3, properties={"zookeeper.leaderServes": "no"}, waits=False)
    _until(lambda: sorted(ensemble.modes().values()) == ["", "follower", "follower"])
    modes = ensemble.modes()
    leader = next(number for number, mode in modes.items() if not mode)
    follower = next(number for number, mode in modes.items() if mode)
    port = ensemble.server(leader).port
    assert four_letter_word(port, "ruok") == "imok"
    assert four_letter_word(port, "isro") == "null"
    assert "not currently serving" in four_letter_word(port, "srvr")
    assert _is_refused(port)
    with _client(ensemble, follower) as client:
        assert _err(client, wire.CREATE, _create("/node")) == 0


READS = {"readonlymode.enabled": "true"}
LOCAL = {"localSessionsEnabled": "true"}
UPGRADING = LOCAL | {"localSessionsUpgradingEnabled": "true"}


def test_reads_without_a_leader(started: Started) -> None:
    # Apache's server opens no session there without local sessions; see `read_only`.
    ensemble = started(properties=READS, cfg=UPGRADING)
    follower, leader = _numbers(ensemble)
    port = ensemble.server(follower).port
    everybodys = new_session(port)
    assert _err(everybodys, wire.CREATE, _create("/mine", 1)) == 0
    everybodys.close()
    ensemble.server(leader).kill()
    _until(lambda: four_letter_word(port, "isro") == "ro")
    assert "\nREAD-ONLY mode; serving only read-only clients\n" in four_letter_word(port, "srvr")
    assert "\nMode: read-only\n" in four_letter_word(port, "srvr")
    assert _row(ensemble, follower, "server_state") == "read-only"
    assert _is_refused(port, read_only=False)
    assert _is_refused(port, read_only=None)
    with RawClient(port) as client:
        answer = client.connect(read_only=True, timeout_ms=4000)
        assert answer["read_only"]
        assert client.session_id >> 56 == follower
        assert client.call(wire.EXISTS, wire.read_request("/mine", True))["err"] == 0
        for opcode, record in (
            (wire.CREATE, _create("/no")),
            (wire.DELETE, wire.version_request("/mine")),
            (wire.SET_DATA, wire.set_data_request("/mine", b"")),
            (wire.SYNC, wire.path_request("/mine")),
            (wire.MULTI, wire.multi_request([(wire.CREATE, _create("/no"))])),
            (wire.CREATE, b""),
        ):
            client.send(wire.request(7, opcode, record))
            assert wire.decode_header(client.receive())["err"] == NOT_READ_ONLY
        assert client.ping()["err"] == 0
        # The session comes back to this server, and ends here.
        with RawClient(port) as again:
            answer = again.connect(4000, client.session_id, client.password, read_only=True)
            assert answer["session_id"] == client.session_id
            again.close_session()
    with RawClient(port) as reader:
        reader.connect(read_only=True)
        ensemble.server(leader).launch()
        with pytest.raises(Closed):
            reader.receive()
    ensemble.wait_serving()
    assert four_letter_word(port, "isro") == "rw"
    with RawClient(port) as client:
        answer = client.connect(40000, everybodys.session_id, everybodys.password)
        assert answer["session_id"] == everybodys.session_id
        assert not answer["read_only"]


def test_reads_need_no_local_sessions_here(tmp_path: Path) -> None:
    with EnsembleProcesses(tmp_path, ZKSERVER * 2, properties=READS) as ensemble:
        follower, leader = _numbers(ensemble)
        port = ensemble.server(follower).port
        with _client(ensemble, follower) as everybodys:
            ensemble.server(leader).kill()
            _until(lambda: four_letter_word(port, "isro") == "ro")
            # What all know is not given back, and not declared over.
            session = {"session_id": everybodys.session_id, "password": everybodys.password}
            assert _is_refused(port, read_only=True, **session)
        with _client(ensemble, follower, read_only=True, timeout_ms=1000) as client:
            assert _err(client, wire.EXISTS, wire.read_request("/")) == 0
            with pytest.raises(Closed):
                client.receive()


def test_local_sessions_expire_here(started: Started) -> None:
    ensemble = started(cfg=LOCAL)
    for number in _numbers(ensemble):
        with _client(ensemble, number, timeout_ms=1000) as client:
            assert _row(ensemble, number, "local_sessions") == "1"
            assert _row(ensemble, number, "global_sessions") == "0"
            with pytest.raises(Closed):
                client.receive()
        assert _row(ensemble, number, "local_sessions") == "0"
    # No transaction told of them.
    assert _zxids(ensemble) in (["0x100000000"], ["0x0", "0x100000000"])


def _zxids(ensemble: EnsembleProcesses) -> Sequence[str]:
    answers = (four_letter_word(server.port, "srvr") for server in ensemble.servers)
    return sorted({answer.partition("Zxid: ")[2].split()[0] for answer in answers})


def test_local_sessions_that_stay_local(started: Started) -> None:
    ensemble = started(cfg=LOCAL)
    follower, leader = _numbers(ensemble)
    for number, other in ((follower, leader), (leader, follower)):
        with _client(ensemble, number) as client:
            assert _err(client, wire.CREATE, _create(f"/{number}")) == 0
            assert _err(client, wire.SYNC, wire.path_request("/")) == 0
            assert _err(client, wire.CREATE, _create("/mine", 1)) == EPHEMERAL_ON_LOCAL
            assert _err(client, wire.CREATE2, _create("/mine-", 3)) == EPHEMERAL_ON_LOCAL
            parts = [(wire.CREATE, _create("/a")), (wire.CREATE, _create("/b", 1))]
            reply = client.call(wire.MULTI, wire.multi_request(parts))
            # Apache's follower says SESSIONEXPIRED of the second one, as its leader put it.
            codes = [result["err"] for result in reply["body"]["results"]]
            assert codes[0] == 0
            assert codes[1] in (EPHEMERAL_ON_LOCAL, -112)
            with RawClient(ensemble.server(other).port) as elsewhere:
                answer = elsewhere.connect(40000, client.session_id, client.password)
                assert (answer["session_id"], answer["timeout_ms"]) == (0, 0)
            with RawClient(ensemble.server(number).port) as again:
                answer = again.connect(40000, client.session_id, client.password)
                assert answer["session_id"] == client.session_id
                again.close_session()
        assert _row(ensemble, number, "local_sessions") == "0"


def test_local_sessions_become_global(started: Started) -> None:
    ensemble = started(cfg=UPGRADING)
    follower, leader = _numbers(ensemble)
    for number, other in ((follower, leader), (leader, follower)):
        with _client(ensemble, number) as client:
            parts = [(wire.CREATE, _create(f"/{number}a")), (wire.CREATE, _create("/mine", 1))]
            reply = client.call(wire.MULTI, wire.multi_request(parts))
            assert reply["err"] == 0
            dump = four_letter_word(ensemble.server(number).port, "dump")
            assert "Local Session Sets (" in dump
            assert f"0x{client.session_id:x}" in dump
            assert _row(ensemble, number, "local_sessions") == "0"
            _until(lambda: _row(ensemble, other, "global_sessions") == "1")  # noqa: B023
            assert _err(client, wire.CREATE, _create("/mine-", 3)) == 0
            with RawClient(ensemble.server(other).port) as elsewhere:
                answer = elsewhere.connect(40000, client.session_id, client.password)
                assert answer["session_id"] == client.session_id
                elsewhere.close_session()
        with _client(ensemble, leader) as witness:
            assert _err(witness, wire.EXISTS, wire.read_request("/mine")) == -101
            witness.close_session()


def test_a_session_that_moved_is_hung_up_on(started: Started) -> None:
    ensemble = started(servers=3)
    first, second = (n for n, mode in ensemble.modes().items() if mode == "follower")
    leader = ensemble.leader()
    requests = (
        (wire.CREATE, _create("/no")),
        (wire.MULTI, wire.multi_request([(wire.CREATE, _create("/no"))])),
        (wire.SET_DATA, wire.set_data_request("/", b"no")),
    )
    for number, (opcode, record) in enumerate(requests):
        with _client(ensemble, first) as before:
            mine = f"/mine{number}"
            assert _err(before, wire.CREATE, _create(mine, 1)) == 0
            for other in (second, leader):
                with RawClient(ensemble.server(other).port) as after:
                    answer = after.connect(40000, before.session_id, before.password)
                    assert answer["session_id"] == before.session_id
                    # What asks for no session is answered as ever.
                    if other == second:
                        assert _err(before, wire.SYNC, wire.path_request("/")) == 0
                        continue
                    with pytest.raises(Closed):
                        before.call(opcode, record)
                    assert _err(after, wire.EXISTS, wire.read_request("/no")) == -101
                    after.close_session()


def test_a_moved_client_may_still_close_its_session(started: Started) -> None:
    ensemble = started(servers=3)
    first, second = (n for n, mode in ensemble.modes().items() if mode == "follower")
    with _client(ensemble, first) as before:
        assert _err(before, wire.CREATE, _create("/mine", 1)) == 0
        with RawClient(ensemble.server(second).port) as after:
            after.connect(40000, before.session_id, before.password)
            before.close_session()
            with pytest.raises(Closed):
                after.receive()
