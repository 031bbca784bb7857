"""Certificates made for a test: an authority, and what it signs."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

PEM = serialization.Encoding.PEM


class Signed:
    """A key and its certificate."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        self.key, self.certificate = key, certificate

    def pem(self, password: str | None = None) -> bytes:
        """Key and certificate in one text, as a key store."""
        encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if password is not None:
            encryption = serialization.BestAvailableEncryption(password.encode())
        key = self.key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, encryption)
        return key + self.certificate.public_bytes(PEM)

    def pkcs12(self, password: str) -> bytes:
        """Key and certificate as a key store."""
        return pkcs12.serialize_key_and_certificates(
            b"me", self.key, self.certificate, None,
            serialization.BestAvailableEncryption(password.encode()),
        )


class Authority:
    """An authority of its own for each test module."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])
        self.certificate = self._sign(name, name, self.key, is_authority=True)

    def _sign(
        self, subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, *,
        is_authority: bool,
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]),
                critical=False,
            )
        )
        return builder.sign(self.key, hashes.SHA256())

    def sign(self, *names: tuple[x509.ObjectIdentifier, str]) -> Signed:
        """A certificate whose subject has these names, in this order."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(oid, text) for oid, text in names])
        return Signed(
            key, self._sign(subject, self.certificate.subject, key, is_authority=False)
        )

    def pem(self) -> bytes:
        """The authority's certificate, as a trust store."""
        return self.certificate.public_bytes(PEM)

    def pkcs12(self, password: str) -> bytes:
        """The same as PKCS12."""
        return pkcs12.serialize_key_and_certificates(
            None, None, None, [self.certificate],
            serialization.BestAvailableEncryption(password.encode()),
        )

    def client(self, signed: Signed | None, folder: Path) -> ssl.SSLContext:
        """A client that trusts this authority, and shows a certificate if it has one."""
        context = ssl.create_default_context(cadata=self.pem().decode())
        if signed is not None:
            path = folder / "client.pem"
            path.write_bytes(signed.pem())
            context.load_cert_chain(path)
        return context
