//! Batches through a consumer's core, with few partitions and with many: what a record costs must not depend on their number.

use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use ottla::codec::Codecs;
use ottla::codec::Compression;
use ottla::consumer::Start;
use ottla::internals::consumer::Action;
use ottla::internals::consumer::Config;
use ottla::internals::consumer::ConsumerCore;
use ottla::internals::consumer::Next;
use ottla::internals::metadata::Cache;
use ottla::internals::wire::Response;
use ottla::internals::wire::message::FetchResponse;
use ottla::internals::wire::message::FetchedPartition;
use ottla::internals::wire::message::FetchedTopic;
use ottla::internals::wire::message::MetadataPartition;
use ottla::internals::wire::message::MetadataResponse;
use ottla::internals::wire::message::MetadataTopic;
use ottla::internals::wire::message::Node;
use ottla::types::LeaderEpoch;
use ottla::types::TopicId;

use super::DECOMPRESSED_MAX;
use super::Prepared;
use super::sealed;
use super::stamped;

/// Batches that one run reads.
const BATCHES: usize = 64;
/// About twenty records of 100 bytes: small batches, so that what a batch costs shows.
const BATCH_BYTES: usize = 2 << 10;
const ID: TopicId = TopicId([7; 16]);
const SESSION: i32 = 7;

/// A consumer that reads one topic from one broker, and the broker's side.
struct Reading {
    core: ConsumerCore,
    now: Instant,
    codecs: Codecs,
    batch: Vec<u8>,
    records: i64,
    /// The end of each partition.
    ends: Vec<i64>,
    /// The partition that the next batch is of.
    turn: usize,
    /// The fetch that has no response yet.
    tag: u64,
}

/// Reads [`BATCHES`] batches of `partitions` partitions in turn, `at_once` of them in each response.
pub(super) fn consume(partitions: usize, at_once: usize) -> Prepared {
    let mut reading = Reading::new(partitions);
    Prepared::new(BATCHES * reading.batch.len(), move || {
        for _ in 0..BATCHES / at_once {
            reading.respond(at_once);
            reading.read();
        }
    })
}

impl Reading {
    #[allow(clippy::disallowed_methods, reason = "the core takes the time as an argument, and one moment is enough")]
    fn new(partitions: usize) -> Self {
        let sealed = sealed(Compression::None, BATCH_BYTES);
        let batch = sealed.to_bytes(&stamped()).to_vec();
        let records = i64::from(i32::from_be_bytes(batch[57..61].try_into().expect("four bytes")));
        let now = Instant::now();
        let mut core = ConsumerCore::new(Config { start: Start::Offset(0), ..Config::default() });
        let mut cache = Cache::default();
        cache.handle_response(metadata(partitions));
        core.handle_metadata(now, cache.snapshot());
        core.assign_topics(now, ["events".into()]);
        let ends = vec![0; partitions];
        let mut reading = Self { core, now, codecs: Codecs::default(), batch, records, ends, turn: 0, tag: 0 };
        reading.take_fetch();
        // A full request gets a result for every partition.
        let empty = (0..partitions).map(|index| fetched(index, 0, None)).collect();
        reading.answer(empty);
        reading.read();
        reading
    }

    fn take_fetch(&mut self) {
        while let Some(action) = self.core.poll_action() {
            if let Action::Fetch { tag, request, .. } = action {
                black_box(request);
                self.tag = tag;
            }
        }
    }

    fn answer(&mut self, partitions: Vec<FetchedPartition>) {
        let topics = vec![FetchedTopic { id: ID, partitions, ..FetchedTopic::default() }];
        let response = FetchResponse { session_id: SESSION, topics, ..FetchResponse::default() };
        self.core.handle_response(self.now, self.tag, Ok(Response::Fetch(response)));
        self.take_fetch();
    }

    /// Answers the fetch with a batch of each of the next partitions.
    fn respond(&mut self, at_once: usize) {
        let partitions = (0..at_once).map(|_| {
            let index = self.turn;
            self.turn = (self.turn + 1) % self.ends.len();
            let mut batch = self.batch.clone();
            batch[..8].copy_from_slice(&self.ends[index].to_be_bytes());
            self.ends[index] += self.records;
            fetched(index, self.ends[index], Some(batch.into()))
        });
        let partitions = partitions.collect();
        self.answer(partitions);
    }

    /// Reads all that is there, chunk by chunk, as a poll each.
    fn read(&mut self) {
        while let Some(next) = self.core.next() {
            if let Next::Chunk(mut taken) = next {
                while let Some(visible) =
                    taken.chunk.read(&self.codecs, DECOMPRESSED_MAX, Vec::new).expect("a good batch")
                {
                    let values = visible.decoded.iter().filter_map(|record| record.value).map(<[u8]>::len);
                    black_box(values.sum::<usize>());
                }
                black_box(self.core.give_back(taken));
            }
            self.core.handle_capacity(self.now);
            self.take_fetch();
        }
    }
}

fn fetched(index: usize, end: i64, records: Option<Bytes>) -> FetchedPartition {
    FetchedPartition {
        index: i32::try_from(index).expect("a small number"),
        high_watermark: end,
        last_stable_offset: -1,
        preferred_read_replica: -1,
        records,
        ..FetchedPartition::default()
    }
}

fn metadata(partitions: usize) -> MetadataResponse {
    let partition = |index: usize| MetadataPartition {
        index: i32::try_from(index).expect("a small number"),
        leader: 1,
        leader_epoch: LeaderEpoch::from_wire(5),
        ..MetadataPartition::default()
    };
    let partitions = (0..partitions).map(partition).collect();
    MetadataResponse {
        brokers: vec![Node { id: 1, host: "h".into(), port: 9092, rack: None }],
        topics: vec![MetadataTopic { name: "events".into(), id: ID, partitions, ..MetadataTopic::default() }],
        ..MetadataResponse::default()
    }
}
