//! The settings that have an effect, sorted by name.

use super::Key;
use super::Kind;

const fn key(name: &'static str, aliases: &'static [&'static str], kind: Kind, about: &'static str) -> Key {
    Key { name, aliases, kind, about }
}

const CODECS: &[&str] = &["none", "gzip", "snappy", "lz4", "zstd"];
/// Java has no level zero, which would store the data uncompressed.
const GZIP_LEVELS: &[&str] = &["-1", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
const RESETS: &[&str] = &["earliest", "latest", "none", "smallest", "largest", "error", "beginning", "end"];
const PARTITIONERS: &[&str] = &["murmur2", "murmur2_random", "round_robin", "consistent_random", "fnv1a_random"];

#[rustfmt::skip]
pub(super) const KEYS: &[Key] = &[
    key("acks", &["request.required.acks"], Kind::OneOf(&["all", "-1", "0", "1"]), "The acknowledgements that a producer waits for."),
    key("allow.auto.create.topics", &[], Kind::OneOf(&["false", "true"]), "`true` lets brokers create topics that are used and do not exist."),
    key("auto.commit.interval.ms", &[], Kind::Millis, "Time between the commits that a consumer makes by itself."),
    key("auto.offset.reset", &[], Kind::OneOfOrDuration(RESETS), "The offset to read from when there is no valid one. `by_duration:PT1H` is the first record of the last hour (KIP-1106)."),
    key("batch.size", &[], Kind::Bytes, "Largest batch before compression."),
    key("bootstrap.servers", &["metadata.broker.list"], Kind::Text, "Brokers for the first connection."),
    key("broker.address.family", &[], Kind::OneOf(&["any"]), "Addresses of both families are tried in turn."),
    key("buffer.memory", &[], Kind::Bytes, "The most bytes of records that wait for their acknowledgement."),
    key("check.crcs", &[], Kind::OneOf(&["true"]), "Checksums are always checked."),
    key("client.dns.lookup", &[], Kind::OneOf(&["use_all_dns_ips"]), "All addresses of a name are tried (KIP-302)."),
    key("client.id", &[], Kind::Text, "The name of the client in the brokers' logs and quotas."),
    key("client.rack", &[], Kind::Text, "The rack of this consumer, so that brokers can name a near replica (KIP-392)."),
    key("compression.gzip.level", &[], Kind::OneOf(GZIP_LEVELS), "Gzip's level (KIP-390)."),
    key("compression.level", &[], Kind::From(-1, 12), "librdkafka's level for every codec; -1 is the codec's default."),
    key("compression.lz4.level", &[], Kind::From(1, 17), "LZ4's level; all levels give the same here."),
    key("compression.type", &["compression.codec"], Kind::OneOf(CODECS), "The codec of batches."),
    key("compression.zstd.level", &[], Kind::From(-131_072, 22), "Zstandard's level."),
    key("connections.max.idle.ms", &[], Kind::MillisOrNever, "Time after which an unused connection is closed."),
    key("default.api.timeout.ms", &[], Kind::Millis, "Time limit of an admin call, a commit and a lookup of offsets, retries included."),
    key("delivery.timeout.ms", &["message.timeout.ms"], Kind::Millis, "Time limit for a record from enqueueing to its outcome; 0 is no limit, which here is ten years."),
    key("enable.auto.commit", &["auto.commit.enable"], Kind::OneOf(&["true", "false"]), "Whether a consumer commits by itself the positions after records that earlier polls have returned. A consumer that assigns its partitions does so only if it is set."),
    key("enable.idempotence", &[], Kind::OneOf(&["true", "false"]), "`true`: a retry never writes a record twice. `false` with acks = all is `Guarantee::AllAcks`."),
    key("enable.partition.eof", &[], Kind::OneOf(&["false"]), "There is no event for the end of a partition; `until_end` ends the read there."),
    key("enable.ssl.certificate.verification", &[], Kind::OneOf(&["true", "false"]), "`false` checks nothing of a broker's certificate: anybody between client and broker can read and change everything."),
    key("exclude.internal.topics", &[], Kind::OneOf(&["true", "false"]), "Whether Kafka's own topics match no pattern that the client matches."),
    key("fetch.max.bytes", &[], Kind::Bytes, "Approximate size limit of a fetch response."),
    key("fetch.max.wait.ms", &["fetch.wait.max.ms"], Kind::Millis, "Time that a broker waits for `fetch.min.bytes`."),
    key("fetch.min.bytes", &[], Kind::Bytes, "Bytes that a broker collects before it responds to a fetch."),
    key("group.id", &[], Kind::Text, "The group that a consumer joins, or whose offsets it commits and reads."),
    key("group.instance.id", &[], Kind::Text, "The name of a static member (KIP-345)."),
    key("group.protocol", &[], Kind::OneOf(&["classic", "consumer", "auto"]), "The protocol of a member of a group: `consumer` is that of KIP-848, with which `partition.assignment.strategy`, `session.timeout.ms` and `heartbeat.interval.ms` are refused. `auto`, which Java does not have, takes it where the brokers have it and the group has no classic members."),
    key("group.remote.assignor", &[], Kind::Text, "The assignor that the coordinator uses, with `group.protocol` consumer."),
    key("heartbeat.interval.ms", &[], Kind::Millis, "Time between the heartbeats of a member of a group, with `group.protocol` classic."),
    key("internal.leave.group.on.close", &[], Kind::OneOf(&["true", "false"]), "Whether a consumer that is closed leaves its group. A static member stays in any case."),
    key("isolation.level", &[], Kind::OneOf(&["read_uncommitted", "read_committed"]), "`read_committed` skips records of open and aborted transactions."),
    key("linger.ms", &["queue.buffering.max.ms"], Kind::Millis, "The longest time that a record waits for others to fill its batch."),
    key("max.in.flight.requests.per.connection", &["max.in.flight"], Kind::From(1, 5), "Always five; order is kept, so a smaller number changes nothing."),
    key("max.partition.fetch.bytes", &["fetch.message.max.bytes"], Kind::Bytes, "Size limit of one partition in a fetch response."),
    key("max.poll.interval.ms", &[], Kind::Millis, "The longest time between polls of a member of a group, and of a rebalance (KIP-62)."),
    key("max.request.size", &["message.max.bytes"], Kind::Bytes, "The largest produce request, and so the largest record."),
    key("metadata.max.age.ms", &["topic.metadata.refresh.interval.ms"], Kind::Millis, "The age at which metadata is refreshed."),
    key("metadata.max.idle.ms", &[], Kind::Millis, "Time after its last use for which a topic's metadata is refreshed."),
    key("metadata.recovery.strategy", &[], Kind::OneOf(&["rebootstrap", "none"]), "`rebootstrap` returns to `bootstrap.servers` when no broker responds (KIP-899)."),
    key("partition.assignment.strategy", &[], Kind::Text, "The assignors that a member of a group supports: range, roundrobin, sticky, cooperative-sticky, or Java's classes of them."),
    key("partitioner", &[], Kind::OneOf(PARTITIONERS), "The built-in partitioner, by librdkafka's names."),
    key("partitioner.ignore.keys", &[], Kind::OneOf(&["false"]), "A key always decides; send records without one, or set their partition."),
    key("partitioner.rack.aware", &[], Kind::OneOf(&["false"]), "Racks do not influence the partitioner."),
    key("queue.buffering.max.kbytes", &[], Kind::From(1, 4_194_303), "librdkafka's `buffer.memory`, in kilobytes."),
    key("queued.max.messages.kbytes", &[], Kind::From(1, 2_097_151), "The most kilobytes that are fetched ahead."),
    key("receive.message.max.bytes", &[], Kind::Bytes, "The largest response that is accepted."),
    key("reconnect.backoff.max.ms", &[], Kind::Millis, "The longest pause between attempts to connect."),
    key("reconnect.backoff.ms", &[], Kind::Millis, "The first pause between attempts to connect."),
    key("request.timeout.ms", &["socket.timeout.ms"], Kind::Millis, "Time that a broker has to respond."),
    key("retries", &["message.send.max.retries"], Kind::From(1, 2_147_483_647), "Retries end with `delivery.timeout.ms`, not by their number."),
    key("retry.backoff.max.ms", &[], Kind::Millis, "The longest pause before a retry."),
    key("retry.backoff.ms", &[], Kind::Millis, "The first pause before a retry."),
    key("security.protocol", &[], Kind::OneOf(&["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"]), "Whether connections are encrypted (`ssl`, `sasl_ssl`; feature `tls`) and authenticated (`sasl_plaintext`, `sasl_ssl`)."),
    key("session.timeout.ms", &[], Kind::Millis, "Time without a heartbeat after which a group takes a member for dead."),
    key("socket.connection.setup.timeout.max.ms", &[], Kind::Millis, "The longest time limit for setting up a connection, after failures."),
    key("socket.connection.setup.timeout.ms", &[], Kind::Millis, "Time limit of the first attempt to set up a connection (KIP-601)."),
    key("socket.keepalive.enable", &[], Kind::OneOf(&["false"]), "Unused connections are closed, and requests have deadlines, so a dead peer is noticed without it."),
    key("socket.nagle.disable", &[], Kind::OneOf(&["true"]), "Nagle's algorithm is always off."),
    key("ssl.certificate.location", &[], Kind::Text, "The PEM file of the client's certificate and of those that lead to its CA."),
    key("ssl.enabled.protocols", &[], Kind::Text, "The versions of TLS that are spoken, of TLSv1.2 and TLSv1.3."),
    key("ssl.endpoint.identification.algorithm", &[], Kind::OneOf(&["https", "none"]), "`https` checks that a broker's certificate is for the host that was dialled; `none`, or nothing as Java has it, leaves that out."),
    key("ssl.key.location", &[], Kind::Text, "The PEM file of the client's private key."),
    key("ssl.keystore.certificate.chain", &["ssl.certificate.pem"], Kind::Text, "The client's certificate and those that lead to its CA, as PEM text."),
    key("ssl.keystore.key", &["ssl.key.pem"], Kind::Secret, "The client's private key, as PEM text."),
    key("ssl.keystore.location", &[], Kind::Text, "The PEM file of the client's private key and certificates."),
    key("ssl.keystore.type", &[], Kind::OneOf(&["PEM"]), "convert other keystores by `keytool -importkeystore -srckeystore FILE -destkeystore client.p12 -deststoretype PKCS12` and `openssl pkcs12 -in client.p12 -nodes -out client.pem`"),
    key("ssl.protocol", &[], Kind::OneOf(&["TLSv1.3", "TLSv1.2", "TLS"]), "`TLSv1.2` leaves out TLS 1.3, unless `ssl.enabled.protocols` is set."),
    key("ssl.truststore.certificates", &["ssl.ca.pem"], Kind::Text, "The CAs that are trusted, as PEM text."),
    key("ssl.truststore.location", &["ssl.ca.location"], Kind::Text, "The PEM file of the CAs that are trusted, or a folder of such files; `probe` stands for those of the system, which are the default."),
    key("ssl.truststore.type", &[], Kind::OneOf(&["PEM"]), "convert other truststores by `keytool -list -rfc -keystore FILE > ca.pem`"),
    key("topic.metadata.propagation.max.ms", &[], Kind::Millis, "Time that a new topic may be unknown to a broker."),
];
