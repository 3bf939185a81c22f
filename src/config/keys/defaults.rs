//! Every default, beside Java's and librdkafka's, with a reason where they differ.

/// The default of one setting: here, in Java's clients (4.x) and in librdkafka (2.x). `NONE` is a setting that a client does not
/// have, or that has no default.
#[derive(Clone, Copy, Debug)]
pub(in crate::config) struct Default {
    pub(in crate::config) name: &'static str,
    pub(in crate::config) here: &'static str,
    pub(in crate::config) java: &'static str,
    pub(in crate::config) librdkafka: &'static str,
    /// The reason for a difference; empty where there is none.
    pub(in crate::config) why: &'static str,
}

/// A default that differs from Java's, or from librdkafka's, or from both.
const fn differs(name: &'static str, [here, java, librdkafka]: [&'static str; 3], why: &'static str) -> Default {
    Default { name, here, java, librdkafka, why }
}

/// A default that is the same in all three.
const fn same(name: &'static str, here: &'static str) -> Default {
    Default { name, here, java: here, librdkafka: here, why: "" }
}

/// A setting of Java's, with Java's default.
const fn as_java(name: &'static str, here: &'static str) -> Default {
    Default { name, here, java: here, librdkafka: NONE, why: "" }
}

/// A setting of librdkafka's, with librdkafka's default.
const fn as_librdkafka(name: &'static str, here: &'static str) -> Default {
    Default { name, here, java: NONE, librdkafka: here, why: "" }
}

/// No default, or no such setting.
pub(in crate::config) const NONE: &str = "—";

