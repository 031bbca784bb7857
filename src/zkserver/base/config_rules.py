"""What must hold between the values of a configuration, and what follows from them.

A `Draft` holds the values as they were read; each rule looks at a few of them, refuses what
Apache ZooKeeper refuses (`ConfigError`, with the place of the key at fault), and changes what it
changes, with a warning where it does so. Two kinds of rule go further: a value with which
Apache's server starts and then cannot work (a tick of -5 ms, a frame limit of 0) is refused.

The rules about the members of an ensemble are in `config_members`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

from zkserver.base.auth_digest import ALGORITHMS
from zkserver.base.members import parse_role
from zkserver.base.properties import (
    COMMAND_LINE,
    ConfigError,
    ConfigWarning,
    Given,
    Place,
)
from zkserver.base.settings_security import AUDIT_LOGGER

MIN_SNAP_RETAIN_COUNT = 3
MIN_SNAP_COUNT = 2
MIN_EXTRASIZE_BYTES = 1024
DEFAULT_LARGE_REQUEST_MAX_BYTES = 104857600
MAX_INT = 2**31 - 1

FOUR_LETTER_WORDS = (
    "conf", "cons", "crst", "dirs", "dump", "envi", "gtmk", "hash", "isro", "mntr",
    "ruok", "srst", "srvr", "stat", "stmk", "wchc", "wchp", "wchs",
)

# Below these a server could not work; Java refuses most of them, some only at the first use.
REFUSED_BELOW = {
    "tickTime": 1,
    "jute.maxbuffer": 1,
    "zookeeper.nio.sessionlessCnxnTimeout": 1,
    "zookeeper.nio.numSelectorThreads": 1,
    "zookeeper.intBufferStartingSizeBytes": 32,
    "znode.container.checkIntervalMs": 1,
    "znode.container.maxPerMinute": 1,
}

METRICS_PACKAGE = "org.apache.zookeeper.metrics."
DEFAULT_PROVIDER = METRICS_PACKAGE + "impl.DefaultMetricsProvider"
PROMETHEUS_PROVIDER = METRICS_PACKAGE + "prometheus.PrometheusMetricsProvider"
METRICS_PROVIDERS = (
    DEFAULT_PROVIDER,
    METRICS_PACKAGE + "impl.NullMetricsProvider",
    PROMETHEUS_PROVIDER,
)


@dataclass(slots=True)
class Draft:
    """A configuration in the making.

    `values` are those of `Config`, by field. `given` is what was written, by `Setting.key`;
    `properties` are the Java properties as they would exist.
    """

    file_name: str
    values: dict[str, Any] = field(default_factory=dict)
    given: dict[str, Given] = field(default_factory=dict)
    properties: dict[str, str] = field(default_factory=dict)
    warnings: list[ConfigWarning] = field(default_factory=list)

    def refuse(self, key: str, problem: str) -> NoReturn:
        """Raise `ConfigError` about a key, at its place if it was given."""
        given = self.given.get(key)
        if given is None:
            raise ConfigError(Place(self.file_name), key, None, problem)
        raise ConfigError(given.place, given.key, given.value, problem)

    def warn(self, key: str, problem: str) -> None:
        """Warn about a key, at its place if it was given."""
        given = self.given.get(key)
        if given is None:
            self.warnings.append(ConfigWarning(Place(self.file_name), key, problem))
        else:
            about = f"{given.key} = {given.value}"
            self.warnings.append(ConfigWarning(given.place, about, problem))


def apply(draft: Draft) -> None:
    """Every rule, in order: later ones rely on what earlier ones have settled."""
    for rule in RULES:
        rule(draft)


def _data_folders(draft: Draft) -> None:
    values = draft.values
    if "dataDir" not in draft.given:
        draft.refuse("dataDir", "is not set; must name the folder of the data")
    for key, name in (("dataDir", "data_dir"), ("dataLogDir", "data_log_dir")):
        given = draft.given.get(key)
        if given is None:
            continue
        if not values[name]:
            draft.refuse(key, "must name a folder")
        is_clear = values[name].startswith(("/", "./")) or given.place.file_name == COMMAND_LINE
        if not is_clear:
            draft.warn(key, "is relative to the folder that the server is started in; begin it"
                       " with ./ if that is meant")
    values["data_log_dir"] = values["data_log_dir"] or values["data_dir"]


def _client_ports(draft: Draft) -> None:
    values = draft.values
    for port_key, port, address_key, address in (
        ("clientPort", "client_port", "clientPortAddress", "client_port_address"),
        ("secureClientPort", "secure_client_port", "secureClientPortAddress",
         "secure_client_port_address"),
    ):
        if address_key in draft.given:
            if values[port] is None:
                draft.refuse(address_key, f"must not be set unless {port_key} is")
            values[address] = bind_address(values[address])


def bind_address(host: str) -> str:
    """A host to bind to as `Config` has it: no brackets, "" for all addresses.

    No name at all is the loopback address, as in Java.
    """
    if not host:
        return "127.0.0.1"
    host = host.removeprefix("[").removesuffix("]")
    return "" if is_any_address(host) else host


def is_any_address(host: str) -> bool:
    """Whether that is the wildcard address, of IPv4 or IPv6."""
    return host == "0.0.0.0" or (":" in host and not host.strip("0:"))


def _session_timeouts(draft: Draft) -> None:
    values = draft.values
    tick_ms = values["tick_time_ms"]
    longest, shortest = "maxSessionTimeout", "minSessionTimeout"
    max_text = min_text = ""
    if values["min_session_timeout_ms"] == -1:
        values["min_session_timeout_ms"] = 2 * tick_ms
        min_text = " = 2 × tickTime"
    if values["max_session_timeout_ms"] == -1:
        values["max_session_timeout_ms"] = 20 * tick_ms
        max_text = " = 20 × tickTime"
    minimum, maximum = values["min_session_timeout_ms"], values["max_session_timeout_ms"]
    if maximum > MAX_INT:
        draft.refuse("tickTime", f"must be at most {MAX_INT // 20} unless {longest} is set")
    if minimum > maximum:
        if max_text:
            draft.refuse(shortest, f"must be at most {longest} ({maximum}{max_text})")
        draft.refuse(longest, f"must be at least {shortest} ({minimum}{min_text})")


def _autopurge(draft: Draft) -> None:
    if draft.values["autopurge_snap_retain_count"] < MIN_SNAP_RETAIN_COUNT:
        draft.warn("autopurge.snapRetainCount", f"is below {MIN_SNAP_RETAIN_COUNT}: "
                   f"{MIN_SNAP_RETAIN_COUNT} snapshots are kept")
        draft.values["autopurge_snap_retain_count"] = MIN_SNAP_RETAIN_COUNT


def _election(draft: Draft) -> None:
    values = draft.values
    if values["election_alg"] != 3:
        draft.refuse("electionAlg", "must be 3, the only algorithm there is")
    try:
        values["peer_type"] = str(parse_role(values["peer_type"]))
    except ValueError as error:
        draft.refuse("peerType", str(error))
    values["observer_master_port"] = max(values["observer_master_port"], 0)


def _quorum_sasl(draft: Draft) -> None:
    values = draft.values
    server, learner = "quorum.auth.serverRequireSasl", "quorum.auth.learnerRequireSasl"
    is_enabled = values["quorum_auth_enable_sasl"]
    for key, name in (
        (server, "quorum_auth_server_require_sasl"),
        (learner, "quorum_auth_learner_require_sasl"),
    ):
        if values[name] and not is_enabled:
            draft.refuse(key, "must be false unless quorum.auth.enableSasl is true")
    if values["quorum_auth_server_require_sasl"] and not values["quorum_auth_learner_require_sasl"]:
        draft.refuse(server, f"must be false unless {learner} is true")


def _metrics_provider(draft: Draft) -> None:
    name = draft.values["metrics_provider_class_name"]
    if name.startswith(METRICS_PACKAGE) and name not in METRICS_PROVIDERS:
        draft.refuse("metricsProvider.className", f"must be one of {', '.join(METRICS_PROVIDERS)}")
    elif name not in (DEFAULT_PROVIDER, PROMETHEUS_PROVIDER):
        draft.warn("metricsProvider.className", "is not supported; the default provider is used")


def _audit(draft: Draft) -> None:
    name = draft.values["audit_logger_class_name"]
    if draft.values["audit_enabled"] and name != AUDIT_LOGGER:
        draft.warn("zookeeper.audit.impl.class", f"{name} is not supported; {AUDIT_LOGGER} is used")


def _tls_provider(draft: Draft) -> None:
    """With a TLS port, the scheme that judges certificates has a provider."""
    if draft.values["secure_client_port"] is None:
        return
    scheme = draft.properties.get("zookeeper.ssl.authProvider", "x509")
    provider = f"zookeeper.authProvider.{scheme}"
    if scheme == "x509":
        draft.properties.setdefault(
            provider, "org.apache.zookeeper.server.auth.X509AuthenticationProvider"
        )
    elif provider not in draft.properties:
        draft.refuse("zookeeper.ssl.authProvider", f"must be x509, or authProvider.{scheme} be set")


def _storage(draft: Draft) -> None:
    values = draft.values
    if values["snap_count"] < MIN_SNAP_COUNT:
        draft.warn("zookeeper.snapCount", f"is below {MIN_SNAP_COUNT}: taken as {MIN_SNAP_COUNT}")
        values["snap_count"] = MIN_SNAP_COUNT
    method = values["snapshot_compression_method"].lower()
    if method not in ("", "gz", "snappy"):
        draft.warn("zookeeper.snapshot.compression.method",
                   "is neither gz nor snappy: snapshots are not compressed")
        method = ""
    values["snapshot_compression_method"] = method
    if values["max_write_queue_poll_time_ms"] is None:
        # Java divides towards zero.
        values["max_write_queue_poll_time_ms"] = int(values["flush_delay_ms"] / 3)


def _buffers(draft: Draft) -> None:
    values = draft.values
    if values["jute_maxbuffer_extrasize"] is None:
        values["jute_maxbuffer_extrasize"] = values["jute_maxbuffer"]
    elif values["jute_maxbuffer_extrasize"] < MIN_EXTRASIZE_BYTES:
        draft.warn("zookeeper.jute.maxbuffer.extrasize",
                   f"is below {MIN_EXTRASIZE_BYTES}: taken as {MIN_EXTRASIZE_BYTES}")
    values["jute_maxbuffer_extrasize"] = max(
        values["jute_maxbuffer_extrasize"], MIN_EXTRASIZE_BYTES
    )


def _limits(draft: Draft) -> None:
    values = draft.values
    if values["max_cnxns"] < 0:
        draft.warn("zookeeper.maxCnxns", "is below 0: taken as 0, no limit")
        values["max_cnxns"] = 0
    if values["large_request_max_bytes"] <= 0:
        default = DEFAULT_LARGE_REQUEST_MAX_BYTES
        draft.warn("zookeeper.largeRequestMaxBytes", f"is not above 0: taken as {default}")
        values["large_request_max_bytes"] = default
    threshold = values["large_request_threshold"]
    if threshold == 0 or threshold < -1:
        draft.warn("zookeeper.largeRequestThreshold",
                   "is neither above 0 nor -1: taken as -1, off")
        values["large_request_threshold"] = -1


def _connection_weights(draft: Draft) -> None:
    values = draft.values
    pattern = "connection_throttle_{}_session_weight"
    for kind, default in (("local", 1), ("global", 3), ("renew", 2)):
        name = pattern.format(kind)
        at_least = 1 if kind == "local" else values[pattern.format("local")]
        problem = ""
        if values[name] <= 0:
            problem = f"is not above 0: taken as {default}"
            values[name] = default
        elif values[name] < at_least:
            problem = f"is below that of a local session: taken as {at_least}"
            values[name] = at_least
        if problem:
            draft.warn(f"zookeeper.{name}", problem)


def _four_letter_words(draft: Draft) -> None:
    key = "zookeeper.4lw.commands.whitelist"
    words = dict.fromkeys(draft.values["four_letter_words_whitelist"])
    unknown = [word for word in words if word not in FOUR_LETTER_WORDS and word != "*"]
    if unknown:
        draft.warn(key, f"there is no four-letter word {', '.join(unknown)}")
    if draft.values["read_only_mode_enabled"]:
        words["isro"] = None
    words["srvr"] = None
    draft.values["four_letter_words_whitelist"] = ("*",) if "*" in words else tuple(words)


def _digest_algorithm(draft: Draft) -> None:
    name = draft.values["digest_algorithm"].upper()
    # Java takes SHA256 for SHA-256 as well.
    canonical = name if name in ALGORITHMS else name.replace("SHA", "SHA-", 1)
    if canonical not in ALGORITHMS:
        draft.refuse("zookeeper.DigestAuthenticationProvider.digestAlg",
                     f"must be one of {', '.join(ALGORITHMS)}")
    draft.values["digest_algorithm"] = canonical


def _enforced_authentication(draft: Draft) -> None:
    values = draft.values
    if draft.properties.get("zookeeper.sessionRequireClientSASLAuth", "").lower() == "true":
        values["enforce_auth_enabled"] = True
        values["enforce_auth_schemes"] = ("sasl",)
    elif values["enforce_auth_enabled"] and not values["enforce_auth_schemes"]:
        draft.refuse("zookeeper.enforce.auth.enabled",
                     "must be false unless enforce.auth.schemes names a scheme")


RULES: tuple[Callable[[Draft], None], ...] = (
    _data_folders,
    _client_ports,
    _session_timeouts,
    _autopurge,
    _election,
    _quorum_sasl,
    _metrics_provider,
    _audit,
    _tls_provider,
    _storage,
    _buffers,
    _limits,
    _connection_weights,
    _four_letter_words,
    _digest_algorithm,
    _enforced_authentication,
)
