"""From TLS settings to an SSLContext: key stores, trust stores, protocols and cipher suites.

* PEM: the key store has the private key (its password, if it has one, is the store's) and its
  chain; the trust store has certificates.
* PKCS12: read with `cryptography`. The key goes to OpenSSL through a file of its own that only
  this user can read, encrypted with a password that nobody else knows, and removed at once.
* JKS and BCFKS are Java's own; the refusal says which command turns one into PKCS12.
* Without `protocol` and `enabledProtocols` TLS 1.2 and 1.3 are accepted.
* Cipher suites may have Java's names or OpenSSL's. Those of TLS 1.3 cannot be chosen in Python:
  all three are always there.

Left out: revocation lists and OCSP.
"""

from __future__ import annotations

import os
import re
import secrets
import ssl
import tempfile
from pathlib import Path

from zkserver.base.tls_settings import Store, TlsSettings, TlsSettingsError

_VERSIONS = {
    "TLSV1": ssl.TLSVersion.TLSv1,
    "TLSV1.1": ssl.TLSVersion.TLSv1_1,
    "TLSV1.2": ssl.TLSVersion.TLSv1_2,
    "TLSV1.3": ssl.TLSVersion.TLSv1_3,
}
_OLDEST = ssl.TLSVersion.TLSv1_2
_JAVA_SUITE = re.compile(
    r"TLS_(?:(?P<exchange>ECDHE_ECDSA|ECDHE_RSA|DHE_RSA|RSA)_WITH_)"
    r"(?P<cipher>AES_128|AES_256|CHACHA20)_(?P<mode>GCM|CBC|POLY1305)_(?P<hash>SHA\d*)"
)
_TLS13_SUITES = frozenset(
    ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
)


def server_context(settings: TlsSettings, client_certificate: ssl.VerifyMode) -> ssl.SSLContext:
    """A context for the accepting side. Raises TlsSettingsError.

    `client_certificate`: whether one is asked for (CERT_OPTIONAL) or must be shown (CERT_REQUIRED).
    """
    if settings.key_store is None:
        raise TlsSettingsError(f"{settings.prefix}keyStore.location is not set")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _set_protocols(context, settings)
    _set_suites(context, settings)
    _load_key(context, settings.key_store)
    if client_certificate is not ssl.CERT_NONE:
        if settings.trust_store is None:
            raise TlsSettingsError(
                f"{settings.prefix}trustStore.location is not set, so no client's certificate "
                "could be judged"
            )
        load_trust(context, settings.trust_store)
        context.verify_mode = client_certificate
    return context


def _set_protocols(context: ssl.SSLContext, settings: TlsSettings) -> None:
    names = settings.enabled_protocols
    if not names and settings.protocol is not None and settings.protocol.upper() != "TLS":
        names = (settings.protocol,)
    context.minimum_version = _OLDEST
    if not names:
        return
    unknown = [name for name in names if name.upper() not in _VERSIONS]
    if unknown:
        raise TlsSettingsError(
            f"{settings.prefix}enabledProtocols or protocol: {unknown[0]} is not known; known are "
            "TLSv1.2 and TLSv1.3 (and TLSv1, TLSv1.1 where OpenSSL still has them)"
        )
    versions = [_VERSIONS[name.upper()] for name in names]
    context.minimum_version, context.maximum_version = min(versions), max(versions)


def openssl_suite(name: str) -> str:
    """OpenSSL's name of a cipher suite of Java's; any other name as it is."""
    match = _JAVA_SUITE.fullmatch(name)
    if match is None:
        return name
    exchange = match["exchange"].replace("_", "-")
    parts = [] if exchange == "RSA" else [exchange]
    if match["mode"] == "POLY1305":
        return "-".join([*parts, "CHACHA20-POLY1305"])
    parts.append(match["cipher"].replace("_", ""))
    if match["mode"] == "GCM":
        parts.append("GCM")
    return "-".join([*parts, match["hash"]])


