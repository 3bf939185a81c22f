//! Ours, as an application uses it: `enqueue` and a delivery for each record.

use common::Args;
use common::Meter;
use common::Outcome;
use common::Window;
use ottla::Client;
use ottla::Record;
use ottla::consumer::Start;
use ottla::producer::Producer;

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn main() -> Outcome {
    let args = Args::read()?;
    common::block_on(async { if args.produce { produce(&args).await } else { consume(&args).await } })
}

async fn connect(args: &Args) -> Outcome<Client> {
    #[cfg(feature = "secure")]
    if let Some(ca) = &args.ca {
        use ottla::tls::Pem;
        use ottla::tls::Tls;

        let tls = Tls::builder().ca(Pem::file(ca)).build()?;
        return Ok(Client::builder([&args.broker])?.tls(tls).connect().await?);
    }
    #[cfg(not(feature = "secure"))]
    args.no_tls()?;
    Ok(Client::connect([&args.broker]).await?)
}

async fn produce(args: &Args) -> Outcome {
    let client = connect(args).await?;
    let mut builder = client.producer();
    if args.equal {
        builder = builder.batch_bytes(common::BATCH_BYTES).linger(common::LINGER).buffer_bytes(common::BUFFER_BYTES);
    }
    let producer = builder.build()?;
    let values = common::values(args.size);
    send(&producer, args, &values, common::WARM_UP).await?;
    let meter = Meter::start()?;
    let acked = send(&producer, args, &values, args.records).await?;
    meter.report("ottla", VERSION, args, acked, acked * args.size as u64)
}

async fn send(producer: &Producer, args: &Args, values: &[Vec<u8>], count: u64) -> Outcome<u64> {
    let mut window = Window::default();
    for (_, value) in (0..count).zip(values.iter().cycle()) {
        window.push(producer.enqueue(Record::to(&args.topic).value(value)).await?).await?;
    }
    window.finish().await
}

async fn consume(args: &Args) -> Outcome {
    let meter = Meter::start()?;
    let client = connect(args).await?;
    let mut consumer = client.consumer().assign([args.topic.as_str()]).start(Start::Earliest).until_end().build()?;
    let (mut read, mut bytes) = (0, 0);
    while let Some(records) = consumer.poll().await? {
        for record in &records {
            read += 1;
            bytes += record.value.map_or(0, <[u8]>::len) as u64;
        }
    }
    meter.report("ottla", VERSION, args, read, bytes)
}
