"""Authentication providers, and what ACLs let their identities do.

The hash of a:b and the verdicts on ids are those of Apache ZooKeeper 3.9.5.
"""

from __future__ import annotations

import pytest

from zkserver.base import auth
from zkserver.base.acl import ADMIN, ALL, ANYONE, OPEN_ACL, READ, WRITE, Acl, Id
from zkserver.base.auth import Provider, Providers, Verdict
from zkserver.base.errors import ClientError, ErrorCode, FatalError, LinkError

A_B = "a:3OptnM09ILoVSfbZtd3mB0IViII="
ENSEMBLE_CLASS = "org.apache.zookeeper.server.auth.EnsembleAuthenticationProvider"

HERE = Id("ip", "127.0.0.1")
ALICE = Id("digest", A_B)


@pytest.fixture
def providers() -> Providers:
    return Providers()


class TeamProvider(Provider):
    """A provider as somebody else could write it."""

    scheme = "team"

    def authenticate(self, token: bytes | None, remote_address: str) -> Verdict:
        team, number = (token or b"").decode().split("=")
        if team != "team" or not remote_address:
            return ErrorCode.BADARGUMENTS, []
        return ErrorCode.OK, [Id(self.scheme, str(int(number)))]

    def is_valid(self, expression: str) -> bool:
        return expression.isdigit()

    def matches(self, caller_id: str, expression: str) -> bool:
        return int(caller_id) >= int(expression)


# digest


def test_digest_identity(providers: Providers) -> None:
    assert providers.authenticate("digest", b"a:b", "") == (ErrorCode.OK, [ALICE])


@pytest.mark.parametrize(
    ("token", "identity"),
    [
        (b"nocolon", "nocolon:Ra+cHr2ZoHvBjtNArFGNGlVie4g="),
        (b"", ":2jmj7l5rSw0yVb/vlWAYkK/YBwk="),
    ],
)
def test_digest_of_odd_tokens(providers: Providers, token: bytes, identity: str) -> None:
    assert providers.authenticate("digest", token, "") == (
        ErrorCode.OK,
        [Id("digest", identity)],
    )


def test_digest_hashes_the_whole_token_and_shows_the_first_part(providers: Providers) -> None:
    _, ids = providers.authenticate("digest", b"a:b:c", "")
    assert (ids[0].id or "").startswith("a:")
    assert ids != providers.authenticate("digest", b"a:b", "")[1]


def test_digest_replaces_bad_utf8(providers: Providers) -> None:
    _, ids = providers.authenticate("digest", b"\xff\xfe:x", "")
    assert auth.client_infos(ids, providers) == [("digest", "\ufffd\ufffd")]


def test_digest_of_null_fails(providers: Providers) -> None:
    assert providers.authenticate("digest", None, "") == (ErrorCode.AUTHFAILED, [])


def test_super_digest_makes_a_superuser() -> None:
    providers = Providers(super_digest=auth.generate_digest("super:secret"))
    _, ids = providers.authenticate("digest", b"super:secret", "")
    assert ids[0] == Id("super", "")
    assert ids[1].scheme == "digest"
    _, ids = providers.authenticate("digest", b"super:guess", "")
    assert [one.scheme for one in ids] == ["digest"]


@pytest.mark.parametrize(
    ("algorithm", "identity"),
    [
        ("SHA-256", "a:Z4OjHqv2jMwGYPk1wIJigr3SJB86gKny0Q1Zrqnrtdg="),
        ("sha-1", A_B),
        ("md5", "a:2BYMmz3CDU6TGutPRSYhVQ=="),
    ],
)
def test_other_digest_algorithm(algorithm: str, identity: str) -> None:
    providers = Providers(digest_algorithm=algorithm)
    _, ids = providers.authenticate("digest", b"a:b", "")
    assert ids == [Id("digest", identity)]


def test_unknown_digest_algorithm_stops_the_start() -> None:
    with pytest.raises(FatalError, match="digestAlg=ROT13"):
        Providers(digest_algorithm="ROT13")


def test_digest_can_be_disabled() -> None:
    providers = Providers(digest_enabled=False)
    assert providers.authenticate("digest", b"a:b", "") == (ErrorCode.AUTHFAILED, [])
    assert not auth.check_acl((Acl(ALL, ALICE),), READ, [ALICE], providers)


# ip


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "0:0:0:0:0:0:0:1"),
        ("2001:db8::A:0", "2001:db8:0:0:0:0:a:0"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("fe80::1%eth0", "fe80:0:0:0:0:0:0:1"),
        ("", ""),
    ],
)
def test_ip_identity_is_written_as_java_does(
    providers: Providers, address: str, shown: str
) -> None:
    assert providers.authenticate("ip", None, address) == (ErrorCode.OK, [Id("ip", shown)])


