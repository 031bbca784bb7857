"""The settings of a server by itself: ports, sessions, storage, limits. Part of `SETTINGS`."""

from __future__ import annotations

from zkserver.base.settings_values import (
    BOOLEAN,
    DECIMAL,
    INTEGER,
    LIST,
    LONG,
    PORT,
    SWITCH,
    TEXT,
    Reading,
    Setting,
    bare,
    cfg,
    group,
    later,
    prop,
)

BASICS: tuple[Setting, ...] = group(
    "Basics",
    cfg("dataDir", TEXT, None, "", "folder of the snapshots and of myid; they stand in version-2"
        " below it", "data_dir", default_text="required"),
    cfg("dataLogDir", TEXT, None, "", "folder of the transaction logs; they stand in version-2"
        " below it", "data_log_dir", default_text="dataDir",
        note="A device of its own spares the log from other writes."),
    cfg("clientPort", PORT, None, "", "port for clients, 0 for any free one", "client_port",
        default_text="none"),
    cfg("clientPortAddress", TEXT, "", "", "address that the client port is bound to",
        "client_port_address", default_text="all addresses", note="Needs clientPort."),
    cfg("clientPortListenBacklog", INTEGER, -1, "connections", "connections that may wait to be"
        " accepted; -1 leaves it to the system", "client_port_listen_backlog"),
    cfg("tickTime", INTEGER, 3000, "ms", "the unit of time: sessions expire on ticks, and other"
        " limits count in them", "tick_time_ms"),
    cfg("minSessionTimeout", INTEGER, -1, "ms", "shortest session timeout that a client gets",
        "min_session_timeout_ms", default_text="2 × tickTime"),
    cfg("maxSessionTimeout", INTEGER, -1, "ms", "longest session timeout that a client gets",
        "max_session_timeout_ms", default_text="20 × tickTime"),
    cfg("maxClientCnxns", INTEGER, 60, "connections", "connections from one address; 0 is no"
        " limit", "max_client_cnxns"),
    cfg("autopurge.snapRetainCount", INTEGER, 3, "snapshots", "snapshots that a purge keeps, with"
        " the logs that they need", "autopurge_snap_retain_count",
        note="Below 3 it is 3."),
    cfg("autopurge.purgeInterval", INTEGER, 0, "hours", "time between purges, the first at the"
        " start; 0 is never", "autopurge_purge_interval_hours"),
)

STORAGE: tuple[Setting, ...] = group(
    "Log and snapshots",
    prop("snapCount", INTEGER, 100000, "transactions", "transactions between snapshots; each"
         " server takes its own random part off", "snap_count", note="At least 2."),
    prop("snapSizeLimitInKb", LONG, 4194304, "KB", "log written between snapshots; 0 or less is"
         " no limit", "snap_size_limit_kb"),
    prop("txnLogSizeLimitInKb", LONG, -1, "KB", "size at which a log file is closed and the next"
         " begun; 0 or less is no limit", "txn_log_size_limit_kb"),
    prop("preAllocSize", LONG, 65536, "KB", "step in which a log file grows ahead of its use",
         "pre_alloc_size_kb", reading=Reading.PLAIN),
    prop("forceSync", SWITCH, True, "", "`no`: acknowledge what may not have reached the disk",
         "force_sync", default_text="yes"),
    prop("fsync.warningthresholdms", LONG, 1000, "ms", "a sync that takes longer is reported",
         "fsync_warning_threshold_ms", aliases=("fsync.warningthresholdms",)),
    prop("flushDelay", LONG, 0, "ms", "time that a transaction may wait for others to be synced"
         " with", "flush_delay_ms"),
    prop("maxWriteQueuePollTime", LONG, None, "ms", "with flushDelay: idle time after which the"
         " sync is done early", "max_write_queue_poll_time_ms", default_text="flushDelay / 3"),
    prop("maxBatchSize", INTEGER, 1000, "transactions", "transactions after which a sync is not"
         " put off any longer", "max_batch_size"),
    prop("datadir.autocreate", BOOLEAN, True, "", "make missing data folders",
         "datadir_autocreate"),
    prop("db.autocreate", BOOLEAN, True, "", "begin with an empty tree where there is no data",
         "db_autocreate"),
    prop("snapshot.trust.empty", BOOLEAN, False, "", "start from logs alone where no snapshot"
         " is found", "snapshot_trust_empty",
         note="For one upgrade from 3.4; otherwise a missing snapshot means lost data."),
    prop("snapshot.compression.method", TEXT, "", "", "`gz`, `snappy`, or empty for none",
         "snapshot_compression_method", default_text="none"),
    prop("digest.enabled", BOOLEAN, True, "", "keep a digest of the tree, log it with each"
         " transaction and check it", "digest_enabled"),
    prop("closeSessionTxn.enabled", BOOLEAN, True, "", "log the ephemeral znodes that end with a"
         " session", "close_session_txn_enabled"),
    prop("serializeLastProcessedZxid.enabled", BOOLEAN, True, "", "end snapshots with the last"
         " zxid they hold", "serialize_last_processed_zxid_enabled"),
)

