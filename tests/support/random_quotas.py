"""Random requests about quotas: limits and usage of several paths, made, changed and removed.

Every text reads as Java reads it. Left out is what kills Apache's server or makes it
refuse writes at random: null data, pairs without "=" or with no number, limits of the root.
"""

from __future__ import annotations

import random

from tests.support import wire

Operation = tuple[int, bytes]

PATHS = ("/q", "/q/1", "/a", "/a/b", "/zookeeper", "/b/x", "/ü", "/none/x")
TEXTS = (
    *(b"count=3,bytes=-1", b"count=-1,bytes=5", b"count=3", b"bytes=3", b"count=-3", b""),
    *(b"countHardLimit=3", b"byteHardLimit=3", b"countHardLimit=0;byteHardLimit=0"),
    b"count=-1,bytes=-1=;byteHardLimit=12;countHardLimit=4",
    b"count=1,bytes=1=;byteHardLimit=-1;countHardLimit=2",
    *(b"count==3,bytes=2", b"count=3=4,bytes=+7", b"count=1,bytes=2,,;;", b"x=1"),
    b"zz=4,count=0,bytes=0,aa=-2",
    b"count=%d,bytes=%d=;countHardLimit=%d" % ((2**63 - 1,) * 3),
)


def quota_request(draw: random.Random, data: bytes | None) -> Operation:
    """One request; `data` is for the node that the quota is about."""
    path = draw.choice(PATHS)
    parts = path.split("/")[1:]
    leaf = draw.choice(("zookeeper_limits", "zookeeper_stats"))
    node = f"/zookeeper/quota{path}/{leaf}"
    text = draw.choice(TEXTS)
    depth = draw.randrange(1, len(parts) + 1)
    ways: tuple[tuple[int, Operation], ...] = (
        (30, (wire.CREATE, wire.create_request("/zookeeper/quota/" + "/".join(parts[:depth])))),
        (20, (wire.CREATE, wire.create_request(node, text))),
        (12, (wire.SET_DATA, wire.set_data_request(node, text))),
        (8, (wire.DELETE, wire.version_request(node))),
        (10, (wire.GET_DATA, wire.read_request(node))),
        (10, (wire.EXISTS, wire.read_request(node))),
        (5, (wire.SET_DATA, wire.set_data_request(path, data))),
        (5, (wire.CREATE, wire.create_request(path + "/", data, flags=2))),
    )
    return draw.choices([way for _, way in ways], [weight for weight, _ in ways])[0]


def quota_write(draw: random.Random, data: bytes | None) -> Operation:
    """One that may stand in a transaction."""
    while True:
        operation = quota_request(draw, data)
        if operation[0] not in (wire.GET_DATA, wire.EXISTS):
            return operation
