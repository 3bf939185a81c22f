//! The cost of a connection: `peer-logins WHAT BROKER COUNT CA` makes COUNT connections one after the other and prints the CPU
//! milliseconds of this process for each, in a line of JSON. WHAT is
//!
//! - `ottla-plain`, `ottla-tls`, `ottla-tls-resumed`, `rdkafka-plain`, `rdkafka-tls`: a client that fetches metadata, then is dropped;
//! - `ottla-sha256-cold`, `ottla-sha256-warm`, `rdkafka-sha256`, and the same with `sha512`: such a client that logs in by SCRAM;
//! - `graviola-tls`, `graviola-tls-resumed`, `openssl-tls`, `openssl-tls-resumed`: a handshake and one small request, no Kafka client.

use std::time::Duration;

use common::Meter;
use common::Outcome;
use common::Spent;
use ottla::Client;
use ottla::sasl::Sasl;
use ottla::tls::Pem;
use ottla::tls::Tls;
use rdkafka::ClientConfig;
use rdkafka::producer::BaseProducer;
use rdkafka::producer::Producer;

mod bare;

const USER: &str = "alice";
const PASSWORD: &str = "alice-secret";
/// Made before the clock starts.
const WARM_UP: usize = 3;

fn main() -> Outcome {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let [what, broker, count, ca] = &given[..] else {
        return Err("peer-logins WHAT BROKER COUNT CA".into());
    };
    let count: usize = count.parse()?;
    let (client, kind) = what.split_once('-').ok_or("no such measurement")?;
    match client {
        "ottla" => common::block_on(ours(what, kind, broker, count, ca)),
        "rdkafka" => theirs(what, kind, broker, count, ca),
        "graviola" => bare::graviola(what, kind == "tls-resumed", broker, count, ca),
        "openssl" => bare::openssl(what, kind == "tls-resumed", broker, count, ca),
        other => Err(format!("there is no client {other}").into()),
    }
}

/// Prints the line. `connections` were established by all clients together.
fn report(what: &str, meter: &Meter, count: usize, connections: u64, resumed: usize) -> Outcome {
    let Spent { wall, user, system, max_rss_mb } = meter.spent()?;
    println!(
        "{{\"what\":\"{what}\",\"count\":{count},\"connections\":{connections},\"resumed\":{resumed},\"wall_s\":{wall:.3},\
         \"cpu_ms\":{:.4},\"max_rss_mb\":{max_rss_mb:.1}}}",
        (user + system) * 1e3 / count as f64,
    );
    Ok(())
}

async fn ours(what: &str, kind: &str, broker: &str, count: usize, ca: &str) -> Outcome {
    let tls = || Tls::builder().ca(Pem::file(ca)).build();
    let sasl = |kind: &str| match kind.split_once('-') {
        Some(("sha256", _)) => Ok(Sasl::scram_sha_256(USER, PASSWORD)),
        Some(("sha512", _)) => Ok(Sasl::scram_sha_512(USER, PASSWORD)),
        _ => Err(format!("there is no measurement {kind}")),
    };
    // Sessions are resumed within the clones of one `Tls`, and keys are kept within those of one `Sasl`.
    let shared = tls()?;
    let known = if kind.ends_with("-warm") { Some(sasl(kind)?) } else { None };
    let connect = async || -> Outcome<u64> {
        let builder = Client::builder([broker])?;
        let builder = match kind {
            "plain" => builder,
            "tls" => builder.tls(tls()?),
            "tls-resumed" => builder.tls(shared.clone()),
            _ => builder.sasl(match &known {
                Some(known) => known.clone(),
                None => sasl(kind)?,
            }),
        };
        let client = builder.connect().await?;
        let metrics = client.metrics();
        let connects = metrics.connections.iter().map(|connection| connection.counters.connects).sum::<u64>();
        Ok(connects + metrics.retired.connects)
    };
    for _ in 0..WARM_UP {
        connect().await?;
    }
    let (meter, mut connections) = (Meter::start()?, 0);
    for _ in 0..count {
        connections += connect().await?;
    }
    report(what, &meter, count, connections, 0)
}

fn theirs(what: &str, kind: &str, broker: &str, count: usize, ca: &str) -> Outcome {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker);
    match kind {
        "plain" => {}
        "tls" => drop(config.set("security.protocol", "ssl").set("ssl.ca.location", ca)),
        "sha256" | "sha512" => {
            let mechanism = if kind == "sha256" { "SCRAM-SHA-256" } else { "SCRAM-SHA-512" };
            config.set("security.protocol", "sasl_plaintext").set("sasl.mechanism", mechanism);
            config.set("sasl.username", USER).set("sasl.password", PASSWORD);
        }
        other => return Err(format!("there is no measurement {other}").into()),
    }
    let connect = || -> Outcome {
        let client: BaseProducer = config.create()?;
        client.client().fetch_metadata(Some("no-such-topic"), Duration::from_secs(10))?;
        Ok(())
    };
    for _ in 0..WARM_UP {
        connect()?;
    }
    let meter = Meter::start()?;
    for _ in 0..count {
        connect()?;
    }
    report(what, &meter, count, count as u64, 0)
}
