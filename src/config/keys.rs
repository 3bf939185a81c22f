//! Every property name that is known, what it takes, and what it is about.

use crate::error::Error;

/// A setting by its property name.
#[derive(Debug)]
pub struct Key {
    /// Java's name, or librdkafka's where Java has none.
    pub name: &'static str,
    /// Other names for it.
    pub aliases: &'static [&'static str],
    pub(super) kind: Kind,
    /// What it does.
    pub about: &'static str,
}

#[derive(Debug)]
pub(super) enum Kind {
    Bytes,
    Level,
    Millis,
    OneOf(&'static [&'static str]),
    Text,
}

/// All of them, by name.
pub const KEYS: &[Key] = &[
    Key {
        name: "acks",
        aliases: &["request.required.acks"],
        kind: Kind::OneOf(&["all", "-1", "0", "1"]),
        about: "What a producer waits for.",
    },
    Key {
        name: "allow.auto.create.topics",
        aliases: &[],
        kind: Kind::OneOf(&["false"]),
        about: "Reading never creates topics here; only `false` is accepted.",
    },
    Key {
        name: "auto.offset.reset",
        aliases: &[],
        kind: Kind::OneOf(&["earliest", "latest", "none", "smallest", "largest", "error", "beginning", "end"]),
        about: "Where to start, and where to go on, when there is no valid offset.",
    },
    Key { name: "batch.size", aliases: &[], kind: Kind::Bytes, about: "Largest batch before compression." },
    Key {
        name: "bootstrap.servers",
        aliases: &["metadata.broker.list"],
        kind: Kind::Text,
        about: "Brokers to start from.",
    },
    Key {
        name: "buffer.memory",
        aliases: &[],
        kind: Kind::Bytes,
        about: "Bytes that wait to be acknowledged, at most.",
    },
    Key { name: "client.id", aliases: &[], kind: Kind::Text, about: "How the client names itself to brokers." },
    Key { name: "client.rack", aliases: &[], kind: Kind::Text, about: "Which replicas are near (KIP-392)." },
    Key { name: "compression.gzip.level", aliases: &[], kind: Kind::Level, about: "Gzip's level (KIP-390)." },
    Key {
        name: "compression.lz4.level",
        aliases: &[],
        kind: Kind::Level,
        about: "LZ4's level; one is as good as another here.",
    },
    Key {
        name: "compression.type",
        aliases: &["compression.codec"],
        kind: Kind::OneOf(&["none", "gzip", "snappy", "lz4", "zstd"]),
        about: "How batches are compressed.",
    },
    Key { name: "compression.zstd.level", aliases: &[], kind: Kind::Level, about: "Zstandard's level." },
    Key {
        name: "connections.max.idle.ms",
        aliases: &[],
        kind: Kind::Millis,
        about: "After how long an unused connection is closed.",
    },
    Key {
        name: "delivery.timeout.ms",
        aliases: &["message.timeout.ms"],
        kind: Kind::Millis,
        about: "By when every record is decided.",
    },
    Key {
        name: "enable.idempotence",
        aliases: &[],
        kind: Kind::OneOf(&["true", "false"]),
        about: "Whether retries can write a record twice. `false` needs acks 0 or 1.",
    },
    Key { name: "fetch.max.bytes", aliases: &[], kind: Kind::Bytes, about: "Bytes in one Fetch response, about." },
    Key {
        name: "fetch.max.wait.ms",
        aliases: &["fetch.wait.max.ms"],
        kind: Kind::Millis,
        about: "How long a broker waits for `fetch.min.bytes`.",
    },
    Key { name: "fetch.min.bytes", aliases: &[], kind: Kind::Bytes, about: "Bytes worth a Fetch response." },
    Key {
        name: "group.id",
        aliases: &[],
        kind: Kind::Text,
        about: "The group whose offsets are committed and fetched.",
    },
    Key {
        name: "isolation.level",
        aliases: &[],
        kind: Kind::OneOf(&["read_uncommitted", "read_committed"]),
        about: "Whether open and aborted transactions are read.",
    },
    Key {
        name: "linger.ms",
        aliases: &["queue.buffering.max.ms"],
        kind: Kind::Millis,
        about: "How long a record waits for others at most.",
    },
    Key {
        name: "max.partition.fetch.bytes",
        aliases: &["fetch.message.max.bytes"],
        kind: Kind::Bytes,
        about: "Bytes of one partition in a Fetch response.",
    },
    Key {
        name: "max.request.size",
        aliases: &["message.max.bytes"],
        kind: Kind::Bytes,
        about: "Largest Produce request.",
    },
    Key {
        name: "metadata.max.age.ms",
        aliases: &["topic.metadata.refresh.interval.ms"],
        kind: Kind::Millis,
        about: "How old knowledge of the cluster may be.",
    },
    Key {
        name: "partitioner",
        aliases: &[],
        kind: Kind::OneOf(&["murmur2", "murmur2_random", "round_robin", "consistent_random", "fnv1a_random"]),
        about: "How records are placed, by librdkafka's names.",
    },
    Key {
        name: "queued.max.messages.kbytes",
        aliases: &[],
        kind: Kind::Bytes,
        about: "Kilobytes fetched ahead at most.",
    },
    Key {
        name: "receive.message.max.bytes",
        aliases: &[],
        kind: Kind::Bytes,
        about: "Largest response that is accepted.",
    },
    Key {
        name: "reconnect.backoff.max.ms",
        aliases: &[],
        kind: Kind::Millis,
        about: "Longest pause between attempts to connect.",
    },
    Key {
        name: "reconnect.backoff.ms",
        aliases: &[],
        kind: Kind::Millis,
        about: "First pause between attempts to connect.",
    },
    Key {
        name: "request.timeout.ms",
        aliases: &["socket.timeout.ms"],
        kind: Kind::Millis,
        about: "How long a broker has to answer.",
    },
    Key { name: "retry.backoff.max.ms", aliases: &[], kind: Kind::Millis, about: "Longest pause before a retry." },
    Key { name: "retry.backoff.ms", aliases: &[], kind: Kind::Millis, about: "First pause before a retry." },
    Key {
        name: "socket.connection.setup.timeout.max.ms",
        aliases: &[],
        kind: Kind::Millis,
        about: "Longest that setting up a connection may take.",
    },
    Key {
        name: "socket.connection.setup.timeout.ms",
        aliases: &[],
        kind: Kind::Millis,
        about: "How long the first attempt to set up a connection may take.",
    },
];

