"""ACLs: who may do what to a znode.

An ACL list is a tuple of `Acl`; tuples because lists are interned and compared.
Ids are text (they are user names and addresses); paths and data stay bytes.
"""

from __future__ import annotations

from typing import NamedTuple

READ = 1
WRITE = 2
CREATE = 4
DELETE = 8
ADMIN = 16
ALL = 31


class Id(NamedTuple):
    """An identity: a scheme ("digest", "ip", ...) and a name in it. The wire may have nulls."""

    scheme: str | None
    id: str | None


class Acl(NamedTuple):
    """One entry: permission bits for an identity."""

    perms: int
    id: Id


AclList = tuple[Acl, ...]

ANYONE = Id("world", "anyone")
OPEN_ACL: AclList = (Acl(ALL, ANYONE),)
READ_ACL: AclList = (Acl(READ, ANYONE),)
