//! The settings without an effect: accepted if ignoring them breaks no promise that the setting makes, refused if it would.

use super::Family;

const fn accepted(why: &'static str, names: &'static [&'static str]) -> Family {
    Family { names, accepted: true, why }
}

const fn refused(why: &'static str, names: &'static [&'static str]) -> Family {
    Family { names, accepted: false, why }
}

#[rustfmt::skip]
pub(super) const FAMILIES: &[Family] = &[
    accepted("records are bytes; your program serializes them", &[
        "key.serializer", "value.serializer", "key.deserializer", "value.deserializer",
    ]),
    accepted("a member of a group is a consumer, and its coordinator is found when it is needed", &[
        "group.protocol.type", "coordinator.query.interval.ms",
    ]),
    accepted("polls and prefetching are bounded in bytes", &[
        "max.poll.records", "queued.min.messages", "consume.callback.max.messages",
    ]),
    accepted("offsets are stored by the group, and those of returned records are committed", &[
        "enable.auto.offset.store", "offset.store.method", "offset.store.path",
        "offset.store.sync.interval.ms",
    ]),
    accepted("errors are values, not exceptions", &["internal.throw.on.fetch.stable.offset.unsupported"]),
    accepted("waiting for capacity is bounded by delivery.timeout.ms", &["max.block.ms"]),
    accepted("the buffer is bounded in bytes, by buffer.memory", &[
        "queue.buffering.max.messages", "queue.buffering.backpressure.threshold", "batch.num.messages",
        "buffer.memory.allocation.strategy", "message.copy.max.bytes",
    ]),
    accepted("the partitioner balances partitions by bytes", &[
        "partitioner.adaptive.partitioning.enable", "partitioner.availability.timeout.ms", "sticky.partitioning.linger.ms",
    ]),
    accepted("pauses before retries follow retry.backoff.ms and retry.backoff.max.ms", &[
        "topic.metadata.refresh.fast.interval.ms", "topic.metadata.refresh.fast.cnt", "fetch.error.backoff.ms",
        "fetch.queue.backoff.ms", "reconnect.backoff.jitter.ms",
    ]),
    accepted("metadata is kept for topics in use, and only for those", &[
        "topic.metadata.refresh.sparse",
    ]),
    accepted("the client returns to the bootstrap servers as soon as no broker responds", &["metadata.recovery.rebootstrap.trigger.ms"]),
    accepted("names are resolved for each attempt, within its timeout", &[
        "bootstrap.resolve.timeout.ms", "broker.address.ttl",
    ]),
    accepted("each connection agrees on versions first, within the set-up timeout", &[
        "api.version.request.timeout.ms", "api.version.fallback.ms", "broker.version.fallback",
        "metadata.cluster.check.enable",
    ]),
    accepted("the operating system sizes its own buffers", &[
        "send.buffer.bytes", "receive.buffer.bytes", "socket.send.buffer.bytes", "socket.receive.buffer.bytes",
    ]),
    accepted("no thread blocks on a socket", &["socket.blocking.max.ms", "socket.max.fails"]),
    accepted("counters are read by `Client::metrics`; nothing is reported by itself", &[
        "enable.metrics.push", "metric.reporters", "metrics.num.samples", "metrics.recording.level",
        "metrics.sample.window.ms", "statistics.interval.ms",
    ]),
    accepted("log events go through `tracing`: see docs/LOGS.md", &[
        "debug", "log_level", "log.queue", "log.thread.name", "log.connection.close", "enable.random.seed",
    ]),
    accepted("each record has its own delivery, with its offset", &[
        "delivery.report.only.error", "produce.offset.report", "queuing.strategy",
    ]),
    accepted("there are no transactions yet, so none times out", &["transaction.timeout.ms"]),
    refused("there are no transactions yet", &["transactional.id", "transaction.two.phase.commit.enable"]),
    refused("there are no share groups yet", &["share.acknowledgement.mode", "share.acquire.mode"]),
    refused("idempotence keeps order, and a record that cannot be written fails without stopping others", &[
        "enable.gapless.guarantee",
    ]),
    refused("name a built-in partitioner by `partitioner`, or pass your own to the builder", &["partitioner.class", "partitioner_cb"]),
    refused("the admin connects to brokers, not to controllers", &["bootstrap.controllers"]),
    refused("pass `TopicPattern::filter`, which decides by code", &["topic.blacklist"]),
    refused("there are no interceptors yet", &["interceptor.classes", "interceptors", "plugin.library.paths"]),
    refused("values are not looked up elsewhere", &["config.providers"]),
    refused("the client always requests the versions that brokers support", &["api.version.request"]),
    refused("it takes code, not text: see the builders and `Connector`", &[
        "builtin.features", "enabled_events", "error_cb", "throttle_cb", "stats_cb", "log_cb", "background_event_cb",
        "socket_cb", "connect_cb", "closesocket_cb", "open_cb", "resolve_cb", "opaque", "default_topic_conf",
        "internal.termination.signal", "consume_cb", "rebalance_cb", "offset_commit_cb", "dr_cb", "dr_msg_cb",
        "msg_order_cmp",
    ]),
    accepted("keystores and truststores are PEM, which has no password of its own", &[
        "ssl.truststore.password", "ssl.keystore.password",
    ]),
    accepted("it chooses among parts of Java's own implementation", &[
        "ssl.keymanager.algorithm", "ssl.trustmanager.algorithm", "ssl.secure.random.implementation", "ssl.provider",
    ]),
    refused("encrypted keys are not supported: decrypt the key by `openssl pkey -in FILE -out client.key` and protect the file by its permissions", &[
        "ssl.key.password",
    ]),
    refused("the provider of the process chooses cryptography: install one by rustls::crypto::CryptoProvider::install_default", &[
        "security.providers", "ssl.providers", "ssl.engine.location", "ssl.engine.id", "ssl_engine_callback_data",
    ]),
    refused("build a configuration of rustls with it, and pass that to `Tls::from_rustls` (feature `rustls-023`)", &[
        "ssl.cipher.suites", "ssl.curves.list", "ssl.sigalgs.list", "ssl.crl.location", "ssl.engine.factory.class",
        "ssl.certificate.verify_cb", "ssl.ca.certificate.stores",
    ]),
    refused("pass it to `Tls::builder`", &["ssl_key", "ssl_certificate", "ssl_ca"]),
    refused("Kerberos is not built in: pass a `sasl::Mechanism` for GSSAPI to `ClientBuilder::sasl`", &[
        "sasl.kerberos.kinit.cmd", "sasl.kerberos.keytab", "sasl.kerberos.min.time.before.relogin",
        "sasl.kerberos.principal", "sasl.kerberos.service.name", "sasl.kerberos.ticket.renew.jitter",
        "sasl.kerberos.ticket.renew.window.factor",
    ]),
    refused("classes of Java cannot be loaded: implement `sasl::TokenSource` or `sasl::Mechanism`, and call `ClientBuilder::sasl`", &[
        "sasl.login.class", "oauthbearer_token_refresh_cb",
    ]),
    accepted("brokers verify tokens; the client passes them on", &[
        "sasl.oauthbearer.allow.unverified.audience", "sasl.oauthbearer.allow.unverified.issuer",
        "sasl.oauthbearer.clock.skew.seconds", "sasl.oauthbearer.expected.audience", "sasl.oauthbearer.expected.issuer",
        "sasl.oauthbearer.jwks.endpoint.refresh.ms", "sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms",
        "sasl.oauthbearer.jwks.endpoint.retry.backoff.ms", "sasl.oauthbearer.jwks.endpoint.url",
        "sasl.oauthbearer.jwt.validator.class", "sasl.oauthbearer.scope.claim.name",
    ]),
    refused("encrypted keys are not supported: decrypt the key by `openssl pkey -in FILE -out client.key` and protect the file by its permissions", &[
        "sasl.oauthbearer.assertion.private.key.passphrase",
    ]),
    refused("unsecured tokens are for tests: give `sasl.jaas.config` the option `unsecuredLoginStringClaim_sub`, or call `Sasl::unsecured_tokens`", &[
        "sasl.oauthbearer.config", "enable.sasl.oauthbearer.unsecure.jwt",
    ]),
];
