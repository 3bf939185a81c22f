//! Counters of a client, its connections, producers and consumers, as plain numbers.
//!
//! [`Client::metrics`](crate::Client::metrics) reads them all at once. A field whose documentation says *gauge* is a present
//! value and goes up and down. Every other number only grows, as long as its connection, producer or consumer lives, and is
//! kept whether or not anybody reads it. Rates are left to the reader: subtract two readings.
//!
//! ```no_run
//! # async fn run(client: ottla::Client) {
//! let metrics = client.metrics();
//! for connection in &metrics.connections {
//!     let counters = &connection.counters;
//!     println!(
//!         "{} ({}): {} requests, 99 % answered within {:?}",
//!         connection.address,
//!         connection.purpose,
//!         counters.requests,
//!         counters.latency.quantile(0.99),
//!     );
//! }
//! for producer in &metrics.producers {
//!     println!("producer {}: {} records queued, {} retries", producer.id, producer.queued_records, producer.retries);
//! }
//! # }
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// One reading of everything that a client counts. Made by [`Client::metrics`](crate::Client::metrics).
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Metrics {
    /// The connections the client holds, by address and purpose, also those that are resting between attempts.
    pub connections: Vec<ConnectionMetrics>,
    /// The sum over connections that the client closed and will not open again, because a broker moved or a consumer ended. The sum
    /// of this and [`connections`](Self::connections) never shrinks.
    pub retired: ConnectionCounters,
    /// [`retired`](Self::retired) by purpose, for those that have any.
    pub retired_by_purpose: BTreeMap<Purpose, ConnectionCounters>,
    /// The client's view of the cluster.
    pub metadata: MetadataMetrics,
    /// The producers that are alive, in the order they were built.
    pub producers: Vec<ProducerMetrics>,
    /// The consumers that are alive, in the order they were built.
    pub consumers: Vec<ConsumerMetrics>,
}

/// The purpose of a connection. Requests of different purposes do not wait for each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Purpose {
    /// Changes of topics, which may take long.
    Admin,
    /// Metadata, offsets, groups and the rest of administration.
    #[default]
    Control,
    /// Fetch requests of one consumer.
    Fetch,
    /// Produce requests of all producers.
    Produce,
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Admin => "admin",
            Self::Control => "control",
            Self::Fetch => "fetch",
            Self::Produce => "produce",
        })
    }
}

/// One connection: its peer and its counters.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ConnectionMetrics {
    /// The broker's id; `None` for a bootstrap address.
    pub broker: Option<i32>,
    /// The broker's address, as `HOST:PORT`.
    pub address: String,
    /// The kind of requests that go over it.
    pub purpose: Purpose,
    /// Its counters, over all attempts to connect.
    pub counters: ConnectionCounters,
}

/// The counters of a connection, over all attempts to connect.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ConnectionCounters {
    /// Requests that were passed to the socket, those of the set-up included.
    pub requests: u64,
    /// Responses that were received and decoded, those of the set-up included.
    pub responses: u64,
    /// Bytes written to the socket.
    pub sent_bytes: u64,
    /// Bytes read from the socket.
    pub received_bytes: u64,
    /// Connections that were set up: dialled, and versions agreed on.
    pub connects: u64,
    /// Attempts that failed before that.
    pub connect_failures: u64,
    /// Authentications of connections in use, before their sessions ended (KIP-368).
    pub reauthentications: u64,
    /// Connections that were set up and then lost. One that was closed for being idle, or with the client, is not counted.
    pub disconnects: u64,
    /// Requests whose deadline passed before their response arrived, whether or not they had been written.
    pub timeouts: u64,
    /// Responses by which the broker throttled the client, because it exceeds a quota (KIP-219).
    pub throttles: u64,
    /// The sum of their throttle times in milliseconds, each of at most 5 minutes. Nothing is sent on the connection meanwhile.
    pub throttled_ms: u64,
    /// Gauge: requests written whose response has not arrived.
    pub in_flight: u64,
    /// The time from writing a request to its response.
    pub latency: Latency,
}

impl ConnectionCounters {
    /// Adds the counters of a connection that has ended.
    pub(crate) fn add(&mut self, other: &Self) {
        let Self { requests, responses, sent_bytes, received_bytes, connects, .. } = other;
        let Self { connect_failures, reauthentications, disconnects, timeouts, throttles, throttled_ms, .. } = other;
        self.requests += requests;
        self.responses += responses;
        self.sent_bytes += sent_bytes;
        self.received_bytes += received_bytes;
        self.connects += connects;
        self.connect_failures += connect_failures;
        self.reauthentications += reauthentications;
        self.disconnects += disconnects;
        self.timeouts += timeouts;
        self.throttles += throttles;
        self.throttled_ms += throttled_ms;
        self.in_flight += other.in_flight;
        self.latency.add(&other.latency);
    }
}

