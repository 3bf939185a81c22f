//! Two workers of a queue whose offsets are in Redis, for a test that kills this process:
//! `queue_worker SERVERS REDIS TOPIC GROUP (once|again) LOG (free | hold N | pace N)`.
//!
//! Each worker writes to LOG what it has taken, what it has processed and what it has acknowledged, before it goes on. With `hold N` the
//! first worker processes half of its Nth batch, and then stays as it is, as if it worked, until the process is killed. With `pace N` both
//! take N batches together, and go on when a line comes from standard input. The process ends in order when standard input ends.

use std::error::Error;
use std::fs::File;
use std::fs::OpenOptions;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ottla::Client;
use ottla::consumer::OwnedRecord;
use ottla::consumer::store::RedisStore;
use ottla::error::Kind;
use ottla::queue::Promise;
use ottla::queue::Queue;
use tokio::sync::Semaphore;

/// Records of one take.
const COUNT: usize = 250;
const LEASE: Duration = Duration::from_secs(3);
/// A take that finds nothing ends after this.
const TAKE: Duration = Duration::from_secs(1);
const ACK: Duration = Duration::from_secs(5);

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// The part of a process that is not taking: how it is stopped, and kept from ending too early.
struct Life {
    /// The batch that the first worker keeps.
    hold: Option<usize>,
    /// Batches that may be taken.
    permits: Semaphore,
    ended: AtomicBool,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("queue_worker: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Outcome<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [servers, redis, topic, group, promise, log, mode, number @ ..] = &words[..] else {
        return Err("usage: queue_worker SERVERS REDIS TOPIC GROUP (once|again) LOG (free | hold N | pace N)".into());
    };
    let promise = if promise == "once" { Promise::AtMostOnce } else { Promise::AtLeastOnce };
    let number = number.first().map(|number| number.parse()).transpose()?;
    let is_paced = mode == "pace";
    let life = Arc::new(Life {
        hold: number.filter(|_| mode == "hold"),
        permits: Semaphore::new(number.filter(|_| is_paced).unwrap_or(Semaphore::MAX_PERMITS / 2)),
        ended: AtomicBool::new(false),
    });
    listen(Arc::clone(&life));
    let client = Client::connect([servers.as_str()]).await?;
    let mut workers = Vec::new();
    for number in 0..2 {
        let store = RedisStore::connect(redis)?;
        let builder = Queue::builder(&client, topic.as_str()).group(group).store(store);
        let queue = builder.promise(promise).lease(LEASE).build()?;
        let log = Log { number, file: OpenOptions::new().append(true).create(true).open(log)? };
        workers.push(tokio::spawn(work(queue, log, Arc::clone(&life))));
    }
    for worker in workers {
        worker.await??;
    }
    Ok(())
}

/// Follows standard input: a line frees the workers, the end ends them.
fn listen(life: Arc<Life>) {
    std::thread::spawn(move || {
        let line = std::io::stdin().lines().next();
        if line.is_some() {
            life.permits.add_permits(Semaphore::MAX_PERMITS / 4);
            std::io::stdin().lines().for_each(drop);
        }
        life.ended.store(true, Ordering::Relaxed);
        life.permits.close();
    });
}

async fn work(mut queue: Queue, mut log: Log, life: Arc<Life>) -> Outcome<()> {
    let mut batches = 0;
    while !life.ended.load(Ordering::Relaxed) {
        let Ok(permit) = life.permits.acquire().await else { break };
        let batch = match queue.take(COUNT, TAKE).await {
            Ok(batch) => batch,
            // This machine is slow, or stood still.
            Err(error) if error.kind() == Kind::Storage => {
                eprintln!("queue_worker: {error:#}");
                log.write('E', batches, &[])?;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        if batch.is_empty() {
            continue;
        }
        permit.forget();
        batches += 1;
        log.write('T', batches, &batch)?;
        if log.number == 0 && life.hold == Some(batches) {
            log.write('P', batches, &batch[..batch.len() / 2])?;
            log.write('H', batches, &[])?;
            // The leases stay, and the other worker goes on, until the process is killed.
            std::future::pending::<()>().await;
        }
        log.write('P', batches, &batch)?;
        let left = batch.remaining();
        match batch.ack(ACK).await {
            Ok(()) => log.write('A', batches, &[])?,
            // This machine stood still for as long as a lease lasts: others may have the records.
            Err(error) if error.kind() == Kind::Unacknowledged && left.is_some_and(|left| left < LEASE / 2) => {
                log.write('L', batches, &[])?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The log of a worker. What was written is there although the process is killed at once.
struct Log {
    number: u32,
    file: File,
}

impl Log {
    /// Writes an event of a batch, and the offsets of its records, in one piece.
    fn write(&mut self, event: char, batch: usize, records: &[OwnedRecord]) -> std::io::Result<()> {
        let mut line = format!("{} {event} {batch}", self.number);
        let mut last = None;
        for OwnedRecord { partition, offset, .. } in records {
            match last.replace((*partition, *offset)) {
                Some((before, at)) if before == *partition && at + 1 == *offset => {}
                Some((_, at)) => line.push_str(&format!("{at} {partition}:{offset}-")),
                None => line.push_str(&format!(" {partition}:{offset}-")),
            }
        }
        if let Some((_, at)) = last {
            line.push_str(&at.to_string());
        }
        self.file.write_all(format!("{line}\n").as_bytes())
    }
}
