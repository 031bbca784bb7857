"""The pair of servers to which the stories are told, started once for all of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.apache import ApacheServer, apache_available
from tests.support.lockstep import Pair
from tests.support.stories import Story
from tests.support.zkserver_process import subject_server

STORY_PROPERTIES = {
    "zookeeper.extendedTypesEnabled": "true",
    "zookeeper.enforceQuota": "true",
    "zookeeper.forceSync": "no",
    "zookeeper.DigestAuthenticationProvider.superDigest": "super:D/InIHSb7yEEbrWz8b9l71RjZJU=",
    "znode.container.checkIntervalMs": "86400000",
}


def pytest_configure(config: pytest.Config) -> None:
    """Name the mark of the stories."""
    config.addinivalue_line(
        "markers", "since(major, minor, patch): an older Apache ZooKeeper answers otherwise"
    )
    config.addinivalue_line("markers", "alone: Apache ZooKeeper breaks of this; zkserver must not")


class Stage:
    """Keeps a pair of running servers; a new one after a story that ended in a difference."""

    def __init__(self, folders: pytest.TempPathFactory) -> None:
        self.folders = folders
        self.pairs: dict[bool, Pair] = {}

    def pair(self, with_peer: bool) -> Pair:
        """The pair, or zkserver alone."""
        pair = self.pairs.get(with_peer)
        if pair is not None and pair.broken:
            self.stop(pair)
            pair = None
        if pair is None:
            pair = self.pairs[with_peer] = self._start(with_peer)
        return pair

    def _start(self, with_peer: bool) -> Pair:
        folder = self.folders.mktemp("story")
        subject = subject_server(folder / "zkserver", STORY_PROPERTIES)
        peer = ApacheServer(folder / "apache", STORY_PROPERTIES) if with_peer else None
        for server in (subject, peer):
            if server is not None:
                server.start()
        return Pair(subject, peer, folder / "steps")

    @staticmethod
    def stop(pair: Pair) -> None:
        """End the servers of a pair."""
        pair.close()
        for side in pair.sides:
            side.server.stop()


@pytest.fixture(name="stage", scope="session")
def _stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = Stage(tmp_path_factory)
    yield stage
    for pair in stage.pairs.values():
        stage.stop(pair)


@pytest.fixture(name="story")
def _story(request: pytest.FixtureRequest, stage: Stage) -> Iterator[Story]:
    """A story. `@pytest.mark.since(3, 9, 2)` says which Apache answers as it states."""
    alone = request.node.get_closest_marker("alone") is not None
    pair = stage.pair(with_peer=apache_available() and not alone)
    mark = request.node.get_closest_marker("since")
    if mark is not None and pair.oldest_version < mark.args:
        pair = stage.pair(with_peer=False)
    story = Story(pair)
    yield story
    story.end()
