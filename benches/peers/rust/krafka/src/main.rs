//! krafka by its `enqueue`, whose handles are awaited in order.

use std::time::Duration;

use bytes::Bytes;
use common::Args;
use common::Meter;
use common::Outcome;
use common::Window;
use krafka::Kafka;
use krafka::Record;
use krafka::consumer::AutoOffsetReset;
use krafka::producer::Acks;
use krafka::producer::Producer;

const VERSION: &str = "0.28.1";

fn main() -> Outcome {
    let args = Args::read()?;
    args.no_tls()?;
    common::block_on(async { if args.produce { produce(&args).await } else { consume(&args).await } })
}

async fn produce(args: &Args) -> Outcome {
    let kafka = Kafka::builder(&args.broker).connect().await?;
    let mut builder = kafka.producer().acks(Acks::All).idempotent(true);
    if args.equal {
        builder = builder.batch_size(common::BATCH_BYTES).linger(common::LINGER).buffer_memory(common::BUFFER_BYTES);
    }
    let producer = builder.build().await?;
    // It takes a value without copying it.
    let values: Vec<Bytes> = common::values(args.size).into_iter().map(Bytes::from).collect();
    send(&producer, args, &values, common::WARM_UP).await?;
    let meter = Meter::start()?;
    let acked = send(&producer, args, &values, args.records).await?;
    meter.report("krafka", VERSION, args, acked, acked * args.size as u64)
}

async fn send(producer: &Producer, args: &Args, values: &[Bytes], count: u64) -> Outcome<u64> {
    let mut window = Window::default();
    for (_, value) in (0..count).zip(values.iter().cycle()) {
        window.push(producer.enqueue(Record::new(args.topic.as_str(), value.clone())).await?).await?;
    }
    window.finish().await
}

async fn consume(args: &Args) -> Outcome {
    let meter = Meter::start()?;
    let kafka = Kafka::builder(&args.broker).connect().await?;
    let mut builder = kafka.consumer_without_group().auto_offset_reset(AutoOffsetReset::Earliest);
    if args.equal {
        // Its documentation says to raise what a poll hands out, which is 500.
        builder = builder
            .max_partition_fetch_bytes(common::PARTITION_FETCH_BYTES)
            .fetch_max_wait(common::FETCH_WAIT)
            .max_poll_records(5_000)
            .max_buffered_records(0);
    }
    let consumer = builder.build().await?;
    consumer.assign(&args.topic, (0..args.partitions).collect()).await?;
    let (mut read, mut bytes) = (0, 0);
    while read < args.records {
        for record in consumer.poll(Duration::from_secs(1)).await? {
            read += 1;
            bytes += record.value.map_or(0, |value| value.len()) as u64;
        }
    }
    meter.report("krafka", VERSION, args, read, bytes)
}
