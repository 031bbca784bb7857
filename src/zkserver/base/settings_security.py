"""The settings of authentication, TLS, SASL and auditing. Part of `SETTINGS`."""

from __future__ import annotations

from typing import NamedTuple

from zkserver.base.settings_values import (
    BOOLEAN,
    FAMILY,
    INTEGER,
    LIST,
    LONG,
    PORT,
    TEXT,
    Kind,
    Setting,
    Value,
    bare,
    cfg,
    group,
    later,
    partly,
    prop,
)
from zkserver.base.settings_values import SWITCH as YES_NO

ACCESS: tuple[Setting, ...] = group(
    "Access",
    prop("skipACL", YES_NO, False, "", "`yes`: check no ACL at all", "skip_acl", default_text="no"),
    prop("enableEagerACLCheck", BOOLEAN, False, "", "check a write's ACL before it takes its turn",
         "enable_eager_acl_check"),
    prop("authProvider.*", FAMILY, (), "", "a further authentication provider; what follows the"
         " dot only has to differ", "auth_providers", default_text="none"),
    prop("DigestAuthenticationProvider.enabled", BOOLEAN, True, "", "the digest scheme",
         "digest_provider_enabled"),
    prop("DigestAuthenticationProvider.digestAlg", TEXT, "SHA1", "", "hash of the digest scheme",
         "digest_algorithm", note="Ids made with another hash no longer match."),
    prop("DigestAuthenticationProvider.superDigest", TEXT, None, "", "`super:HASH` of the user who"
         " passes every ACL", "super_digest", default_text="none"),
    prop("ensembleAuthName", TEXT, None, "", "names of this ensemble: a client that gives"
         " another with scheme ensemble is closed", "ensemble_auth_name", default_text="none"),
    prop("enforce.auth.enabled", BOOLEAN, False, "", "serve only clients that have authenticated",
         "enforce_auth_enabled"),
    prop("enforce.auth.schemes", LIST, (), "", "schemes of which a client needs one",
         "enforce_auth_schemes", default_text="none", note="Needed by enforce.auth.enabled."),
    prop("sessionRequireClientSASLAuth", BOOLEAN, False, "", "the same as enforce.auth with scheme"
         " sasl alone", note="Wins over enforce.auth."),
)


class _Tls(NamedTuple):
    """One TLS setting, which there is for clients (ssl.X) and between servers (ssl.quorum.X)."""

    suffix: str
    kind: Kind
    default: Value
    unit: str
    meaning: str
    default_text: str = ""


_TLS = (
    _Tls("protocol", TEXT, None, "", "TLS protocol", "TLSv1.3, else TLSv1.2"),
    _Tls("enabledProtocols", LIST, (), "", "protocols that are accepted", "the protocol"),
    _Tls("ciphersuites", LIST, (), "", "cipher suites that are accepted", "a safe selection"),
    _Tls("context.supplier.class", TEXT, None, "", "class that makes the SSL context", "none"),
    _Tls("keyStore.location", TEXT, None, "", "file of the key and its certificates", "none"),
    _Tls("keyStore.password", TEXT, None, "", "its password", "none"),
    _Tls("keyStore.passwordPath", TEXT, None, "", "file with its password", "none"),
    _Tls("keyStore.type", TEXT, None, "", "JKS, PEM, PKCS12 or BCFKS", "by the file's name"),
    _Tls("trustStore.location", TEXT, None, "", "file of the certificates to trust", "none"),
    _Tls("trustStore.password", TEXT, None, "", "its password", "none"),
    _Tls("trustStore.passwordPath", TEXT, None, "", "file with its password", "none"),
    _Tls("trustStore.type", TEXT, None, "", "JKS, PEM, PKCS12 or BCFKS", "by the file's name"),
    _Tls("hostnameVerification", BOOLEAN, True, "", "check the name in a server's certificate"),
    _Tls("clientHostnameVerification", BOOLEAN, False, "", "check the name in a client's"
         " certificate"),
    _Tls("allowReverseDnsLookup", BOOLEAN, False, "", "ask DNS for the name of an address"),
    _Tls("crl", BOOLEAN, False, "", "check revocation lists"),
    _Tls("ocsp", BOOLEAN, False, "", "check revocation online"),
    _Tls("clientAuth", TEXT, "need", "", "none, want or need: a client's certificate"),
    _Tls("handshakeDetectionTimeoutMillis", INTEGER, 5000, "ms", "time in which a connection shows"
         " whether it speaks TLS"),
)


def _tls(prefix: str, **true_defaults: bool) -> tuple[Setting, ...]:
    return tuple(
        prop(
            prefix + tls.suffix,
            tls.kind,
            true_defaults.get(tls.suffix, tls.default),
            tls.unit,
            tls.meaning,
            default_text=tls.default_text,
        )
        for tls in _TLS
    )