#[rustfmt::skip]
pub(in crate::config) const DEFAULTS: &[Default] = &[
    same("acks", "all"),
    differs("allow.auto.create.topics", ["false", "true", "false"], "A mistyped name is an error, not a new topic. Java's producer always creates."),
    same("auto.commit.interval.ms", "5000"),
    differs("auto.offset.reset", ["earliest", "latest", "latest"], "No record is skipped silently: without a valid offset, reading starts at the oldest."),
    differs("batch.size", ["262144", "16384", "1000000"], "Larger batches compress better and need fewer requests. A batch takes memory as it fills, so a large limit costs nothing."),
    same("bootstrap.servers", NONE),
    as_librdkafka("broker.address.family", "any"),
    differs("buffer.memory", ["33554432", "33554432", "1073741824"], "As Java. librdkafka also stops at 100,000 records (`queue.buffering.max.messages`); here only bytes count."),
    differs("check.crcs", ["true", "true", "false"], "Corrupt records are never returned. It cannot be turned off."),
    same("client.dns.lookup", "use_all_dns_ips"),
    differs("client.id", ["ottla", "producer-1, consumer-GROUP-1 …", "rdkafka"], "It appears in the brokers' logs and quotas: set it to your program's name."),
    same("client.rack", NONE),
    as_java("compression.gzip.level", "-1"),
    as_librdkafka("compression.level", "-1"),
    differs("compression.lz4.level", ["9", "9", "-1"], "As Java; this LZ4 encoder has one level, so every value gives the same."),
    same("compression.type", "none"),
    differs("compression.zstd.level", ["3", "3", "-1"], "As Java, and the meaning of -1 in librdkafka."),
    differs("connections.max.idle.ms", ["540000", "540000", "0 (never)"], "As Java: the client closes first, one minute before a broker would."),
    differs("default.api.timeout.ms", ["60000", "60000", NONE], "As Java. librdkafka takes a timeout with each call."),
    differs("delivery.timeout.ms", ["120000", "120000", "300000"], "As Java."),
    same("enable.auto.commit", "true"),
    differs("enable.idempotence", ["true", "true", "false"], "A retry never writes a record twice, and order is kept."),
    as_librdkafka("enable.partition.eof", "false"),
    as_librdkafka("enable.ssl.certificate.verification", "true"),
    as_java("exclude.internal.topics", "true"),
    differs("fetch.max.bytes", ["8388608", "52428800", "52428800"], "8 MiB for each response fill a connection, and keep the memory of a consumer with many brokers small."),
    same("fetch.max.wait.ms", "500"),
    same("fetch.min.bytes", "1"),
    same("group.id", NONE),
    same("group.instance.id", NONE),
    same("group.protocol", "classic"),
    same("group.remote.assignor", NONE),
    same("heartbeat.interval.ms", "3000"),
    as_java("internal.leave.group.on.close", "true"),
    differs("isolation.level", ["read_uncommitted", "read_uncommitted", "read_committed"], "As Java. Set `read_committed` where producers use transactions."),
    differs("linger.ms", ["5", "5 (0 before 4.0)", "5"], "As Java since 4.0. A broker with nothing to do is sent a batch at once all the same."),
    differs("max.in.flight.requests.per.connection", ["5", "5", "1000000 (5 with idempotence)"], "A broker remembers five batches of a producer."),
    same("max.partition.fetch.bytes", "1048576"),
    same("max.poll.interval.ms", "300000"),
    differs("max.request.size", ["1048576", "1048576", "1000000"], "As Java."),
    differs("metadata.max.age.ms", ["300000", "300000", "300000 (`topic.metadata.refresh.interval.ms`)"], "librdkafka's `metadata.max.age.ms` is another thing: when its cache expires (900000)."),
    differs("metadata.max.idle.ms", ["300000", "300000", NONE], "As Java's producer. librdkafka refreshes every topic that it has a handle of."),
    same("metadata.recovery.strategy", "rebootstrap"),
    differs("partition.assignment.strategy", ["range, cooperative-sticky", "range, cooperative-sticky", "range, roundrobin"], "As Java."),
    differs("partitioner", ["murmur2", "murmur2 (no name)", "consistent_random"], "As Java, so that equal keys go to equal partitions whichever client writes. For librdkafka's placement set `consistent_random`."),
    as_java("partitioner.ignore.keys", "false"),
    as_java("partitioner.rack.aware", "false"),
    differs("queue.buffering.max.kbytes", ["32768", NONE, "1048576"], "librdkafka's name for `buffer.memory`."),
    differs("queued.max.messages.kbytes", ["32768", NONE, "65536"], "Bytes fetched ahead, over all partitions; 32 MiB are four full responses."),
    differs("receive.message.max.bytes", ["104857600", NONE, "100000000"], "A response beyond it ends the connection before it takes memory. Java has no limit."),
    differs("reconnect.backoff.max.ms", ["1000", "1000", "10000"], "As Java: a broker that is back is found within about a second."),
    differs("reconnect.backoff.ms", ["50", "50", "100"], "As Java."),
    differs("request.timeout.ms", ["30000", "30000", "60000 (`socket.timeout.ms`)"], "As Java."),
    same("retries", "2147483647"),
    same("retry.backoff.max.ms", "1000"),
    same("retry.backoff.ms", "100"),
    same("sasl.jaas.config", NONE),
    as_java("sasl.login.refresh.buffer.seconds", "300"),
    as_java("sasl.login.refresh.min.period.seconds", "60"),
    as_java("sasl.login.refresh.window.factor", "0.8"),
    as_java("sasl.login.refresh.window.jitter", "0.05"),
    differs("sasl.mechanism", [NONE, "GSSAPI", "GSSAPI"], "Kerberos is not built in, so a mechanism has to be named."),
    same("sasl.password", NONE),
    same("sasl.username", NONE),
    same("security.protocol", "plaintext"),
    same("session.timeout.ms", "45000"),
    differs("socket.connection.setup.timeout.max.ms", ["30000", "30000", NONE], "As Java."),
    differs("socket.connection.setup.timeout.ms", ["10000", "10000", "30000"], "As Java. It doubles with each failure, up to the maximum. `Client::connect` retries for as long."),
    differs("socket.keepalive.enable", ["false", "true (no name)", "false"], "Unused connections are closed, and requests have deadlines, so a dead peer is noticed without it."),
    as_librdkafka("socket.nagle.disable", "true"),
    as_librdkafka("ssl.certificate.location", NONE),
    as_java("ssl.enabled.protocols", "TLSv1.2,TLSv1.3"),
    same("ssl.endpoint.identification.algorithm", "https"),
    as_librdkafka("ssl.key.location", NONE),
    same("ssl.keystore.certificate.chain", NONE),
    same("ssl.keystore.key", NONE),
    same("ssl.keystore.location", NONE),
    differs("ssl.keystore.type", ["PEM", "JKS", NONE], "Keystores of Java are converted once; errors show the command."),
    as_java("ssl.protocol", "TLSv1.3"),
    same("ssl.truststore.certificates", NONE),
    differs("ssl.truststore.location", [NONE, NONE, "probe (no name)"], "The CAs of the system are trusted unless others are given, as in librdkafka. Java trusts its own list."),
    differs("ssl.truststore.type", ["PEM", "JKS", NONE], "Truststores of Java are converted once; errors show the command."),
    differs("topic.metadata.propagation.max.ms", ["3000", NONE, "30000"], "A mistyped name fails sooner. Java's producer waits `max.block.ms` (60000)."),
];

