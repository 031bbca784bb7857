"""snapshot and restore: what moves, who may, how often, and what a bad body does (nothing)."""

from __future__ import annotations

import asyncio
import gzip
import threading
import weakref
from pathlib import Path

import pytest
from kazoo.client import KazooClient
from kazoo.exceptions import SessionExpiredError
from kazoo.security import make_acl, make_digest_acl

from tests.admin.inside import ROOT, Inside, raw, run
from tests.support.histories import describe
from zkserver.runtime import restoring
from zkserver.sim.disk import SimDisk
from zkserver.storage import purge, snapshot, truncation
from zkserver.storage.disk import Disk
from zkserver.storage.layout import Layout
from zkserver.tree.tree import DataTree

APACHES = (Path(__file__).parent / "apache_snapshot.bin").read_bytes()
RATE_MS = 300_000


async def filled(inside: Inside, count: int = 30, size: int = 10) -> None:
    def fill() -> None:
        client = KazooClient(f"127.0.0.1:{inside.client_port}")
        client.start()
        for number in range(count):
            client.create(f"/n{number}", b"x" * size)
        client.create("/closed", b"y", acl=[make_digest_acl("a", "b", all=True)])
        client.stop()
        client.close()

    await asyncio.to_thread(fill)


def test_a_snapshot_restored_elsewhere_is_the_same_database(tmp_path: Path) -> None:
    async def check() -> None:
        async with Inside(tmp_path / "a") as source, Inside(tmp_path / "b") as target:
            await filled(source)
            await filled(target, 3)
            keeper = KazooClient(f"127.0.0.1:{source.client_port}", timeout=30)
            await asyncio.to_thread(keeper.start)
            await asyncio.to_thread(keeper.create, "/e", b"", None, True)
            sent = await source.ask("snapshot", headers=ROOT)
            zxid = source.server.tree.last_zxid
            assert sent.status == 200
            assert sent.headers["last_zxid"] == f"0x{zxid:x}"
            assert sent.headers["snapshot_size"] == str(len(sent.body))
            assert sent.headers["Content-Type"] == "application/octet-stream"
            got = await target.ask("restore", "POST", headers=ROOT, data=sent.body)
            assert (got.status, got.report) == (
                200, {"last_zxid": zxid, "command": "restore", "error": None}
            )
            tree = describe(source.server.tree)
            assert describe(target.server.tree) == tree
            assert target.server.sessions.timeouts() == source.server.sessions.timeouts()
            files = sorted(each.name for each in (tmp_path / "b" / "version-2").iterdir())
            assert files == [f"snapshot.{zxid:x}"]
            # It goes on from there, and is the same after a restart, with what came behind.
            other = KazooClient(f"127.0.0.1:{target.client_port}")
            await asyncio.to_thread(other.start)
            await asyncio.to_thread(other.create, "/after", b"")
            assert target.server.tree.nodes[b"/after"].stat[:8] == (zxid + 2).to_bytes(8, "big")
            await asyncio.to_thread(keeper.stop)
            keeper.close()
            await asyncio.to_thread(other.stop)
            ended = describe(target.server.tree)
        async with Inside(tmp_path / "b") as target:
            assert describe(target.server.tree) == ended

    run(check)


def test_sessions_go_with_their_snapshot(tmp_path: Path) -> None:
    """A client whose session is in it comes back with it; another's is over."""

    async def check() -> None:
        async with Inside(tmp_path, "admin.rateLimiterIntervalInMS=0") as inside:
            old = KazooClient(f"127.0.0.1:{inside.client_port}", timeout=30)
            await asyncio.to_thread(old.start)
            await asyncio.to_thread(old.create, "/e", b"", None, True)
            sent = await inside.ask("snapshot", headers=ROOT)
            new = KazooClient(f"127.0.0.1:{inside.client_port}", timeout=30)
            await asyncio.to_thread(new.start)
            new_id = new.client_id
            assert (await inside.ask("restore", "POST", headers=ROOT, data=sent.body)).status == 200
            await asyncio.to_thread(old.retry, old.get, "/e")

            def comes_back() -> None:
                with pytest.raises(SessionExpiredError):
                    KazooLate(f"127.0.0.1:{inside.client_port}", new_id).ask()

            assert new_id[0] not in inside.server.sessions.live
            await asyncio.to_thread(comes_back)
            for client in (old, new):
                await asyncio.to_thread(client.stop)
                client.close()

    run(check)


