//! Reads or writes a partition by librdkafka, by the arguments of `kcat`: `-b BROKER -t TOPIC -p PARTITION [-X NAME=VALUE…] -P|-C`.
//! Values are lines; reading ends at the end of the partition. Other arguments are accepted and ignored.

use std::error::Error;
use std::io::BufRead;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::Message;
use rdkafka::Offset;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::BaseConsumer;
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::producer::BaseProducer;
use rdkafka::producer::BaseRecord;
use rdkafka::producer::Producer;
use rdkafka::types::RDKafkaErrorCode;

fn main() -> Result<(), Box<dyn Error>> {
    let (mut config, mut topic, mut partition, mut writes) = (ClientConfig::new(), String::new(), 0, false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "-b" => drop(config.set("bootstrap.servers", arguments.next().ok_or("-b: no broker")?)),
            "-t" => topic = arguments.next().ok_or("-t: no topic")?,
            "-p" => partition = arguments.next().ok_or("-p: no partition")?.parse()?,
            "-o" => drop(arguments.next()),
            "-X" => {
                let pair = arguments.next().ok_or("-X: no property")?;
                let (name, value) = pair.split_once('=').ok_or("-X: no value")?;
                config.set(name, value);
            }
            "-P" => writes = true,
            _ => {}
        }
    }
    eprintln!("librdkafka {}", rdkafka::util::get_rdkafka_version().1);
    if writes { write(&config, &topic, partition) } else { read(config, &topic, partition) }
}

fn write(config: &ClientConfig, topic: &str, partition: i32) -> Result<(), Box<dyn Error>> {
    let producer: BaseProducer = config.clone().set("enable.idempotence", "true").create()?;
    for line in std::io::stdin().lock().lines() {
        let record = BaseRecord::<(), str>::to(topic).partition(partition);
        producer.send(record.payload(&line?)).map_err(|(error, _)| error)?;
    }
    Ok(producer.flush(Duration::from_secs(30))?)
}

fn read(mut config: ClientConfig, topic: &str, partition: i32) -> Result<(), Box<dyn Error>> {
    config.set("group.id", "interop").set("enable.auto.commit", "false").set("enable.partition.eof", "true");
    let consumer: BaseConsumer = config.create()?;
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset(topic, partition, Offset::Beginning)?;
    consumer.assign(&assignment)?;
    loop {
        match consumer.poll(Duration::from_secs(30)).ok_or("nothing came for 30 s")? {
            Ok(record) => println!("{}", String::from_utf8_lossy(record.payload().unwrap_or_default())),
            Err(KafkaError::PartitionEOF(_)) => return Ok(()),
            // It is no member of the group, which librdkafka wants to have a name.
            Err(error) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::GroupAuthorizationFailed) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