/// The method of a builder that sets a property: the builder is that of a client, a producer or a consumer.
#[cfg(test)]
#[rustfmt::skip]
pub(in crate::config) const METHODS: &[(&str, &str, &str)] = &[
    ("acks", "producer", "guarantee"),
    ("allow.auto.create.topics", "producer", "allow_auto_create_topics"),
    ("allow.auto.create.topics", "consumer", "allow_auto_create_topics"),
    ("auto.commit.interval.ms", "consumer", "auto_commit"),
    ("auto.offset.reset", "consumer", "reset"),
    ("batch.size", "producer", "batch_bytes"),
    ("buffer.memory", "producer", "buffer_bytes"),
    ("client.id", "client", "client_id"),
    ("client.rack", "consumer", "rack"),
    ("compression.gzip.level", "producer", "compression_level"),
    ("compression.lz4.level", "producer", "compression_level"),
    ("compression.type", "producer", "compression"),
    ("compression.zstd.level", "producer", "compression_level"),
    ("connections.max.idle.ms", "client", "idle_max"),
    ("default.api.timeout.ms", "client", "api_timeout"),
    ("default.api.timeout.ms", "consumer", "timeout"),
    ("delivery.timeout.ms", "producer", "delivery_timeout"),
    ("enable.auto.commit", "consumer", "auto_commit"),
    ("enable.idempotence", "producer", "guarantee"),
    ("enable.ssl.certificate.verification", "tls", "verify"),
    ("exclude.internal.topics", "consumer", "exclude_internal_topics"),
    ("fetch.max.bytes", "consumer", "fetch_bytes_max"),
    ("fetch.max.wait.ms", "consumer", "fetch_wait_max"),
    ("fetch.min.bytes", "consumer", "fetch_bytes_min"),
    ("group.id", "consumer", "group"),
    ("group.instance.id", "consumer", "group_instance_id"),
    ("group.protocol", "consumer", "group_protocol"),
    ("group.remote.assignor", "consumer", "group_remote_assignor"),
    ("heartbeat.interval.ms", "consumer", "heartbeat_interval"),
    ("internal.leave.group.on.close", "consumer", "leave_group_on_close"),
    ("isolation.level", "consumer", "isolation"),
    ("linger.ms", "producer", "linger"),
    ("max.partition.fetch.bytes", "consumer", "partition_fetch_bytes_max"),
    ("max.poll.interval.ms", "consumer", "poll_interval_max"),
    ("max.request.size", "producer", "request_bytes_max"),
    ("metadata.max.age.ms", "client", "metadata_age_max"),
    ("metadata.max.idle.ms", "client", "metadata_idle_max"),
    ("metadata.recovery.strategy", "client", "rebootstrap"),
    ("partition.assignment.strategy", "consumer", "assignors"),
    ("partitioner", "producer", "partitioner"),
    ("queued.max.messages.kbytes", "consumer", "prefetch_bytes"),
    ("receive.message.max.bytes", "client", "response_bytes_max"),
    ("reconnect.backoff.max.ms", "client", "reconnect_backoff"),
    ("reconnect.backoff.ms", "client", "reconnect_backoff"),
    ("request.timeout.ms", "client", "request_timeout"),
    ("retries", "producer", "delivery_timeout"),
    ("retry.backoff.max.ms", "client", "retry_backoff"),
    ("retry.backoff.ms", "client", "retry_backoff"),
    ("sasl.jaas.config", "client", "sasl"),
    ("sasl.mechanism", "client", "sasl"),
    ("sasl.password", "client", "sasl"),
    ("sasl.username", "client", "sasl"),
    ("security.protocol", "client", "tls"),
    ("session.timeout.ms", "consumer", "session_timeout"),
    ("socket.connection.setup.timeout.max.ms", "client", "setup_timeout"),
    ("socket.connection.setup.timeout.ms", "client", "setup_timeout"),
    ("ssl.certificate.location", "tls", "identity"),
    ("ssl.enabled.protocols", "tls", "versions"),
    ("ssl.endpoint.identification.algorithm", "tls", "verify"),
    ("ssl.key.location", "tls", "identity"),
    ("ssl.keystore.certificate.chain", "tls", "identity"),
    ("ssl.keystore.key", "tls", "identity"),
    ("ssl.keystore.location", "tls", "identity"),
    ("ssl.protocol", "tls", "versions"),
    ("ssl.truststore.certificates", "tls", "ca"),
    ("ssl.truststore.location", "tls", "ca"),
];
