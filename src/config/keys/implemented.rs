//! The settings that do something, in the order of their names.

use super::Key;
use super::Kind;

const fn key(name: &'static str, aliases: &'static [&'static str], kind: Kind, about: &'static str) -> Key {
    Key { name, aliases, kind, about }
}

const CODECS: &[&str] = &["none", "gzip", "snappy", "lz4", "zstd"];
/// Zero, which would store what is compressed, is none of Java's.
const GZIP_LEVELS: &[&str] = &["-1", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
const RESETS: &[&str] = &["earliest", "latest", "none", "smallest", "largest", "error", "beginning", "end"];
const PARTITIONERS: &[&str] = &["murmur2", "murmur2_random", "round_robin", "consistent_random", "fnv1a_random"];

#[rustfmt::skip]
pub(super) const KEYS: &[Key] = &[
    key("acks", &["request.required.acks"], Kind::OneOf(&["all", "-1", "0", "1"]), "What a producer waits for."),
    key("allow.auto.create.topics", &[], Kind::OneOf(&["false", "true"]), "Whether a broker may create topics that are used and do not exist."),
    key("auto.offset.reset", &[], Kind::OneOf(RESETS), "Where to start, and where to go on, without a valid offset."),
    key("batch.size", &[], Kind::Bytes, "Largest batch before compression."),
    key("bootstrap.servers", &["metadata.broker.list"], Kind::Text, "Brokers to start from."),
    key("broker.address.family", &[], Kind::OneOf(&["any"]), "Addresses of both families are tried, in turn."),
    key("buffer.memory", &[], Kind::Bytes, "Bytes that wait to be acknowledged, at most."),
    key("check.crcs", &[], Kind::OneOf(&["true"]), "Checksums are always checked."),
    key("client.dns.lookup", &[], Kind::OneOf(&["use_all_dns_ips"]), "All addresses of a name are tried (KIP-302)."),
    key("client.id", &[], Kind::Text, "How the client names itself to brokers."),
    key("client.rack", &[], Kind::Text, "Which replicas are near (KIP-392)."),
    key("compression.gzip.level", &[], Kind::OneOf(GZIP_LEVELS), "Gzip's level (KIP-390)."),
    key("compression.level", &[], Kind::From(-1, 12), "The level of whichever codec, as librdkafka has it; -1 is the codec's own."),
    key("compression.lz4.level", &[], Kind::From(1, 17), "LZ4's level; one is as good as another here."),
    key("compression.type", &["compression.codec"], Kind::OneOf(CODECS), "How batches are compressed."),
    key("compression.zstd.level", &[], Kind::From(-131_072, 22), "Zstandard's level."),
    key("connections.max.idle.ms", &[], Kind::MillisOrNever, "After how long an unused connection is closed."),
    key("default.api.timeout.ms", &[], Kind::Millis, "How long a call of the admin, or about offsets, may take."),
    key("delivery.timeout.ms", &["message.timeout.ms"], Kind::Millis, "By when every record is decided; 0 is no limit, which here is ten years."),
    key("enable.auto.commit", &["auto.commit.enable"], Kind::OneOf(&["false"]), "Offsets are committed when `commit` is called."),
    key("enable.idempotence", &[], Kind::OneOf(&["true", "false"]), "Whether a retry writes no record twice. `false` with acks = all is `Guarantee::AllAcks`."),
    key("enable.partition.eof", &[], Kind::OneOf(&["false"]), "`until_end` ends at the end; there is no event for it."),
    key("enable.ssl.certificate.verification", &[], Kind::OneOf(&["true"]), "There is no way to turn it off."),
    key("fetch.max.bytes", &[], Kind::Bytes, "Bytes in one Fetch response, about."),
    key("fetch.max.wait.ms", &["fetch.wait.max.ms"], Kind::Millis, "How long a broker waits for `fetch.min.bytes`."),
    key("fetch.min.bytes", &[], Kind::Bytes, "Bytes worth a Fetch response."),
    key("group.id", &[], Kind::Text, "The group whose offsets are committed and fetched."),
    key("isolation.level", &[], Kind::OneOf(&["read_uncommitted", "read_committed"]), "Whether open and aborted transactions are read."),
    key("linger.ms", &["queue.buffering.max.ms"], Kind::Millis, "How long a record waits for others at most."),
    key("max.in.flight.requests.per.connection", &["max.in.flight"], Kind::From(1, 5), "Five; order is kept all the same, so a smaller number changes nothing."),
    key("max.partition.fetch.bytes", &["fetch.message.max.bytes"], Kind::Bytes, "Bytes of one partition in a Fetch response."),
    key("max.request.size", &["message.max.bytes"], Kind::Bytes, "Largest Produce request."),
    key("metadata.max.age.ms", &["topic.metadata.refresh.interval.ms"], Kind::Millis, "How old knowledge of the cluster may be."),
    key("metadata.max.idle.ms", &[], Kind::Millis, "How long a topic's metadata is refreshed after its last use."),
    key("metadata.recovery.strategy", &[], Kind::OneOf(&["rebootstrap", "none"]), "Whether to start over from `bootstrap.servers` when no broker answers (KIP-899)."),
    key("partitioner", &[], Kind::OneOf(PARTITIONERS), "How records are placed, by librdkafka's names."),
    key("partitioner.ignore.keys", &[], Kind::OneOf(&["false"]), "A key always decides; leave it out, or set a partition."),
    key("partitioner.rack.aware", &[], Kind::OneOf(&["false"]), "Racks have no part in placing records."),
    key("queue.buffering.max.kbytes", &[], Kind::From(1, 4_194_303), "librdkafka's `buffer.memory`, in kilobytes."),
    key("queued.max.messages.kbytes", &[], Kind::From(1, 2_097_151), "Kilobytes fetched ahead at most."),
    key("receive.message.max.bytes", &[], Kind::Bytes, "Largest response that is accepted."),
    key("reconnect.backoff.max.ms", &[], Kind::Millis, "Longest pause between attempts to connect."),
    key("reconnect.backoff.ms", &[], Kind::Millis, "First pause between attempts to connect."),
    key("request.timeout.ms", &["socket.timeout.ms"], Kind::Millis, "How long a broker has to answer."),
    key("retries", &["message.send.max.retries"], Kind::From(1, 2_147_483_647), "Attempts go on until `delivery.timeout.ms`, whatever their number."),
    key("retry.backoff.max.ms", &[], Kind::Millis, "Longest pause before a retry."),
    key("retry.backoff.ms", &[], Kind::Millis, "First pause before a retry."),
    key("security.protocol", &[], Kind::OneOf(&["plaintext"]), "Neither TLS nor SASL is there yet."),
    key("socket.connection.setup.timeout.max.ms", &[], Kind::Millis, "Longest that setting up a connection may take."),
    key("socket.connection.setup.timeout.ms", &[], Kind::Millis, "How long the first attempt to set up a connection may take (KIP-601)."),
    key("socket.keepalive.enable", &[], Kind::OneOf(&["false"]), "Unused connections are closed; used ones have deadlines."),
    key("socket.nagle.disable", &[], Kind::OneOf(&["true"]), "Nothing is delayed by Nagle's algorithm."),
    key("topic.metadata.propagation.max.ms", &[], Kind::Millis, "How long a topic may be unknown after it was made."),
];