/// The latency of requests: a count, a sum, a maximum, and a histogram in powers of two.
///
/// ```no_run
/// # async fn run(client: ottla::Client) {
/// for connection in client.metrics().connections {
///     let latency = &connection.counters.latency;
///     println!("{}: mean {:?}, 99th percentile {:?}", connection.address, latency.mean(), latency.quantile(0.99));
/// }
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Latency {
    /// Measurements.
    pub count: u64,
    /// Their sum, in microseconds.
    pub sum_us: u64,
    /// The longest, in microseconds.
    pub max_us: u64,
    /// Measurements by duration: bucket 0 counts those below 1 µs, bucket *i* those from 2^(*i* − 1) µs to less than 2^*i* µs,
    /// and the last one all that were longer.
    pub buckets: [u64; Self::BUCKETS],
}

impl Latency {
    /// The number of buckets. The last one begins at 2^30 µs, about 18 minutes.
    pub const BUCKETS: usize = 32;

    /// Counts one measurement.
    #[inline]
    pub(crate) fn record(&mut self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.count += 1;
        self.sum_us = self.sum_us.saturating_add(us);
        self.max_us = self.max_us.max(us);
        let bits = usize::try_from(u64::BITS - us.leading_zeros()).unwrap_or(usize::MAX);
        self.buckets[bits.min(Self::BUCKETS - 1)] += 1;
    }

    fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.sum_us = self.sum_us.saturating_add(other.sum_us);
        self.max_us = self.max_us.max(other.max_us);
        for (bucket, more) in self.buckets.iter_mut().zip(other.buckets) {
            *bucket += more;
        }
    }

    /// The mean; zero if nothing was measured.
    pub fn mean(&self) -> Duration {
        Duration::from_micros(self.sum_us.checked_div(self.count).unwrap_or(0))
    }

    /// A duration that the share `quantile` of all measurements does not exceed: the end of the bucket, so at most twice the
    /// exact value. Zero if nothing was measured or the share is NaN; a share outside 0 to 1 counts as the nearer of the two.
    pub fn quantile(&self, quantile: f64) -> Duration {
        #[expect(clippy::cast_precision_loss, reason = "a rank needs no more than 53 bits")]
        let rank = quantile.clamp(0.0, 1.0) * self.count as f64;
        let mut below = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            below += count;
            #[expect(clippy::cast_precision_loss, reason = "a rank needs no more than 53 bits")]
            if below > 0 && below as f64 >= rank {
                let end = if bucket + 1 < Self::BUCKETS { 1 << bucket } else { u64::MAX };
                return Duration::from_micros(self.max_us.min(end));
            }
        }
        Duration::ZERO
    }
}

/// The client's view of the cluster.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct MetadataMetrics {
    /// Metadata responses that were taken, the first one included.
    pub refreshes: u64,
    /// Metadata requests without a usable response.
    pub failures: u64,
    /// Gauge: topics that are known.
    pub topics: u64,
    /// Gauge: brokers that are known.
    pub brokers: u64,
    /// Partitions whose leader became another one, each time.
    pub leader_changes: u64,
}

/// One producer.
///
/// Every record that was accepted is in one of four places: it is queued, or was acknowledged, or was reported as not written,
/// or was reported as maybe written. So `records` = `queued_records` + `acknowledged` + `not_written` + `maybe_written`.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ProducerMetrics {
    /// The producer's number within its client, from 1, in the order of building, consumers counted too.
    pub id: u64,
    /// Records that were accepted.
    pub records: u64,
    /// Their bytes in wire form before compression, without batch headers.
    pub record_bytes: u64,
    /// Batches that were closed and sealed.
    pub batches: u64,
    /// Their bytes after compression, headers included.
    pub batch_bytes: u64,
    /// Produce requests that were sent.
    pub requests: u64,
    /// Batches that were sent again, each time.
    pub retries: u64,
    /// Batches that were split because a broker found them too large.
    pub splits: u64,
    /// Records that were not decided by their delivery timeout. They are counted as not written or maybe written, too.
    pub expired: u64,
    /// Records that the broker acknowledged; with `acks=0`, records that were written to the socket.
    pub acknowledged: u64,
    /// Records that failed and are in no log.
    pub not_written: u64,
    /// Records that failed and may be in the log.
    pub maybe_written: u64,
    /// Times the producer took a new epoch, or a new id, because a sequence was left open.
    pub epoch_bumps: u64,
    /// Gauge: records that were accepted and are not decided.
    pub queued_records: u64,
    /// Gauge: bytes of the buffer that are in use (`buffer.memory`).
    pub queued_bytes: u64,
    /// Gauge: batches that are open, waiting or in flight.
    pub queued_batches: u64,
}

