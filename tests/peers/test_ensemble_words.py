"""Four-letter words of an ensemble's servers: by role, and while there is no leader.

zkserver's ensemble and Apache's are asked the same; figures, dates, ports and folders are put
aside, what is left must be equal line by line. Of `mntr` the names are compared: zkserver may
leave rows out, and has few that Apache's server has not.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from kazoo.client import KazooClient

from tests.support.apache import apache_available
from tests.support.ensemble_processes import APACHE, ZKSERVER, EnsembleProcesses
from tests.support.server_process import four_letter_word

ROLES = ("leader", "follower", "observer")
ROWS_SINCE_39 = re.compile(r"zk_(snapshot_error_count|\w*(restore|snapshot_rate_limited)\w*)")
# Ours alone, and a set whose members Apache's leader names later.
ROWS_OF_OURS = re.compile(r"zk_(\w+_event_loop_lag_ms|fsync_threshold_exceed_count|\w+_ack_latency)")
# What is measured, or belongs to the one server.
PUT_ASIDE = (
    (re.compile(r"[A-Z][a-z]{2} [A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d \S+ \d{4}"), "DATE"),
    (re.compile(r"^Zookeeper version: .*"), "VERSION"),
    (re.compile(r"^(Latency min/avg/max|Received|Sent|Connections|Outstanding): .*"), r"\1"),
    (re.compile(r"^((data|dataLog)Dir(Size)?|dataLogSize)=.*"), r"\1"),
    (re.compile(r"(?<=[:=])\d{5}\b"), "PORT"),
    (re.compile(r"0x[1-9a-f][0-9a-f]{14}\b"), "SESSION"),
)


class Asked:
    """An ensemble with one session, whose client is connected to the first follower."""

    def __init__(self, ensemble: EnsembleProcesses) -> None:
        self.ensemble = ensemble
        self.by_role = {mode: number for number, mode in ensemble.modes().items()}
        port = ensemble.server(self.by_role["follower"]).port
        self.client = KazooClient(f"127.0.0.1:{port}", timeout=10)
        self.client.start(timeout=30)
        self.client.create("/node", b"data")
        self.client.create("/mine", ephemeral=True)

    def word(self, role: str, word: str) -> str:
        return four_letter_word(self.ensemble.server(self.by_role[role]).port, word)

    def lines(self, role: str, word: str) -> list[str]:
        """The comparable lines; of `dump`, the sets of connections are left to other tests."""
        lines = self.word(role, word).partition("Connections dump:")[0].split("\n")
        for pattern, instead in PUT_ASIDE:
            lines = [pattern.sub(instead, line) for line in lines]
        # Sets that are empty by now stay behind in Java.
        return [line for line in lines if not line.startswith(("0 expire", "Session Sets"))]

    def rows(self, role: str) -> dict[str, str]:
        return dict(line.split("\t", 1) for line in self.word(role, "mntr").splitlines())


@pytest.fixture(name="all_asked", scope="module")
def _all_asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Asked]]:
    kinds = (ZKSERVER, APACHE) if apache_available() else (ZKSERVER,)
    with ExitStack() as stack:
        found = []
        for kind in kinds:
            folder = tmp_path_factory.mktemp(f"words-{kind}")
            ensemble = EnsembleProcesses(folder, kind * 3, observers=1, cfg={"syncLimit": "4"})
            found.append(Asked(stack.enter_context(ensemble)))
            stack.callback(found[-1].client.close)
            stack.callback(found[-1].client.stop)
        yield found


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    "word", ["srvr", "conf", "dump", "isro", "ruok", "wchs", "wchc", "wchp", "gtmk", "hash"]
)
def test_each_role_answers_as_apaches(all_asked: list[Asked], role: str, word: str) -> None:
    answers = [asked.lines(role, word) for asked in all_asked]
    assert answers[0] == answers[-1]
    assert answers[0]


def test_a_leader_tells_of_its_reign(all_asked: list[Asked]) -> None:
    answer = all_asked[0].word("leader", "srvr")
    assert "\nMode: leader\n" in answer
    assert "\nZxid: 0x100000003\n" in answer
    assert re.search(r"\nProposal sizes last/min/max: \d\d/48/\d\d\n", answer)
    assert "Proposal" not in all_asked[0].word("follower", "srvr")


def test_conf_holds_the_ensembles_settings(all_asked: list[Asked]) -> None:
    asked = all_asked[0]
    number = asked.by_role["observer"]
    ensemble = asked.ensemble
    lines = asked.word("observer", "conf").split("\n")
    assert lines[11:19] == [
        f"serverId={number}",
        "initLimit=20",
        "syncLimit=4",
        "electionAlg=3",
        f"electionPort={ensemble.election_ports[number - 1]}",
        f"quorumPort={ensemble.quorum_ports[number - 1]}",
        "peerType=1",
        "membership: ",
    ]
    assert lines[19] == f"server.1={ensemble.cfg['server.1']}"
    assert lines[-1] == "version=0"


@pytest.mark.parametrize("role", ROLES)
def test_mntr_has_apaches_rows(all_asked: list[Asked], role: str) -> None:
    ours, theirs = all_asked[0].rows(role), all_asked[-1].rows(role)
    more = [row for row in ours.keys() - theirs.keys() if not ROWS_SINCE_39.fullmatch(row)]
    assert not [row for row in more if not ROWS_OF_OURS.fullmatch(row)]
    same = ("zk_server_state", "zk_peer_state", "zk_quorum_size", "zk_global_sessions",
            "zk_local_sessions", "zk_learners", "zk_synced_followers", "zk_synced_observers",
            "zk_synced_non_voting_followers", "zk_pending_syncs", "zk_last_proposal_size",
            "zk_min_proposal_size", "zk_max_proposal_size", "zk_proposal_count",
            "zk_commit_count", "zk_looking_count", "zk_ephemerals_count", "zk_znode_count")
    assert {row: ours.get(row) for row in same} == {row: theirs.get(row) for row in same}
    assert ("zk_leader_uptime" in ours) is (role == "leader")
    leader = str(all_asked[0].by_role["leader"])
    assert ours.get("zk_observer_master_id") == (leader if role == "observer" else None)


def test_srst_begins_the_proposals_anew(all_asked: list[Asked]) -> None:
    for asked in all_asked:
        assert asked.word("leader", "srst") == "Server stats reset.\n"
        assert "\nProposal sizes last/min/max: -1/-1/-1\n" in asked.word("leader", "srvr")


def _first_answer(port: int, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as link:
        link.sendall(data)
        try:
            return link.recv(100)
        except ConnectionError:
            return b""


@pytest.mark.parametrize("kind", [ZKSERVER, APACHE])
def test_words_without_a_leader(tmp_path: Path, kind: str) -> None:
    if kind == APACHE and not apache_available():
        pytest.skip("Apache ZooKeeper is not installed")
    ensemble = EnsembleProcesses(tmp_path, kind * 2)
    # Only one of two is started: it looks for ever.
    server = ensemble.server(1)
    server.launch()
    try:
        _wait_for_port(server.port)
        sorry = "This ZooKeeper instance is not currently serving requests"
        for word in ("srvr", "stat", "conf", "cons", "dump", "wchs", "wchc", "wchp", "mntr",
                     "crst", "srst", "dirs"):
            assert four_letter_word(server.port, word) == sorry + "\n", word
        assert four_letter_word(server.port, "hash") == sorry
        assert four_letter_word(server.port, "ruok") == "imok"
        assert four_letter_word(server.port, "isro") == "null"
        assert four_letter_word(server.port, "gtmk") == "306"
        assert "\nos.name=Linux\n" in four_letter_word(server.port, "envi")
        assert _first_answer(server.port, b"\0\0\0\x2d" + bytes(45)) == b""
        assert _first_answer(server.port, b"what") == b""
    finally:
        server.kill()


def _wait_for_port(port: int) -> None:
    while True:
        try:
            four_letter_word(port, "ruok")
        except OSError:
            continue
        return
