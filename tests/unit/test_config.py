"""Configurations as Apache ZooKeeper 3.9.5 takes and refuses them, with messages of our own."""

from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.configuration import BASE, load, refusal
from zkserver.base import config
from zkserver.base.config import ConfigError, ConfigSource, defaults
from zkserver.base.properties import shown

SUPER_PASSWORD = "SASLAuthenticationProvider.superPassword"


def test_a_small_file_and_the_defaults() -> None:
    loaded, warnings = load(BASE)
    assert warnings == []
    assert loaded.data_dir == loaded.data_log_dir == "/data"
    assert (loaded.client_port, loaded.client_port_address) == (2181, "")
    assert (loaded.tick_time_ms, loaded.max_client_cnxns) == (3000, 60)
    assert (loaded.min_session_timeout_ms, loaded.max_session_timeout_ms) == (6000, 60000)
    assert (loaded.jute_maxbuffer, loaded.jute_maxbuffer_extrasize) == (1048575, 1048575)
    assert loaded.four_letter_words_whitelist == ("srvr",)
    assert loaded.force_sync is True
    assert loaded.skip_acl is False
    assert loaded.digest_algorithm == "SHA1"
    assert (loaded.snapshot_compression_method, loaded.super_digest) == ("", None)
    assert (loaded.server_id, loaded.is_distributed, loaded.membership.members) == (None, False, ())
    assert dict(loaded.properties) == {}


def test_the_sample_file_of_apache_gives_no_warning() -> None:
    loaded, warnings = load("# ticks\ntickTime=2000\ninitLimit=10\nsyncLimit=5\n" + BASE)
    assert warnings == []
    assert (loaded.min_session_timeout_ms, loaded.max_session_timeout_ms) == (4000, 40000)


def test_a_configuration_is_frozen_and_shows_no_secret() -> None:
    loaded, _ = load(BASE + "DigestAuthenticationProvider.superDigest=super:secret=\n")
    assert loaded.super_digest == "super:secret="
    assert "secret" not in repr(loaded)
    with pytest.raises(FrozenInstanceError):
        loaded.client_port = 1  # type: ignore[misc]
    with pytest.raises(TypeError):
        loaded.properties["a"] = "b"  # type: ignore[index]
    assert isinstance(hash(loaded), int)


def test_without_a_file_the_caller_gives_the_keys() -> None:
    source = ConfigSource(arguments={"dataDir": "data", "clientPort": "0"})
    loaded, warnings = config.load(source)
    assert (loaded.data_dir, loaded.client_port, warnings) == ("data", 0, [])
    with pytest.raises(ConfigError, match=r"^command line: clientPort = x: must be a port"):
        config.load(ConfigSource(arguments={"dataDir": "data", "clientPort": "x"}))
    with pytest.raises(ConfigError, match=r"^command line: dataDir: is not set"):
        config.load(ConfigSource())
    with pytest.raises(ConfigError, match="snapCount = 5: is no key of a configuration file"):
        config.load(ConfigSource(arguments={"snapCount": "5"}))


def test_arguments_win_over_the_file() -> None:
    source = ConfigSource(file_name="zoo.cfg", text=BASE, arguments={"clientPort": "2200"})
    assert config.load(source)[0].client_port == 2200


def test_defaults_for_tests_and_embedding() -> None:
    assert defaults().client_port == 2181
    assert defaults(tick_time_ms=50, data_dir="x").tick_time_ms == 50


# Precedence of file and -D.


def test_other_keys_of_the_file_are_properties_and_win_over_defines() -> None:
    loaded, warnings = load(BASE + "snapCount=5\n", {"zookeeper.snapCount": "7"})
    assert loaded.snap_count == 5
    assert dict(loaded.properties) == {"zookeeper.snapCount": "5"}
    assert warnings == ["zoo.cfg:3: snapCount: wins over the value of -D"]
    loaded, warnings = load(BASE, {"zookeeper.snapCount": "0x10", "java.io.tmpdir": "/t"})
    assert (loaded.snap_count, warnings) == (16, [])
    assert dict(loaded.properties) == {"zookeeper.snapCount": "0x10", "java.io.tmpdir": "/t"}


