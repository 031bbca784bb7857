"""The settings of ensembles, of the admin server and metrics, of clients and of tests.

Part of `SETTINGS`. `ENSEMBLE_GROUPS` names the headings whose keys matter to an ensemble alone:
a standalone server, Apache's as this one, has no use for them.
"""

from __future__ import annotations

from zkserver.base.settings_values import (
    BOOLEAN,
    DECIMAL,
    FAMILY,
    INTEGER,
    LONG,
    PORT,
    TEXT,
    Reading,
    Setting,
    bare,
    cfg,
    later,
    partly,
    prop,
)
from zkserver.base.settings_values import SWITCH as YES_NO

MEMBERS: tuple[Setting, ...] = partly(
    "Ensemble",
    cfg("server.N", FAMILY, (), "", "`host:quorumPort:electionPort` of server N, then"
        " `:participant` or `:observer`, then `;clientPort` or `;clientHost:clientPort`",
        "membership", default_text="none", note="In dynamicConfigFile where there is one."),
    cfg("group.N", FAMILY, (), "", "`a:b:c`, the servers of group N of a hierarchical quorum",
        "membership", default_text="none"),
    cfg("weight.N", FAMILY, (), "", "weight of server N's vote in its group", "membership",
        default_text="1"),
    cfg("dynamicConfigFile", TEXT, None, "", "file with the server, group and weight keys",
        "dynamic_config_file", default_text="none"),
    cfg("standaloneEnabled", BOOLEAN, True, "", "one server alone is no ensemble",
        "standalone_enabled"),
    cfg("reconfigEnabled", BOOLEAN, False, "", "let clients change the members",
        "reconfig_enabled"),
    cfg("peerType", TEXT, "participant", "", "participant or observer", "peer_type",
        note="The server's own server.N key wins."),
    cfg("initLimit", INTEGER, 0, "ticks", "time in which a follower must connect and catch up",
        "init_limit_ticks", default_text="required in an ensemble"),
    cfg("syncLimit", INTEGER, 0, "ticks", "time that a follower may lag",
        "sync_limit_ticks", default_text="required in an ensemble"),
    cfg("connectToLearnerMasterLimit", INTEGER, 0, "ticks", "time in which a learner must connect",
        "connect_to_learner_master_limit_ticks", default_text="initLimit"),
    cfg("electionAlg", INTEGER, 3, "", "election algorithm", "election_alg", note="Only 3."),
    cfg("quorumListenOnAllIPs", BOOLEAN, False, "", "bind the quorum and election ports to all"
        " addresses", "quorum_listen_on_all_ips"),
    cfg("multiAddress.enabled", BOOLEAN, False, "", "several addresses for one server",
        "multi_address_enabled", aliases=("zookeeper.multiAddress.enabled",),
        note="Apache 3.9 obeys it in -D alone when it reads server.N."),
    cfg("multiAddress.reachabilityCheckEnabled", BOOLEAN, True, "", "race the election"
        " addresses of a server, and leave one that falls silent",
        "multi_address_reachability_check_enabled",
        aliases=("zookeeper.multiAddress.reachabilityCheckEnabled",),
        note="By TCP connections, not by ICMP. A learner always races its leader's addresses."),
    cfg("multiAddress.reachabilityCheckTimeoutMs", INTEGER, 1000, "ms", "time that an"
        " address may take to accept, and a link to answer",
        "multi_address_reachability_check_timeout_ms",
        aliases=("zookeeper.multiAddress.reachabilityCheckTimeoutMs",)),
    cfg("oraclePath", TEXT, None, "", "file that decides for one of two servers", "oracle_path",
        default_text="none"),
    cfg("localSessionsEnabled", BOOLEAN, False, "", "sessions that one server alone knows",
        "local_sessions_enabled"),
    cfg("localSessionsUpgradingEnabled", BOOLEAN, False, "", "make such a session global when it"
        " creates an ephemeral znode", "local_sessions_upgrading_enabled"),
    bare("readonlymode.enabled", BOOLEAN, False, "", "serve reads without a quorum",
         "read_only_mode_enabled"),
    later=("reconfigEnabled", "oraclePath"),
)

