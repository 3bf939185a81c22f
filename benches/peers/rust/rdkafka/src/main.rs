//! librdkafka by its callbacks (`base`) and by its Rust futures (`future`).

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use common::Args;
use common::Meter;
use common::Outcome;
use common::Window;
use rdkafka::ClientConfig;
use rdkafka::ClientContext;
use rdkafka::Message;
use rdkafka::Offset;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::BaseConsumer;
use rdkafka::consumer::Consumer;
use rdkafka::consumer::StreamConsumer;
use rdkafka::error::KafkaError;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::BaseProducer;
use rdkafka::producer::BaseRecord;
use rdkafka::producer::FutureProducer;
use rdkafka::producer::FutureRecord;
use rdkafka::producer::Producer;
use rdkafka::producer::ProducerContext;
use rdkafka::types::RDKafkaErrorCode;

fn main() -> Outcome {
    let args = Args::read()?;
    #[cfg(not(feature = "secure"))]
    args.no_tls()?;
    let futures = args.mode == "future";
    match (args.produce, futures) {
        (true, false) => produce_base(&args),
        (true, true) => common::block_on(produce_future(&args)),
        (false, false) => consume_base(&args),
        (false, true) => common::block_on(consume_stream(&args)),
    }
}

fn report(meter: &Meter, args: &Args, done: u64, bytes: u64) -> Outcome {
    let version = format!("0.39.0, librdkafka {}", rdkafka::util::get_rdkafka_version().1);
    meter.report(&format!("rdkafka-{}", args.mode), &version, args, done, bytes)
}

fn config(args: &Args) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &args.broker);
    if let Some(ca) = &args.ca {
        config.set("security.protocol", "ssl").set("ssl.ca.location", ca);
    }
    config
}

fn producer_config(args: &Args) -> ClientConfig {
    let mut config = config(args);
    config.set("acks", "all").set("enable.idempotence", "true");
    if args.equal {
        config
            .set("batch.size", common::BATCH_BYTES.to_string())
            .set("linger.ms", common::LINGER.as_millis().to_string())
            .set("queue.buffering.max.kbytes", (common::BUFFER_BYTES >> 10).to_string())
            .set("queue.buffering.max.messages", "600000");
    }
    config
}

#[derive(Default)]
struct Count {
    acked: AtomicU64,
    failed: AtomicU64,
}

impl ClientContext for Count {}

impl ProducerContext for Count {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if result.is_ok() { &self.acked } else { &self.failed }.fetch_add(1, Ordering::Relaxed);
    }
}

fn produce_base(args: &Args) -> Outcome {
    let producer: BaseProducer<Count> = producer_config(args).create_with_context(Count::default())?;
    let values = common::values(args.size);
    send_base(&producer, args, &values, common::WARM_UP)?;
    let meter = Meter::start()?;
    let acked = send_base(&producer, args, &values, args.records)?;
    report(&meter, args, acked, acked * args.size as u64)
}

fn send_base(producer: &BaseProducer<Count>, args: &Args, values: &[Vec<u8>], count: u64) -> Outcome<u64> {
    let acked = || producer.context().acked.load(Ordering::Relaxed);
    let before = acked();
    for (index, value) in (0..count).zip(values.iter().cycle()) {
        let mut record = BaseRecord::<(), [u8]>::to(&args.topic).payload(value);
        while let Err((error, back)) = producer.send(record) {
            if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                return Err(error.into());
            }
            record = back;
            producer.poll(Duration::from_millis(10));
        }
        if index % 1_000 == 0 {
            producer.poll(Duration::ZERO);
        }
    }
    producer.flush(Duration::from_secs(120))?;
    if producer.context().failed.load(Ordering::Relaxed) > 0 {
        return Err("a delivery failed".into());
    }
    Ok(acked() - before)
}

async fn produce_future(args: &Args) -> Outcome {
    let producer: FutureProducer = producer_config(args).create()?;
    let values = common::values(args.size);
    send_future(&producer, args, &values, common::WARM_UP).await?;
    let meter = Meter::start()?;
    let acked = send_future(&producer, args, &values, args.records).await?;
    report(&meter, args, acked, acked * args.size as u64)
}

async fn send_future(producer: &FutureProducer, args: &Args, values: &[Vec<u8>], count: u64) -> Outcome<u64> {
    let mut window = Window::default();
    for (_, value) in (0..count).zip(values.iter().cycle()) {
        let mut record = FutureRecord::<(), [u8]>::to(&args.topic).payload(value);
        let delivery = loop {
            match producer.send_result(record) {
                Ok(delivery) => break delivery,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => record = back,
                Err((error, _)) => return Err(error.into()),
            }
            window.oldest().await?;
        };
        let flat = Box::pin(async {
            delivery.await.map_err(|_| "canceled".to_owned())?.map_err(|(error, _)| error.to_string())
        });
        window.push(flat).await?;
    }
    window.finish().await
}

fn consumer_config(args: &Args) -> ClientConfig {
    let mut config = config(args);
    config
        .set("group.id", "peers-unused")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false");
    if args.equal {
        // By default a full queue makes it pause for a second.
        config
            .set("fetch.message.max.bytes", common::PARTITION_FETCH_BYTES.to_string())
            .set("fetch.wait.max.ms", common::FETCH_WAIT.as_millis().to_string())
            .set("fetch.queue.backoff.ms", "5")
            .set("queued.min.messages", "1000000");
    }
    config
}

fn assignment(args: &Args) -> Outcome<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for partition in 0..args.partitions {
        list.add_partition_offset(&args.topic, partition, Offset::Beginning)?;
    }
    Ok(list)
}

fn consume_base(args: &Args) -> Outcome {
    let meter = Meter::start()?;
    let consumer: BaseConsumer = consumer_config(args).create()?;
    consumer.assign(&assignment(args)?)?;
    let (mut read, mut bytes) = (0, 0);
    while read < args.records {
        if let Some(record) = consumer.poll(Duration::from_secs(1)) {
            read += 1;
            bytes += record?.payload().map_or(0, <[u8]>::len) as u64;
        }
    }
    report(&meter, args, read, bytes)
}

async fn consume_stream(args: &Args) -> Outcome {
    let meter = Meter::start()?;
    let consumer: StreamConsumer = consumer_config(args).create()?;
    consumer.assign(&assignment(args)?)?;
    let (mut read, mut bytes) = (0, 0);
    while read < args.records {
        let record = consumer.recv().await?;
        read += 1;
        bytes += record.payload().map_or(0, <[u8]>::len) as u64;
    }
    report(&meter, args, read, bytes)
}