def test_the_last_of_two_equal_keys_wins_with_a_warning() -> None:
    loaded, warnings = load(BASE + "clientPort=2182\n")
    assert loaded.client_port == 2182
    assert warnings == ["zoo.cfg:3: clientPort: wins over the value of zoo.cfg:2"]


def test_unprefixed_properties_are_not_read_from_the_file() -> None:
    loaded, warnings = load(BASE + "jute.maxbuffer=4194304")
    assert loaded.jute_maxbuffer == 1048575
    assert dict(loaded.properties) == {"zookeeper.jute.maxbuffer": "4194304"}
    problem = "has no effect in a file: set it with -Djute.maxbuffer=VALUE"
    assert warnings == [f"zoo.cfg:3: jute.maxbuffer: {problem}"]
    loaded, _ = load(BASE, {"jute.maxbuffer": "4194304", "znode.container.maxPerMinute": "6"})
    assert (loaded.jute_maxbuffer, loaded.jute_maxbuffer_extrasize) == (4194304, 4194304)
    assert loaded.container_max_per_minute == 6


def test_a_file_adds_the_prefix_itself() -> None:
    loaded, warnings = load(BASE + "zookeeper.snapCount=5")
    assert loaded.snap_count == 100000
    assert dict(loaded.properties) == {"zookeeper.zookeeper.snapCount": "5"}
    problem = "has no effect, because a file adds zookeeper. itself; is snapCount meant?"
    assert warnings == [f"zoo.cfg:3: zookeeper.snapCount: {problem}"]


def test_a_property_of_two_names() -> None:
    assert load(BASE, {"fsync.warningthresholdms": "5"})[0].fsync_warning_threshold_ms == 5
    both = {"fsync.warningthresholdms": "5", "zookeeper.fsync.warningthresholdms": "6"}
    assert load(BASE, both)[0].fsync_warning_threshold_ms == 6
    bad = both | {"zookeeper.fsync.warningthresholdms": "x"}
    assert load(BASE, bad)[0].fsync_warning_threshold_ms == 5
    assert load(BASE + "fsync.warningthresholdms=7")[0].fsync_warning_threshold_ms == 7


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("datadir=/x", "is not known; is dataDir meant?"),
        ("colour=red", "is not known"),
        ("server1=h:1:2", "is not known"),
        ("requestThrottleLimit=5", "is not known; is request_throttle_max_requests meant?"),
        ("jute.maxbufer=5", "is not known; is -Djute.maxbuffer meant?"),
        ("zookeeper.snapcount=5", "is not known; is snapCount meant?"),
        (SUPER_PASSWORD[:-1] + "=secret", f"is not known; is {SUPER_PASSWORD} meant?"),
    ],
)
def test_unknown_keys_become_properties_with_a_warning(line: str, problem: str) -> None:
    loaded, warnings = load(BASE + line)
    key, _, value = line.partition("=")
    assert warnings == [f"zoo.cfg:3: {key}: {problem}"]
    assert dict(loaded.properties) == {f"zookeeper.{key}": value}


@pytest.mark.parametrize(
    ("name", "warning"),
    [
        ("zookeeper.tickTime", "has no effect: tickTime is read from the configuration file alone"),
        ("tickTime", "has no effect: tickTime is read from the configuration file alone"),
        ("zookeeper.server.1", "has no effect: server.1 is read from the configuration file alone"),
        ("zookeeper.snapcount", "is not known; is -Dzookeeper.snapCount meant?"),
        ("zookeeper.jute.maxbuffer", "is not known; is -Djute.maxbuffer meant?"),
        ("zookeeper.tickTme", "is not known; is tickTime in the configuration file meant?"),
        ("zookeeper.colour", "is not known"),
        ("snapCount", "has no effect; is -Dzookeeper.snapCount meant?"),
    ],
)
def test_defines_that_nothing_reads(name: str, warning: str) -> None:
    loaded, warnings = load(BASE, {name: "5"})
    assert warnings == [f"command line: -D{name}: {warning}"]
    assert dict(loaded.properties) == {name: "5"}