REQUESTS: tuple[Setting, ...] = group(
    "Requests",
    prop("globalOutstandingLimit", INTEGER, 1000, "requests", "requests in work after which"
         " clients with outstanding ones are no longer read", "global_outstanding_limit"),
    prop("largeRequestMaxBytes", INTEGER, 104857600, "bytes", "sum of the large requests in work;"
         " one that does not fit closes its connection", "large_request_max_bytes"),
    prop("largeRequestThreshold", INTEGER, -1, "bytes", "a longer request counts as large; -1 is"
         " off", "large_request_threshold"),
    prop("request_throttle_max_requests", INTEGER, 0, "requests", "requests in the pipeline before"
         " new ones wait; 0 is no limit", "request_throttle_max_requests"),
    prop("request_throttle_stall_time", INTEGER, 100, "ms", "longest single wait for room in the"
         " pipeline", "request_throttle_stall_time_ms"),
    prop("request_throttle_drop_stale", BOOLEAN, True, "", "drop stale requests instead of"
         " letting them into the pipeline", "request_throttle_drop_stale"),
    prop("request_stale_latency_check", BOOLEAN, False, "", "a request older than its session's"
         " timeout is stale", "request_stale_latency_check"),
    prop("request_stale_connection_check", BOOLEAN, True, "", "a request whose connection has"
         " closed is stale", "request_stale_connection_check"),
    prop("throttled_op_wait_time", INTEGER, 0, "ms", "a request that waited longer is answered"
         " THROTTLEDOP; 0 is off", "throttled_op_wait_time_ms"),
    bare("jute.maxbuffer", INTEGER, 1048575, "bytes", "longest frame from a client, and the data"
         " of a znode with it", "jute_maxbuffer"),
    prop("jute.maxbuffer.extrasize", INTEGER, None, "bytes", "allowed above jute.maxbuffer for"
         " what the server adds", "jute_maxbuffer_extrasize", default_text="jute.maxbuffer",
         note="At least 1024."),
)

