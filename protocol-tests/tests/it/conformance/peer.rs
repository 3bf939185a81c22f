//! The two sides of the comparison: a real broker over TCP and the mock in this process. Both get the same requests.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use bytes::BufMut;
use bytes::Bytes;
use bytes::BytesMut;
use kafka_protocol::messages::RequestHeader;
use kafka_protocol::messages::ResponseHeader;
use kafka_protocol::protocol::Decodable;
use kafka_protocol::protocol::Encodable;
use kafka_protocol::protocol::HeaderVersion;
use kafka_protocol::protocol::Request;
use kafka_protocol::protocol::StrBytes;
use ottla::mock::Cluster;
use ottla::mock::Outcome;
use protocol_tests::rig;

#[path = "../../../../src/mock/tests/draft.rs"]
mod draft;

/// One side and its responses.
pub(super) struct Peer {
    wire: Wire,
    /// The connection that requests take.
    connection: u64,
    correlation_id: i32,
    /// The response to each step, without fields that may differ.
    pub(super) responses: Vec<(String, String)>,
}

enum Wire {
    /// With the outcomes that were not awaited yet.
    Mock(Box<Cluster>, Instant, Vec<(u64, Outcome)>),
    Real(u16, BTreeMap<u64, TcpStream>),
}

/// The outcome of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Closed,
    Frame(Bytes),
    /// No response within ten seconds.
    Silent,
}

impl Peer {
    pub(super) fn real(port: u16) -> Self {
        Self { wire: Wire::Real(port, BTreeMap::new()), connection: 1, correlation_id: 0, responses: Vec::new() }
    }

    #[expect(clippy::disallowed_methods, reason = "the mock has to start at some time")]
    pub(super) fn mock(cluster: Cluster) -> Self {
        let wire = Wire::Mock(Box::new(cluster), Instant::now(), Vec::new());
        Self { wire, connection: 1, correlation_id: 0, responses: Vec::new() }
    }

    /// Whether this is a real broker.
    pub(super) fn is_real(&self) -> bool {
        matches!(self.wire, Wire::Real(..))
    }

    /// Records the response to a step.
    pub(super) fn record(&mut self, step: impl Into<String>, response: impl std::fmt::Debug) {
        self.responses.push((step.into(), format!("{response:?}")));
    }

    /// Sends a request and returns the response, or that the connection was closed.
    pub(super) fn send<R: Request>(&mut self, version: i16, request: &R) -> Result<R::Response, &'static str> {
        let mut body = BytesMut::new();
        request.encode(&mut body, version).expect("an encodable request");
        self.send_raw_with::<R::Response>(R::KEY, version, R::header_version(version), version, &body)
    }

    /// Lets the requests from now on take another connection.
    pub(super) fn on(&mut self, connection: u64) -> &mut Self {
        self.connection = connection;
        self
    }

    /// Sends a request whose response [`Peer::end`] awaits. Until then the connection must not be used.
    pub(super) fn begin<R: Request>(&mut self, version: i16, request: &R) {
        let mut body = BytesMut::new();
        request.encode(&mut body, version).expect("an encodable request");
        let frame = self.frame(R::KEY, version, R::header_version(version), &body);
        self.put(&frame).expect("it reads");
    }

    /// Awaits the response to the request that was sent on the connection.
    pub(super) fn end<R: Request>(&mut self, version: i16) -> Result<R::Response, &'static str> {
        let mut reply = match self.take() {
            Answer::Closed => return Err("closed"),
            Answer::Silent => return Err("silent"),
            Answer::Frame(reply) => reply,
        };
        ResponseHeader::decode(&mut reply, R::Response::header_version(version)).expect("a header");
        let response = R::Response::decode(&mut reply, version).map_err(|_| "unreadable")?;
        if reply.is_empty() { Ok(response) } else { Err("bytes left over") }
    }

    /// As [`Peer::send`], with an encoded body and a response that is decoded in another version.
    pub(super) fn send_raw_with<M: Decodable + HeaderVersion>(
        &mut self,
        api_key: i16,
        version: i16,
        header_version: i16,
        response_version: i16,
        body: &[u8],
    ) -> Result<M, &'static str> {
        let frame = self.frame(api_key, version, header_version, body);
        let mut reply = match self.exchange(&frame) {
            Answer::Closed => return Err("closed"),
            Answer::Silent => return Err("silent"),
            Answer::Frame(reply) => reply,
        };
        let header = ResponseHeader::decode(&mut reply, M::header_version(response_version)).expect("a header");
        assert_eq!(header.correlation_id, self.correlation_id);
        let response = M::decode(&mut reply, response_version).map_err(|_| "unreadable")?;
        if reply.is_empty() { Ok(response) } else { Err("bytes left over") }
    }

    /// Sends a request without a response. Returns whether the connection is still open.
    pub(super) fn tell<R: Request>(&mut self, version: i16, request: &R) -> &'static str {
        let mut body = BytesMut::new();
        request.encode(&mut body, version).expect("an encodable request");
        let frame = self.frame(R::KEY, version, R::header_version(version), &body);
        match &mut self.wire {
            Wire::Mock(cluster, now, _) => match cluster.handle(*now, wall_ms(), 1, 1, frame) {
                Outcome::Silent => "open",
                Outcome::Close => "closed",
                Outcome::Reply(_) | Outcome::Wait => "answered",
            },
            Wire::Real(port, streams) => {
                connect(*port, self.connection, streams).write_all(&frame).expect("it reads");
                // The next request gets a response if the connection is open.
                let next = self.frame(18, 0, 1, &[]);
                match self.exchange(&next) {
                    Answer::Closed | Answer::Silent => "closed",
                    Answer::Frame(reply) if reply[..4] == self.correlation_id.to_be_bytes() => "open",
                    Answer::Frame(_) => "answered",
                }
            }
        }
    }

    /// Sends only a header of a version and returns the outcome.
    pub(super) fn knock(&mut self, api_key: i16, version: i16, header_version: i16) -> Answer {
        let frame = self.frame(api_key, version, header_version, &[]);
        self.exchange(&frame)
    }

    /// Drops the connection, which the other side has closed.
    pub(super) fn hang_up(&mut self) {
        if let Wire::Real(_, streams) = &mut self.wire {
            streams.remove(&self.connection);
        }
    }

    fn frame(&mut self, api_key: i16, version: i16, header_version: i16, body: &[u8]) -> Bytes {
        self.correlation_id += 1;
        let header = RequestHeader::default()
            .with_request_api_key(api_key)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation_id)
            .with_client_id(Some(StrBytes::from_static_str("conformance")));
        let mut whole = BytesMut::new();
        header.encode(&mut whole, header_version).expect("an encodable header");
        whole.extend_from_slice(body);
        let mut frame = BytesMut::new();
        frame.put_i32(i32::try_from(whole.len()).expect("small"));
        frame.extend_from_slice(&whole);
        frame.freeze()
    }

    fn exchange(&mut self, frame: &Bytes) -> Answer {
        match self.put(frame) {
            Ok(()) => self.take(),
            Err(answer) => answer,
        }
    }

    fn put(&mut self, frame: &Bytes) -> Result<(), Answer> {
        let connection = self.connection;
        match &mut self.wire {
            Wire::Mock(cluster, now, outcomes) => {
                outcomes.push((connection, cluster.handle(*now, wall_ms(), 1, connection, frame.clone())));
                outcomes.retain(|(_, outcome)| *outcome != Outcome::Wait);
                Ok(())
            }
            Wire::Real(port, streams) => {
                let open = connect(*port, connection, streams);
                open.write_all(frame).map_err(|error| lost(connection, streams, &error))
            }
        }
    }

    /// The outcome of the request that was sent on the connection.
    fn take(&mut self) -> Answer {
        let connection = self.connection;
        match &mut self.wire {
            Wire::Mock(cluster, now, outcomes) => loop {
                if let Some(at) = outcomes.iter().position(|(of, _)| *of == connection) {
                    return match outcomes.remove(at).1 {
                        Outcome::Reply(reply) => Answer::Frame(reply.slice(4..)),
                        Outcome::Close => Answer::Closed,
                        Outcome::Silent | Outcome::Wait => Answer::Silent,
                    };
                }
                match cluster.poll(*now) {
                    Some(outcome) => outcomes.push(outcome),
                    None => *now = cluster.poll_timeout().expect("it waits for something"),
                }
            },
            Wire::Real(port, streams) => {
                let open = connect(*port, connection, streams);
                let mut size = [0; 4];
                if let Err(error) = open.read_exact(&mut size) {
                    return lost(connection, streams, &error);
                }
                let mut reply = vec![0; usize::try_from(i32::from_be_bytes(size)).expect("not negative")];
                open.read_exact(&mut reply).expect("a whole frame");
                Answer::Frame(reply.into())
            }
        }
    }
}