/// One consumer.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ConsumerMetrics {
    /// The consumer's number within its client, from 1, in the order of building, producers counted too.
    pub id: u64,
    /// Fetch requests that were sent.
    pub fetch_requests: u64,
    /// Fetch responses that were received.
    pub fetch_responses: u64,
    /// Bytes of record batches that fetch responses brought, as sent: most often compressed.
    pub fetched_bytes: u64,
    /// Records that [`poll`](crate::consumer::Consumer::poll) returned.
    pub records: u64,
    /// Batches that were read for them.
    pub batches: u64,
    /// Fetch requests that opened a session or had none (KIP-227).
    pub full_fetches: u64,
    /// Fetch requests within a session, which name only what changed.
    pub incremental_fetches: u64,
    /// Sessions that a broker had lost or refused, so that the next request was a full one.
    pub sessions_lost: u64,
    /// Positions that were reset, by policy or after a truncation.
    pub resets: u64,
    /// Batches that could not be read, each time they were fetched.
    pub corrupt: u64,
    /// Commits that the coordinator took, one for each call.
    pub commits: u64,
    /// Commits that failed.
    pub commit_failures: u64,
    /// Assignments that the group gave and the application took.
    pub rebalances: u64,
    /// Heartbeats that the coordinator of the group answered without an error.
    pub heartbeats: u64,
    /// Times that the group took this member for dead.
    pub memberships_lost: u64,
    /// Gauge: partitions that are assigned.
    pub assigned_partitions: u64,
    /// Gauge: bytes that were fetched and not yet returned by `poll`.
    pub buffered_bytes: u64,
    /// Gauge: the sum of [lag](crate::consumer::Consumer::lag) over the assigned partitions whose position and end are known, in offsets.
    pub lag: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_fall_into_buckets_by_powers_of_two() {
        let mut latency = Latency::default();
        for us in [0, 1, 2, 3, 1024, u64::MAX] {
            latency.record(Duration::from_micros(us));
        }
        let filled = latency.buckets.iter().enumerate().filter(|(_, count)| **count > 0);
        assert_eq!(filled.collect::<Vec<_>>(), [(0, &1), (1, &1), (2, &2), (11, &1), (31, &1)]);
        assert_eq!((latency.count, latency.sum_us, latency.max_us), (6, u64::MAX, u64::MAX));
    }

    #[test]
    fn a_quantile_is_at_most_twice_the_exact_value() {
        let mut latency = Latency::default();
        assert_eq!((latency.quantile(0.5), latency.mean()), (Duration::ZERO, Duration::ZERO));
        for us in 1..=1_000 {
            latency.record(Duration::from_micros(us));
        }
        assert_eq!(latency.mean(), Duration::from_micros(500));
        for (share, exact) in [(0.0, 1), (0.5, 500), (0.99, 990), (1.0, 1_000), (7.0, 1_000)] {
            let found = latency.quantile(share).as_micros();
            assert!((exact..=2 * exact).contains(&found), "{share}: {found}");
        }
        assert_eq!(latency.quantile(f64::NAN), Duration::ZERO);
    }

    #[test]
    fn counters_of_ended_connections_add_up_field_by_field() {
        let mut latency = Latency::default();
        latency.record(Duration::from_micros(9));
        let one = ConnectionCounters {
            requests: 1,
            responses: 2,
            sent_bytes: 3,
            received_bytes: 4,
            connects: 5,
            reauthentications: 11,
            connect_failures: 6,
            disconnects: 7,
            timeouts: 8,
            throttles: 12,
            throttled_ms: 13,
            in_flight: 9,
            latency,
        };
        let mut sum = one.clone();
        sum.add(&one);
        let numbers = |counters: &ConnectionCounters| -> Vec<u64> {
            let text = format!("{counters:?}");
            text.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
        };
        let doubled: Vec<u64> = numbers(&one).into_iter().map(|number| number * 2).collect();
        // The longest of two that are equal is as long as each.
        let expected: Vec<u64> = doubled.iter().enumerate().map(|(at, n)| if at == 14 { 9 } else { *n }).collect();
        assert_eq!(numbers(&sum), expected);
    }
}