@pytest.mark.parametrize(
    ("caller", "expression", "expected"),
    [
        ("10.1.2.3", "10.1.2.3", True),
        ("10.1.2.3", "10.1.2.4", False),
        ("10.1.2.3", "10.1.0.0/16", True),
        ("10.2.2.3", "10.1.0.0/16", False),
        ("10.1.2.3", "10.1.2.0/31", False),
        ("10.1.2.3", "10.1.2.2/31", True),
        ("10.1.2.3", "0.0.0.0/0", True),
        ("10.1.2.3", "::/0", False),
        ("0:0:0:0:0:0:0:1", "::1", True),
        ("2001:db8:0:0:0:0:a:0", "2001:DB8::/32", True),
        ("2001:db9:0:0:0:0:a:0", "2001:db8::/32", False),
        ("2001:db9:0:0:0:0:a:0", "2001:db8::/31", True),
        ("0:0:0:0:0:0:0:1", "0.0.0.1", False),
        ("", "0.0.0.0/0", False),
        ("10.1.2.3", "nonsense", False),
    ],
)
def test_ip_networks(
    providers: Providers, caller: str, expression: str, expected: bool
) -> None:
    acl = (Acl(READ, Id("ip", expression)),)
    assert auth.check_acl(acl, READ, [Id("ip", caller)], providers) is expected


# ensemble


def test_ensemble_must_be_asked_for() -> None:
    assert Providers().authenticate("ensemble", b"x", "") == (ErrorCode.AUTHFAILED, [])
    providers = Providers(java_classes=[ENSEMBLE_CLASS, "com.example.Other"])
    assert providers.authenticate("ensemble", b"x", "") == (ErrorCode.OK, [])
    assert providers.unknown_classes == ["com.example.Other"]


def test_ensemble_turns_strangers_away_without_an_answer() -> None:
    providers = Providers(ensemble_names="east, west", java_classes=[ENSEMBLE_CLASS])
    for token in (b"east", b"west", b"", None):
        assert providers.authenticate("ensemble", token, "10.0.0.1") == (ErrorCode.OK, [])
    with pytest.raises(LinkError, match=r"10\.0\.0\.1 asked for the ensemble 'north'"):
        providers.authenticate("ensemble", b"north", "10.0.0.1")


# the registry


@pytest.mark.parametrize("scheme", ["world", "auth", "super", "sasl", "", None])
def test_schemes_that_nobody_can_authenticate_with(
    providers: Providers, scheme: str | None
) -> None:
    assert providers.get(scheme) is None
    assert providers.authenticate(scheme, b"", "") == (ErrorCode.AUTHFAILED, [])


def test_provider_of_somebody_else(providers: Providers) -> None:
    providers.add(TeamProvider())
    assert providers.schemes() == ["ip", "digest", "team"]
    code, ids = providers.authenticate("team", b"team=7", "10.0.0.1")
    assert code is ErrorCode.OK
    acl = auth.fix_up_acl((Acl(READ, Id("team", "5")),), ids, providers)
    assert auth.check_acl(acl, READ, ids, providers)
    assert auth.client_infos(ids, providers) == [("team", "7")]


@pytest.mark.parametrize("token", [b"red=1", b"team=x", b"team", b"\xff", None])
def test_provider_that_refuses_or_stumbles(providers: Providers, token: bytes | None) -> None:
    providers.add(TeamProvider())
    assert providers.authenticate("team", token, "10.0.0.1") == (ErrorCode.AUTHFAILED, [])


# check_acl


def test_permission_bits(providers: Providers) -> None:
    acl = (Acl(READ, ANYONE), Acl(WRITE, ALICE))
    assert auth.check_acl(acl, READ, [], providers)
    assert auth.check_acl(acl, READ | ADMIN, [], providers)
    assert not auth.check_acl(acl, WRITE, [HERE], providers)
    assert auth.check_acl(acl, WRITE, [HERE, ALICE], providers)
    assert not auth.check_acl(acl, ADMIN, [HERE, ALICE], providers)


def test_what_passes_every_check(providers: Providers) -> None:
    closed = (Acl(ALL, Id("digest", "x:y")),)
    assert not auth.check_acl(closed, READ, [HERE], providers)
    assert auth.check_acl(closed, READ, [HERE], providers, skip_acl=True)
    assert auth.check_acl((), READ, [HERE], providers)
    assert auth.check_acl(closed, READ, [HERE, Id("super", "")], providers)


def test_identity_of_another_scheme_does_not_match(providers: Providers) -> None:
    acl = (Acl(ALL, Id("digest", "127.0.0.1")), Acl(ALL, Id("nobody", "127.0.0.1")))
    assert not auth.check_acl(acl, READ, [HERE, Id("nobody", "127.0.0.1")], providers)