LEADING: tuple[Setting, ...] = partly(
    "Leading and following",
    prop("leaderServes", YES_NO, True, "", "`no`: the leader takes no clients", "leader_serves",
         default_text="yes"),
    prop("leader.maxConcurrentSnapSyncs", INTEGER, 10, "learners", "snapshots sent at a time",
         "max_concurrent_snap_syncs", note="Voters are never made to wait."),
    prop("leader.maxConcurrentDiffSyncs", INTEGER, 100, "learners", "differences sent at a time",
         "max_concurrent_diff_syncs", note="Voters are never made to wait."),
    prop("leader.ackLoggingFrequency", INTEGER, 1000, "proposals", "one acknowledgement in so"
         " many is measured"),
    prop("leader.maxTimeToWaitForEpoch", INTEGER, -1, "ms", "time to wait for a quorum's epochs;"
         " -1 is initLimit", "leader_max_time_to_wait_for_epoch_ms"),
    prop("leader.closeSocketAsync", BOOLEAN, False, "", "close a learner's socket aside",
         aliases=("leader.closeSocketAsync",)),
    prop("learner.closeSocketAsync", BOOLEAN, False, "", "close the leader's socket aside",
         aliases=("learner.closeSocketAsync",)),
    prop("learner.asyncSending", BOOLEAN, False, "", "a learner sends from a queue",
         aliases=("learner.asyncSending",)),
    bare("leader.nodelay", BOOLEAN, True, "", "TCP_NODELAY on the leader's sockets",
         "leader_no_delay"),
    bare("follower.nodelay", BOOLEAN, True, "", "TCP_NODELAY on a learner's sockets",
         "follower_no_delay"),
    prop("leaderConnectDelayDuringRetryMs", INTEGER, 100, "ms", "time between tries to connect to"
         " the leader", "leader_connect_delay_during_retry_ms"),
    prop("commitLogCount", INTEGER, 500, "transactions", "committed transactions kept for"
         " learners", "commit_log_count", reading=Reading.PLAIN, note="At least 500."),
    prop("snapshotSizeFactor", DECIMAL, 0.33, "", "log to send at most, as a share of the"
         " snapshot; below 0 is none", "snapshot_size_factor"),
    prop("forceSnapshotSync", BOOLEAN, False, "", "always send a snapshot",
         "force_snapshot_sync"),
    prop("follower.skipLearnerRequestToNextProcessor", BOOLEAN, False, "", "a follower does not"
         " queue its learners' requests itself"),
    prop("forward_learner_requests_to_commit_processor_disabled", BOOLEAN, False, "", "the leader"
         " does not queue its learners' requests for commit"),
    prop("tcpKeepAlive", BOOLEAN, False, "", "TCP keep-alive on the election's sockets",
         "tcp_keep_alive"),
    prop("cnxTimeout", INTEGER, 5000, "ms", "time to connect for an election",
         "cnx_timeout_ms", reading=Reading.STRICT),
    prop("quorumCnxnTimeoutMs", INTEGER, -1, "ms", "time that a caller at the election port"
         " has to say who it is; -1 is syncLimit", "quorum_cnxn_timeout_ms"),
    prop("electionPortBindRetry", INTEGER, 3, "tries", "tries to bind the election port; 0 is for"
         " ever", "election_port_bind_retry"),
    prop("fastleader.minNotificationInterval", INTEGER, 200, "ms", "first time to wait for votes",
         "min_notification_interval_ms"),
    prop("fastleader.maxNotificationInterval", INTEGER, 60000, "ms", "longest time to wait for"
         " votes", "max_notification_interval_ms"),
    later=(
        "leader.ackLoggingFrequency",
        "leader.closeSocketAsync",
        "learner.closeSocketAsync",
        "learner.asyncSending",
        "follower.skipLearnerRequestToNextProcessor",
        "forward_learner_requests_to_commit_processor_disabled",
    ),
)

OBSERVERS: tuple[Setting, ...] = partly(
    "Observers",
    cfg("observerMasterPort", INTEGER, 0, "", "port where a follower serves observers,"
        " and where an observer looks for such followers; 0 is none", "observer_master_port"),
    cfg("syncEnabled", BOOLEAN, True, "", "an observer keeps log and snapshots", "sync_enabled"),
    prop("observer.syncEnabled", BOOLEAN, None, "", "the same, and wins",
         "observer_sync_enabled", default_text="syncEnabled"),
    prop("observer.reconnectDelayMs", LONG, 0, "ms", "an observer waits for a random"
         " share of it before it connects", "observer_reconnect_delay_ms"),
    prop("observer.election.DelayMs", LONG, 200, "ms", "time before it looks for a leader",
         "observer_election_delay_ms"),
    prop("observerMaster.sizeLimit", INTEGER, 33554432, "bytes", "what may wait for an observer"
         " that a follower serves; one that is further behind is dropped",
         "observer_master_size_limit_bytes"),
    later=(),
)

ADMIN: tuple[Setting, ...] = partly(
    "Admin server",
    prop("admin.enableServer", BOOLEAN, True, "", "the HTTP admin server", "admin_enable_server"),
    prop("admin.serverAddress", TEXT, "", "", "its address", "admin_server_address",
         default_text="127.0.0.1 and ::1", note="Apache's server takes every address, 0.0.0.0,"
         " where none is given."),
    prop("admin.serverPort", INTEGER, 8080, "", "its port", "admin_server_port",
         note="If the default is taken, the server goes on without."),
    prop("admin.idleTimeout", INTEGER, 30000, "ms", "time that a connection may be idle",
         "admin_idle_timeout_ms"),
    prop("admin.commandURL", TEXT, "/commands", "", "path of the commands", "admin_command_url"),
    prop("admin.httpVersion", INTEGER, 11, "", "11 is HTTP/1.1", off="11"),
    prop("admin.portUnification", BOOLEAN, False, "", "its port takes HTTP and HTTPS",
         "admin_port_unification"),
    prop("admin.forceHttps", BOOLEAN, False, "", "its port takes HTTPS alone",
         "admin_force_https"),
    prop("admin.needClientAuth", BOOLEAN, False, "", "clients must show a certificate",
         "admin_need_client_auth"),
    prop("admin.rateLimiterIntervalInMS", INTEGER, 300000, "ms", "time between restores",
         "admin_rate_limiter_interval_ms", reading=Reading.PLAIN,
         note="Between snapshots a thousandth of it."),
    prop("admin.snapshot.enabled", BOOLEAN, True, "", "the snapshot command",
         "admin_snapshot_enabled"),
    prop("admin.restore.enabled", BOOLEAN, True, "", "the restore command",
         "admin_restore_enabled"),
    prop("IPAuthenticationProvider.usexforwardedfor", BOOLEAN, False, "", "take a client's"
         " address from X-Forwarded-For", "use_x_forwarded_for"),
    later=("admin.httpVersion",),
)

