"""Random requests to zkserver and to Apache ZooKeeper, compared reply by reply.

Each seed starts both servers empty and takes `STEPS` steps (see
`tests.support.random_requests`). In the environment:

* ZKSERVER_DIFFERENTIAL_SEEDS: how many seeds (default 3), or `first-last`;
* ZKSERVER_DIFFERENTIAL_STEPS: steps of each seed;
* ZKSERVER_PEER_CLASSPATH: another Apache ZooKeeper than Debian's;
* ZKSERVER_SUBJECT_CLASSPATH: an Apache ZooKeeper in zkserver's place.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.apache import ApacheServer
from tests.support.lockstep import Difference, Pair
from tests.support.random_requests import RandomRequests
from tests.support.random_values import SUPER_DIGEST
from tests.support.zkserver_process import subject_server

PROPERTIES = {
    "zookeeper.extendedTypesEnabled": "true",
    "zookeeper.enforceQuota": "true",
    "zookeeper.forceSync": "no",
    "zookeeper.DigestAuthenticationProvider.superDigest": SUPER_DIGEST,
    # The reaper of containers and TTL nodes would write at moments of its own.
    "znode.container.checkIntervalMs": "86400000",
}
STEPS = int(os.environ.get("ZKSERVER_DIFFERENTIAL_STEPS", "600"))


def seeds() -> range:
    """The seeds to run: a number of them, or a range of which both ends count."""
    first, dash, last = os.environ.get("ZKSERVER_DIFFERENTIAL_SEEDS", "3").partition("-")
    return range(int(first), int(last) + 1) if dash else range(int(first))


@pytest.mark.usefixtures("apache_installed")
@pytest.mark.parametrize("seed", seeds())
def test_random_requests_are_answered_as_by_apache(seed: int, tmp_path: Path) -> None:
    with (
        subject_server(tmp_path / "zkserver", PROPERTIES) as subject,
        ApacheServer(tmp_path / "apache", PROPERTIES) as peer,
    ):
        pair = Pair(subject, peer, tmp_path / "steps")
        source = RandomRequests(seed, pair)
        try:
            for _ in range(STEPS):
                step = source.next_step()
                source.learn(step, pair.perform(step))
        except Difference as difference:
            raise AssertionError(f"seed {seed} (steps in {tmp_path}): {difference}") from None
        finally:
            pair.close()
