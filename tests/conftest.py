"""Fixtures of the tests that run whole servers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import apache
from tests.support.server_process import ServerProcess
from tests.support.zkserver_process import subject_server


@pytest.fixture(name="apache_installed")
def _apache_installed() -> None:
    """Skips the test where Apache ZooKeeper is missing."""
    if not apache.apache_available():
        pytest.skip(apache.NOT_INSTALLED)


@pytest.fixture(name="server")
def _server(tmp_path: Path) -> Iterator[ServerProcess]:
    """The server under test, running, with a data directory of its own."""
    with subject_server(tmp_path / "zkserver", PROPERTIES) as server:
        yield server


PROPERTIES = {"zookeeper.extendedTypesEnabled": "true"}