METRICS: tuple[Setting, ...] = partly(
    "Metrics",
    cfg("metricsProvider.className", TEXT,
        "org.apache.zookeeper.metrics.impl.DefaultMetricsProvider", "", "class that publishes the"
        " metrics", "metrics_provider_class_name",
        note="org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider serves them to"
        " Prometheus."),
    cfg("metricsProvider.*", FAMILY, (), "", "what that class reads: httpHost (127.0.0.1; Apache's"
        " server takes every address), httpPort (7000), exportJvmInfo (true)",
        "metrics_provider_configuration", default_text="none"),
    prop("pathStats.enabled", BOOLEAN, False, "", "count requests by path"),
    prop("pathStats.slotCapacity", INTEGER, 60, "slots", "slots of time that are kept"),
    prop("pathStats.slotDuration", INTEGER, 15, "s", "length of a slot"),
    prop("pathStats.maxDepth", INTEGER, 6, "", "names of a path that count"),
    prop("pathStats.sampleRate", DECIMAL, 0.1, "", "share of the requests that are counted",
         reading=Reading.STRICT),
    prop("pathStats.initialDelay", LONG, 5, "min", "time before the first report"),
    prop("pathStats.delay", LONG, 5, "min", "time between reports"),
    prop("pathStats.topPathMax", INTEGER, 20, "paths", "paths in a report"),
    later=tuple(
        f"pathStats.{name}"
        for name in (
            *("enabled", "slotCapacity", "slotDuration", "maxDepth", "sampleRate"),
            *("initialDelay", "delay", "topPathMax"),
        )
    ),
)

INTERNAL: tuple[Setting, ...] = later(
    "Tests and tools of Apache's server",
    prop("testingonly.initialZxid", LONG, None, "", "first zxid of a leader", default_text="none"),
    prop("test.allowDiscontinuousProposals", BOOLEAN, False, "", "allow gaps in the proposals"),
    prop("configuration", TEXT, None, "", "set by the controller tool", default_text="none"),
    prop("controllerPort", PORT, None, "", "port of the controller tool", default_text="none"),
    prop("clientPortAddress", TEXT, None, "", "client port of the controller tool",
         default_text="none"),
    prop("version", TEXT, None, "", "version of a configuration, written by a server itself",
         default_text="none"),
)

CLIENTS: tuple[Setting, ...] = later(
    "Read by clients",
    prop("sasl.client", BOOLEAN, True, "", "use SASL"),
    prop("sasl.clientconfig", TEXT, "Client", "", "JAAS section of the client"),
    prop("sasl.client.username", TEXT, "zookeeper", "", "user in the server's principal"),
    prop("sasl.client.canonicalize.hostname", BOOLEAN, True, "", "ask DNS for the server's name"),
    prop("sasl.client.allowReverseDnsLookup", BOOLEAN, False, "", "ask DNS for the name of an"
         " address", note="From 3.10."),
    prop("server.principal", TEXT, None, "", "the server's principal", default_text="made up"),
    prop("disableAutoWatchReset", BOOLEAN, False, "", "leave the watches behind at a reconnect"),
    prop("clientCnxnSocket", TEXT, "ClientCnxnSocketNIO", "", "class that connects"),
    prop("client.secure", BOOLEAN, False, "", "use TLS"),
    prop("request.timeout", LONG, 0, "ms", "time that a reply may take; 0 is any"),
    prop("shuffleDnsResponse", BOOLEAN, None, "", "try addresses of a name in random order",
         default_text="none", note="From 3.10."),
    prop("hostProvider.dnsSrvRefreshIntervalSeconds", LONG, None, "s", "time between look-ups of"
         " SRV records", default_text="none", note="From 3.10."),
)

CLIENT_GROUP = CLIENTS[0].group
ENSEMBLE_GROUPS = (MEMBERS[0].group, LEADING[0].group, OBSERVERS[0].group)

ENSEMBLE_SETTINGS = MEMBERS + LEADING + OBSERVERS
OTHER_SETTINGS = ADMIN + METRICS
LAST_SETTINGS = CLIENTS + INTERNAL
