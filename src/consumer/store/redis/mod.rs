//! A store in Redis: one hash for each partition, changed by a script.
//!
//! | field | is |
//! |---|---|
//! | `o`, `e` | offset, and leader epoch (−1: none) |
//! | `v` | version |
//! | `t` | when it was stored, by the clock of Redis, in milliseconds since 1970 |
//! | `m` | metadata |
//!
//! The keys are `PREFIX:{GROUP:TOPIC}:PARTITION`; in a group `%`, `:` and braces are written as `%25` and so on. The braces place the
//! partitions of a topic into one slot of a Redis cluster.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

mod address;
mod connection;
#[cfg(feature = "redis-1")]
mod given;
mod link;
mod login;
mod reconnecting;
pub(crate) mod refusal;
pub(crate) mod resp;
#[cfg(all(test, feature = "mock", feature = "queue"))]
mod tests;

use self::address::Address;
use self::link::Answers;
use self::link::Call;
use self::link::Cause;
use self::link::Link;
use self::reconnecting::Reconnecting;
use self::resp::Command;
use self::resp::REPLY_BYTES_MAX;
use self::resp::Value;
use super::Change;
use super::Expected;
use super::Lookup;
use super::OffsetStore;
use super::Outcome;
use super::StoreFuture;
use super::StoredOffset;
use crate::error::Error;
#[cfg(feature = "tls")]
use crate::net::secure::Secure;
use crate::reading::Position;
#[cfg(feature = "tls")]
use crate::tls::Peer;
#[cfg(feature = "tls")]
use crate::tls::Tls;
use crate::types::LeaderEpoch;
use crate::types::Timestamp;
use crate::types::TopicPartition;
use crate::types::bounded;

/// Returns the time of Redis and the fields.
const LOAD: &str = "local t = redis.call('TIME') local h = redis.call('HMGET', KEYS[1], 'o', 'e', 'v', 't', 'm') \
    return {t[1], t[2], h[1], h[2], h[3], h[4], h[5]}";

/// Changes the fields if the version is the expected one. Returns the new version, or nothing and what is there.
const CHANGE: &str = "local t = redis.call('TIME') local v = redis.call('HGET', KEYS[1], 'v') \
    if ARGV[1] == '*' or (ARGV[1] == '-' and not v) or (v and v == ARGV[1]) then \
    local n = redis.call('HINCRBY', KEYS[1], 'v', 1) local ms = t[1] .. string.format('%03d', math.floor(t[2] / 1000)) \
    redis.call('HSET', KEYS[1], 'o', ARGV[2], 'e', ARGV[3], 't', ms, 'm', ARGV[4]) return {n} end \
    local h = redis.call('HMGET', KEYS[1], 'o', 'e', 'v', 't', 'm') return {t[1], t[2], h[1], h[2], h[3], h[4], h[5]}";

/// The longest metadata: a reply has space for it.
const METADATA_BYTES_MAX: usize = REPLY_BYTES_MAX / 2;

/// Offsets in Redis, for workers of several processes (feature `redis`).
///
/// Each change is a script, which Redis runs alone: of two workers that change the same version one is refused. Needs Redis 5 or later.
/// The persistence of Redis (`appendfsync`) decides what survives its crash.
///
/// It connects with the first call. A connection that is lost is dialled again, after a pause that grows from 50 ms to 1 s: reads are
/// repeated, changes only where they were certainly not made. TLS needs the feature `tls`. Sentinels and clusters are not looked up:
/// `RedisStore::with` (feature `redis-1`) takes the connection that the crate `redis` makes to them.
///
/// Every call ends within 5 s ([`timeout`](Self::timeout)), whatever the state of Redis. What cannot pass, such as a wrong certificate or
/// password, is an error at once.
///
/// ```no_run
/// # async fn run() -> Result<(), ottla::Error> {
/// use std::time::Duration;
///
/// use ottla::consumer::store::RedisStore;
///
/// let store = RedisStore::connect("redis://127.0.0.1:6379/10")?.prefix("audit").retention(Duration::from_secs(7 * 86_400));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct RedisStore {
    link: Arc<dyn Link>,
    prefix: String,
    /// The address without secrets, for errors.
    place: String,
    timeout: Duration,
    retention: Option<Duration>,
}

