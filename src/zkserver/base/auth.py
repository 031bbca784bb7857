"""Who a caller is and what an ACL lets them do.

A connection has a list of identities (`Id`): its address, and one or more for
each AuthPacket that a provider accepted. `Providers` knows the providers by
scheme; the functions here apply ACLs with their help.

* The schemes world, auth and super have no provider. `world:anyone` is everybody,
  "auth" is replaced by the caller's own identities when an ACL is stored, and
  whoever has an identity of the scheme super may do everything.
* An ACL entry of a scheme without a provider matches nobody.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from zkserver.base.acl import ANYONE, Acl, AclList, Id
from zkserver.base.auth_digest import DigestProvider, generate_digest
from zkserver.base.auth_ensemble import EnsembleProvider
from zkserver.base.auth_ip import IpProvider, java_address
from zkserver.base.auth_provider import ENTRY_POINT_GROUP, Provider, Verdict
from zkserver.base.auth_x509 import X509Provider
from zkserver.base.errors import ClientError, ErrorCode

_JAVA_PACKAGE = "org.apache.zookeeper.server.auth."

# Java's dot stops at these line ends, so its masking does.
_mask = re.compile(":[^\n\r\u0085\u2028\u2029]*").sub


class Providers:
    """The authentication providers by scheme.

    digest (unless it is disabled) and ip are always there. `java_classes` are the
    values of the settings `authProvider.*`; those that stand for a provider known
    here add it, the others are listed in `unknown_classes`. Raises FatalError for
    a digest algorithm that is not available.
    """

    def __init__(
        self,
        *,
        digest_enabled: bool = True,
        digest_algorithm: str = "SHA1",
        super_digest: str | None = None,
        ensemble_names: str | None = None,
        x509_super_user: str | None = None,
        java_classes: Iterable[str] = (),
    ) -> None:
        digest = DigestProvider(digest_algorithm, super_digest)
        address = IpProvider()
        by_class: dict[str, Provider] = {
            _JAVA_PACKAGE + "DigestAuthenticationProvider": digest,
            _JAVA_PACKAGE + "IPAuthenticationProvider": address,
            _JAVA_PACKAGE + "EnsembleAuthenticationProvider": EnsembleProvider(ensemble_names),
            _JAVA_PACKAGE + "X509AuthenticationProvider": X509Provider(x509_super_user),
        }
        self._providers: dict[str | None, Provider] = {address.scheme: address}
        self.unknown_classes: list[str] = []
        if digest_enabled:
            self.add(digest)
        for name in java_classes:
            provider = by_class.get(name)
            if provider is None:
                self.unknown_classes.append(name)
            else:
                self.add(provider)

    def add(self, provider: Provider) -> None:
        """Let `provider` serve its scheme, in place of any other."""
        self._providers[provider.scheme] = provider

    def get(self, scheme: str | None) -> Provider | None:
        """The provider of a scheme; None if there is none."""
        return self._providers.get(scheme)

    def schemes(self) -> list[str]:
        """The schemes that have a provider."""
        return [provider.scheme for provider in self._providers.values()]

    def authenticate(
        self, scheme: str | None, token: bytes | None, remote_address: str
    ) -> Verdict:
        """Judge an AuthPacket: OK and the identities to add, or AUTHFAILED and none.

        Raises LinkError when the connection is to be closed without an answer.
        """
        provider = self._providers.get(scheme)
        if provider is None:
            return ErrorCode.AUTHFAILED, []
        try:
            code, ids = provider.authenticate(token, remote_address)
        except ValueError:
            return ErrorCode.AUTHFAILED, []
        return (code, ids) if code == ErrorCode.OK else (ErrorCode.AUTHFAILED, [])


def check_acl(
    acl: AclList, perm: int, ids: Sequence[Id], providers: Providers, skip_acl: bool = False
) -> bool:
    """Whether `acl` grants any permission in the bits `perm` to a caller of these identities."""
    if skip_acl or not acl:
        return True
    if any(caller.scheme == "super" for caller in ids):
        return True
    for perms, who in acl:
        if perms & perm and (who == ANYONE or _is_among(who, ids, providers)):
            return True
    return False


def _is_among(who: Id, ids: Sequence[Id], providers: Providers) -> bool:
    provider = providers.get(who.scheme)
    if provider is None or who.id is None:
        return False
    return any(
        caller.scheme == who.scheme
        and caller.id is not None
        and provider.matches(caller.id, who.id)
        for caller in ids
    )


def fix_up_acl(acl: AclList, ids: Sequence[Id], providers: Providers) -> AclList:
    """The ACL that a znode gets when a caller of these identities asks for `acl`.

    Doubles are dropped first, then each entry of the scheme "auth" becomes one per
    authenticated identity (these may double again, as in Java). Raises ClientError:
    INVALIDACL for an empty list, an unknown scheme, an id that its provider
    refuses, or "auth" without such an identity; MARSHALLINGERROR for a null id.
    """
    if not acl:
        raise ClientError(ErrorCode.INVALIDACL)
    fixed: list[Acl] = []
    for entry in dict.fromkeys(acl):
        perms, who = entry
        if who == ANYONE:
            fixed.append(entry)
        elif who.scheme == "auth":
            own = [Acl(perms, caller) for caller in ids if _names_owner(caller, providers)]
            if not own:
                raise ClientError(ErrorCode.INVALIDACL)
            fixed += own
        else:
            _check_id(who, providers)
            fixed.append(entry)
    return tuple(fixed)


def _names_owner(caller: Id, providers: Providers) -> bool:
    provider = providers.get(caller.scheme)
    return provider is not None and provider.is_authenticated


def _check_id(who: Id, providers: Providers) -> None:
    provider = providers.get(who.scheme)
    if provider is None and who != Id("world", None):
        raise ClientError(ErrorCode.INVALIDACL)
    if who.id is None:
        # Java trips over the null and reports a request that it could not read.
        raise ClientError(ErrorCode.MARSHALLINGERROR)
    if provider is None or not provider.is_valid(who.id):
        raise ClientError(ErrorCode.INVALIDACL)


def masked(acl: AclList) -> AclList:
    """`acl` as one sees it who may read but not administer: without password hashes."""
    return tuple(
        Acl(perms, Id(who.scheme, _mask(":x", who.id)))
        if who.scheme == "digest" and who.id is not None
        else Acl(perms, who)
        for perms, who in acl
    )


def client_infos(ids: Sequence[Id], providers: Providers) -> list[tuple[str, str]]:
    """(scheme, user) for each identity, as whoAmI answers them."""
    return [(caller.scheme or "", _user_name(caller, providers)) for caller in ids]


def _user_name(caller: Id, providers: Providers) -> str:
    provider = providers.get(caller.scheme)
    if provider is None or caller.id is None:
        return ""
    return provider.user_name(caller.id) or ""


__all__ = [
    "ENTRY_POINT_GROUP",
    "DigestProvider",
    "EnsembleProvider",
    "IpProvider",
    "Provider",
    "Providers",
    "Verdict",
    "check_acl",
    "client_infos",
    "fix_up_acl",
    "generate_digest",
    "java_address",
    "masked",
]