CONNECTIONS: tuple[Setting, ...] = group(
    "Connections",
    prop("maxCnxns", INTEGER, 0, "connections", "connections in all; 0 is no limit", "max_cnxns"),
    prop("nio.sessionlessCnxnTimeout", INTEGER, 10000, "ms", "time in which a connection must"
         " open a session", "sessionless_timeout_ms"),
    prop("clientTcpKeepAlive", BOOLEAN, False, "", "TCP keep-alive on client connections",
         "client_tcp_keep_alive"),
    prop("4lw.commands.whitelist", LIST, ("srvr",), "", "four-letter words that are answered; *"
         " is all of them", "four_letter_words_whitelist", note="srvr is always answered."),
    prop("connection_throttle_tokens", INTEGER, 0, "tokens", "size of the bucket that new"
         " sessions take from; 0 is off", "connection_throttle_tokens",
         note="With weights on: times the weight of a global session."),
    prop("connection_throttle_fill_time", INTEGER, 1, "ms", "time between refills of the bucket",
         "connection_throttle_fill_time_ms"),
    prop("connection_throttle_fill_count", INTEGER, 1, "tokens", "tokens that a refill brings",
         "connection_throttle_fill_count",
         note="With weights on: times the weight of a global session."),
    prop("connection_throttle_freeze_time", INTEGER, -1, "ms", "time between changes of the"
         " probability that a connection is dropped; below 0 is off",
         "connection_throttle_freeze_time_ms"),
    prop("connection_throttle_drop_increase", DECIMAL, 0.02, "", "added to that probability when"
         " the bucket is empty", "connection_throttle_drop_increase", reading=Reading.STRICT),
    prop("connection_throttle_drop_decrease", DECIMAL, 0.002, "", "taken off it when the bucket"
         " has tokens", "connection_throttle_drop_decrease", reading=Reading.STRICT),
    prop("connection_throttle_decrease_ratio", DECIMAL, 0.0, "", "share of tokens above which it"
         " decreases", "connection_throttle_decrease_ratio", reading=Reading.STRICT),
    prop("connection_throttle_weight_enabled", BOOLEAN, False, "", "let kinds of sessions take"
         " different numbers of tokens", "connection_throttle_weight_enabled"),
    prop("connection_throttle_global_session_weight", INTEGER, 3, "tokens", "taken by a new"
         " session", "connection_throttle_global_session_weight"),
    prop("connection_throttle_local_session_weight", INTEGER, 1, "tokens", "taken by a new local"
         " session", "connection_throttle_local_session_weight"),
    prop("connection_throttle_renew_session_weight", INTEGER, 2, "tokens", "taken by a session"
         " that reconnects", "connection_throttle_renew_session_weight"),
)

ZNODES: tuple[Setting, ...] = group(
    "Znodes",
    prop("extendedTypesEnabled", BOOLEAN, False, "", "znodes with a time to live",
         "extended_types_enabled", note="Server ids may then be 254 at most."),
    prop("emulate353TTLNodes", BOOLEAN, False, "", "take times to live as release 3.5.3 wrote them",
         "emulate_353_ttl_nodes"),
    prop("enforceQuota", BOOLEAN, False, "", "refuse what would pass a hard quota",
         "enforce_quota"),
    bare("znode.container.checkIntervalMs", INTEGER, 60000, "ms", "time between searches for"
         " containers and expired znodes to delete", "container_check_interval_ms"),
    bare("znode.container.maxPerMinute", INTEGER, 10000, "znodes", "deletions of these a minute",
         "container_max_per_minute"),
    bare("znode.container.maxNeverUsedIntervalMs", LONG, 0, "ms", "age at which a container that"
         " never had a child is deleted; 0 is never", "container_max_never_used_interval_ms"),
)