pub(super) fn find(name: &str) -> Result<&'static Key, Error> {
    let known = KEYS.iter().find(|key| key.name == name || key.aliases.contains(&name));
    known.ok_or_else(|| {
        let names = KEYS.iter().flat_map(|key| std::iter::once(&key.name).chain(key.aliases));
        let nearest = names.min_by_key(|known| distance(known, name)).filter(|known| distance(known, name) <= 5);
        let hint = nearest.map_or(String::new(), |nearest| format!("; did you mean {nearest}?"));
        Error::config(format!("no property is named {name}{hint}"))
    })
}

pub(super) fn check(key: &Key, value: &str) -> Result<(), Error> {
    let wrong = |what: &str| Error::config(format!("{} = {value:?}: give {what}", key.name));
    match key.kind {
        Kind::Bytes => drop(value.parse::<u32>().map_err(|_| wrong("a number of bytes up to 4294967295"))?),
        Kind::Level => drop(value.parse::<i32>().map_err(|_| wrong("a level as a number"))?),
        Kind::Millis => drop(value.parse::<u32>().map_err(|_| wrong("a number of milliseconds"))?),
        Kind::OneOf(words) if words.contains(&value) => {}
        Kind::OneOf(words) => return Err(wrong(&words.join(" or "))),
        Kind::Text => {}
    }
    Ok(())
}

/// How many letters must be added, dropped or changed (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.chars().enumerate() {
            let changed = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_by_alias_and_near_misses_are_named() {
        assert_eq!(find("queue.buffering.max.ms").expect("an alias").name, "linger.ms");
        assert!(find("batchsize").expect_err("unknown").to_string().contains("batch.size"));
        assert!(!find("zzzzzzzzzzzzzzzzzzzz").expect_err("unknown").to_string().contains("mean"));
    }
}
