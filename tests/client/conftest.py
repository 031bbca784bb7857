"""Servers for the client's tests, and tests that are coroutines."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import os
from collections.abc import Iterator

import pytest

from tests.client.proxy import Proxy
from tests.support.apache import NOT_INSTALLED, ApacheServer, apache_available
from tests.support.server_process import ServerProcess
from tests.support.zkserver_process import ZkserverProcess
from zkserver.client import SyncClient

LONGEST_S = 40
# ZKSERVER_CLIENT_UVLOOP=1 runs all on uvloop.
LOOP = None
if os.environ.get("ZKSERVER_CLIENT_UVLOOP"):
    LOOP = importlib.import_module("uvloop").new_event_loop
PROPERTIES = {
    "zookeeper.extendedTypesEnabled": "true",
    "zookeeper.forceSync": "no",
    "zookeeper.DigestAuthenticationProvider.superDigest": "super:D/InIHSb7yEEbrWz8b9l71RjZJU=",
}
CFG = {"tickTime": "500"}


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that is a coroutine function, on a loop of its own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    with asyncio.Runner(loop_factory=LOOP) as runner:
        runner.run(asyncio.wait_for(pyfuncitem.obj(**arguments), LONGEST_S))
    return True


@pytest.fixture(name="zkserver", scope="session")
def _zkserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A running zkserver that all tests share."""
    with ZkserverProcess(tmp_path_factory.mktemp("zkserver"), PROPERTIES, CFG) as server:
        yield server


@pytest.fixture(name="apache", scope="session")
def _apache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A running server of Apache's that all tests share."""
    if not apache_available():
        pytest.skip(NOT_INSTALLED)
    with ApacheServer(tmp_path_factory.mktemp("apache"), PROPERTIES, CFG) as server:
        yield server


@pytest.fixture(name="hosts", params=["zkserver", "apache"])
def _hosts(request: pytest.FixtureRequest) -> Iterator[str]:
    """A server's address, of either kind; what a test leaves below /t is deleted."""
    server: ServerProcess = request.getfixturevalue(request.param)
    hosts = f"127.0.0.1:{server.port}"
    yield hosts
    clean(hosts)


@pytest.fixture(name="own")
def _own(zkserver: ServerProcess) -> Iterator[str]:
    """zkserver's address, for tests of what the client does alone."""
    hosts = f"127.0.0.1:{zkserver.port}"
    yield hosts
    clean(hosts)


def clean(hosts: str) -> None:
    """Delete what tests leave."""
    with SyncClient(hosts, auth=[("digest", b"super:test")]) as client:
        for name in client.get_children("/"):
            if name != "zookeeper":
                client.delete_all(f"/{name}")


@pytest.fixture(name="proxy")
def _proxy(own: str) -> Proxy:
    """A proxy before zkserver; the test starts it on its loop."""
    return Proxy(int(own.rpartition(":")[2]))