impl RedisStore {
    /// A store at an address: `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`, the same with `rediss://` for TLS, or
    /// `unix:///PATH[?db=DATABASE&user=USER&pass=PASSWORD]`. `valkey://` and `valkeys://` mean the same as `redis://` and `rediss://`. The port
    /// is 6379 and the database 0 if none is written; `%XX` stands for a byte.
    ///
    /// `rediss://` trusts the CAs of the system; [`connect_tls`](Self::connect_tls) takes other ones. It reads their files, and so blocks the
    /// thread shortly.
    ///
    /// # Errors
    ///
    /// [`Kind::Config`](crate::error::Kind::Config): the address cannot be used, it asks for TLS and the feature `tls` is off, or this is not
    /// called in a tokio runtime. No error shows the password.
    pub fn connect(address: &str) -> Result<Self, Error> {
        let address = Address::parse(address)?;
        #[cfg(feature = "tls")]
        let secure = if address.is_encrypted { Some(Secure::new(Tls::builder().build()?, Peer::Redis)) } else { None };
        #[cfg(not(feature = "tls"))]
        if address.is_encrypted {
            let text = "the address of Redis asks for TLS: enable ottla's feature `tls`, or write redis://";
            return Err(Error::config(text));
        }
        let place = address.place.to_string();
        let own = Reconnecting::new(
            address,
            #[cfg(feature = "tls")]
            secure,
        )?;
        Ok(Self::over(Arc::new(own), place))
    }

    /// A store at an address of TLS, with CAs, a client certificate and checks of the program's choice. The certificate must be for the
    /// host in the address. Files of the `tls` are read again for each connection.
    ///
    /// ```no_run
    /// use ottla::consumer::store::RedisStore;
    /// use ottla::tls::{Pem, Tls};
    ///
    /// let tls = Tls::builder().ca(Pem::file("redis-ca.pem")).build()?;
    /// let store = RedisStore::connect_tls("rediss://worker:secret@redis.example:6380/0", tls)?;
    /// # Ok::<(), ottla::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As of [`connect`](Self::connect), and if the address is not one of TLS.
    #[cfg(feature = "tls")]
    pub fn connect_tls(address: &str, tls: Tls) -> Result<Self, Error> {
        let address = Address::parse(address)?;
        if !address.is_encrypted {
            let text = "TLS was given for an address of Redis that is not one of TLS: write rediss://, or use `RedisStore::connect`";
            return Err(Error::config(text));
        }
        let place = address.place.to_string();
        let own = Reconnecting::new(address, Some(Secure::new(tls, Peer::Redis)))?;
        Ok(Self::over(Arc::new(own), place))
    }

    /// A store on a connection of the crate `redis` 1, which is the program's own: to a cluster, or by a sentinel, for example (feature
    /// `redis-1`). It connects again as its type does.
    ///
    /// ```
    /// use ottla::consumer::store::RedisStore;
    /// use redis::aio::MultiplexedConnection;
    ///
    /// fn store(connection: MultiplexedConnection) -> RedisStore {
    ///     RedisStore::with(connection).prefix("audit")
    /// }
    /// ```
    #[cfg(feature = "redis-1")]
    pub fn with(connection: impl ::redis::aio::ConnectionLike + Clone + Send + Sync + 'static) -> Self {
        Self::over(Arc::new(given::Given(connection)), "the given connection".to_owned())
    }

    fn over(link: Arc<dyn Link>, place: String) -> Self {
        Self { link, prefix: "ottla".to_owned(), place, timeout: Duration::from_secs(5), retention: None }
    }

