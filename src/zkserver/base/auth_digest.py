"""The scheme digest: a user name and a password, sent in the clear.

A token is `user:password`. The identity, and what stands in ACLs, is the user
and the Base64 of the hash of the whole token: `user:hash`. A token whose
identity equals the configured `superDigest` makes its sender a superuser.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode

from zkserver.base.acl import Id
from zkserver.base.auth_provider import Provider, Verdict
from zkserver.base.errors import ErrorCode, ExitCode, FatalError

# Java's names of hashes (upper case), Python's beside them.
ALGORITHMS = {
    "SHA1": "sha1",
    "SHA-1": "sha1",
    "SHA": "sha1",
    "SHA-224": "sha224",
    "SHA-256": "sha256",
    "SHA-384": "sha384",
    "SHA-512": "sha512",
    "SHA-512/224": "sha512_224",
    "SHA-512/256": "sha512_256",
    "SHA3-224": "sha3_224",
    "SHA3-256": "sha3_256",
    "SHA3-384": "sha3_384",
    "SHA3-512": "sha3_512",
    "MD5": "md5",
}


def generate_digest(token: str, algorithm: str = "SHA1") -> str:
    """The identity of `user:password`, as ACLs and `superDigest` have it.

    Raises ValueError for an algorithm that Java names and this Python lacks, and
    KeyError for one that is not in `ALGORITHMS`.
    """
    digest = hashlib.new(ALGORITHMS[algorithm.upper()], token.encode()).digest()
    return f"{token.partition(':')[0]}:{b64encode(digest).decode()}"


class DigestProvider(Provider):
    """The scheme digest, with DigestAuthenticationProvider's settings.

    Raises FatalError for a hash that is not available.
    """

    scheme = "digest"

    def __init__(self, algorithm: str = "SHA1", super_digest: str | None = None) -> None:
        self._algorithm = algorithm
        self._super_digest = super_digest
        try:
            generate_digest("", algorithm)
        except (KeyError, ValueError) as error:
            raise FatalError(
                ExitCode.INVALID_INVOCATION,
                f"zookeeper.DigestAuthenticationProvider.digestAlg={algorithm} is not available;"
                f" known are {', '.join(ALGORITHMS)}",
            ) from error

    def authenticate(self, token: bytes | None, remote_address: str) -> Verdict:  # noqa: ARG002
        """Any token is good: what it hashes to decides what it opens."""
        if token is None:
            return ErrorCode.AUTHFAILED, []
        identity = generate_digest(token.decode("utf-8", "replace"), self._algorithm)
        ids = [Id("super", "")] if identity == self._super_digest else []
        return ErrorCode.OK, [*ids, Id(self.scheme, identity)]

    def is_valid(self, expression: str) -> bool:
        """`user:hash`; colons at the end are not counted, as in Java."""
        return expression.rstrip(":").count(":") == 1

    def matches(self, caller_id: str, expression: str) -> bool:
        """Equality."""
        return caller_id == expression

    def user_name(self, caller_id: str) -> str:
        """The user without the hash."""
        return caller_id.partition(":")[0]
