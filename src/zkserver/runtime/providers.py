"""Authentication providers, those of other packages included.

A setting `authProvider.N=NAME` that names no provider of Apache's is looked up
among the entry points of the group `zkserver.auth_providers`; what it points to is
called without arguments and must give a `base.auth.Provider`.
"""

from __future__ import annotations

from zkserver.base.auth import ENTRY_POINT_GROUP, Provider, Providers
from zkserver.base.config import Config
from zkserver.base.errors import ExitCode, FatalError
from zkserver.runtime.logs import get_log

log = get_log("auth")


def load_providers(config: Config) -> Providers:
    """The registry that a configuration asks for. Raises FatalError if a provider is missing."""
    providers = Providers(
        digest_enabled=config.digest_provider_enabled,
        digest_algorithm=config.digest_algorithm,
        super_digest=config.super_digest,
        ensemble_names=config.ensemble_auth_name,
        x509_super_user=config.x509_super_user,
        java_classes=[name for _, name in config.auth_providers],
    )
    for name in providers.unknown_classes:
        if name.startswith("org.apache."):
            # Common in zoo.cfg files; its scheme is then unknown here.
            log.warn("authentication provider not built yet, left out", name=name)
            continue
        provider = _from_entry_point(name)
        providers.add(provider)
        log.info("authentication provider", name=name, scheme=provider.scheme)
    missing = [each for each in config.enforce_auth_schemes if providers.get(each) is None]
    if config.enforce_auth_enabled and missing:
        raise FatalError(
            ExitCode.UNEXPECTED_ERROR,
            f"zookeeper.enforce.auth.schemes names {', '.join(missing)}, but there is no "
            f"authentication provider of that scheme (there are: {', '.join(providers.schemes())})",
        )
    return providers


def _from_entry_point(name: str) -> Provider:
    # Slow to import, and most servers need none.
    from importlib.metadata import entry_points

    for point in entry_points(group=ENTRY_POINT_GROUP):
        if point.name == name:
            provider = point.load()()
            if isinstance(provider, Provider):
                return provider
            raise FatalError(
                ExitCode.UNEXPECTED_ERROR, f"authProvider {name}: {point.value} gives no Provider"
            )
    raise FatalError(
        ExitCode.UNEXPECTED_ERROR,
        f"authProvider {name}: no such provider; install a package that has an entry point of "
        f"this name in the group {ENTRY_POINT_GROUP}, or take the setting out",
    )
