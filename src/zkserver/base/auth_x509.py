"""The scheme x509: the subject of the certificate that a client has shown in its TLS handshake.

Whether the certificate is to be trusted is settled by the handshake. The identity is the subject's
name in the form of RFC 2253, as `CN=client,O=example`. An auth packet proves nothing here.
"""

from __future__ import annotations

from zkserver.base.acl import Id
from zkserver.base.auth_provider import Provider, Verdict
from zkserver.base.errors import ErrorCode


class X509Provider(Provider):
    """The scheme x509. `super_user` is the subject of who passes every ACL."""

    scheme = "x509"

    def __init__(self, super_user: str | None = None) -> None:
        self._super_user = super_user

    def authenticate(self, token: bytes | None, remote_address: str) -> Verdict:  # noqa: ARG002
        """Never: only the handshake tells."""
        return ErrorCode.AUTHFAILED, []

    def identities(self, subject: str) -> list[Id]:
        """Who has shown a certificate of this subject."""
        ids = [Id("super", subject)] if subject == self._super_user else []
        return [*ids, Id(self.scheme, subject)]

    def is_valid(self, expression: str) -> bool:
        """A distinguished name: parts with an equals sign."""
        return bool(expression) and "=" in expression

    def matches(self, caller_id: str, expression: str) -> bool:
        """Equality."""
        return caller_id == expression
