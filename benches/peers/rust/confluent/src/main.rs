//! Confluent's client by the futures of its `send`, awaited in order.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::time::Duration;

use common::Args;
use common::Meter;
use common::Outcome;
use common::WINDOW;
use confluent_kafka::common::TopicPartition;
use confluent_kafka::common::serialization::ByteArrayDeserializer;
use confluent_kafka::common::serialization::ByteArraySerializer;
use confluent_kafka::consumer::Consumer;
use confluent_kafka::consumer::ConsumerConfig;
use confluent_kafka::consumer::KafkaConsumer;
use confluent_kafka::producer::KafkaProducer;
use confluent_kafka::producer::ProducerConfig;
use confluent_kafka::producer::ProducerRecord;

const VERSION: &str = "1.0.0";

fn main() -> Outcome {
    let args = Args::read()?;
    args.no_tls()?;
    common::block_on(async { if args.produce { produce(&args).await } else { consume(&args).await } })
}

fn properties(given: &[(&str, String)]) -> HashMap<String, String> {
    given.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

async fn produce(args: &Args) -> Outcome {
    let mut given =
        vec![("bootstrap.servers", args.broker.clone()), ("acks", "all".into()), ("enable.idempotence", "true".into())];
    if args.equal {
        given.push(("batch.size", common::BATCH_BYTES.to_string()));
        given.push(("linger.ms", common::LINGER.as_millis().to_string()));
        given.push(("buffer.memory", common::BUFFER_BYTES.to_string()));
    }
    let config = ProducerConfig::new(&properties(&given))?;
    let producer = KafkaProducer::new(config, ByteArraySerializer::default(), ByteArraySerializer::default())?;
    let values = common::values(args.size);
    send(&producer, args, &values, common::WARM_UP).await?;
    let meter = Meter::start()?;
    let acked = send(&producer, args, &values, args.records).await?;
    meter.report("confluent", VERSION, args, acked, acked * args.size as u64)
}

async fn send(producer: &KafkaProducer<Vec<u8>, Vec<u8>>, args: &Args, values: &[Vec<u8>], count: u64) -> Outcome<u64> {
    // Its future is none of Rust's: it is awaited with `get`, which needs no box here.
    let (mut pending, mut acked) = (VecDeque::with_capacity(WINDOW + 1), 0);
    for (_, value) in (0..count).zip(values.iter().cycle()) {
        let record = ProducerRecord::<&[u8], &[u8]>::new(args.topic.clone(), Some(value));
        pending.push_back(producer.send(record, None).await?);
        if pending.len() > WINDOW
            && let Some(delivery) = pending.pop_front()
        {
            delivery.get().await?;
            acked += 1;
        }
    }
    for delivery in pending {
        delivery.get().await?;
        acked += 1;
    }
    Ok(acked)
}

async fn consume(args: &Args) -> Outcome {
    let meter = Meter::start()?;
    let mut given = vec![
        ("bootstrap.servers", args.broker.clone()),
        ("group.protocol", "consumer".into()),
        ("group.id", "peers-unused".into()),
        ("enable.auto.commit", "false".into()),
        ("auto.offset.reset", "earliest".into()),
    ];
    if args.equal {
        given.push(("max.partition.fetch.bytes", common::PARTITION_FETCH_BYTES.to_string()));
        given.push(("fetch.max.wait.ms", common::FETCH_WAIT.as_millis().to_string()));
        given.push(("max.poll.records", "5000".into()));
    }
    let config = ConsumerConfig::new(&properties(&given))?;
    let mut consumer: KafkaConsumer<Vec<u8>, Vec<u8>> =
        KafkaConsumer::new(config, ByteArrayDeserializer::default(), ByteArrayDeserializer::default())?;
    let partitions: Vec<TopicPartition> =
        (0..args.partitions).map(|partition| TopicPartition::new(args.topic.as_str(), partition)).collect();
    consumer.assign(partitions.clone()).await?;
    consumer.seek_to_beginning(&partitions).await?;
    let (mut read, mut bytes) = (0, 0);
    while read < args.records {
        for record in &consumer.poll(Duration::from_secs(1)).await? {
            read += 1;
            bytes += record.value().map_or(0, |value| value.len()) as u64;
        }
    }
    meter.report("confluent", VERSION, args, read, bytes)
}
