"""HTTPS on the admin port: stores, both on one port, client certificates; settings to contexts."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import aiohttp
import pytest
from cryptography.x509.oid import NameOID
from kazoo.client import KazooClient
from kazoo.security import make_acl

from tests.admin.certificates import Authority
from tests.admin.inside import Inside, raw, run
from zkserver.base.tls_settings import QUORUM_PREFIX, TlsSettings, TlsSettingsError
from zkserver.runtime import tls

CA = Authority()
SERVER = CA.sign((NameOID.COMMON_NAME, "server"))
CLIENT = CA.sign(
    (NameOID.COUNTRY_NAME, "DE"), (NameOID.ORGANIZATION_NAME, "Some, Org"),
    (NameOID.COMMON_NAME, "client"),
)
SUBJECT = r"CN=client,O=Some\, Org,C=DE"
X509_PROVIDER = "authProvider.1=org.apache.zookeeper.server.auth.X509AuthenticationProvider"


def lines(folder: Path, *more: str) -> tuple[str, ...]:
    """A PEM key store with a password, and a trust store."""
    folder.mkdir(exist_ok=True)
    (folder / "key.pem").write_bytes(SERVER.pem("sesame"))
    (folder / "trust.pem").write_bytes(CA.pem())
    return (
        f"ssl.quorum.keyStore.location={folder}/key.pem",
        "ssl.quorum.keyStore.password=sesame",
        f"ssl.quorum.trustStore.location={folder}/trust.pem",
        *more,
    )


def test_both_on_one_port(tmp_path: Path) -> None:
    async def check() -> None:
        async with Inside(tmp_path, *lines(tmp_path, "admin.portUnification=true")) as inside:
            assert inside.warnings == []
            assert (await inside.ask("ruok")).status == 200
            inside.tls = CA.client(None, tmp_path)
            assert (await inside.ask("ruok")).status == 200
            # A certificate is not asked for, so there is none to go by.
            headers = {"Authorization": "x509"}
            assert (await inside.ask("snapshot", headers=headers)).status == 401

    run(check)


def test_https_alone(tmp_path: Path) -> None:
    async def check() -> None:
        async with Inside(tmp_path, *lines(tmp_path, "admin.forceHttps=true")) as inside:
            assert b"HTTP" not in await raw(inside.admin.port or 0, b"GET / HTTP/1.1\r\n\r\n")
            with pytest.raises(aiohttp.ClientError):
                await inside.ask("ruok")
            inside.tls = CA.client(None, tmp_path)
            assert (await inside.ask("ruok")).status == 200

    run(check)


def test_client_certificates(tmp_path: Path) -> None:
    more = (
        "admin.forceHttps=true", "admin.needClientAuth=true", X509_PROVIDER,
        "admin.rateLimiterIntervalInMS=0",
    )

    async def check() -> None:
        async with Inside(tmp_path, *lines(tmp_path, *more)) as inside:
            inside.tls = CA.client(None, tmp_path)
            with pytest.raises((aiohttp.ClientError, ConnectionResetError)):
                await inside.ask("ruok")
            stranger = Authority().sign((NameOID.COMMON_NAME, "client"))
            inside.tls = CA.client(stranger, tmp_path)
            with pytest.raises((aiohttp.ClientError, ConnectionResetError)):
                await inside.ask("ruok")
            inside.tls = CA.client(CLIENT, tmp_path)
            headers = {"Authorization": "x509"}
            assert (await inside.ask("snapshot", headers=headers)).status == 200
            client = KazooClient(f"127.0.0.1:{inside.client_port}")
            await asyncio.to_thread(client.start)
            acl = [make_acl("x509", SUBJECT, all=True)]
            await asyncio.to_thread(client.set_acls, "/", acl)
            assert (await inside.ask("snapshot", headers=headers)).status == 200
            assert (await inside.ask("snapshot", headers={"Authorization": "ip"})).status == 403
            other = CA.sign((NameOID.COMMON_NAME, "other"))
            inside.tls = CA.client(other, tmp_path)
            await inside.session.close()
            inside.session = aiohttp.ClientSession()
            assert (await inside.ask("snapshot", headers=headers)).status == 403
            await asyncio.to_thread(client.stop)
            client.close()

    run(check)


def test_the_super_user_of_certificates(tmp_path: Path) -> None:
    more = (
        "admin.forceHttps=true", "admin.needClientAuth=true", X509_PROVIDER,
        "X509AuthenticationProvider.superUser=CN=boss",
    )

    async def check() -> None:
        async with Inside(tmp_path, *lines(tmp_path, *more)) as inside:
            client = KazooClient(f"127.0.0.1:{inside.client_port}")
            await asyncio.to_thread(client.start)
            await asyncio.to_thread(client.set_acls, "/", [make_acl("ip", "10.0.0.1", all=True)])
            inside.tls = CA.client(CA.sign((NameOID.COMMON_NAME, "boss")), tmp_path)
            headers = {"Authorization": "x509"}
            assert (await inside.ask("snapshot", headers=headers)).status == 200
            await asyncio.to_thread(client.stop)
            client.close()

    run(check)


def test_handshakes_that_fail_harm_nobody(tmp_path: Path) -> None:
    async def check() -> None:
        more = ("admin.portUnification=true", "admin.idleTimeout=100")
        async with Inside(tmp_path, *lines(tmp_path, *more)) as inside:
            for data in (b"\x16", b"\x16\x03\x01\x00\x05hello", b"\x16" * 5000, b""):
                assert b"HTTP" not in await raw(inside.admin.port or 0, data, 15)
            inside.tls = CA.client(None, tmp_path)
            assert (await inside.ask("ruok")).status == 200
            # One connection lives, and one or two wait to be accepted.
            assert inside.admin._http._room._value in (197, 198)

    run(check)


def context_of(folder: Path, **settings: str) -> ssl.SSLContext:
    properties = {
        QUORUM_PREFIX + name.replace("_", "."): value.replace("FOLDER", str(folder))
        for name, value in settings.items()
    }
    return tls.server_context(TlsSettings.of(properties, QUORUM_PREFIX), ssl.CERT_REQUIRED)


def stores(folder: Path) -> None:
    (folder / "key.pem").write_bytes(SERVER.pem())
    (folder / "locked.pem").write_bytes(SERVER.pem("sesame"))
    (folder / "key.p12").write_bytes(SERVER.pkcs12("sesame"))
    (folder / "trust.p12").write_bytes(CA.pkcs12("open"))
    (folder / "trust.pem").write_bytes(CA.pem())
    (folder / "password").write_text("sesame\n")
    (folder / "empty.pem").write_bytes(b"")


GOOD = {"keyStore_location": "FOLDER/key.pem", "trustStore_location": "FOLDER/trust.pem"}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"keyStore_location": "FOLDER/locked.pem", "keyStore_password": "sesame"},
        {
            "keyStore_location": "FOLDER/locked.pem", "keyStore_password": "wrong",
            "keyStore_passwordPath": "FOLDER/password",
        },
        {"keyStore_location": "FOLDER/key.p12", "keyStore_password": "sesame"},
        {"trustStore_location": "FOLDER/trust.p12", "trustStore_password": "open"},
        {"trustStore_location": "FOLDER/trust.pem", "trustStore_type": "pem"},
        {"enabledProtocols": "TLSv1.3, TLSv1.2"},
        {"ciphersuites": "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,TLS_AES_256_GCM_SHA384"},
    ],
)
def test_stores_that_are_read(tmp_path: Path, settings: dict[str, str]) -> None:
    stores(tmp_path)
    context = context_of(tmp_path, **(GOOD | settings))
    assert [each["subject"] for each in context.get_ca_certs()] == [
        ((("commonName", "authority"),),)
    ]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"keyStore_location": ""}, "ssl.quorum.keyStore.location is not set"),
        ({"trustStore_location": ""}, "ssl.quorum.trustStore.location is not set"),
        ({"keyStore_location": "/none.pem"}, "No such file"),
        ({"keyStore_location": "FOLDER/empty.pem"}, "no private key"),
        ({"keyStore_location": "FOLDER/trust.pem"}, "no private key"),
        ({"keyStore_location": "FOLDER/locked.pem"}, "password is wrong"),
        ({"keyStore_location": "FOLDER/locked.pem", "keyStore_password": "no"}, "password is wrong"),
        ({"keyStore_location": "FOLDER/key.p12", "keyStore_password": "no"}, "key.p12"),
        ({"keyStore_location": "FOLDER/trust.p12", "keyStore_password": "open"}, "no private key"),
        ({"trustStore_location": "FOLDER/empty.pem"}, "no certificate"),
        ({"keyStore_location": "FOLDER/key.jks"}, "keytool -importkeystore -srckeystore"),
        ({"trustStore_location": "FOLDER/trust.jks"}, "-deststoretype PKCS12"),
        ({"keyStore_location": "FOLDER/key"}, "set zookeeper.ssl.quorum.keyStore.type"),
        ({"keyStore_type": "XYZ"}, "known are JKS, PEM, PKCS12, BCFKS"),
        ({"keyStore_passwordPath": "/none"}, "/none: No such file"),
        ({"enabledProtocols": "SSLv3"}, "SSLv3 is not known"),
        ({"ciphersuites": "TLS_NONE_OF_OURS"}, "is known to OpenSSL"),
    ],
)
def test_settings_that_are_refused(tmp_path: Path, settings: dict[str, str], reason: str) -> None:
    stores(tmp_path)
    with pytest.raises(TlsSettingsError) as refused:
        context_of(tmp_path, **(GOOD | settings))
    assert reason in str(refused.value)
    assert "sesame" not in str(refused.value)


def test_protocols_and_suites(tmp_path: Path) -> None:
    stores(tmp_path)
    context = context_of(tmp_path, **GOOD)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    context = context_of(tmp_path, **GOOD, protocol="TLSv1.3")
    assert context.minimum_version is ssl.TLSVersion.TLSv1_3
    assert context_of(tmp_path, **GOOD, protocol="TLS").minimum_version is ssl.TLSVersion.TLSv1_2
    suites = {
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
        "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256": "ECDHE-RSA-AES128-SHA256",
        "TLS_RSA_WITH_AES_128_CBC_SHA": "AES128-SHA",
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
        "ECDHE-RSA-AES128-SHA": "ECDHE-RSA-AES128-SHA",
    }
    for java, openssl in suites.items():
        assert tls.openssl_suite(java) == openssl
        known = context_of(tmp_path, **GOOD, ciphersuites=java).get_ciphers()
        assert openssl in [each["name"] for each in known]


def test_a_key_leaves_no_file_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    stores(tmp_path)
    settings = GOOD | {"keyStore_location": "FOLDER/key.p12", "keyStore_password": "sesame"}
    context_of(tmp_path, **settings)
    assert list(folder.iterdir()) == []