CLIENT_TLS: tuple[Setting, ...] = partly(
    "TLS for clients",
    cfg("secureClientPort", PORT, None, "", "port for clients that speak TLS",
        "secure_client_port", default_text="none"),
    cfg("secureClientPortAddress", TEXT, "", "", "address that this port is bound to",
        "secure_client_port_address", default_text="all addresses",
        note="Needs secureClientPort."),
    prop("client.portUnification", BOOLEAN, False, "", "clientPort takes TLS as well"),
    prop("client.certReload", BOOLEAN, False, "", "take up changed key and trust stores"),
    prop("ssl.authProvider", TEXT, "x509", "", "scheme whose provider judges client certificates",
         note="Another scheme than x509 needs its authProvider key."),
    prop("ssl.sslProvider", TEXT, "JDK", "", "JDK or OPENSSL"),
    prop("X509AuthenticationProvider.superUser", TEXT, None, "", "certificate subject that passes"
         " every ACL", "x509_super_user", default_text="none", note="On the admin server."),
    prop("fips-mode", BOOLEAN, True, "", "use only what FIPS allows"),
    *_tls("ssl."),
    built=("X509AuthenticationProvider.superUser",),
)

# The admin server reads these; the ports between servers do not speak TLS yet.
_OF_ADMIN_SERVER = tuple(
    f"ssl.quorum.{suffix}"
    for suffix in (
        "protocol",
        "enabledProtocols",
        "ciphersuites",
        "keyStore.location",
        "keyStore.password",
        "keyStore.passwordPath",
        "keyStore.type",
        "trustStore.location",
        "trustStore.password",
        "trustStore.passwordPath",
        "trustStore.type",
    )
)

QUORUM_TLS: tuple[Setting, ...] = partly(
    "TLS between servers",
    cfg("sslQuorum", BOOLEAN, False, "", "TLS on the quorum and election ports", "ssl_quorum"),
    cfg("portUnification", BOOLEAN, False, "", "these ports take plain connections as well",
        "port_unification"),
    cfg("sslQuorumReloadCertFiles", BOOLEAN, False, "", "take up changed key and trust stores",
        "ssl_quorum_reload_cert_files"),
    *_tls("ssl.quorum.", clientHostnameVerification=True, allowReverseDnsLookup=True),
    built=_OF_ADMIN_SERVER,
)

SASL: tuple[Setting, ...] = later(
    "SASL and Kerberos",
    bare("java.security.auth.login.config", TEXT, None, "", "JAAS file", default_text="none"),
    prop("sasl.serverconfig", TEXT, "Server", "", "its section for the server"),
    prop("allowSaslFailedClients", BOOLEAN, False, "", "keep clients whose SASL failed"),
    prop("superUser", TEXT, None, "", "SASL user who passes every ACL", default_text="none"),
    prop("superUser.*", FAMILY, (), "", "further such users", default_text="none"),
    prop("SASLAuthenticationProvider.superPassword", TEXT, None, "", "password of the DIGEST-MD5"
         " user super", default_text="none"),
    prop("letAnySaslUserDoX", TEXT, None, "", "ACL id that every SASL user matches",
         default_text="none"),
    prop("server.realm", TEXT, None, "", "Kerberos realm of the server",
         default_text="the client's"),
    prop("requireKerberosConfig", BOOLEAN, False, "", "fail without a Kerberos configuration"),
    prop("kinit", TEXT, "/usr/bin/kinit", "", "command that renews the ticket"),
    prop("security.auth_to_local", TEXT, "DEFAULT", "", "rules that shorten principals"),
    prop("kerberos.removeHostFromPrincipal", BOOLEAN, False, "", "ids without the host"),
    prop("kerberos.removeRealmFromPrincipal", BOOLEAN, False, "", "ids without the realm"),
    prop("kerberos.canonicalizeHostNames", BOOLEAN, False, "", "ask DNS for full host names"),
    prop("kerberos.minReLoginTimeMs", LONG, 60000, "ms", "least time between logins"),
    cfg("quorum.auth.enableSasl", BOOLEAN, False, "", "SASL between servers",
        "quorum_auth_enable_sasl"),
    cfg("quorum.auth.learnerRequireSasl", BOOLEAN, False, "", "a learner insists on it",
        "quorum_auth_learner_require_sasl", note="Needs quorum.auth.enableSasl."),
    cfg("quorum.auth.serverRequireSasl", BOOLEAN, False, "", "a server insists on it",
        "quorum_auth_server_require_sasl",
        note="Needs quorum.auth.enableSasl and quorum.auth.learnerRequireSasl."),
    cfg("quorum.auth.learner.saslLoginContext", TEXT, "QuorumLearner", "", "JAAS section of a"
        " learner", "quorum_auth_learner_sasl_login_context"),
    cfg("quorum.auth.server.saslLoginContext", TEXT, "QuorumServer", "", "JAAS section of a"
        " server", "quorum_auth_server_sasl_login_context"),
    cfg("quorum.auth.kerberos.servicePrincipal", TEXT, "zkquorum/localhost", "", "principal of"
        " the servers; _HOST stands for the host", "quorum_auth_kerberos_service_principal"),
    cfg("quorum.cnxn.threads.size", INTEGER, 20, "threads", "threads that authenticate servers",
        "quorum_cnxn_threads_size", note="At least 20."),
)

AUDIT_LOGGER = "org.apache.zookeeper.audit.Slf4jAuditLogger"

AUDIT: tuple[Setting, ...] = group(
    "Audit log",
    prop("audit.enable", BOOLEAN, False, "", "log who changed what", "audit_enabled",
         note="The lines go to the server's log, from the logger `audit`."),
    prop("audit.impl.class", TEXT, AUDIT_LOGGER, "", "class that writes the audit log",
         "audit_logger_class_name", note="Classes of Java's cannot be loaded: no other one."),
)

SECURITY_SETTINGS = CLIENT_TLS + QUORUM_TLS + SASL + AUDIT