fn lost(connection: u64, streams: &mut BTreeMap<u64, TcpStream>, error: &std::io::Error) -> Answer {
    streams.remove(&connection);
    let late = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
    if late { Answer::Silent } else { Answer::Closed }
}

fn connect(port: u16, connection: u64, streams: &mut BTreeMap<u64, TcpStream>) -> &mut TcpStream {
    streams.entry(connection).or_insert_with(|| {
        let stream = TcpStream::connect(rig::address(port)).expect("a broker");
        stream.set_nodelay(true).expect("a socket");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket");
        stream
    })
}

/// The current time, for timestamps.
#[expect(clippy::disallowed_methods, reason = "brokers judge timestamps by the clock")]
pub(super) fn wall_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_millis()).expect("it fits")
}

/// A batch to be written, with the fields that steps change.
#[derive(Clone)]
pub(super) struct Draft {
    pub(super) producer: (i64, i16, i32),
    pub(super) timestamp: i64,
    pub(super) attributes: i16,
    pub(super) count_extra: i32,
    pub(super) delta_extra: i32,
    pub(super) max_timestamp_extra: i64,
    pub(super) values: Vec<String>,
}

impl Draft {
    pub(super) fn of(timestamp: i64, values: &[&str]) -> Self {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        let producer = (-1, -1, -1);
        Self { producer, timestamp, attributes: 0, count_extra: 0, delta_extra: 0, max_timestamp_extra: 0, values }
    }

    pub(super) fn by(mut self, id: i64, epoch: i16, sequence: i32) -> Self {
        self.producer = (id, epoch, sequence);
        self
    }

    /// Records without keys, n milliseconds after the first.
    pub(super) fn bytes(&self) -> Bytes {
        let mut section = Vec::new();
        for (delta, value) in (0_i64..).zip(&self.values) {
            draft::record(&mut section, delta, None, value, &[0]);
        }
        let count = i32::try_from(self.values.len()).expect("small");
        let head = draft::Head {
            attributes: self.attributes,
            last_delta: count - 1 + self.delta_extra,
            base_timestamp: self.timestamp,
            max_timestamp: self.timestamp + i64::from(count) - 1 + self.max_timestamp_extra,
            producer: self.producer,
            count: count + self.count_extra,
        };
        head.with(&section)
    }
}
