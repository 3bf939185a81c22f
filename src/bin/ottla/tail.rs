//! `ottla tail`: the newest records of a topic, over all of its partitions, and then those that follow.

use std::io::BufWriter;
use std::io::Write as _;
use std::time::Duration;

use ottla::consumer::Consumer;
use ottla::queue::Latest;
use ottla::queue::Tail as Newest;

use crate::Outcome;
use crate::args::Common;
use crate::args::Tail;
use crate::connect;
use crate::describe;
use crate::format::Printer;
use crate::groups::fail_with;
use crate::signals;
use crate::terminal;

pub(crate) async fn run(common: &Common, options: Tail) -> Outcome {
    let printer = Printer::of(common, options.format.as_deref())?;
    let client = connect::client(&connect::properties(common)?).await?;
    let newest = Newest::new(&client, options.topic.as_str()).deadline(Duration::from_secs(options.timeout));
    let latest = if options.per_partition {
        newest.tail_per_partition(options.number).await?
    } else {
        newest.latest(options.number).await?
    };
    print(&latest, &printer)?;
    if !options.follow {
        return fail_with(latest.errors.iter().map(describe));
    }
    latest.errors.iter().for_each(|error| terminal::warn(describe(error)));
    let consumer = newest.follow(&latest).await?;
    tokio::select! {
        outcome = follow(consumer, &printer) => outcome,
        interrupted = signals::interrupted() => Ok(interrupted?),
    }
}

fn print(latest: &Latest, printer: &Printer) -> std::io::Result<()> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    latest.records.iter().try_for_each(|record| printer.print(record, &mut out))?;
    out.flush()
}

/// Prints records as they arrive. An error of a partition is a warning: the others are read meanwhile.
async fn follow(mut consumer: Consumer, printer: &Printer) -> Outcome {
    loop {
        match consumer.poll().await {
            Ok(None) => return Ok(()),
            Ok(Some(records)) => {
                let mut out = BufWriter::new(std::io::stdout().lock());
                records.iter().try_for_each(|record| printer.print(&record, &mut out))?;
                out.flush()?;
            }
            Err(error) if error.partition().is_some() => terminal::warn(describe(&error)),
            Err(error) => return Err(error.into()),
        }
    }
}
