"""The pytest plugin: fixtures `zookeeper` and `zookeeper_ensemble`, a marker and a few ini keys.

A server is begun for each test that asks for one and ended behind it, so every test finds an empty
one; that costs a few milliseconds. A server that gave up during a test fails the test.

Importing this imports pytest and nothing else: what makes servers is imported by the fixtures.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from zkserver.testing.ensemble import ZooKeeperEnsemble
    from zkserver.testing.zookeeper import ZooKeeper

MARKER = "zookeeper"
_MARKER_HELP = (
    "zookeeper(servers=3, on_disk=False, tick_time_ms=500, properties={}): "
    "how the fixtures zookeeper and zookeeper_ensemble are for this test"
)
OPTIONS: dict[str, type] = {
    "servers": int,
    "on_disk": bool,
    "tick_time_ms": int,
    "properties": dict,
}
"""What the marker takes, and the type of each; an ini key has the prefix zookeeper_."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """The ini keys: what holds where no marker says otherwise."""
    parser.addini("zookeeper_servers", "servers of zookeeper_ensemble (3)", default="3")
    parser.addini("zookeeper_on_disk", "keep files in tmp_path", type="bool", default=False)
    parser.addini("zookeeper_tick_time_ms", "tickTime of the servers (500)", default="500")
    parser.addini(
        "zookeeper_properties",
        "lines name=value: keys of zoo.cfg, or Java properties",
        type="linelist",
        default=[],
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", _MARKER_HELP)


@pytest.fixture
def zookeeper(request: pytest.FixtureRequest) -> Iterator[ZooKeeper]:
    """A ZooKeeper server that is empty and serves; `zookeeper.hosts` is for clients."""
    from zkserver.testing.zookeeper import ZooKeeper

    options = _options(request)
    del options["servers"]
    with ZooKeeper(**options) as server:
        yield server


@pytest.fixture
def zookeeper_ensemble(request: pytest.FixtureRequest) -> Iterator[ZooKeeperEnsemble]:
    """An ensemble that is empty and has a leader; `zookeeper_ensemble.hosts` is for clients."""
    from zkserver.testing.ensemble import ZooKeeperEnsemble

    with ZooKeeperEnsemble(**_options(request)) as ensemble:
        yield ensemble


def _options(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What the ini file and the markers say, the nearest marker first."""
    found = _of_ini(request.config)
    for marker in reversed(list(request.node.iter_markers(MARKER))):
        if marker.args:
            raise pytest.UsageError(f"the marker {MARKER} takes names: {_MARKER_HELP}")
        for name, value in marker.kwargs.items():
            kind = OPTIONS.get(name)
            if kind is None or not isinstance(value, kind):
                wanted = f"{', '.join(OPTIONS)}" if kind is None else f"a value of {kind.__name__}"
                raise pytest.UsageError(
                    f"marker {MARKER}: {name}={value!r}; it takes {wanted}"
                )
        properties = found["properties"] | marker.kwargs.get("properties", {})
        found |= {**marker.kwargs, "properties": properties}
    found["data_dir"] = None
    if found.pop("on_disk"):
        folder: Path = request.getfixturevalue("tmp_path")
        found["data_dir"] = folder / "zookeeper"
    return found


def _of_ini(config: pytest.Config) -> dict[str, Any]:
    properties = {}
    for line in config.getini("zookeeper_properties"):
        name, separator, value = line.partition("=")
        if not separator:
            raise pytest.UsageError(f"zookeeper_properties: {line!r} is not name=value")
        properties[name.strip()] = value.strip()
    try:
        servers, tick_time_ms = (
            int(config.getini(name)) for name in ("zookeeper_servers", "zookeeper_tick_time_ms")
        )
    except ValueError as error:
        raise pytest.UsageError(f"zookeeper_servers, zookeeper_tick_time_ms: {error}") from error
    return {
        "servers": servers,
        "on_disk": config.getini("zookeeper_on_disk"),
        "tick_time_ms": tick_time_ms,
        "properties": properties,
    }
