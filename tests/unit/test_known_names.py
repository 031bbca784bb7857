"""Every key of zoo.cfg and every system property that Apache ZooKeeper 3.9 documents is known."""

import pytest

from zkserver.base.settings import find_key, find_property

# Read from the file alone.
KEYS = """
dataDir dataLogDir clientPort clientPortAddress secureClientPort secureClientPortAddress
observerMasterPort clientPortListenBacklog tickTime maxClientCnxns minSessionTimeout
maxSessionTimeout initLimit syncLimit connectToLearnerMasterLimit electionAlg
quorumListenOnAllIPs peerType syncEnabled dynamicConfigFile autopurge.snapRetainCount
autopurge.purgeInterval standaloneEnabled reconfigEnabled sslQuorum portUnification
sslQuorumReloadCertFiles server.1 group.1 weight.1 quorum.auth.enableSasl
quorum.auth.serverRequireSasl quorum.auth.learnerRequireSasl
quorum.auth.learner.saslLoginContext quorum.auth.server.saslLoginContext
quorum.auth.kerberos.servicePrincipal quorum.cnxn.threads.size jvm.pause.monitor
jvm.pause.info-threshold.ms jvm.pause.warn-threshold.ms jvm.pause.sleep.time.ms
metricsProvider.className metricsProvider.httpPort localSessionsEnabled
localSessionsUpgradingEnabled multiAddress.enabled multiAddress.reachabilityCheckEnabled
multiAddress.reachabilityCheckTimeoutMs oraclePath
"""

# With the prefix zookeeper., or in the file without it.
PROPERTIES = """
globalOutstandingLimit snapCount snapSizeLimitInKb txnLogSizeLimitInKb preAllocSize
commitLogCount snapshotSizeFactor forceSync fsync.warningthresholdms flushDelay
maxWriteQueuePollTime maxBatchSize maxResponseCacheSize maxGetChildrenResponseCacheSize
intBufferStartingSizeBytes maxCnxns serverCnxnFactory nio.sessionlessCnxnTimeout
nio.numSelectorThreads nio.numWorkerThreads nio.directBufferBytes nio.shutdownTimeout
tcpKeepAlive clientTcpKeepAlive skipACL enforceQuota enableEagerACLCheck digest.enabled
closeSessionTxn.enabled serializeLastProcessedZxid.enabled extendedTypesEnabled
emulate353TTLNodes datadir.autocreate db.autocreate snapshot.trust.empty
snapshot.compression.method largeRequestMaxBytes largeRequestThreshold
request_throttle_max_requests request_throttle_stall_time request_throttle_drop_stale
request_stale_latency_check request_stale_connection_check request_throttler.shutdownTimeout
throttled_op_wait_time connection_throttle_tokens connection_throttle_fill_time
connection_throttle_fill_count connection_throttle_freeze_time
connection_throttle_drop_increase connection_throttle_drop_decrease
connection_throttle_decrease_ratio connection_throttle_weight_enabled
connection_throttle_global_session_weight connection_throttle_local_session_weight
connection_throttle_renew_session_weight 4lw.commands.whitelist leaderServes
leader.maxConcurrentSnapSyncs leader.maxConcurrentDiffSyncs leader.ackLoggingFrequency
leader.maxTimeToWaitForEpoch leader.closeSocketAsync learner.closeSocketAsync
learner.asyncSending leaderConnectDelayDuringRetryMs forceSnapshotSync
follower.skipLearnerRequestToNextProcessor
forward_learner_requests_to_commit_processor_disabled observer.syncEnabled
observer.reconnectDelayMs observer.election.DelayMs observerMaster.sizeLimit cnxTimeout
quorumCnxnTimeoutMs electionPortBindRetry fastleader.minNotificationInterval
fastleader.maxNotificationInterval multiAddress.enabled multiAddress.reachabilityCheckEnabled
multiAddress.reachabilityCheckTimeoutMs commitProcessor.numWorkerThreads
commitProcessor.shutdownTimeout commitProcessor.maxReadBatchSize
commitProcessor.maxCommitBatchSize watchManagerName watcherCleanThreshold
watcherCleanIntervalInSeconds watcherCleanThreadsNum maxInProcessingDeadWatchers
bitHashCacheSize messageTracker.BufferSize messageTracker.Enabled pathStats.enabled
pathStats.slotCapacity pathStats.slotDuration pathStats.maxDepth pathStats.sampleRate
pathStats.initialDelay pathStats.delay pathStats.topPathMax admin.enableServer
admin.serverAddress admin.serverPort admin.idleTimeout admin.commandURL admin.httpVersion
admin.portUnification admin.forceHttps admin.needClientAuth admin.rateLimiterIntervalInMS
admin.snapshot.enabled admin.restore.enabled audit.enable audit.impl.class authProvider.1
DigestAuthenticationProvider.enabled DigestAuthenticationProvider.digestAlg
DigestAuthenticationProvider.superDigest IPAuthenticationProvider.usexforwardedfor
X509AuthenticationProvider.superUser superUser superUser.1
SASLAuthenticationProvider.superPassword letAnySaslUserDoX allowSaslFailedClients
sessionRequireClientSASLAuth enforce.auth.enabled enforce.auth.schemes ensembleAuthName
sasl.serverconfig server.realm requireKerberosConfig kinit security.auth_to_local
kerberos.removeHostFromPrincipal kerberos.removeRealmFromPrincipal
kerberos.canonicalizeHostNames kerberos.minReLoginTimeMs fips-mode ssl.authProvider
ssl.sslProvider client.portUnification client.certReload
netty.server.earlyDropSecureConnectionHandshakes netty.server.outstandingHandshake.limit
netty.advancedFlowControl.enabled jmx.log4j.disable jmx.log4j.mbean jute.maxbuffer.extrasize
testingonly.initialZxid test.allowDiscontinuousProposals configuration version
controllerPort clientPortAddress sasl.client sasl.clientconfig sasl.client.username
sasl.client.canonicalize.hostname server.principal disableAutoWatchReset clientCnxnSocket
client.secure request.timeout
"""

TLS = """
protocol enabledProtocols ciphersuites context.supplier.class keyStore.location
keyStore.password keyStore.passwordPath keyStore.type trustStore.location trustStore.password
trustStore.passwordPath trustStore.type hostnameVerification clientHostnameVerification
allowReverseDnsLookup crl ocsp clientAuth handshakeDetectionTimeoutMillis
"""

# By their own name, on the command line alone.
UNPREFIXED = """
jute.maxbuffer readonlymode.enabled leader.nodelay follower.nodelay fsync.warningthresholdms
znode.container.checkIntervalMs znode.container.maxPerMinute
znode.container.maxNeverUsedIntervalMs java.security.auth.login.config
"""


@pytest.mark.parametrize("key", KEYS.split())
def test_keys_of_the_file(key: str) -> None:
    assert find_key(key) is not None


@pytest.mark.parametrize(
    "name",
    [
        *(f"zookeeper.{name}" for name in PROPERTIES.split()),
        *(f"zookeeper.ssl.{name}" for name in TLS.split()),
        *(f"zookeeper.ssl.quorum.{name}" for name in TLS.split()),
        *UNPREFIXED.split(),
    ],
)
def test_properties(name: str) -> None:
    assert find_property(name) is not None
