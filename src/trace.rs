//! W3C trace context in headers of records: `traceparent` and `tracestate` (feature `trace-context`).
//!
//! A trace context says of which trace a record is a part, so that a tracing system shows producer and consumer together. This module carries it
//! and decides nothing: ids and the sampling decision come from the program's tracer. The format is
//! [Trace Context, level 2](https://www.w3.org/TR/trace-context-2/); headers have the names and the text that OpenTelemetry's own propagators
//! for Kafka use.
//!
//! ```no_run
//! # async fn run(client: ottla::Client) -> Result<(), ottla::Error> {
//! use ottla::Record;
//! use ottla::consumer::Start;
//! use ottla::trace::TraceContext;
//!
//! // From the program's tracer: the trace, the span that produces, and whether the trace is sampled.
//! let context = TraceContext::new(0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736, 0x00f0_67aa_0ba9_02b7, true)?;
//! let producer = client.producer().build()?;
//! producer.send(Record::to("events").value("clicked").trace(&context)).await?;
//!
//! let mut consumer = client.consumer().assign(["events"]).start(Start::Earliest).until_end().build()?;
//! while let Some(records) = consumer.poll().await? {
//!     for record in &records {
//!         // A header that is malformed is no reason to drop the record.
//!         match record.trace() {
//!             Ok(Some(context)) => println!("{} belongs to trace {:032x}", record.offset, context.trace_id()),
//!             Ok(None) => {}
//!             Err(error) => eprintln!("{error}"),
//!         }
//!     }
//! }
//! # Ok(()) }
//! ```

use std::fmt;

use crate::consumer::ConsumedRecord;
use crate::consumer::Header;
use crate::consumer::OwnedRecord;
use crate::error::Error;
use crate::error::Kind;
use crate::producer::Record;

mod state;

/// The header that names the trace and the span.
pub const TRACEPARENT: &str = "traceparent";
/// The header with what tracing systems add.
pub const TRACESTATE: &str = "tracestate";

/// The length of a `traceparent` of version 00: `00-` trace id `-` parent id `-` flags.
const PARENT_LEN: usize = 55;
const SAMPLED: u8 = 1;
/// The flags that level 2 defines: sampled, and random trace id. Others are not passed on.
const FLAGS: u8 = 3;

/// A trace context: the trace, the span that caused a record, and the entries of tracing systems. See the [module](self).
///
/// `Display` prints it as a `traceparent` of version 00.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TraceContext {
    trace_id: u128,
    parent_id: u64,
    flags: u8,
    /// `traceparent`, as a record borrows it.
    parent: String,
    /// `tracestate`; empty if there is none.
    state: String,
}

impl TraceContext {
    /// A context of a trace and a span, without `tracestate`.
    ///
    /// # Errors
    ///
    /// [`Kind::Config`]: an id is zero, which the specification calls invalid.
    pub fn new(trace_id: u128, parent_id: u64, sampled: bool) -> Result<Self, Error> {
        let flags = if sampled { SAMPLED } else { 0 };
        Self::with(trace_id, parent_id, flags)
            .map_err(|problem| Error::config(format!("no trace context can be made: {problem}")))
    }

    /// Reads the texts of both headers. A `tracestate` that is malformed is left out, and the rest is good, as the specification demands.
    ///
    /// # Errors
    ///
    /// [`Kind::Payload`]: `traceparent` is malformed. Begin a new trace then.
    ///
    /// ```
    /// use ottla::trace::TraceContext;
    ///
    /// let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    /// let context = TraceContext::parse(parent, "congo=t61rcWkgMzE")?;
    /// assert_eq!((context.parent_id(), context.is_sampled()), (0x00f0_67aa_0ba9_02b7, true));
    /// assert_eq!((context.to_string().as_str(), context.state()), (parent, "congo=t61rcWkgMzE"));
    /// # Ok::<(), ottla::Error>(())
    /// ```
    pub fn parse(traceparent: impl AsRef<[u8]>, tracestate: impl AsRef<[u8]>) -> Result<Self, Error> {
        Self::read([traceparent.as_ref()].into_iter(), [tracestate.as_ref()].into_iter())
            .map_err(|problem| Error::new(Kind::Payload, format!("malformed header {TRACEPARENT}: {problem}")))?
            .ok_or_else(|| Error::new(Kind::Payload, format!("there is no header {TRACEPARENT}")))
    }