class KazooLate:
    """A client that brings a session of which the server knows nothing."""

    def __init__(self, hosts: str, client_id: tuple[int, bytes]) -> None:
        self.hosts, self.client_id = hosts, client_id

    def ask(self) -> None:
        from kazoo.protocol.states import KazooState

        states: list[str] = []
        client = KazooClient(self.hosts, client_id=self.client_id, timeout=10)
        client.add_listener(states.append)
        client.start()
        client.get("/")
        client.stop()
        client.close()
        if KazooState.LOST in states or client.client_id != self.client_id:
            raise SessionExpiredError


def test_apaches_snapshot_and_packed_ones_are_read(tmp_path: Path) -> None:
    async def check() -> None:
        async with Inside(tmp_path, "admin.rateLimiterIntervalInMS=0") as inside:
            for body in (APACHES, gzip.compress(APACHES)):
                await filled(inside, 2)
                got = await inside.ask("rest", "POST", headers=ROOT, data=body)
                assert (got.status, got.report["last_zxid"]) == (200, 6)
                assert inside.server.tree.nodes[b"/a"].data == b"hello"
                assert b"/n0" not in inside.server.tree.nodes
        async with Inside(tmp_path) as inside:
            assert inside.server.tree.nodes[b"/a"].data == b"hello"

    run(check)


def test_the_tree_that_was_replaced_is_let_go(tmp_path: Path) -> None:
    """Also the one of the start; nobody collects cycles among what is old."""

    async def check() -> None:
        async with Inside(tmp_path, "admin.rateLimiterIntervalInMS=0") as inside:
            for _ in range(3):
                old = weakref.ref(inside.server.tree)
                client = KazooClient(f"127.0.0.1:{inside.client_port}")
                await asyncio.to_thread(client.start)
                await asyncio.to_thread(client.get, "/zookeeper", lambda _: None)
                got = await inside.ask("restore", "POST", headers=ROOT, data=APACHES)
                assert got.status == 200
                await asyncio.to_thread(client.stop)
                client.close()
                assert old() is None

    run(check)