    /// The first part of the keys. The default is `ottla`.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// The longest time of one call, connecting included. The default is 5 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = bounded(timeout);
        self
    }

    /// Offsets that were stored longer ago than this have [expired](Lookup::Expired). The default is never. Redis itself deletes none: an
    /// offset that is gone could not be distinguished from one that was never there.
    pub fn retention(mut self, retention: Duration) -> Self {
        self.retention = Some(retention);
        self
    }

    fn key(&self, group: &str, partition: &TopicPartition) -> String {
        let escape = |text: &str| text.replace('%', "%25").replace(':', "%3A").replace('{', "%7B").replace('}', "%7D");
        format!("{}:{{{}:{}}}:{}", self.prefix, escape(group), partition.topic, partition.partition)
    }

    /// The error about a key: what happened, where, and what to do.
    fn failed(&self, key: &str, what: &str, remedy: &str) -> Error {
        Error::storage(format!("Redis at {}, key {key}: {what}: {remedy}", self.place))
    }

    fn rubbish(&self, key: &str) -> Error {
        self.failed(key, "it is no stored offset", "delete the key, or choose another prefix by `RedisStore::prefix`")
    }

    fn lookup(&self, key: &str, fields: &[Value]) -> Result<Lookup, Error> {
        let [seconds, micros, rest @ ..] = fields else { return Err(self.rubbish(key)) };
        if rest.len() == 5 && rest.iter().all(|field| *field == Value::Nil) {
            return Ok(Lookup::Missing);
        }
        let read = || {
            let now_ms = number(seconds)?.checked_mul(1_000)?.checked_add(number(micros)? / 1_000)?;
            let [offset, epoch, version, at, metadata] = rest else { return None };
            let epoch = LeaderEpoch::from_wire(i32::try_from(number(epoch)?).ok()?);
            let position = Position { offset: number(offset).filter(|offset| *offset >= 0)?, epoch };
            let stored_at = Timestamp(number(at)?);
            let version = u64::try_from(number(version)?).ok()?;
            let stored = StoredOffset { position, metadata: text(metadata)?.to_owned(), stored_at, version };
            Some((now_ms, stored))
        };
        let (now_ms, stored) = read().ok_or_else(|| self.rubbish(key))?;
        let age = u64::try_from(now_ms.saturating_sub(stored.stored_at.0)).unwrap_or(0);
        Ok(match self.retention {
            Some(retention) if u128::from(age) > retention.as_millis() => Lookup::Expired(stored),
            _ => Lookup::Found(stored),
        })
    }

    /// Reads the place of the system that this replaces: its cursor `{app}_kafka_offset_{group}_{topic}` and its marker of a reset
    /// `RESET_…`, each one number for the whole topic. Read it once, and pass it to [`Queue::adopt`](crate::queue::Queue::adopt). Nothing is
    /// changed.
    ///
    /// # Errors
    ///
    /// [`Kind::Storage`](crate::error::Kind::Storage): Redis did not answer in time, or one of the keys is no number.
    #[cfg(feature = "queue")]
    pub async fn legacy_cursor(&self, app: &str, group: &str, topic: &str) -> Result<LegacyCursor, Error> {
        let cursor = format!("{app}_kafka_offset_{group}_{topic}");
        let reset = format!("RESET_{cursor}");
        let keys = [cursor, reset];
        let commands = keys.clone().map(|key| Command::new("GET").arg(key));
        let found = self.run(&commands, &keys, true).await?;
        let read = |key: &str, value: &Value| match value {
            Value::Nil => Ok(None),
            value => {
                let offset = number(value).and_then(|offset| u64::try_from(offset).ok());
                let remedy = "correct it or delete it, and read the cursor again";
                offset.map(Some).ok_or_else(|| self.failed(key, "it is no offset", remedy))
            }
        };
        Ok(LegacyCursor { offset: read(&keys[0], &found[0])?, reset: read(&keys[1], &found[1])? })
    }

    /// Runs a command for each key, in one round trip.
    async fn run(&self, commands: &[Command], keys: &[String], reads_only: bool) -> Result<Answers, Error> {
        let key = keys.first().map_or("", |key| key);
        let answers = match self.link.run(commands, Call::new(self.timeout, reads_only)).await {
            Ok(answers) if answers.len() == keys.len() => answers,
            Ok(_) => {
                return Err(self.failed(key, "there are fewer answers than commands", "check the proxy before Redis"));
            }
            Err(failure) => {
                let error = self.failed(key, &failure.what, failure.remedy);
                return Err(match failure.cause {
                    Some(cause) => error.caused_by(cause),
                    None => error,
                });
            }
        };
        let value = |(key, answer): (&String, Value)| match answer {
            Value::Error(refusal) => {
                let error = self.failed(key, "Redis refused the command", refusal.code().remedy());
                Err(error.caused_by(Cause(refusal.to_string())))
            }
            value => Ok(value),
        };
        keys.iter().zip(answers).map(value).collect()
    }
}

