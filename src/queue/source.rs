//! Reads windows of partitions: a consumer that is moved to them, and what it has read too much.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::time::Duration;
use std::time::Instant;

use crate::client::Client;
use crate::codec::Codecs;
use crate::consumer::Consumer;
use crate::consumer::Isolation;
use crate::consumer::OwnedRecord;
use crate::consumer::Records;
use crate::consumer::ResetPolicy;
use crate::consumer::Start;
use crate::error::Error;
use crate::net::clock;
use crate::types::TopicName;
use crate::types::TopicPartition;

/// How long a poll waits until positions are looked at again: offsets without a record do not end a poll.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How long windows are read that make no progress. Their records are there, so it takes a round trip or two.
const STALL: Duration = Duration::from_secs(2);

/// A window of offsets that is read.
#[derive(Debug)]
pub(super) struct Window {
    pub(super) partition: i32,
    /// Everything before it was read.
    pub(super) at: i64,
    pub(super) to: i64,
    pub(super) records: Vec<OwnedRecord>,
}

impl Window {
    fn is_complete(&self) -> bool {
        self.at >= self.to
    }
}

/// Records that were read of a partition and are not handed out.
#[derive(Debug, Default)]
struct Buffer {
    from: i64,
    /// The position of the consumer.
    next: i64,
    records: VecDeque<OwnedRecord>,
}

/// Reads windows of one topic.
#[derive(Debug)]
pub(super) struct Source {
    client: Client,
    topic: TopicName,
    isolation: Isolation,
    codecs: Codecs,
    consumer: Option<Consumer>,
    /// One for each assigned partition.
    buffers: BTreeMap<i32, Buffer>,
}

impl Source {
    pub(super) fn new(client: Client, topic: TopicName, isolation: Isolation, codecs: Codecs) -> Self {
        Self { client, topic, isolation, codecs, consumer: None, buffers: BTreeMap::new() }
    }

    fn key(&self, partition: i32) -> TopicPartition {
        TopicPartition { topic: self.topic.clone(), partition }
    }

    /// Reads windows, at most one of each partition, until they are complete, `until` has passed, or nothing comes. On an error, they
    /// have what was read before.
    pub(super) async fn read(&mut self, windows: &mut [Window], until: Instant) -> Result<(), Error> {
        self.move_to(windows)?;
        let mut moved_at = clock::now();
        loop {
            let before: Vec<i64> = windows.iter().map(|window| window.at).collect();
            for window in &mut *windows {
                self.serve(window);
            }
            let now = clock::now();
            if windows.iter().zip(before).any(|(window, before)| window.at > before) {
                moved_at = now;
            }
            if windows.iter().all(Window::is_complete) || now >= until.min(moved_at + STALL) {
                return Ok(());
            }
            self.poll(windows, until.min(now + LOOK_EVERY)).await?;
        }
    }

    /// Moves the consumer to the windows of which nothing is buffered.
    fn move_to(&mut self, windows: &[Window]) -> Result<(), Error> {
        let is_new = windows.iter().any(|window| !self.buffers.contains_key(&window.partition));
        if is_new {
            let all = self.buffers.keys().chain(windows.iter().map(|window| &window.partition));
            let all: Vec<(TopicName, i32)> = all.map(|partition| (self.topic.clone(), *partition)).collect();
            match &mut self.consumer {
                Some(consumer) => consumer.assign_partitions(all)?,
                None => self.consumer = Some(self.build(all)?),
            }
        }
        for window in windows {
            let buffer = self.buffers.get_mut(&window.partition);
            if let Some(buffer) = buffer.filter(|buffer| (buffer.from..=buffer.next).contains(&window.at)) {
                buffer.records.retain(|record| record.offset >= window.at);
                buffer.from = window.at;
                continue;
            }
            let key = self.key(window.partition);
            if let Some(consumer) = &mut self.consumer {
                consumer.seek(&key, Start::Offset(window.at))?;
            }
            let buffer = Buffer { from: window.at, next: window.at, records: VecDeque::new() };
            self.buffers.insert(window.partition, buffer);
        }
        Ok(())
    }

    fn build(&self, partitions: Vec<(TopicName, i32)>) -> Result<Consumer, Error> {
        self.client
            .consumer()
            .assign_partitions(partitions)
            .start(Start::Offset(0))
            .reset(ResetPolicy::None)
            .isolation(self.isolation)
            .codecs(self.codecs.clone())
            .build()
    }

    /// Takes what is buffered of a window.
    fn serve(&mut self, window: &mut Window) {
        let Some(buffer) = self.buffers.get_mut(&window.partition) else { return };
        while buffer.records.front().is_some_and(|record| record.offset < window.to) {
            window.records.extend(buffer.records.pop_front());
        }
        window.at = buffer.next.min(window.to).max(window.at);
        buffer.from = window.at;
    }

    /// Polls once for the windows that are not complete.
    async fn poll(&mut self, windows: &[Window], until: Instant) -> Result<(), Error> {
        let Some(consumer) = &mut self.consumer else { return Ok(()) };
        let key = |partition: i32| TopicPartition { topic: self.topic.clone(), partition };
        let is_open =
            |partition: i32| windows.iter().any(|window| window.partition == partition && !window.is_complete());
        let (open, idle): (Vec<_>, Vec<_>) = self.buffers.keys().partition(|partition| is_open(**partition));
        let keys = |partitions: Vec<&i32>| partitions.into_iter().map(|partition| key(*partition)).collect::<Vec<_>>();
        let (open, idle) = (keys(open), keys(idle));
        consumer.pause(&idle)?;
        consumer.resume(&open)?;
        let polled = self.client.cluster().runtime().timeout_at(until, consumer.poll()).await;
        let result = match polled {
            Ok(Ok(records)) => {
                if let Some(records) = records {
                    self.keep(&records);
                }
                Ok(())
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Ok(()),
        };
        self.follow(&open);
        result
    }

    fn keep(&mut self, records: &Records) {
        for part in records.by_partition() {
            let Some(buffer) = self.buffers.get_mut(&part.partition()) else { continue };
            // Records from before a move are not returned by polls after it.
            let new = part.iter().filter(|record| record.offset >= buffer.next);
            buffer.records.extend(new.map(|record| record.to_owned()));
            buffer.next = buffer.next.max(part.next_position().offset);
        }
    }

    /// Follows the consumer over offsets without a record.
    fn follow(&mut self, partitions: &[TopicPartition]) {
        let Some(consumer) = &self.consumer else { return };
        for key in partitions {
            if let (Some(buffer), Some(position)) = (self.buffers.get_mut(&key.partition), consumer.position(key)) {
                buffer.next = buffer.next.max(position.offset);
            }
        }
    }

    /// Drops what is buffered of a partition. The next window of it begins with a seek.
    pub(super) fn drop_buffer(&mut self, partition: i32) {
        if let Some(buffer) = self.buffers.get_mut(&partition) {
            *buffer = Buffer { from: i64::MAX, next: i64::MIN, records: VecDeque::new() };
        }
    }
}
