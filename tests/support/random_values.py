"""The small pools from which `random_requests` draws: paths, data, ACLs, frames, good and odd."""

from __future__ import annotations

import base64
import hashlib

from tests.support import wire

BASE_PATHS = ("/a", "/b", "/a/b", "/a/b/c", "/a/c", "/b/x", "/d", "/d/e", "/q", "/q/1", "/ü",
              "/a/ñ")
ODD_PATHS: tuple[wire.Text, ...] = (
    *(None, "", "/", "//", "/a/", "/a//b", "a", "a/b", "/a/.", "/a/./b", "/a/..", "/..", "/."),
    *("/a/\x00", "/\x00", "/a\x01", "/a\x1f", "/\x7f", "/\x9f", "/\xa0", "/a b", " /a", "/a "),
    "  ",
    *("/中", "/\U0001f600", "/\ue000", "/\uf8ff", "/\uf900", "/\ufff0", "/\ufeff", "/\uffff"),
    *(b"/\xff", b"/a\xc3(", b"/\xed\xa0\x80", b"/\xe4\xb8", b"/\xf0\x9f\x98", b"/\xc0\x80"),
    b"\xff",
    *("/zookeeper", "/zookeeper/", "/zookeeper/quota", "/zookeeper/config", "/zookeeper/n"),
    *("/zookeeper/quota/n", "/" + "n" * 300, "/no/such/node", "/a/b/c/d/e/f", "/b/", "/d/e/"),
)
USERS = ("alice:secret", "bob:pw")
SUPERUSER = "super:test"
SUPER_DIGEST = "super:D/InIHSb7yEEbrWz8b9l71RjZJU="
DATA: tuple[bytes | None, ...] = (b"", b"x", None, b"data", b"\x00\xff", b"0123456789" * 30)
VERSIONS = (*[-1] * 14, 0, 0, 1, 2, 3, -2, 99, 2**31 - 1, -(2**31))
TTLS_MS = (*[1000000] * 8, 2**40 - 1, 2**40, 0, -1, -5, 1, 2**63 - 1)
UNKNOWN_OPCODES = (0, 10, 23, 99, 108, 1000, -1, -2, 2**31 - 1, -(2**31))
WRITES = (
    *(wire.CREATE, wire.CREATE2, wire.CREATE_CONTAINER, wire.CREATE_TTL, wire.DELETE),
    *(wire.DELETE_CONTAINER, wire.SET_DATA, wire.SET_ACL, wire.MULTI, wire.RECONFIG, wire.CHECK),
)
SOFT_LIMITS = (b"count=3,bytes=-1", b"count=-1,bytes=5")
HARD_LIMITS = (
    b"count=-1,bytes=-1=;byteHardLimit=12;countHardLimit=4",
    b"count=1,bytes=1=;byteHardLimit=-1;countHardLimit=2",
)
NAME_WITH_COLON = "weird:name:digest"


def digest_id(user_and_password: str) -> str:
    """The ACL id of `user:password` under the scheme digest."""
    hashed = base64.b64encode(hashlib.sha1(user_and_password.encode()).digest()).decode()
    return user_and_password.split(":", 1)[0] + ":" + hashed


ACLS: tuple[wire.AclEntries, ...] = (
    *[wire.OPEN_ACL] * 8,
    wire.READ_ACL,
    ((31, "auth", ""),),
    ((1, "world", "anyone"), (31, "auth", "ignored")),
    ((31, "digest", digest_id(USERS[0])),),
    ((31, "digest", digest_id(USERS[1])), (1, "world", "anyone")),
    ((3, "digest", digest_id(USERS[0])), (16, "digest", digest_id(USERS[1]))),
    ((31, "ip", "127.0.0.1"),),
    ((31, "ip", "127.0.0.0/8"), (1, "ip", "10.0.0.1")),
    ((31, "ip", "10.0.0.0/8"),),
    ((29, "world", "anyone"),),
    ((27, "world", "anyone"),),
    ((23, "world", "anyone"),),
    ((15, "world", "anyone"),),
    ((30, "world", "anyone"),),
    ((31, "world", "anyone"), (31, "world", "anyone"), (1, "world", "anyone")),
)
BAD_ACLS: tuple[wire.AclEntries, ...] = (
    None,
    (),
    ((31, "world", "somebody"),),
    ((31, "digest", "no colon"),),
    ((31, "digest", NAME_WITH_COLON),),
    ((31, "digest", ""),),
    ((31, "ip", "1.2.3"),),
    ((31, "ip", "300.1.1.1"),),
    ((31, "ip", "127.0.0.1/33"),),
    ((31, "ip", "127.0.0.1/-1"),),
    ((31, "ip", "127.0.0.1/x"),),
    ((31, "sasl", "bob"),),
    ((31, "super", ""),),
    ((31, "nosuchscheme", "id"),),
    ((31, None, "id"),),
    ((31, "world", None),),
    ((31, "digest", None),),
    ((0, "world", "anyone"),),
    ((-1, "world", "anyone"),),
    ((255, "world", "anyone"),),
    ((31, "world", "anyone"), (31, "nosuchscheme", "id")),
)
IPV6_ACLS: tuple[wire.AclEntries, ...] = (
    ((31, "ip", "::1"),),
    ((31, "ip", "fe80::/10"), (31, "world", "anyone")),
    ((31, "ip", "::1/129"),),
)


def readable_by_all(acl: wire.AclEntries) -> bool:
    """Whether anyone may read a node with this ACL."""
    return any(perms & 1 and name == "anyone" for perms, _, name in acl or ())


BAD_FRAMES = (
    wire.int32(-1),
    wire.int32(0x100000) + bytes(100),
    wire.int32(-(2**31)),
    wire.int32(0),
    wire.int32(3) + b"abc",
    wire.int32(7) + bytes(7),
    b"ruok",
)
