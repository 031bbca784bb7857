"""A peer without a leader: what it answers while it serves nobody, and while it serves reads."""

from __future__ import annotations

import asyncio
import logging
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from tests.admin.inside import ROOT, Inside, run
from tests.admin.test_commands import APACHE, keys_of, missing
from tests.support.server_process import free_port
from zkserver.admin.admin_server import AdminServer
from zkserver.runtime import peer_clients

NOT_SERVING = "This ZooKeeper instance is not currently serving requests"
# Answered whether anybody is served or not.
ALWAYS = ("environment", "get_trace_mask", "set_trace_mask", "system_properties", "zabstate")


@pytest.fixture(name="alone")
def _alone(tmp_path: Path) -> Inside:
    """One of two peers; the other never comes."""
    (tmp_path / "myid").write_text("1")
    members = [f"server.{n}=127.0.0.1:{free_port()}:{free_port()}" for n in (1, 2)]
    return Inside(tmp_path, "initLimit=10", "syncLimit=5", *members)


def test_while_nobody_is_served(alone: Inside) -> None:
    async def check() -> None:
        async with alone:
            for name in APACHE["looking"]:
                answer = await alone.ask(name)
                if name in ALWAYS:
                    assert answer.status == 200
                    assert missing(keys_of(name, "looking"), answer.report, name) == []
                else:
                    assert answer.status == 503
                    assert answer.report == {"command": name, "error": NOT_SERVING}
            for name, method in (("snapshot", "GET"), ("restore", "POST")):
                assert (await alone.ask(name, method)).status == 503
                assert (await alone.ask(name, method, headers=ROOT, data=b"x")).status == 503
            assert (await alone.ask("nonsense")).status == 200
            assert b"/commands/ruok" in (await alone.ask("/commands")).body
            state = (await alone.ask("zabstate")).report
            assert (state["myid"], state["zabstate"], state["voting"]) == (1, "election", True)
            assert state["is_leader"] is False
            assert state["last_zxid"] == "0x0"
            assert (await alone.ask("stmk?traceMask=3")).report["tracemask"] == 3

    run(check)


def test_a_read_only_server(alone: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_clients, "GRACE_MS", 10)
    config = replace(alone.config, read_only_mode_enabled=True, tick_time_ms=20)
    alone.config, alone.admin = config, AdminServer(config)

    async def check() -> None:
        async with alone:
            while alone.server is None:
                await asyncio.sleep(0.01)  # the grace
            for name in APACHE["read-only"]:
                answer = await alone.ask(name)
                assert answer.status == 200
                assert missing(keys_of(name, "read-only"), answer.report, name) == []
            assert (await alone.ask("isro")).report["read_only"] is True
            assert (await alone.ask("leader")).report["error"] == "server is not initialized"
            stats = (await alone.ask("srvr")).report["server_stats"]
            assert stats["server_state"] == "read-only"
            assert (await alone.ask("voting_view")).report["current_config"] == {}

    run(check)


def test_a_taken_port_does_not_stop_a_peer(
    alone: Inside, caplog: pytest.LogCaptureFixture
) -> None:
    async def check() -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            properties = {"zookeeper.admin.serverPort": str(port)}
            config = replace(alone.config, admin_server_port=port, properties=properties)
            alone.config, alone.admin = config, AdminServer(config)
            async with alone:
                assert alone.admin.port is None
                assert await alone.word("ruok") == "imok"

    with caplog.at_level(logging.WARNING):
        run(check)
    assert "no admin server" in caplog.text
