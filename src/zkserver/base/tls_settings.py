"""`TlsSettings`: the settings of one kind of TLS connection, read from the Java properties.

There are two families: `zookeeper.ssl.` for clients, `zookeeper.ssl.quorum.` for the ports between
servers and for the admin server. What is no setting of the table (`settings_security`) is not read.

Left out: the files that the settings name; `runtime.tls` reads those.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from zkserver.base import settings
from zkserver.base.settings_values import Value, read

CLIENT_PREFIX = "zookeeper.ssl."
QUORUM_PREFIX = "zookeeper.ssl.quorum."

STORE_TYPES = ("JKS", "PEM", "PKCS12", "BCFKS")
_TYPES_BY_ENDING = {".jks": "JKS", ".pem": "PEM", ".p12": "PKCS12", ".pfx": "PKCS12",
                    ".bcfks": "BCFKS"}


class TlsSettingsError(Exception):
    """TLS settings that cannot be carried out; the message names the property."""


@dataclass(frozen=True, slots=True)
class Store:
    """A key store or a trust store. `name` is the property that says where it is."""

    name: str
    location: str
    type_name: str
    password: str | None = field(repr=False)
    password_path: str | None

    @property
    def type(self) -> str:
        """One of STORE_TYPES, by the setting or by the file's ending."""
        if self.type_name:
            if self.type_name.upper() not in STORE_TYPES:
                key = self.name.replace(".location", ".type")
                known = ", ".join(STORE_TYPES)
                raise TlsSettingsError(f"{key}={self.type_name}: known are {known}")
            return self.type_name.upper()
        for ending, type_name in _TYPES_BY_ENDING.items():
            if self.location.endswith(ending):
                return type_name
        raise TlsSettingsError(
            f"{self.name}={self.location}: the name does not end in {', '.join(_TYPES_BY_ENDING)}; "
            f"set {self.name.replace('.location', '.type')}"
        )


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """What is set under `prefix`. Without a store its field is None."""

    prefix: str
    protocol: str | None
    enabled_protocols: tuple[str, ...]
    cipher_suites: tuple[str, ...]
    key_store: Store | None
    trust_store: Store | None

    @classmethod
    def of(cls, properties: Mapping[str, str], prefix: str) -> TlsSettings:
        """Read the family of settings under `prefix`."""

        def value(suffix: str) -> Value:
            setting = settings.find_property(prefix + suffix)
            text = properties.get(prefix + suffix)
            if setting is None or text is None:
                return None
            return read(setting, text)[0]

        def text(suffix: str) -> str | None:
            found = value(suffix)
            return found if isinstance(found, str) and found else None

        def words(suffix: str) -> tuple[str, ...]:
            found = value(suffix)
            return found if isinstance(found, tuple) else ()

        def store(kind: str) -> Store | None:
            location = text(f"{kind}.location")
            if location is None:
                return None
            return Store(
                f"{prefix}{kind}.location",
                location,
                text(f"{kind}.type") or "",
                text(f"{kind}.password"),
                text(f"{kind}.passwordPath"),
            )

        return cls(
            prefix,
            text("protocol"),
            words("enabledProtocols"),
            words("ciphersuites"),
            store("keyStore"),
            store("trustStore"),
        )
