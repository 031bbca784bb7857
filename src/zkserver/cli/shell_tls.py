"""TLS for the shell: the properties of -client-configuration, and of CLIENT_JVMFLAGS.

Apache's shell takes its TLS settings as Java properties: from the file that
-client-configuration names, and as -Dname=value in the environment variables CLIENT_JVMFLAGS
and JVMFLAGS. The same names work here: zookeeper.client.secure=true,
zookeeper.ssl.keyStore.location, .password, .passwordPath, the same of trustStore, and
zookeeper.ssl.hostnameVerification.

Stores are PEM files, or PKCS#12 (.p12, .pfx). Java's own format, JKS, is refused with the
command that converts it. Left out: CRL and OCSP checks, choosing protocols and ciphers.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from zkserver.cli.shell_arguments import CommandError

if TYPE_CHECKING:
    import ssl

BAD_INVOCATION = 2
_KEYTOOL = (
    "keytool -importkeystore -srckeystore {} -destkeystore store.p12 -deststoretype PKCS12"
)


def context_for(file_name: str | None, environment: Mapping[str, str]) -> ssl.SSLContext | None:
    """What the properties ask for; None without TLS. Raises CommandError."""
    flags = environment.get("CLIENT_JVMFLAGS", ""), environment.get("JVMFLAGS", "")
    if file_name is None and not any(flags):
        return None
    values = _properties(file_name, flags)
    if values.get("zookeeper.client.secure", "").lower() != "true":
        return None
    try:
        return _context(values)
    except (OSError, ValueError) as error:
        raise CommandError(f"TLS: {error}", BAD_INVOCATION) from None


def _properties(file_name: str | None, flags: tuple[str, ...]) -> dict[str, str]:
    from zkserver.base.config import jvm_flags
    from zkserver.base.errors import FatalError
    from zkserver.base.properties import parse

    values: dict[str, str] = {}
    try:
        for text in reversed(flags):
            values |= jvm_flags(text)[0]
        if file_name is not None:
            text = Path(file_name).read_text("latin-1")
            values |= {entry.key: entry.value.strip() for entry in parse(text, file_name)}
    except (OSError, FatalError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise CommandError(
            f"Error while processing {file_name}: {why}", BAD_INVOCATION,
            "-client-configuration takes a file of properties, such as "
            "zookeeper.client.secure=true",
        ) from None  # fmt: skip
    return values


def _context(values: Mapping[str, str]) -> ssl.SSLContext:
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    verifies = values.get("zookeeper.ssl.hostnameVerification", "true").lower() != "false"
    context.check_hostname = verifies
    trusted = values.get("zookeeper.ssl.trustStore.location")
    if trusted:
        password = _password(values, "trustStore")
        context.load_verify_locations(cadata=_certificates(Path(trusted), password))
    else:
        context.load_default_certs()
    own = values.get("zookeeper.ssl.keyStore.location")
    if own:
        _load_own(context, Path(own), _password(values, "keyStore"))
    return context


def _password(values: Mapping[str, str], store: str) -> str:
    """The password of a store; one in a file wins, as in Apache's client."""
    path = values.get(f"zookeeper.ssl.{store}.passwordPath")
    if path:
        return Path(path).read_text("utf-8").strip()
    return values.get(f"zookeeper.ssl.{store}.password", "")


def _certificates(store: Path, password: str) -> str:
    """The certificates of a trust store as PEM."""
    data = _read(store)
    if data.startswith(b"-----") or b"\n-----BEGIN" in data:
        return data.decode("ascii", "replace")
    from cryptography.hazmat.primitives.serialization import Encoding, pkcs12

    found = pkcs12.load_pkcs12(data, password.encode() or None)
    all_certificates = [found.cert, *found.additional_certs]
    return "".join(
        one.certificate.public_bytes(Encoding.PEM).decode() for one in all_certificates if one
    )


def _load_own(context: ssl.SSLContext, store: Path, password: str) -> None:
    """Give the context our key and certificate."""
    data = _read(store)
    if data.startswith(b"-----") or b"\n-----BEGIN" in data:
        context.load_cert_chain(store, password=password or None)
        return
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        pkcs12,
    )

    key, certificate, others = pkcs12.load_key_and_certificates(data, password.encode() or None)
    if key is None or certificate is None:
        raise ValueError(f"{store} has no key with a certificate")
    parts = [key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())]
    parts += [one.public_bytes(Encoding.PEM) for one in (certificate, *others)]
    # ssl reads keys from files only: one that nobody else may read, for this moment.
    handle, name = tempfile.mkstemp()
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(b"".join(parts))
        context.load_cert_chain(name)
    finally:
        os.unlink(name)


def _read(store: Path) -> bytes:
    data = store.read_bytes()
    if data.startswith(b"\xfe\xed\xfe\xed"):
        raise ValueError(
            f"{store} is a JKS store, which only Java reads; convert it: {_KEYTOOL.format(store)}"
        )
    return data