def test_properties_of_others_are_nobodys_business() -> None:
    others = ("java.awt.headless", "com.sun.management.jmxremote", "log4j.x", "groupId", "a")
    assert load(BASE, dict.fromkeys(others, "1"))[1] == []


@pytest.mark.parametrize(
    "line",
    [
        "admin.httpVersion=20",
        "secureClientPort=2281",
        "ssl.keyStore.location=/k",
        "sslQuorum=true",
        "pathStats.enabled=true",
        "serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory",
        "superUser.a=b",
    ],
)
def test_features_that_are_not_built_are_warned_of_by_name(line: str) -> None:
    _, warnings = load(BASE + line)
    key = line.partition("=")[0]
    assert warnings == [f"zoo.cfg:3: {key}: is accepted, but what it asks for is not built yet"]


@pytest.mark.parametrize(
    "name", ["org.apache.zookeeper.metrics.impl.NullMetricsProvider", "com.example.Provider"]
)
def test_metrics_providers_that_are_not_here_are_warned_of(name: str) -> None:
    config, warnings = load(f"{BASE}metricsProvider.className={name}")
    assert warnings == [
        f"zoo.cfg:3: metricsProvider.className = {name}: is not supported; the default provider is used"
    ]
    assert config.metrics_provider_class_name == name


def test_another_audit_logger_is_warned_of_if_there_is_an_audit_log() -> None:
    line = "audit.impl.class=com.example.Logger"
    assert load(BASE + line)[1] == []
    config, warnings = load(f"{BASE}{line}\naudit.enable=true")
    assert config.audit_enabled
    assert len(warnings) == 1
    assert "com.example.Logger is not supported" in warnings[0]


@pytest.mark.parametrize(
    "line", ["admin.httpVersion=11", "audit.enable=false", "sslQuorum=false", "initLimit=10"]
)
def test_not_asking_for_what_is_not_built_is_fine(line: str) -> None:
    assert load(BASE + line)[1] == []


def test_settings_of_clients_are_pointed_out() -> None:
    assert load(BASE, {"zookeeper.client.secure": "true"})[1] == [
        "command line: zookeeper.client.secure: has no effect: clients read it, servers do not"
    ]


# Rules.


