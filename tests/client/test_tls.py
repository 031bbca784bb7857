"""TLS by an SSLContext, through a proxy that ends it."""

from __future__ import annotations

import datetime
import ssl
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.client.proxy import Proxy
from tests.client.test_reconnect import CONNECTING, until
from zkserver.client import Client, errors


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / "cert.pem", folder / "key.pem"
    cert_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return cert_file, key_file


async def test_a_session_over_tls(proxy: Proxy, tmp_path: Path) -> None:
    cert_file, key_file = certificate(tmp_path)
    proxy.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    proxy.tls.load_cert_chain(cert_file, key_file)
    trusting = ssl.create_default_context(cafile=str(cert_file))
    async with proxy:
        async with Client(proxy.hosts, ssl=trusting) as client:
            await client.create("/t", b"x" * 500_000)
            assert len((await client.get("/t"))[0]) == 500_000
            proxy.drop()
            await until(lambda: client.state is CONNECTING)
            assert await client.exists("/t")
        stranger = Client(proxy.hosts, ssl=ssl.create_default_context())
        with pytest.raises(errors.OperationTimeout, match="CERTIFICATE_VERIFY_FAILED"):
            await stranger.start(timeout_ms=500)
        await stranger.close()
