"""Who a caller is, by header, address and certificate; and the rate of one turn in an interval."""

from __future__ import annotations

import pytest

from zkserver.admin.access import Caller, client_address, identities
from zkserver.admin.rate import RateLimiter
from zkserver.base.acl import Id
from zkserver.base.auth import Providers
from zkserver.base.auth_digest import generate_digest
from zkserver.base.auth_x509 import X509Provider

JAVA = "org.apache.zookeeper.server.auth."
SUPER = generate_digest("super:secret")
PROVIDERS = Providers(
    super_digest=SUPER,
    ensemble_names="mine",
    x509_super_user="CN=boss",
    java_classes=[JAVA + "X509AuthenticationProvider", JAVA + "EnsembleAuthenticationProvider"],
)


@pytest.mark.parametrize(
    ("authorization", "ids"),
    [
        ("digest a:b", [Id("digest", generate_digest("a:b"))]),
        ("digest a", [Id("digest", generate_digest("a"))]),
        ("digest super:secret", [Id("super", ""), Id("digest", SUPER)]),
        ("digest ü:ä", [Id("digest", generate_digest("ü:ä"))]),
        ("ip", [Id("ip", "10.0.0.7")]),
        ("ip 1.2.3.4", [Id("ip", "10.0.0.7")]),
        ("x509", [Id("x509", "CN=me")]),
        ("", []), ("digest", []), ("Digest a:b", []), ("digest  a:b", []), ("digest a:b c", []),
        ("world anyone", []), ("sasl x", []), ("super x", []), ("auth", []), ("ensemble mine", []),
        ("ensemble other", []), (" digest a:b", []),
        # Bytes that are no UTF-8, as aiohttp hands them over.
        ("digest \udcff:a", [Id("digest", generate_digest("\ufffd:a"))]), ("\udcff x", []),
    ],
)
def test_identities(authorization: str, ids: list[Id]) -> None:
    assert identities(Caller(authorization, "10.0.0.7", "CN=me"), PROVIDERS) == ids


def test_certificates() -> None:
    assert identities(Caller("x509", "10.0.0.7"), PROVIDERS) == []
    boss = identities(Caller("x509", "10.0.0.7", "CN=boss"), PROVIDERS)
    assert [each.scheme for each in boss] == ["super", "x509"]
    # Without the setting authProvider.* there is no such scheme, as in Java.
    assert identities(Caller("x509", "10.0.0.7", "CN=me"), Providers()) == []
    provider = X509Provider()
    assert provider.is_valid("CN=a,O=b")
    assert not provider.is_valid("nobody")
    assert provider.matches("CN=a", "CN=a")
    assert not provider.matches("CN=a", "CN=A")
    assert PROVIDERS.authenticate("x509", b"CN=me", "10.0.0.7")[1] == []


@pytest.mark.parametrize(
    ("header", "trusts", "address"),
    [
        (None, True, "9.9.9.9"), ("1.1.1.1, 2.2.2.2", False, "9.9.9.9"),
        ("1.1.1.1, 2.2.2.2", True, "1.1.1.1"), (" 1.1.1.1 ", True, "1.1.1.1"), ("", True, "9.9.9.9"),
        (",", True, "9.9.9.9"), (",2.2.2.2", True, "2.2.2.2"),
    ],
)
def test_the_first_address_that_was_forwarded(
    header: str | None, trusts: bool, address: str
) -> None:
    assert client_address("9.9.9.9", header, trusts_it=trusts) == address


def test_the_rate() -> None:
    now = [5.0]
    rate = RateLimiter(100, lambda: now[0])
    assert [rate.allow(), rate.allow()] == [True, False]
    now[0] += 99
    assert not rate.allow()
    now[0] += 1
    assert [rate.allow(), rate.allow()] == [True, False]
    free = RateLimiter(0, lambda: now[0])
    assert [free.allow(), free.allow()] == [True, True]