AN_INTEGER = "must be an integer from -2147483648 to 2147483647"
A_PORT = "must be a port, 0 to 65535"
AN_OBSERVER = (
    "an observer needs at least two participants, or one and standaloneEnabled = false"
)
NEEDS_SASL = "must be false unless quorum.auth.enableSasl is true"


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ("dataDir=", "must name a folder"),
        ("dataLogDir=", "must name a folder"),
        ("clientPort=70000", A_PORT),
        ("clientPort=-1", A_PORT),
        ("clientPort=", A_PORT),
        ("secureClientPortAddress=::1", "must not be set unless secureClientPort is"),
        ("tickTime=0", "must be at least 1"),
        ("tickTime=-5", "must be at least 1"),
        ("tickTime=2_000", AN_INTEGER),
        ("tickTime=0x7d0", AN_INTEGER),
        ("tickTime=200000000", "must be at most 107374182 unless maxSessionTimeout is set"),
        (
            "tickTime=2000\nmaxSessionTimeout=10",
            "must be at least minSessionTimeout (4000 = 2 × tickTime)",
        ),
        ("minSessionTimeout=9\nmaxSessionTimeout=8", "must be at least minSessionTimeout (9)"),
        (
            "minSessionTimeout=60001",
            "must be at most maxSessionTimeout (60000 = 20 × tickTime)",
        ),
        ("maxClientCnxns=1.5", AN_INTEGER),
        ("maxClientCnxns=3000000000", AN_INTEGER),
        ("autopurge.purgeInterval=1h", AN_INTEGER),
        ("electionAlg=1", "must be 3, the only algorithm there is"),
        ("peerType=leader", "must be participant or observer"),
        ("reconfigEnabled=yes", "must be true or false"),
        ("quorum.auth.serverRequireSasl=true", NEEDS_SASL),
        ("quorum.auth.learnerRequireSasl=true", NEEDS_SASL),
        (
            "quorum.auth.enableSasl=true\nquorum.auth.serverRequireSasl=true",
            "must be false unless quorum.auth.learnerRequireSasl is true",
        ),
        ("secureClientPort=1\nssl.authProvider=x", "must be x509, or authProvider.x be set"),
        ("jvm.pause.sleep.time.ms=x", "must be an integer of 64 bits"),
        ("connection_throttle_drop_increase=x", "must be a decimal number"),
        ("pathStats.sampleRate=x", "must be a decimal number"),
        ("nio.sessionlessCnxnTimeout=0", "must be at least 1"),
        ("nio.numSelectorThreads=0", "must be at least 1"),
        ("intBufferStartingSizeBytes=8", "must be at least 32"),
        (
            "enforce.auth.enabled=true",
            "must be false unless enforce.auth.schemes names a scheme",
        ),
        ("standaloneEnabled=false", "must be true unless a server is a participant"),
        ("server.2=h:1:2:observer", AN_OBSERVER),
        ("server.1=h:1:2\nserver.2=h:1:2:observer", AN_OBSERVER),
    ],
)
def test_refuses(lines: str, problem: str) -> None:
    text = BASE + lines
    key, _, value = lines.splitlines()[-1].partition("=")
    place = f"zoo.cfg:{len(text.splitlines())}"
    assert refusal(text) == f"{place}: {key} = {shown(value)}: {problem}"


def test_refuses_a_file_without_a_data_folder() -> None:
    message = "zoo.cfg: dataDir: is not set; must name the folder of the data"
    assert refusal("clientPort=2181") == message


def test_a_refusal_brings_the_warnings_along() -> None:
    source = ConfigSource(file_name="zoo.cfg", text="datadir=/d\nclientPort=2181")
    with pytest.raises(ConfigError, match="dataDir: is not set") as refused:
        config.load(source)
    warnings = [str(warning) for warning in refused.value.warnings]
    assert warnings == ["zoo.cfg:1: datadir: is not known; is dataDir meant?"]


def test_refuses_an_address_without_a_port() -> None:
    message = "zoo.cfg:2: clientPortAddress = ::1: must not be set unless clientPort is"
    assert refusal("dataDir=/d\nclientPortAddress=::1") == message


def test_refuses_what_is_no_properties_file() -> None:
    message = "zoo.cfg:3: \\u must be followed by four hexadecimal digits"
    assert refusal(BASE + "x=\\u12") == message


@pytest.mark.parametrize(
    "line",
    [
        "metricsProvider.className=org.apache.zookeeper.metrics.Foo",
        "DigestAuthenticationProvider.digestAlg=ROT13",
    ],
)
def test_refuses_names_of_what_does_not_exist(line: str) -> None:
    key, _, value = line.partition("=")
    assert refusal(BASE + line).startswith(f"zoo.cfg:3: {key} = {value}: must be one of ")


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("jute.maxbuffer", "0", "must be at least 1"),
        ("znode.container.checkIntervalMs", "0", "must be at least 1"),
        ("znode.container.maxPerMinute", "0", "must be at least 1"),
        ("zookeeper.multiAddress.reachabilityCheckTimeoutMs", "x", AN_INTEGER),
    ],
)
def test_refuses_defines(name: str, value: str, problem: str) -> None:
    assert refusal(BASE, {name: value}) == f"command line: {name} = {value}: {problem}"


NO_COMPRESSION = "is neither gz nor snappy: snapshots are not compressed"
RELATIVE = (
    "is relative to the folder that the server is started in; begin it with ./ if that is meant"
)
NO_NUMBER = "is not a number that fits: taken as {}"
WEIGHT = "connection_throttle_{}_session_weight"
ROLE = "the server.N keys make this server a participant, and they count"


