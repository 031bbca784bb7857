"""A listener that imports aiohttp when the first connection comes."""

import asyncio
import functools
import subprocess
import sys

from zkserver.admin.lazy_http import LazyHttp, bind


def on_a_loop(test):
    """A test that is a coroutine."""

    @functools.wraps(test)
    def run():
        asyncio.run(asyncio.wait_for(test(), 60))

    return run


def make_app():
    from aiohttp import web

    async def answer(_request):
        return web.Response(text="here")

    app = web.Application()
    app.add_routes([web.get("/", answer)])
    return app


async def hung_up_on(port):
    """Whether a connection is closed without an answer, and the next one refused."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        answer = await asyncio.wait_for(reader.read(), 20)
    except ConnectionError:
        answer = b""
    writer.close()
    return answer == b"" and await refused(port)


async def refused(port):
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return True
    writer.close()
    return False


async def ask(port, path="/"):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: me\r\nConnection: close\r\n\r\n".encode())
    answer = await asyncio.wait_for(reader.read(), 20)
    writer.close()
    return answer


@on_a_loop
async def test_serves_the_first_connection_and_the_next():
    http = LazyHttp(asyncio.get_running_loop(), bind("127.0.0.1", 0), make_app)
    http.start()
    port = http.port
    assert not http.is_open
    first, second = await asyncio.gather(ask(port), ask(port))
    assert first.endswith(b"here")
    assert second.endswith(b"here")
    assert http.is_open
    assert (await ask(port, "/nowhere")).startswith(b"HTTP/1.1 404")
    await http.stop()
    assert await refused(port)


@on_a_loop
async def test_stops_before_anybody_came_and_while_it_imports():
    loop = asyncio.get_running_loop()
    idle = LazyHttp(loop, bind("127.0.0.1", 0), make_app)
    idle.start()
    await idle.stop()
    busy = LazyHttp(loop, bind("127.0.0.1", 0), make_app)
    busy.start()
    _, writer = await asyncio.open_connection("127.0.0.1", busy.port)
    await busy.stop()
    assert not busy.is_open
    writer.close()


@on_a_loop
async def test_a_missing_library_closes_the_port():
    http = LazyHttp(
        asyncio.get_running_loop(), bind("127.0.0.1", 0), make_app, modules=["no_such_library"]
    )
    http.start()
    assert await hung_up_on(http.port)
    await http.stop()


@on_a_loop
async def test_an_application_that_cannot_be_made_closes_the_port():
    def broken():
        raise ValueError("no application")

    http = LazyHttp(asyncio.get_running_loop(), bind("127.0.0.1", 0), broken)
    http.start()
    assert await hung_up_on(http.port)
    await http.stop()


def test_the_modules_name_imports_no_aiohttp():
    code = "import sys, zkserver.admin.lazy_http; sys.exit('aiohttp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
