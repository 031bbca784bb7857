"""The configuration of a server: text in, one frozen `Config` out.

`load` takes what somebody wrote, the text of zoo.cfg, -D properties and arguments of the command
line, and gives the `Config` with a list of warnings, or raises `ConfigError` naming file, line,
key, value and what is allowed. It reads no file itself: `read_text` does, for myid and for the
dynamic file.

What wins, as in Java: a key that ZooKeeper names is read from the file alone; any other key K of
the file sets the property zookeeper.K, over a -D of that name. `settings.SETTINGS` lists them all.
Arguments, which Java does not have, win over the file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from zkserver.base import config_members, config_rules, settings
from zkserver.base.config_members import ReadText
from zkserver.base.config_rules import REFUSED_BELOW, Draft
from zkserver.base.members import VERSION, Membership, is_membership_key
from zkserver.base.properties import (
    COMMAND_LINE,
    ConfigError,
    ConfigWarning,
    Given,
    Place,
    parse,
    trim,
)
from zkserver.base.settings_ensemble import CLIENT_GROUP, ENSEMBLE_GROUPS
from zkserver.base.settings_values import Kind, Setting, Value, read

__all__ = [
    "Config",
    "ConfigError",
    "ConfigSource",
    "Warning",
    "defaults",
    "jvm_flags",
    "load",
    "parse_define",
]

Warning = ConfigWarning  # noqa: A001

PREFIX = "zookeeper."
_AUTH_PROVIDER = "zookeeper.authProvider."
_METRICS = "metricsProvider."


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Every setting that this server reads; `settings.SETTINGS` tells what each means.

    Times and sizes carry their unit in their name. What Java leaves to be worked out (session
    timeouts, the log's folder, ...) is worked out. `client_port` is None where there is none and
    0 for any free one; an address of "" stands for all of them.
    """

    # Basics
    data_dir: str
    data_log_dir: str
    client_port: int | None
    client_port_address: str
    client_port_listen_backlog: int
    tick_time_ms: int
    min_session_timeout_ms: int
    max_session_timeout_ms: int
    max_client_cnxns: int
    autopurge_snap_retain_count: int
    autopurge_purge_interval_hours: int
    # Log and snapshots
    snap_count: int
    snap_size_limit_kb: int
    txn_log_size_limit_kb: int
    pre_alloc_size_kb: int
    force_sync: bool
    fsync_warning_threshold_ms: int
    flush_delay_ms: int
    max_write_queue_poll_time_ms: int
    max_batch_size: int
    datadir_autocreate: bool
    db_autocreate: bool
    snapshot_trust_empty: bool
    snapshot_compression_method: str
    digest_enabled: bool
    close_session_txn_enabled: bool
    serialize_last_processed_zxid_enabled: bool
    # Requests
    global_outstanding_limit: int
    large_request_max_bytes: int
    large_request_threshold: int
    request_throttle_max_requests: int
    request_throttle_stall_time_ms: int
    request_throttle_drop_stale: bool
    request_stale_latency_check: bool
    request_stale_connection_check: bool
    throttled_op_wait_time_ms: int
    jute_maxbuffer: int
    jute_maxbuffer_extrasize: int
    # Connections
    max_cnxns: int
    sessionless_timeout_ms: int
    client_tcp_keep_alive: bool
    four_letter_words_whitelist: tuple[str, ...]
    connection_throttle_tokens: int
    connection_throttle_fill_time_ms: int
    connection_throttle_fill_count: int
    connection_throttle_freeze_time_ms: int
    connection_throttle_drop_increase: float
    connection_throttle_drop_decrease: float
    connection_throttle_decrease_ratio: float
    connection_throttle_weight_enabled: bool
    connection_throttle_global_session_weight: int
    connection_throttle_local_session_weight: int
    connection_throttle_renew_session_weight: int
    # Znodes
    extended_types_enabled: bool
    emulate_353_ttl_nodes: bool
    enforce_quota: bool
    container_check_interval_ms: int
    container_max_per_minute: int
    container_max_never_used_interval_ms: int
    # Access
    skip_acl: bool
    enable_eager_acl_check: bool
    auth_providers: tuple[tuple[str, str], ...]
    digest_provider_enabled: bool
    digest_algorithm: str
    super_digest: str | None = field(repr=False)
    ensemble_auth_name: str | None
    x509_super_user: str | None
    enforce_auth_enabled: bool
    enforce_auth_schemes: tuple[str, ...]
    # Ensemble
    server_id: int | None
    membership: Membership
    last_seen_membership: Membership | None
    is_distributed: bool
    dynamic_config_file: str | None
    standalone_enabled: bool
    reconfig_enabled: bool
    peer_type: str
    init_limit_ticks: int
    sync_limit_ticks: int
    connect_to_learner_master_limit_ticks: int
    election_alg: int
    quorum_listen_on_all_ips: bool
    multi_address_enabled: bool
    multi_address_reachability_check_enabled: bool
    multi_address_reachability_check_timeout_ms: int
    oracle_path: str | None
    local_sessions_enabled: bool
    local_sessions_upgrading_enabled: bool
    read_only_mode_enabled: bool
    leader_serves: bool
    leader_max_time_to_wait_for_epoch_ms: int
    leader_no_delay: bool
    follower_no_delay: bool
    tcp_keep_alive: bool
    quorum_cnxn_timeout_ms: int
    observer_master_port: int
    sync_enabled: bool
    observer_sync_enabled: bool | None
    observer_reconnect_delay_ms: int
    observer_master_size_limit_bytes: int
    observer_election_delay_ms: int
    leader_connect_delay_during_retry_ms: int
    commit_log_count: int
    snapshot_size_factor: float
    force_snapshot_sync: bool
    max_concurrent_snap_syncs: int
    max_concurrent_diff_syncs: int
    cnx_timeout_ms: int
    election_port_bind_retry: int
    min_notification_interval_ms: int
    max_notification_interval_ms: int
    # Admin server
    admin_enable_server: bool
    admin_server_address: str
    admin_server_port: int
    admin_idle_timeout_ms: int
    admin_command_url: str
    admin_port_unification: bool
    admin_force_https: bool
    admin_need_client_auth: bool
    admin_rate_limiter_interval_ms: int
    admin_snapshot_enabled: bool
    admin_restore_enabled: bool
    use_x_forwarded_for: bool
    # Security
    secure_client_port: int | None
    secure_client_port_address: str
    ssl_quorum: bool
    port_unification: bool
    ssl_quorum_reload_cert_files: bool
    quorum_auth_enable_sasl: bool
    quorum_auth_learner_require_sasl: bool
    quorum_auth_server_require_sasl: bool
    quorum_auth_learner_sasl_login_context: str
    quorum_auth_server_sasl_login_context: str
    quorum_auth_kerberos_service_principal: str
    quorum_cnxn_threads_size: int
    # Others
    audit_enabled: bool
    audit_logger_class_name: str
    metrics_provider_class_name: str
    metrics_provider_configuration: tuple[tuple[str, str], ...]
    jvm_pause_monitor: bool
    jvm_pause_info_threshold_ms: int
    jvm_pause_warn_threshold_ms: int
    jvm_pause_sleep_time_ms: int
    # The configuration file as it was read.
    text: str = field(repr=False, hash=False, compare=False)
    # Every Java property as it would exist, those of -D and those that the file sets.
    properties: Mapping[str, str] = field(repr=False, hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigSource:
    """What somebody wrote.

    * `file_name`, `text`: the configuration file, decoded as ISO-8859-1; None for none.
    * `properties`: Java properties by their full names, as -D gives them.
    * `arguments`: named keys (dataDir, clientPort, ...) given otherwise; they win.
    * `read_text`: the text of another file, None if there is none.
    """

    file_name: str | None = None
    text: str = ""
    properties: Mapping[str, str] = field(default_factory=dict)
    arguments: Mapping[str, str] = field(default_factory=dict)
    read_text: ReadText = lambda _path: None


def load(source: ConfigSource) -> tuple[Config, list[Warning]]:
    """The configuration, and what to tell the one who wrote it. Raises `ConfigError`."""
    draft = Draft(source.file_name or COMMAND_LINE)
    try:
        _fill(draft, source)
    except ConfigError as error:
        error.warnings = tuple(_sorted_warnings(draft))
        raise
    return Config(**draft.values), _sorted_warnings(draft)


def _fill(draft: Draft, source: ConfigSource) -> None:
    """Read everything and judge it."""
    _take_properties(draft, source.properties)
    membership = _take_file(draft, source)
    for key, value in source.arguments.items():
        setting = settings.find_key(key)
        if setting is None or setting.is_family:
            raise ConfigError(Place(COMMAND_LINE), key, value, "is no key of a configuration file")
        draft.given[key] = Given(Place(COMMAND_LINE), key, value)
    _read_values(draft)
    config_rules.apply(draft)
    config_members.settle(draft, membership, source.read_text)
    _warn_of_unbuilt(draft)
    draft.values["text"] = source.text
    draft.values["properties"] = MappingProxyType(draft.properties)


def _sorted_warnings(draft: Draft) -> list[Warning]:
    return sorted(draft.warnings, key=lambda warning: warning.place)


def defaults(**changes: object) -> Config:
    """The configuration of a server that nobody configured, but for `changes` of its fields.

    Its data_dir is "data", its client port 2181. For tests and for embedding.
    """
    source = ConfigSource(arguments={"dataDir": "data", "clientPort": "2181"})
    return replace(load(source)[0], **changes)  # type: ignore[arg-type]


def parse_define(text: str) -> tuple[str, str]:
    """`name=value` of a -D option; without an equals sign the value is empty, as in Java."""
    name, _, value = text.partition("=")
    if not name:
        raise ConfigError(Place(COMMAND_LINE), "-D", text, "must be name=value")
    return name, value


_SHELL_WORD = re.compile(r"""(?:[^\s"']+|"[^"]*"|'[^']*'|["'])+""")
_QUOTED = re.compile(r""""([^"]*)"|'([^']*)'""")


def jvm_flags(text: str) -> tuple[dict[str, str], list[str]]:
    """The properties that JVM flags set with -Dname=value, and all other flags.

    `text` is what SERVER_JVMFLAGS or JVMFLAGS hold. Words end at white space outside quotes;
    backslashes are ordinary characters, as they are to a shell that expands a variable.
    """
    found: dict[str, str] = {}
    ignored: list[str] = []
    for word in _SHELL_WORD.findall(text):
        flag = _QUOTED.sub(lambda match: match[1] or match[2] or "", word)
        name, _, value = flag[2:].partition("=")
        if flag.startswith("-D") and name:
            found[name] = value
        else:
            ignored.append(flag)
    return found, ignored


def _take_properties(draft: Draft, properties: Mapping[str, str]) -> None:
    place = Place(COMMAND_LINE)
    for name, value in properties.items():
        draft.properties[name] = value
        draft.given[name] = Given(place, name, value)
        if settings.find_property(name) is None:
            problem = _about_unknown_property(name)
            if problem:
                draft.warnings.append(ConfigWarning(place, f"-D{name}", problem))


def _about_unknown_property(name: str) -> str:
    """What to say about a -D that nothing reads; nothing if it is not ZooKeeper's."""
    key = name.removeprefix(PREFIX)
    setting = settings.find_key(key)
    if setting is not None and (name != key or not setting.is_family):
        return f"has no effect: {key} is read from the configuration file alone"
    meant = settings.suggest(key)
    if name.startswith(PREFIX):
        return "is not known" + (f"; is {_define_of(meant)} meant?" if meant else "")
    if meant.casefold() == key.casefold() or settings.find_property(PREFIX + key):
        return f"has no effect; is {_define_of(meant or key)} meant?"
    return ""


def _define_of(name: str) -> str:
    """How `name` is set: with -D, or in the file where that is the only way."""
    for java_name in (PREFIX + name, name):
        if settings.find_property(java_name) is not None:
            return f"-D{java_name}"
    return f"{name} in the configuration file"


def _take_file(draft: Draft, source: ConfigSource) -> list[Given]:
    """Sort the entries of the file into keys and properties; gives those about members."""
    membership: list[Given] = []
    metrics: dict[str, str] = {}
    entries = parse(source.text, draft.file_name)
    is_dynamic = any(entry.key == "dynamicConfigFile" for entry in entries)
    for entry in entries:
        place = Place(draft.file_name, entry.line_number)
        key, value = trim(entry.key), trim(entry.value)
        setting = settings.find_key(key)
        if setting is not None and not setting.is_family:
            _take(draft, key, Given(place, key, value))
        elif key.startswith(_METRICS):
            metrics[key.removeprefix(_METRICS)] = value
            _take(draft, key, Given(place, key, value))
        else:
            if is_membership_key(key) and is_dynamic:
                raise ConfigError(place, key, value, "must be in the file that dynamicConfigFile"
                                  " names")
            if setting is not None or key == VERSION:
                membership.append(Given(place, entry.key, entry.value))
                _take(draft, key, Given(place, key, value))
            else:
                _take(draft, PREFIX + key, Given(place, key, value))
                _warn_of_unread(draft, key, place)
            draft.properties[PREFIX + key] = value
    draft.values["metrics_provider_configuration"] = tuple(metrics.items())
    return membership


def _take(draft: Draft, setting_key: str, given: Given) -> None:
    earlier = draft.given.get(setting_key)
    draft.given[setting_key] = given
    if earlier is not None:
        where = "-D" if earlier.place.file_name == COMMAND_LINE else earlier.place
        problem = f"wins over the value of {where}"
        draft.warnings.append(ConfigWarning(given.place, given.key, problem))


def _warn_of_unread(draft: Draft, key: str, place: Place) -> None:
    """Warn of a line of the file that sets a property which nothing reads."""
    if settings.find_property(PREFIX + key) is not None:
        return
    short = key.removeprefix(PREFIX)
    if settings.find_property(key) is not None:
        if short == key:
            problem = f"has no effect in a file: set it with -D{key}=VALUE"
        else:
            problem = f"has no effect, because a file adds {PREFIX} itself; is {short} meant?"
    else:
        meant = settings.suggest(short)
        problem = "is not known" + (f"; is {_key_of(meant)} meant?" if meant else "")
    # The value may be a password under a misspelt name: it is not shown.
    draft.warnings.append(ConfigWarning(place, key, problem))


def _key_of(name: str) -> str:
    is_bare = settings.find_property(PREFIX + name) is None and settings.find_key(name) is None
    return f"-D{name}" if is_bare else name


def _read_values(draft: Draft) -> None:
    """Every setting's value, read or by default, into the field that it fills."""
    for setting in settings.SETTINGS:
        if setting.is_family:
            continue
        value = setting.default
        for name in (setting.key, *setting.aliases):
            given = draft.given.get(name)
            if given is not None:
                value, is_good = _read_one(draft, name, setting, given.value)
                if is_good or setting.kind is Kind.BOOLEAN:
                    break
        if setting.field:
            draft.values[setting.field] = value
    draft.values["auth_providers"] = tuple(
        (name.removeprefix(_AUTH_PROVIDER), value)
        for name, value in draft.properties.items()
        if name.startswith(_AUTH_PROVIDER)
    )
    draft.values["last_seen_membership"] = None


def _read_one(draft: Draft, name: str, setting: Setting, text: str) -> tuple[Value, bool]:
    """The value of a setting, and whether the text was a good one: else an alias may count."""
    try:
        value, problem = read(setting, text)
    except ValueError as error:
        draft.refuse(name, str(error))
    if problem:
        draft.warn(name, problem)
    elif isinstance(value, int) and value < REFUSED_BELOW.get(name, value):
        draft.refuse(name, f"must be at least {REFUSED_BELOW[name]}")
    return value, not problem


def _warn_of_unbuilt(draft: Draft) -> None:
    """Name every key whose feature this release does not have, unless it asks for nothing."""
    is_ensemble = draft.values["is_distributed"]
    for key, given in draft.given.items():
        setting = settings.find_property(key) or settings.find_key(key)
        if setting is None or setting.built:
            continue
        if setting.group in ENSEMBLE_GROUPS and not is_ensemble:
            continue
        word = given.value.lower()
        is_off = setting.kind is Kind.BOOLEAN and setting.default is False and word == "false"
        if is_off or (setting.off and word == setting.off):
            continue
        if setting.group == CLIENT_GROUP:
            problem = "has no effect: clients read it, servers do not"
        else:
            problem = "is accepted, but what it asks for is not built yet"
        draft.warnings.append(ConfigWarning(given.place, given.key, problem))