    /// This trace with another span as the parent: for the records that a span produces while it processes one of this context.
    ///
    /// # Errors
    ///
    /// [`Kind::Config`]: the id is zero.
    pub fn child(&self, parent_id: u64) -> Result<Self, Error> {
        let child = Self::with(self.trace_id, parent_id, self.flags);
        let child = child.map_err(|problem| Error::config(format!("no trace context can be made: {problem}")))?;
        Ok(Self { state: self.state.clone(), ..child })
    }

    /// The same context with another `tracestate`. Empty text removes it.
    ///
    /// # Errors
    ///
    /// [`Kind::Config`]: the text breaks the grammar: at most 32 entries `key=value`, separated by commas, each key once.
    pub fn with_state(self, tracestate: &str) -> Result<Self, Error> {
        let state = state::joined([tracestate.as_bytes()].into_iter())
            .map_err(|problem| Error::config(format!("malformed {TRACESTATE}: {problem}")))?;
        Ok(Self { state, ..self })
    }

    /// The id of the trace. It is never zero.
    pub fn trace_id(&self) -> u128 {
        self.trace_id
    }

    /// The id of the span that caused the record. It is never zero.
    pub fn parent_id(&self) -> u64 {
        self.parent_id
    }

    /// Whether the caller may have recorded the trace.
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The text of `tracestate`; empty if there is none.
    pub fn state(&self) -> &str {
        &self.state
    }

    fn with(trace_id: u128, parent_id: u64, flags: u8) -> Result<Self, &'static str> {
        if trace_id == 0 {
            return Err("the trace id is zero");
        }
        if parent_id == 0 {
            return Err("the parent id is zero");
        }
        let flags = flags & FLAGS;
        let parent = format!("00-{trace_id:032x}-{parent_id:016x}-{flags:02x}");
        Ok(Self { trace_id, parent_id, flags, parent, state: String::new() })
    }

    /// Reads the values of all headers of both names, in order. `None` if there is no `traceparent`.
    fn read<'h>(
        mut parents: impl Iterator<Item = &'h [u8]>,
        states: impl Iterator<Item = &'h [u8]>,
    ) -> Result<Option<Self>, &'static str> {
        let Some(parent) = parents.next() else { return Ok(None) };
        if parents.next().is_some() {
            return Err("there is more than one");
        }
        let context = parse_parent(parent)?;
        // The specification says to drop a malformed list and to keep the trace.
        Ok(Some(Self { state: state::joined(states).unwrap_or_default(), ..context }))
    }
}

/// Reads a `traceparent`: version 00 exactly, and of later versions the part that they have in common.
fn parse_parent(text: &[u8]) -> Result<TraceContext, &'static str> {
    let (known, rest) = text.split_at_checked(PARENT_LEN).ok_or("it is too short")?;
    if [2, 35, 52].iter().any(|at| known[*at] != b'-') {
        return Err("its parts are not separated by dashes where they should be");
    }
    let version = hex(&known[..2]).ok_or("its version is not in lower-case hexadecimal digits")?;
    match (version, rest) {
        (0xff, _) => return Err("version ff is forbidden"),
        (_, []) => {}
        (0, _) => return Err("it is too long for version 00"),
        (_, [b'-', ..]) => {}
        (_, _) => return Err("its parts are not separated by dashes where they should be"),
    }
    let trace_id = hex(&known[3..35]).ok_or("its trace id is not in lower-case hexadecimal digits")?;
    let parent_id = hex(&known[36..52]).ok_or("its parent id is not in lower-case hexadecimal digits")?;
    let flags = hex(&known[53..]).ok_or("its flags are not in lower-case hexadecimal digits")?;
    let parent_id = u64::try_from(parent_id).expect("16 digits fit");
    TraceContext::with(trace_id, parent_id, u8::try_from(flags).expect("two digits fit"))
}

/// A number of at most 32 lower-case hexadecimal digits.
fn hex(digits: &[u8]) -> Option<u128> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    digits.iter().try_fold(0, |number, byte| Some(number << 4 | u128::from(digit(*byte)?)))
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.parent)
    }
}

impl fmt::Debug for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TraceContext").field("parent", &self.parent).field("state", &self.state).finish_non_exhaustive()
    }
}

impl<'a> Record<'a> {
    /// Adds a trace context as headers: `traceparent`, and `tracestate` if there is one. Headers that the record has stay: a record that is
    /// passed on needs its old ones left out, since a reader refuses two.
    pub fn trace(self, context: &'a TraceContext) -> Self {
        let traced = self.header(TRACEPARENT, &context.parent);
        if context.state.is_empty() { traced } else { traced.header(TRACESTATE, &context.state) }
    }
}