/// The place of the system that this replaces: see [`RedisStore::legacy_cursor`].
#[cfg(feature = "queue")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LegacyCursor {
    /// The offset of the next record; `None` if there is no cursor, or it has expired.
    pub offset: Option<u64>,
    /// The last reset, which all workers were to follow; 0 and `None` are none.
    pub reset: Option<u64>,
}

impl OffsetStore for RedisStore {
    fn load<'a>(&'a self, group: &'a str, partitions: Vec<TopicPartition>) -> StoreFuture<'a, Vec<Lookup>> {
        Box::pin(async move {
            if partitions.is_empty() {
                return Ok(Vec::new());
            }
            let keys: Vec<String> = partitions.iter().map(|partition| self.key(group, partition)).collect();
            let command = |key: &String| script(LOAD, key);
            let found = self.run(&keys.iter().map(command).collect::<Vec<_>>(), &keys, true).await?;
            let lookup = |(key, value): (&String, &Value)| match value {
                Value::Array(fields) => self.lookup(key, fields),
                _ => Err(self.rubbish(key)),
            };
            keys.iter().zip(&found).map(lookup).collect()
        })
    }

    fn compare_and_set<'a>(&'a self, group: &'a str, changes: Vec<Change>) -> StoreFuture<'a, Vec<Outcome>> {
        Box::pin(async move {
            if changes.is_empty() {
                return Ok(Vec::new());
            }
            let keys: Vec<String> = changes.iter().map(|change| self.key(group, &change.partition)).collect();
            let mut commands = Vec::with_capacity(changes.len());
            for (key, change) in keys.iter().zip(changes) {
                let expected = match change.expected {
                    Expected::Any => "*".to_owned(),
                    Expected::Missing => "-".to_owned(),
                    Expected::Version(version) => version.to_string(),
                };
                if change.metadata.len() > METADATA_BYTES_MAX {
                    let what = format!("the metadata has {} bytes", change.metadata.len());
                    return Err(self.failed(key, &what, "store at most 32 MiB, which can be read again"));
                }
                let Position { offset, epoch } = change.position;
                let (offset, epoch) = (offset.to_string(), LeaderEpoch::to_wire(epoch).to_string());
                commands.push(script(CHANGE, key).arg(expected).arg(offset).arg(epoch).arg(change.metadata));
            }
            let found = self.run(&commands, &keys, false).await?;
            let outcome = |(key, value): (&String, &Value)| match value {
                Value::Array(fields) => match &fields[..] {
                    [version] => {
                        let version = number(version).and_then(|version| u64::try_from(version).ok());
                        version.map(Outcome::Stored).ok_or_else(|| self.rubbish(key))
                    }
                    fields => self.lookup(key, fields).map(Outcome::Conflict),
                },
                _ => Err(self.rubbish(key)),
            };
            keys.iter().zip(&found).map(outcome).collect()
        })
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("place", &self.place).field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// A script on one key.
fn script(script: &str, key: &str) -> Command {
    Command::new("EVAL").arg(script).arg("1").arg(key)
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::Text(bytes) => std::str::from_utf8(bytes).ok(),
        _ => None,
    }
}

fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        value => text(value)?.parse().ok(),
    }
}
