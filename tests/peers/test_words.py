"""Four-letter words about clients: the forms that scripts take apart."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from kazoo.client import KazooClient

from tests.support.server_process import ServerProcess, four_letter_word

DATE = r"[A-Z][a-z]{2} [A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d \w+ \d{4}"


@pytest.fixture(name="client")
def _client(server: ServerProcess) -> Iterator[KazooClient]:
    client = KazooClient(f"127.0.0.1:{server.port}", timeout=10)
    client.start(timeout=30)
    yield client
    client.stop()
    client.close()


def line_of(client: KazooClient, port: int) -> str:
    """The line of `cons` about that client's session."""
    session = f"sid=0x{client.client_id[0]:x},"
    return next(line for line in four_letter_word(port, "cons").splitlines() if session in line)


def test_dump_tells_when_sessions_expire(server: ServerProcess, client: KazooClient) -> None:
    client.create("/here", ephemeral=True)
    lines = four_letter_word(server.port, "dump").splitlines()
    session = f"0x{client.client_id[0]:x}"
    assert lines[:2] == ["SessionTracker dump:", "Session Sets (1)/(1):"]
    assert re.fullmatch(f"1 expire at {DATE}:", lines[2])
    assert lines[3:7] == [
        f"\t{session}",
        "ephemeral nodes dump:",
        "Sessions with Ephemerals (1):",
        f"{session}:",
    ]
    assert lines[7] == "\t/here"


def test_crst_forgets_the_last_request_too(server: ServerProcess, client: KazooClient) -> None:
    client.create("/here")
    assert ",lop=CREA," in line_of(client, server.port)
    assert four_letter_word(server.port, "crst") == "Connection stats reset.\n"
    line = line_of(client, server.port)
    assert "(queued=0,recved=0,sent=0," in line
    assert ",lop=NA," in line
    assert "lcxid" not in line
    assert line.endswith(
        ",to=10000,lzxid=0xffffffffffffffff,lresp=0,llat=0,minlat=0,avglat=0,maxlat=0)"
    )