@pytest.mark.parametrize(
    ("key", "text", "field", "value", "problem"),
    [
        (
            "autopurge.snapRetainCount", "1", "autopurge_snap_retain_count", 3,
            "is below 3: 3 snapshots are kept",
        ),
        ("snapCount", "1", "snap_count", 2, "is below 2: taken as 2"),
        ("snapCount", "many", "snap_count", 100000, NO_NUMBER.format(100000)),
        ("preAllocSize", "x", "pre_alloc_size_kb", 65536, NO_NUMBER.format(65536)),
        ("snapshot.compression.method", "lz4", "snapshot_compression_method", "", NO_COMPRESSION),
        (
            "jute.maxbuffer.extrasize", "10", "jute_maxbuffer_extrasize", 1024,
            "is below 1024: taken as 1024",
        ),
        ("maxCnxns", "-1", "max_cnxns", 0, "is below 0: taken as 0, no limit"),
        (
            "largeRequestMaxBytes", "0", "large_request_max_bytes", 104857600,
            "is not above 0: taken as 104857600",
        ),
        (
            "largeRequestThreshold", "0", "large_request_threshold", -1,
            "is neither above 0 nor -1: taken as -1, off",
        ),
        (WEIGHT.format("global"), "0", WEIGHT.format("global"), 3, "is not above 0: taken as 3"),
        (WEIGHT.format("local"), "-1", WEIGHT.format("local"), 1, "is not above 0: taken as 1"),
        (
            "digest.enabled", "yes", "digest_enabled", False,
            "is neither true nor false: taken as false",
        ),
        ("forceSync", "false", "force_sync", True, "is neither yes nor no: taken as yes"),
        ("skipACL", "true", "skip_acl", False, "is neither yes nor no: taken as no"),
        (
            "4lw.commands.whitelist", "ruok,rouk", "four_letter_words_whitelist",
            ("ruok", "rouk", "srvr"), "there is no four-letter word rouk",
        ),
        ("dataLogDir", "logs", "data_log_dir", "logs", RELATIVE),
        ("peerType", "observer", "peer_type", "participant", ROLE),
    ],
)
def test_warns_and_changes(
    key: str, text: str, field: str, value: object, problem: str
) -> None:
    loaded, warnings = load(f"{BASE}{key}={text}")
    assert getattr(loaded, field) == value
    assert warnings == [f"zoo.cfg:3: {key} = {text}: {problem}"]


def test_weights_are_at_least_that_of_a_local_session() -> None:
    loaded, warnings = load(BASE + WEIGHT.format("local") + "=5")
    assert loaded.connection_throttle_global_session_weight == 5
    assert loaded.connection_throttle_renew_session_weight == 5
    assert len(warnings) == 2


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ("snapshot.compression.method=GZ", "snapshot_compression_method", "gz"),
        ("flushDelay=10", "max_write_queue_poll_time_ms", 3),
        ("flushDelay=-10", "max_write_queue_poll_time_ms", -3),
        ("maxWriteQueuePollTime=4", "max_write_queue_poll_time_ms", 4),
        ("4lw.commands.whitelist=stat, *", "four_letter_words_whitelist", ("*",)),
        ("4lw.commands.whitelist=", "four_letter_words_whitelist", ("srvr",)),
        ("forceSync=no", "force_sync", False),
        ("skipACL=yes", "skip_acl", True),
        ("DigestAuthenticationProvider.digestAlg=sha256", "digest_algorithm", "SHA-256"),
        ("DigestAuthenticationProvider.digestAlg=SHA3-256", "digest_algorithm", "SHA3-256"),
        ("minSessionTimeout=-2", "min_session_timeout_ms", -2),
        ("tickTime=+2000", "tick_time_ms", 2000),
        ("clientPort=2182  ", "client_port", 2182),
        ("clientPortAddress=[::1]", "client_port_address", "::1"),
        ("clientPortAddress=", "client_port_address", "127.0.0.1"),
        ("clientPortAddress=0.0.0.0", "client_port_address", ""),
        ("clientPortAddress=::", "client_port_address", ""),
        ("observerMasterPort=-3", "observer_master_port", 0),
        ("ensembleAuthName=a,b", "ensemble_auth_name", "a,b"),
        ("authProvider.1=x.Y\nauthProvider.b=Z", "auth_providers", (("1", "x.Y"), ("b", "Z"))),
        ("metricsProvider.httpPort=1", "metrics_provider_configuration", (("httpPort", "1"),)),
        ("enforce.auth.enabled=true\nenforce.auth.schemes=digest, ip", "enforce_auth_schemes",
         ("digest", "ip")),
        ("sessionRequireClientSASLAuth=true\nenforce.auth.schemes=ip", "enforce_auth_schemes",
         ("sasl",)),
        ("sessionRequireClientSASLAuth=true", "enforce_auth_enabled", True),
    ],
)
def test_reads(line: str, field: str, value: object) -> None:
    assert getattr(load(BASE + line)[0], field) == value


