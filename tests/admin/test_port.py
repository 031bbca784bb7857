"""The admin port: where it is, when it is taken, and what strangers do to it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from kazoo.client import KazooClient

from tests.admin.inside import ROOT, Inside, raw, run
from tests.support.server_process import NotStarted
from tests.support.zkserver_process import ZkserverProcess
from zkserver.admin.admin_server import AdminServer
from zkserver.admin.prometheus import PrometheusServer
from zkserver.base.errors import ExitCode, FatalError
from zkserver.runtime.line_limit import LINES_PER_S
from zkserver.runtime.main import _loop_factory
from zkserver.runtime.standalone import StandaloneProcess

GET = b"GET /commands/ruok HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture(name="taken")
def _taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


def test_loopback_unless_an_address_is_configured(tmp_path: Path) -> None:
    async def check() -> None:
        async with Inside(tmp_path) as inside:
            names = {each.getsockname()[0] for each in inside.admin._http._sockets}
            assert names <= {"127.0.0.1", "::1"}
            assert "127.0.0.1" in names
        async with Inside(tmp_path, "admin.serverAddress=127.0.0.2") as inside:
            with socket.create_connection(("127.0.0.2", inside.admin.port)):
                pass
        async with Inside(tmp_path, "admin.serverAddress=0.0.0.0") as inside:
            (name,) = [each.getsockname()[0] for each in inside.admin._http._sockets]
            assert name in ("::", "0.0.0.0")

    run(check)


def test_a_taken_port_that_was_asked_for(tmp_path: Path, taken: int) -> None:
    async def check() -> None:
        inside = Inside(tmp_path, f"admin.serverPort={taken}")
        process = StandaloneProcess(inside.config, asyncio.get_running_loop(), 0.0)
        with pytest.raises(FatalError) as refused:
            inside.admin.start(process)
        assert refused.value.exit_code is ExitCode.ERROR_STARTING_ADMIN_SERVER
        assert f"port {taken}" in str(refused.value)
        await inside.admin.stop()

    run(check)


@pytest.mark.parametrize(
    "lines", [("admin.serverAddress=203.0.113.1",), ("admin.serverPort=70000",)]
)
def test_an_address_or_a_port_that_there_is_not(tmp_path: Path, lines: tuple[str, ...]) -> None:
    async def check() -> None:
        inside = Inside(tmp_path, *lines)
        process = StandaloneProcess(inside.config, asyncio.get_running_loop(), 0.0)
        with pytest.raises(FatalError, match="cannot start the admin server"):
            inside.admin.start(process)

    run(check)


def test_the_default_port_is_not_insisted_on(
    tmp_path: Path, taken: int, caplog: pytest.LogCaptureFixture
) -> None:
    from dataclasses import replace

    async def check() -> None:
        inside = Inside(tmp_path)
        config = replace(inside.config, admin_server_port=taken, properties={})
        admin = AdminServer(config)
        admin.start(StandaloneProcess(config, asyncio.get_running_loop(), 0.0))
        assert admin.port is None
        assert [each.message for each in caplog.records if each.levelname == "WARNING"] == [
            "no admin server: set admin.serverPort to another port, or admin.enableServer=false"
        ]
        await admin.stop()

    run(check)


def test_the_exit_code_of_the_process(tmp_path: Path, taken: int) -> None:
    cfg = {"admin.enableServer": "true", "admin.serverPort": str(taken)}
    server = ZkserverProcess(tmp_path, cfg=cfg)
    with pytest.raises(NotStarted):
        server.start()
    assert server.process is not None
    assert server.process.wait(10) == 4
    assert "admin.serverPort" in server.log_tail()


def test_a_key_store_that_does_not_read_ends_the_start(tmp_path: Path) -> None:
    async def check() -> None:
        inside = Inside(tmp_path, "admin.forceHttps=true", "ssl.quorum.keyStore.location=/x.jks")
        process = StandaloneProcess(inside.config, asyncio.get_running_loop(), 0.0)
        with pytest.raises(FatalError, match="keytool"):
            inside.admin.start(process)

    run(check)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\0\1\2garbage\r\n\r\n", b"400"),
        (b"GET /commands/ruok\r\n\r\n", b"200"),  # HTTP/0.9
        (b"GET / HTTP/9.9\r\n\r\n", b""),
        (GET + b"X: " + b"a" * 20000 + b"\r\n\r\n", b"400"),
        (b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"400"),
        (GET + b"X\r\n\r\n", b"400"),
        (GET + b"Content-Length: -5\r\n\r\n", b"400"),
        (GET + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", b"400"),
        (b"\x16\x03\x01\x02\x00\x01", b"400"),
        (b"ruok\r\n\r\n", b"400"),
    ],
)
def test_garbage(tmp_path: Path, data: bytes, status: bytes) -> None:
    async def check() -> None:
        async with Inside(tmp_path, "admin.idleTimeout=200") as inside:
            answer = await raw(inside.admin.port or 0, data)
            assert status in answer.split(b"\r\n")[0]
            for leak in (b"Traceback", b"File ", b"site-packages", b"zkserver/"):
                assert leak not in answer
            assert (await inside.ask("ruok")).status == 200
            assert inside.process.exit_code == 0

    run(check)


def test_nobody_idles_for_ever(tmp_path: Path) -> None:
    """Neither in silence nor with a head that drips in; a live one keeps its connection."""

    async def check() -> None:
        async with Inside(tmp_path, "admin.idleTimeout=250") as inside:
            port = inside.admin.port or 0
            assert await raw(port, b"") == b""
            assert await raw(port, GET) == b""
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            dripping = asyncio.ensure_future(reader.read())
            while not dripping.done():
                writer.write(b"G")
                await asyncio.sleep(0.02)  # until the server has hung up
            assert b"200" not in dripping.result()
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for _ in range(3):
                writer.write(GET + b"\r\n")
                assert await reader.readuntil(b"}") != b""
                await asyncio.sleep(0.15)  # less than the limit, three times more than it
            assert await reader.read() == b""
            writer.close()

    run(check)


def test_an_idle_connection_of_tls_that_says_nothing(tmp_path: Path) -> None:
    from tests.admin.test_tls import lines

    async def check() -> None:
        more = lines(tmp_path, "admin.portUnification=true", "admin.idleTimeout=150")
        async with Inside(tmp_path, *more) as inside:
            assert await raw(inside.admin.port or 0, b"") == b""

    run(check)


def test_more_than_there_is_room_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zkserver.admin.guarded_http.MAX_CONNECTIONS", 6)

    async def check() -> None:
        async with Inside(tmp_path, "admin.idleTimeout=200") as inside:
            port = inside.admin.port or 0
            silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(20)]
            assert (await inside.ask("ruok")).status == 200
            for _, writer in silent:
                writer.close()

    run(check)


def test_clients_are_served_while_strangers_knock(tmp_path: Path) -> None:
    async def check() -> None:
        async with Inside(tmp_path, "admin.idleTimeout=100") as inside:
            client = KazooClient(f"127.0.0.1:{inside.client_port}")
            await asyncio.to_thread(client.start)
            knocks = [raw(inside.admin.port or 0, bytes([n]) * n) for n in range(1, 60)]
            commands = [inside.ask("stats") for _ in range(20)]
            wrong = [
                inside.ask("restore", "POST", headers={"Authorization": f"digest a:{n}"}, data=b"x")
                for n in range(5)
            ]
            writes = [asyncio.to_thread(client.create, f"/n{n}", b"") for n in range(20)]
            done = await asyncio.gather(*knocks, *commands, *wrong, *writes)
            assert len(done) == 104
            assert inside.server.tree.find(b"/n19") is not None
            assert (await inside.ask("snapshot", headers=ROOT)).status == 200
            await asyncio.to_thread(client.stop)

    run(check)


@pytest.mark.parametrize("loop_factory", [None, _loop_factory()])
def test_an_error_of_the_http_library_concerns_one_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loop_factory: Any
) -> None:
    """Elsewhere in the process an unexpected exception is a broken invariant and ends it."""

    def broken(_guard: object, data: bytes) -> None:
        raise LookupError(data)

    async def check() -> None:
        async with Inside(tmp_path) as inside:
            assert (await inside.ask("ruok")).status == 200
            with monkeypatch.context() as patch:
                patch.setattr("zkserver.admin.guarded_http.Guard.data_received", broken)
                assert await raw(inside.admin.port or 0, GET + b"\r\n") == b""
            await inside.session.close()
            inside.session = aiohttp.ClientSession()
            assert (await inside.ask("ruok")).status == 200
            assert await inside.word("ruok") == "imok"

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(check())


def test_strangers_cannot_fill_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What does not read is a line, not a traceback; neither that nor a refusal comes too often."""
    caplog.set_level("INFO")

    async def check() -> None:
        async with Inside(tmp_path) as inside:
            for _ in range(2 * LINES_PER_S):
                await raw(inside.admin.port or 0, GET + b"X\r\n\r\n")
                assert (await inside.ask("snapshot")).status == 401

    run(check)
    for message in ("the admin server was sent what does not read", "admin command refused"):
        lines = [each for each in caplog.records if each.getMessage() == message]
        # The test may last for more than one second, though not for many.
        assert 0 < len(lines) < 2 * LINES_PER_S
        assert not any(each.exc_info for each in lines)
    assert not [each for each in caplog.records if each.exc_info]