/// The context of a record, from its headers. Names of headers are compared in any case: HTTP's are, and bridges keep theirs.
fn of<'h>(headers: impl Iterator<Item = Header<'h>> + Clone) -> Result<Option<TraceContext>, Error> {
    let named = |name: &'static str| {
        let headers = headers.clone().filter(move |header| header.key.eq_ignore_ascii_case(name.as_bytes()));
        headers.map(|header| header.value.unwrap_or_default())
    };
    TraceContext::read(named(TRACEPARENT), named(TRACESTATE))
        .map_err(|problem| Error::new(Kind::Payload, format!("malformed header {TRACEPARENT}: {problem}")))
}

impl ConsumedRecord<'_> {
    /// Reads the trace context from the headers. `None` if there is no `traceparent`. A malformed `tracestate` is left out.
    ///
    /// # Errors
    ///
    /// [`Kind::Payload`]: `traceparent` is malformed, or there are several. The error names the record. Begin a new trace then.
    pub fn trace(&self) -> Result<Option<TraceContext>, Error> {
        of(self.headers()).map_err(|error| error.in_partition(self.topic, self.partition).at_offset(self.offset))
    }
}

impl OwnedRecord {
    /// Reads the trace context from the headers, as [`ConsumedRecord::trace`] does.
    pub fn trace(&self) -> Result<Option<TraceContext>, Error> {
        let headers = self.headers.iter().map(|(key, value)| Header { key, value: value.as_deref() });
        of(headers).map_err(|error| error.in_partition(&self.topic, self.partition).at_offset(self.offset))
    }
}

#[cfg(test)]
mod tests {
    use super::TraceContext;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn problem(parent: &[u8]) -> String {
        TraceContext::parse(parent, "").expect_err("malformed").to_string()
    }

    #[test]
    fn malformed_traceparent_is_refused_with_its_reason() {
        let change = |at: usize, to: u8| {
            let mut bytes = PARENT.as_bytes().to_vec();
            bytes[at] = to;
            bytes
        };
        for at in 0..PARENT.len() {
            for bad in [b'A', b'F', b'g', b' ', 0, 0xff, b'_'] {
                assert!(TraceContext::parse(change(at, bad), "").is_err(), "{bad} at {at}");
            }
        }
        for length in 0..PARENT.len() {
            assert!(problem(&PARENT.as_bytes()[..length]).contains("too short"), "{length}");
        }
        assert!(problem(format!("{PARENT}-00").as_bytes()).contains("too long for version 00"));
        assert!(problem(format!("ff{}", &PARENT[2..]).as_bytes()).contains("version ff"));
        assert!(problem(format!("01{}x", &PARENT[2..]).as_bytes()).contains("dashes"));
        assert!(problem(format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)).as_bytes()).contains("trace id is zero"));
        let zero = "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01";
        assert!(problem(zero.as_bytes()).contains("parent id is zero"));
        assert!(problem(&vec![b'0'; 100 << 20]).contains("dashes"));
    }

    #[test]
    fn later_version_is_read_and_passed_on_as_version_00() {
        let later = format!("cc{}-what-the-future-will-be-like", &PARENT[2..]);
        assert_eq!(TraceContext::parse(later, "").expect("its known part is good").to_string(), PARENT);
        let flags = PARENT.replace("-01", "-ff");
        let context = TraceContext::parse(flags, "").expect("unknown flags are ignored");
        assert!(context.to_string().ends_with("-03") && context.is_sampled());
    }

    #[test]
    fn malformed_tracestate_is_left_out_and_the_trace_kept() {
        let context = TraceContext::parse(PARENT, "a=1,a=2").expect("the parent is good");
        assert_eq!((context.state(), context.to_string().as_str()), ("", PARENT));
        assert!(context.with_state("a=1,a=2").is_err());
    }

    #[test]
    fn child_has_the_trace_the_flags_and_the_state_of_its_parent() {
        let parent = TraceContext::parse(PARENT, "a=1").expect("it is good");
        let child = parent.child(0xb7).expect("not zero");
        assert_eq!(child.to_string(), "00-4bf92f3577b34da6a3ce929d0e0e4736-00000000000000b7-01");
        assert_eq!((child.trace_id(), child.state()), (parent.trace_id(), "a=1"));
        assert!(parent.child(0).is_err() && TraceContext::new(0, 1, true).is_err());
    }
}