def test_a_purge_and_a_restore_wait_for_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is restored may be older than all snapshots, and would be the first that a purge takes.
    """

    async def check() -> None:
        async with Inside(tmp_path, "admin.rateLimiterIntervalInMS=0") as inside:
            sent = await inside.ask("snapshot", headers=ROOT)
            for _ in range(purge.MIN_RETAINED):
                client = KazooClient(f"127.0.0.1:{inside.client_port}")
                await asyncio.to_thread(client.start)
                await asyncio.to_thread(client.stop)
                client.close()
                await inside.ask("snapshot?streaming=false", headers=ROOT)
            purges: list[threading.Thread] = []
            finish = truncation.Replacement.finish

            def meanwhile(replacement: truncation.Replacement, disk: Disk) -> None:
                thread = threading.Thread(target=inside.process._purging._run)
                purges.append(thread)
                thread.start()
                thread.join(0.1)  # it would be done long before
                finish(replacement, disk)

            monkeypatch.setattr(truncation.Replacement, "finish", meanwhile)
            got = await inside.ask("restore", "POST", headers=ROOT, data=sent.body)
            assert got.status == 200
            await asyncio.to_thread(purges[0].join)
            zxid = int(sent.headers["last_zxid"], 16)
            assert f"snapshot.{zxid:x}" in files_of(tmp_path)

    run(check)


def bodies() -> dict[str, tuple[bytes, str]]:
    flipped = bytearray(APACHES)
    flipped[-30] ^= 1
    without_zxid = APACHES[: -(8 + 13)]
    return {
        "garbage": (b"garbage", "does not read"),
        "cut": (APACHES[:300], "does not read"),
        "flipped": (bytes(flipped), "does not read"),
        "without zxid": (without_zxid, "which zxid"),
        "half packed": (gzip.compress(APACHES)[:-12], "does not read"),
        "huge count": (APACHES[:16] + b"\x7f\xff\xff\xff" + APACHES[20:], "does not read"),
    }


@pytest.mark.parametrize("kind", list(bodies()))
def test_a_body_that_does_not_read_changes_nothing(tmp_path: Path, kind: str) -> None:
    body, reason = bodies()[kind]

    async def check() -> None:
        async with Inside(tmp_path) as inside:
            await filled(inside, 3)
            client = KazooClient(f"127.0.0.1:{inside.client_port}")
            await asyncio.to_thread(client.start)
            before, files = describe(inside.server.tree), files_of(tmp_path)
            got = await inside.ask("restore", "POST", headers=ROOT, data=body)
            assert got.status == 500
            assert reason in got.report["error"]
            assert describe(inside.server.tree) == before
            assert files_of(tmp_path) == files
            # Who was connected is still, and so is the rate: a try has its turn.
            assert await asyncio.to_thread(client.exists, "/n0")
            assert (await inside.ask("restore", "POST", headers=ROOT, data=body)).status == 429
            await asyncio.to_thread(client.stop)
            client.close()

    run(check)


@pytest.mark.parametrize("zxid", [-2, 2**63 - 1, 2**63 - 100])
def test_a_snapshot_behind_which_nothing_can_be_written(tmp_path: Path, zxid: int) -> None:
    disk, layout, tree = SimDisk(), Layout.of("/d", "/d"), DataTree()
    disk.make_folder(layout.snapshot_folder)
    tree.last_zxid = zxid
    saved = snapshot.save(disk, layout, tree, {}, compression="")
    body = disk.read(saved.path, 0, saved.size_bytes)

    async def check() -> None:
        async with Inside(tmp_path) as inside:
            got = await inside.ask("restore", "POST", headers=ROOT, data=body)
            assert got.status == 500
            assert f"of zxid {zxid}" in got.report["error"]
            await filled(inside, 1)

    run(check)


def files_of(folder: Path) -> list[str]:
    return sorted(each.name for each in (folder / "version-2").iterdir())


def test_a_body_that_breaks_off_changes_nothing(tmp_path: Path) -> None:
    async def check() -> None:
        lines = ("admin.rateLimiterIntervalInMS=0", "admin.idleTimeout=200")
        async with Inside(tmp_path, *lines) as inside:
            files = files_of(tmp_path)
            head = (
                b"POST /commands/restore HTTP/1.1\r\nHost: x\r\n"
                b"Authorization: digest root:pw\r\n"
            )
            answer = await raw(
                inside.admin.port or 0, head + b"Content-Length: 9999\r\n\r\n" + APACHES
            )
            assert b" 500 " in answer.split(b"\r\n")[0]
            assert b"nothing came for 200 ms" in answer
            _, writer = await asyncio.open_connection("127.0.0.1", inside.admin.port)
            writer.write(head + b"Transfer-Encoding: chunked\r\n\r\n10\r\nabc")
            await writer.drain()
            writer.close()
            answer = await raw(
                inside.admin.port or 0, head + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n"
            )
            assert b" 200 " not in answer
            while files_of(tmp_path) != files:
                await asyncio.sleep(0.01)  # until the broken ones are noticed
            got = await inside.ask("restore", "POST", headers=ROOT, data=APACHES)
            assert got.status == 200

    run(check)


def test_a_body_that_does_not_unpack(tmp_path: Path) -> None:
    """It says that it is packed, and is not: aiohttp finds that out."""

    async def check() -> None:
        async with Inside(tmp_path) as inside:
            answer = await raw(
                inside.admin.port or 0,
                b"POST /commands/restore HTTP/1.1\r\nHost: x\r\nAuthorization: digest root:pw\r\n"
                b"Content-Encoding: gzip\r\nContent-Length: 10\r\n\r\n0123456789",
            )
            assert b"the body broke off" in answer
            assert inside.process.stats.restore_errors == 1

    run(check)


def test_without_a_body(tmp_path: Path) -> None:
    async def check() -> None:
        async with Inside(tmp_path) as inside:
            assert (await inside.ask("restore", "POST", headers=ROOT)).status == 400
            assert (await inside.ask("restore", "POST", headers=ROOT, data=APACHES)).status == 200
            assert (await inside.ask("restore", headers=ROOT)).status == 405
            assert (await inside.ask("snapshot", "POST", headers=ROOT)).status == 405

    run(check)


def test_rates(tmp_path: Path) -> None:
    async def check() -> None:
        async with Inside(tmp_path) as inside:

            async def snapshot() -> int:
                return (await inside.ask("snapshot?streaming=false", headers=ROOT)).status

            async def restore() -> int:
                return (await inside.ask("restore", "POST", headers=ROOT, data=APACHES)).status

            inside.process.machine.precise_ms = lambda: inside.clock.ahead_ms  # type: ignore[method-assign]
            assert [await restore(), await restore()] == [200, 429]
            inside.clock.ahead_ms += RATE_MS - 1000
            assert await restore() == 429
            inside.clock.ahead_ms += 1001
            assert [await restore(), await restore()] == [200, 429]
            assert await snapshot() == 200
            assert await snapshot() == 429
            inside.clock.ahead_ms += 301
            assert [await snapshot(), await snapshot()] == [200, 429]
            figures = (await inside.ask("monitor")).report
            assert figures["snapshot_rate_limited_count"] == 2
            assert figures["restore_rate_limited_count"] == 3
            assert figures["cnt_restore_time"] == 2
            assert figures["restore_error_count"] == 0

    run(check)


@pytest.mark.parametrize(
    ("line", "command", "status"),
    [
        ("admin.snapshot.enabled=false", "snapshot", 503),
        ("admin.restore.enabled=false", "restore", 503),
        ("serializeLastProcessedZxid.enabled=false", "snapshot", 500),
        ("serializeLastProcessedZxid.enabled=false", "restore", 500),
    ],
)
def test_flags(tmp_path: Path, line: str, command: str, status: int) -> None:
    async def check() -> None:
        async with Inside(tmp_path, line) as inside:
            method = "POST" if command == "restore" else "GET"
            data = APACHES if command == "restore" else None
            refused = await inside.ask(command, method, data=data)
            assert refused.status == 401
            got = await inside.ask(command, method, headers=ROOT, data=data)
            assert got.status == status
            assert got.report["error"]

    run(check)


def test_who_may(tmp_path: Path) -> None:
    async def check() -> None:
        async with Inside(tmp_path, "admin.rateLimiterIntervalInMS=0") as inside:

            async def status(authorization: str | None) -> int:
                headers = {} if authorization is None else {"Authorization": authorization}
                return (await inside.ask("snap?streaming=false", headers=headers)).status

            client = KazooClient(f"127.0.0.1:{inside.client_port}")
            await asyncio.to_thread(client.start)
            assert [await status(each) for each in (None, "", "nope x", "digest", "ip", "x509")] == [
                401, 401, 401, 401, 200, 401
            ]
            await asyncio.to_thread(client.add_auth, "digest", "root:pw")
            acl = [make_digest_acl("root", "pw", all=True), make_acl("world", "anyone", read=True)]
            await asyncio.to_thread(client.set_acls, "/", acl)
            assert await status("digest root:pw") == 200
            assert [await status(each) for each in ("digest root:no", "ip 127.0.0.1")] == [403, 403]
            parts = [
                make_digest_acl("root", "pw", read=True, write=True, create=True),
                make_acl("ip", "127.0.0.0/8", delete=True, admin=True),
            ]
            await asyncio.to_thread(client.set_acls, "/", parts)
            assert [await status(each) for each in ("digest root:pw", "ip")] == [403, 403]
            await asyncio.to_thread(client.set_acls, "/", [make_acl("ip", "127.0.0.1", all=True)])
            assert await status("ip anything") == 200
            got = await inside.ask("restore", "POST", data=APACHES)
            assert (got.status, got.report["error"]) == (401, "Auth info is missing for the command")
            assert b"/a" not in inside.server.tree.nodes
            await asyncio.to_thread(client.stop)
            client.close()

    run(check)


def test_a_body_is_called_for_only_when_it_is_wanted(tmp_path: Path) -> None:
    async def check() -> None:
        async with Inside(tmp_path) as inside:
            head = (
                "POST /commands/restore HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
                f"Content-Length: {len(APACHES)}\r\n%sConnection: close\r\n\r\n"
            )
            reader, writer = await asyncio.open_connection("127.0.0.1", inside.admin.port)
            writer.write((head % "").encode())
            assert (await reader.readline()).startswith(b"HTTP/1.1 401 ")
            writer.close()
            allowed = head % "Authorization: digest root:pw\r\n"
            answer = await raw(inside.admin.port or 0, allowed.encode() + APACHES)
            assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 ")

    run(check)


def test_a_slow_reader_of_a_snapshot_holds_up_nobody(tmp_path: Path) -> None:
    async def check() -> None:
        async with Inside(tmp_path, "admin.idleTimeout=300") as inside:
            await filled(inside, 40, 500_000)
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", inside.admin.port, limit=1024
            )
            writer.write(
                b"GET /commands/snapshot HTTP/1.1\r\nHost: x\r\nAuthorization: digest a:b\r\n\r\n"
            )
            await writer.drain()
            assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
            client = KazooClient(f"127.0.0.1:{inside.client_port}")
            await asyncio.to_thread(client.start)
            await asyncio.to_thread(client.set, "/n1", b"meanwhile")
            # One that does not read at all is hung up on after the idle time.
            while inside.admin._http._guards:
                await asyncio.sleep(0.02)  # until the server has hung up
            writer.close()
            await asyncio.to_thread(client.stop)
            client.close()

    run(check)


def test_snapshots_that_are_asked_for_together(tmp_path: Path) -> None:
    """None is older than its asking."""

    async def check() -> None:
        async with Inside(tmp_path, "admin.rateLimiterIntervalInMS=0") as inside:
            await filled(inside, 3)
            first = asyncio.ensure_future(inside.ask("snapshot", headers=ROOT))
            while not inside.process._snapshots.under_way and not first.done():
                await asyncio.sleep(0)
            client = KazooClient(f"127.0.0.1:{inside.client_port}")
            await asyncio.to_thread(client.start)
            await asyncio.to_thread(client.create, "/later", b"")
            zxid = inside.server.tree.last_zxid
            more = [inside.ask("snapshot", headers=ROOT) for _ in range(3)]
            for answer in await asyncio.gather(*more):
                assert int(answer.headers["last_zxid"], 16) >= zxid
                assert b"/later" in answer.body
            assert (await first).status == 200
            await asyncio.to_thread(client.stop)
            client.close()

    run(check)


def test_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def check() -> None:
        async with Inside(tmp_path) as inside:
            monkeypatch.setattr(restoring, "free_bytes", lambda _: restoring.RESERVE_BYTES - 1)
            files = files_of(tmp_path)
            got = await inside.ask("restore", "POST", headers=ROOT, data=APACHES)
            assert got.status == 500
            assert "no room" in got.report["error"]
            got = await inside.ask("snapshot", headers=ROOT)
            assert (got.status, "no room" in got.report["error"]) == (500, True)
            assert files_of(tmp_path) == files

    run(check)


def test_what_a_crash_leaves_of_a_restore(tmp_path: Path) -> None:
    """`incomingSnapshot` without its rename is nothing; see test_truncation for the rest."""

    async def check() -> None:
        async with Inside(tmp_path) as inside:
            await filled(inside, 3)
            ended = describe(inside.server.tree)
        layout = Layout.of(str(tmp_path))
        (tmp_path / "version-2" / truncation.INCOMING_NAME).write_bytes(APACHES)
        async with Inside(tmp_path) as inside:
            assert describe(inside.server.tree) == ended
            assert not Path(f"{layout.snapshot_folder}/{truncation.INCOMING_NAME}").exists()

    run(check)