def test_a_metrics_connection_that_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zkserver.admin.prometheus.IDLE_S", 0.2)

    async def check() -> None:
        async with Inside(tmp_path, "metricsProvider.httpPort=0") as inside:
            metrics = PrometheusServer(inside.config)
            metrics.start(inside.process)
            port = metrics.port or 0
            assert await raw(port, b"") == b""
            assert await raw(port, b"GET /metrics HTTP/1.1\r\n") == b""
            answer = await raw(port, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 200")
            assert b"znode_count" in answer
            await metrics.stop()

    run(check)


@pytest.mark.parametrize("loop_factory", [None, _loop_factory()])
def test_an_error_of_the_http_library_under_tls_concerns_one_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loop_factory: Any
) -> None:
    """There the loop knows the TLS protocol alone, and not whose the exception is."""
    from tests.admin.test_tls import CA, lines

    def broken(_handler: object, data: bytes) -> None:
        raise LookupError(data)

    async def check() -> None:
        async with Inside(tmp_path, *lines(tmp_path, "admin.portUnification=true")) as inside:
            inside.tls = CA.client(None, tmp_path)
            assert (await inside.ask("ruok")).status == 200
            with monkeypatch.context() as patch:
                patch.setattr("aiohttp.web.RequestHandler.data_received", broken)
                with pytest.raises(aiohttp.ClientError):
                    await inside.ask("ruok")
            assert (await inside.ask("ruok")).status == 200
            assert await inside.word("ruok") == "imok"

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(check())