def test_read_only_mode_allows_isro() -> None:
    loaded, _ = load(BASE, {"readonlymode.enabled": "true"})
    assert loaded.four_letter_words_whitelist == ("srvr", "isro")


def test_a_tls_port_brings_its_provider_along() -> None:
    loaded, _ = load(BASE + "secureClientPort=2281")
    assert dict(loaded.properties) == {
        "zookeeper.authProvider.x509": "org.apache.zookeeper.server.auth.X509AuthenticationProvider"
    }
    assert loaded.auth_providers == ()


def test_no_client_port_is_allowed_and_pointed_out() -> None:
    loaded, warnings = load("dataDir=/d")
    assert loaded.client_port is None
    assert warnings == ["zoo.cfg: clientPort: is not set: no client can connect"]


# The command line and the environment.


def test_defines() -> None:
    assert config.parse_define("zookeeper.snapCount=5") == ("zookeeper.snapCount", "5")
    assert config.parse_define("a=b=c") == ("a", "b=c")
    assert config.parse_define("a") == ("a", "")
    with pytest.raises(ConfigError, match="command line: -D = =5: must be name=value"):
        config.parse_define("=5")


def test_jvm_flags() -> None:
    text = """-Xmx1000m  -Dzookeeper.snapCount=5 -Da='b "c" d' "-De=f g" -Dh -D -server
        -Dpath=C:\\x -XX:OnOutOfMemoryError='kill -9 %p' -Dzookeeper.snapCount=6"""
    found, ignored = config.jvm_flags(text)
    assert found == {
        "zookeeper.snapCount": "6",
        "a": 'b "c" d',
        "e": "f g",
        "h": "",
        "path": "C:\\x",
    }
    assert ignored == ["-Xmx1000m", "-D", "-server", "-XX:OnOutOfMemoryError=kill -9 %p"]
    assert config.jvm_flags("") == ({}, [])
    assert config.jvm_flags("-Da=it's -Db=c") == ({"a": "it's", "b": "c"}, [])


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["tickTime", "clientPort", "server.1", "group.1", "snapCount",
                             "version", "clientPortAddress", "syncEnabled", "skipACL", "x",
                             "dynamicConfigFile", "connection_throttle_drop_increase"]),
            st.text(alphabet="0123456789:;|[]abx.-# \\u", max_size=12),
        )
    ),
    st.text(alphabet="01 \nx", max_size=3),
)
def test_any_file_is_read_or_refused(lines: list[tuple[str, str]], other: str) -> None:
    text = BASE + "".join(f"{key}={value}\n" for key, value in lines)
    source = ConfigSource(file_name="zoo.cfg", text=text, read_text=lambda _path: other)
    try:
        loaded, _ = config.load(source)
    except ConfigError:
        return
    assert loaded.tick_time_ms >= 1
    assert loaded.min_session_timeout_ms <= loaded.max_session_timeout_ms