def _set_suites(context: ssl.SSLContext, settings: TlsSettings) -> None:
    names = [each for each in settings.cipher_suites if each not in _TLS13_SUITES]
    if not names:
        return
    try:
        context.set_ciphers(":".join(map(openssl_suite, names)))
    except ssl.SSLError as error:
        raise TlsSettingsError(
            f"{settings.prefix}ciphersuites: none of {', '.join(names)} is known to OpenSSL"
        ) from error


def _password(store: Store) -> str | None:
    if store.password_path is None:
        return store.password
    # Java drops one line end and nothing else.
    return _read(store, store.password_path).decode("utf-8").removesuffix("\n").removesuffix("\r")


def _read(store: Store, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise TlsSettingsError(f"{store.name}: {path}: {error.strerror or error}") from error


def _load_key(context: ssl.SSLContext, store: Store) -> None:
    kind, password = store.type, _password(store)
    if kind == "PEM":
        _read(store, store.location)
        _load_chain(context, store, store.location, password or "")
        return
    if kind != "PKCS12":
        raise _foreign(store, kind)
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.serialization import pkcs12

    try:
        bag = pkcs12.load_pkcs12(_read(store, store.location), (password or "").encode())
    except ValueError as error:
        raise TlsSettingsError(f"{store.name}={store.location}: {error}") from error
    if bag.key is None or bag.cert is None:
        raise TlsSettingsError(f"{store.name}={store.location}: there is no private key in it")
    once = secrets.token_hex(16)
    pem = serialization.Encoding.PEM
    pieces = [
        bag.key.private_bytes(
            pem,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(once.encode()),
        ),
        bag.cert.certificate.public_bytes(pem),
        *(each.certificate.public_bytes(pem) for each in bag.additional_certs),
    ]
    # mkstemp: nobody else may read it.
    descriptor, path = tempfile.mkstemp(suffix=".pem")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(b"".join(pieces))
        _load_chain(context, store, path, once)
    finally:
        os.unlink(path)


def _load_chain(context: ssl.SSLContext, store: Store, path: str, password: str) -> None:
    try:
        # With a password given, OpenSSL never asks a terminal for one.
        context.load_cert_chain(path, password=password)
    except (ssl.SSLError, OSError) as error:
        reason = getattr(error, "reason", None) or error.strerror or error
        raise TlsSettingsError(
            f"{store.name}={store.location}: no private key with its certificate can be read, or "
            f"the password is wrong ({reason})"
        ) from error


def load_trust(context: ssl.SSLContext, store: Store) -> None:
    """Trust the certificates of a trust store. Raises TlsSettingsError."""
    kind = store.type
    if kind not in ("PEM", "PKCS12"):
        raise _foreign(store, kind)
    data = _read(store, store.location)
    if kind == "PKCS12":
        data = _certificates_of(store, data)
    try:
        context.load_verify_locations(cadata=data.decode("ascii"))
    except (ssl.SSLError, ValueError) as error:
        raise TlsSettingsError(
            f"{store.name}={store.location}: no certificate can be read from it"
        ) from error


def _certificates_of(store: Store, data: bytes) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, pkcs12

    try:
        bag = pkcs12.load_pkcs12(data, (_password(store) or "").encode())
    except ValueError as error:
        raise TlsSettingsError(f"{store.name}={store.location}: {error}") from error
    found = [*bag.additional_certs, *([bag.cert] if bag.cert is not None else [])]
    return b"".join(each.certificate.public_bytes(Encoding.PEM) for each in found)


def _foreign(store: Store, kind: str) -> TlsSettingsError:
    path = store.location
    return TlsSettingsError(
        f"{store.name}={path}: stores of type {kind} are Java's own and cannot be read here. Turn "
        f"it into PKCS12: keytool -importkeystore -srckeystore {path} -destkeystore "
        f"{path.rpartition('.')[0] or path}.p12 -deststoretype PKCS12"
    )