MACHINERY: tuple[Setting, ...] = later(
    "Machinery of Apache's server",
    prop("serverCnxnFactory", TEXT, "org.apache.zookeeper.server.NIOServerCnxnFactory", "",
         "class that serves the client ports"),
    prop("nio.numSelectorThreads", INTEGER, None, "threads", "threads that wait for sockets",
         default_text="√(cores / 2), at least 1"),
    prop("nio.numWorkerThreads", INTEGER, None, "threads", "threads that read and write sockets",
         default_text="2 × cores"),
    prop("nio.directBufferBytes", INTEGER, 65536, "bytes", "buffer of each such thread"),
    prop("nio.shutdownTimeout", LONG, 5000, "ms", "time that these threads get to end"),
    prop("netty.server.earlyDropSecureConnectionHandshakes", BOOLEAN, False, "", "drop TLS"
         " handshakes that the throttle would drop later"),
    prop("netty.server.outstandingHandshake.limit", INTEGER, -1, "connections", "TLS handshakes"
         " at a time; -1 is no limit"),
    prop("netty.advancedFlowControl.enabled", BOOLEAN, False, "", "stop reading as soon as the"
         " queue is full"),
    prop("maxResponseCacheSize", INTEGER, 400, "replies", "getData replies kept serialised"),
    prop("maxGetChildrenResponseCacheSize", INTEGER, 400, "replies", "getChildren replies kept"
         " serialised"),
    prop("intBufferStartingSizeBytes", INTEGER, 1024, "bytes", "first size of serialisation"
         " buffers", note="At least 32."),
    prop("request_throttler.shutdownTimeout", INTEGER, 10000, "ms", "time that requests get to"
         " end at a shutdown"),
    prop("commitProcessor.numWorkerThreads", INTEGER, None, "threads", "threads that carry out"
         " committed requests", default_text="cores"),
    prop("commitProcessor.shutdownTimeout", LONG, 5000, "ms", "time that these threads get to end"),
    prop("commitProcessor.maxReadBatchSize", INTEGER, -1, "requests", "reads between commits; -1"
         " is no limit"),
    prop("commitProcessor.maxCommitBatchSize", INTEGER, 1, "requests", "commits between reads"),
    prop("watchManagerName", TEXT, "org.apache.zookeeper.server.watch.WatchManager", "", "class"
         " that keeps the watches"),
    prop("watcherCleanThreshold", INTEGER, 1000, "watchers", "dead watchers that start a"
         " clean-up"),
    prop("watcherCleanIntervalInSeconds", INTEGER, 600, "s", "time between clean-ups"),
    prop("watcherCleanThreadsNum", INTEGER, 2, "threads", "threads that clean up"),
    prop("maxInProcessingDeadWatchers", INTEGER, -1, "watchers", "dead watchers before closing a"
         " connection waits; -1 is no limit"),
    prop("bitHashCacheSize", INTEGER, 10, "entries", "cache of each path's watchers"),
    prop("messageTracker.BufferSize", INTEGER, 10, "messages", "last messages kept of each"
         " learner"),
    prop("messageTracker.Enabled", BOOLEAN, False, "", "report these when a learner is lost"),
    cfg("jvm.pause.monitor", BOOLEAN, False, "", "watch for pauses of the JVM",
        "jvm_pause_monitor"),
    cfg("jvm.pause.info-threshold.ms", LONG, 1000, "ms", "pause that is reported",
        "jvm_pause_info_threshold_ms"),
    cfg("jvm.pause.warn-threshold.ms", LONG, 10000, "ms", "pause that is warned of",
        "jvm_pause_warn_threshold_ms"),
    cfg("jvm.pause.sleep.time.ms", LONG, 500, "ms", "time between the monitor's looks",
        "jvm_pause_sleep_time_ms"),
    prop("jmx.log4j.disable", BOOLEAN, False, "", "no JMX bean for Log4j"),
    prop("jmx.log4j.mbean", TEXT, "log4j:hierarchy=default", "", "name of that bean"),
    prop("log.dir", TEXT, None, "", "folder of Java's log file", default_text="."),
    prop("log.file", TEXT, None, "", "name of Java's log file", default_text="zookeeper.log"),
    prop("log.threshold", TEXT, None, "", "level of Java's log file", default_text="INFO"),
    prop("log.maxfilesize", TEXT, None, "", "size at which Java's log file is closed",
         default_text="256MB"),
    prop("log.maxbackupindex", INTEGER, None, "files", "closed log files that Java keeps",
         default_text="20"),
    prop("console.threshold", TEXT, None, "", "level of Java's console log", default_text="INFO"),
    prop("root.logger", TEXT, None, "", "Log4j 1 level and appenders"),
)

# Read into the Config, but nothing acts on them yet.
_NOT_BUILT = frozenset(
    (
        "request_throttle_max_requests",
        "request_throttle_stall_time",
        "request_throttle_drop_stale",
        "request_stale_latency_check",
        "request_stale_connection_check",
        "throttled_op_wait_time",
        "maxWriteQueuePollTime",
    )
)

SERVER_SETTINGS = tuple(
    setting._replace(built=setting.name not in _NOT_BUILT)
    for setting in BASICS + STORAGE + REQUESTS + CONNECTIONS + ZNODES
)