def test_null_id_in_a_stored_acl_matches_nobody(providers: Providers) -> None:
    acl = (Acl(ALL, Id("ip", None)), Acl(ALL, Id(None, None)))
    assert not auth.check_acl(acl, READ, [HERE], providers)


# fix_up_acl


@pytest.mark.parametrize(
    ("scheme", "name"),
    [
        ("digest", ":b"),
        ("digest", "a:b:"),
        ("ip", "+1.2.3.4/+3"),
        ("ip", "10.0.0.0/8"),
        ("ip", "::1/128"),
        ("ip", "-1::"),
        ("ip", "1:2:3:4:5:6:7::"),
        ("ip", "1:2:3:4:5:6::8"),
    ],
)
def test_ids_that_java_accepts(providers: Providers, scheme: str, name: str) -> None:
    acl = (Acl(ALL, Id(scheme, name)),)
    assert auth.fix_up_acl(acl, [], providers) == acl


@pytest.mark.parametrize(
    ("scheme", "name"),
    [
        ("world", "other"),
        (None, "x"),
        (None, None),
        ("nope", None),
        ("auth", ""),
        ("super", ""),
        ("sasl", "x"),
        ("ensemble", "x"),
        ("digest", "a:"),
        ("digest", ":"),
        ("digest", "a"),
        ("digest", "a:b:c"),
        ("ip", "localhost"),
        ("ip", ""),
        ("ip", "1.2.3"),
        ("ip", "1.2.3.256"),
        ("ip", "1.2.3. 4"),
        ("ip", "1.2.3.4/"),
        ("ip", "1.2.3.4/33"),
        ("ip", "1.2.3.4/-1"),
        ("ip", "1::2::3"),
        ("ip", "1:2:3:4:5:6:7"),
        ("ip", "1:2:3:4:5:6:7::8"),
        ("ip", "12345::"),
        ("ip", "::g"),
        ("ip", "1.2.3." + "9" * 5000),
    ],
)
def test_ids_that_java_refuses(
    providers: Providers, scheme: str | None, name: str | None
) -> None:
    with pytest.raises(ClientError) as caught:
        auth.fix_up_acl((Acl(ALL, Id(scheme, name)),), [HERE], providers)
    assert caught.value.code is ErrorCode.INVALIDACL


@pytest.mark.parametrize("scheme", ["world", "digest", "ip"])
def test_null_id_is_an_unreadable_request(providers: Providers, scheme: str) -> None:
    with pytest.raises(ClientError) as caught:
        auth.fix_up_acl((Acl(ALL, Id(scheme, None)),), [], providers)
    assert caught.value.code is ErrorCode.MARSHALLINGERROR


def test_empty_acl(providers: Providers) -> None:
    with pytest.raises(ClientError) as caught:
        auth.fix_up_acl((), [ALICE], providers)
    assert caught.value.code is ErrorCode.INVALIDACL


def test_auth_stands_for_all_own_identities_but_the_address(providers: Providers) -> None:
    bob = Id("digest", "bob:x")
    acl = (Acl(READ, Id("auth", None)), Acl(ALL, ALICE))
    fixed = auth.fix_up_acl(acl, [HERE, ALICE, bob, Id("super", "")], providers)
    assert fixed == (Acl(READ, ALICE), Acl(READ, bob), Acl(ALL, ALICE))


def test_doubles_are_dropped_before_auth_is_expanded(providers: Providers) -> None:
    acl = (Acl(ALL, Id("auth", "")), Acl(ALL, ALICE), Acl(ALL, ALICE), *OPEN_ACL, *OPEN_ACL)
    fixed = auth.fix_up_acl(acl, [ALICE], providers)
    assert fixed == (Acl(ALL, ALICE), Acl(ALL, ALICE), *OPEN_ACL)


# what is shown


def test_masked_hides_hashes() -> None:
    acl = (
        Acl(ALL, Id("digest", "user:hash:more")),
        Acl(ALL, Id("digest", "a\u0085:b\nc\rd")),
        Acl(READ, Id("digest", "plain")),
        Acl(READ, Id("ip", "::1")),
        *OPEN_ACL,
    )
    assert [entry.id.id for entry in auth.masked(acl)] == [
        "user:x",
        "a\u0085:x\nc\rd",
        "plain",
        "::1",
        "anyone",
    ]
    assert [entry.perms for entry in auth.masked(acl)] == [ALL, ALL, READ, READ, ALL]


def test_who_am_i(providers: Providers) -> None:
    ids = [HERE, ALICE, Id("super", ""), Id("gone", "x")]
    assert auth.client_infos(ids, providers) == [
        ("ip", "127.0.0.1"),
        ("digest", "a"),
        ("super", ""),
        ("gone", ""),
    ]
