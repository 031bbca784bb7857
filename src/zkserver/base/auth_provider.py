"""`Provider`: what an authentication scheme must be able to do.

Those of other packages are found through the entry point group
`zkserver.auth_providers`; see docs/authentication.md.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from zkserver.base.acl import Id
from zkserver.base.errors import ErrorCode

ENTRY_POINT_GROUP = "zkserver.auth_providers"

Verdict = tuple[ErrorCode, list[Id]]


class Provider(ABC):
    """One authentication scheme. Its methods must be quick, and must not block.

    `scheme` is the name in ACLs and auth packets. `is_authenticated` tells
    whether an identity of this scheme names its owner: the ACL scheme "auth"
    stands for all such identities of a client.
    """

    scheme: str
    is_authenticated: bool = True

    @abstractmethod
    def authenticate(self, token: bytes | None, remote_address: str) -> Verdict:
        """Judge the token of an AuthPacket (null reads as None).

        OK and the identities to add to the connection, or another code and none:
        the client is told AUTHFAILED then and its connection is closed. ValueError
        counts as AUTHFAILED; LinkError closes the connection without an answer.
        """

    @abstractmethod
    def is_valid(self, expression: str) -> bool:
        """Whether `expression` may stand as the id of an ACL entry of this scheme."""

    @abstractmethod
    def matches(self, caller_id: str, expression: str) -> bool:
        """Whether a caller of identity `caller_id` is meant by an ACL entry's id."""

    def user_name(self, caller_id: str) -> str | None:
        """The name to show for an identity, without what should stay secret."""
        return caller_id
