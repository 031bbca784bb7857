"""One server for all tests here; each test keeps to a subtree of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.server_process import ServerProcess
from tests.support.zkserver_process import ZkserverProcess

PROPERTIES = {"zookeeper.extendedTypesEnabled": "true"}


@pytest.fixture(scope="package", name="port")
def _port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    server: ServerProcess = ZkserverProcess(tmp_path_factory.mktemp("server"), PROPERTIES)
    with server:
        yield server.port
