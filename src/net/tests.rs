//! The connection task over pipes in memory, on a paused clock, against peers that follow a script.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;
use std::time::Instant;

use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;
use tokio::io::BufWriter;
use tokio::io::DuplexStream;
use tokio::io::ReadBuf;
use tokio::sync::mpsc;
use tokio::sync::oneshot;

use super::Handle;
use super::Outgoing;
use super::Reply;
use super::Settings;
use super::spawn;
use crate::config::HostPort;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Written;
use crate::net::Connector;
use crate::net::Dialling;
use crate::net::Stream;
use crate::net::clock;
use crate::net::meter::Meter;
use crate::net::observer::Observer;
use crate::net::runtime::Runtime;
use crate::wire::Request;
use crate::wire::Response;
use crate::wire::message::ApiVersionsRequest;

const SECOND: Duration = Duration::from_secs(1);

/// Observes nothing.
#[derive(Debug)]
struct Nobody;

impl Observer for Nobody {
    fn connected(&self) {}

    fn failed(&self, _: &Error) {}
}

/// The outcome of a dial.
#[derive(Clone, Copy, Debug)]
enum Dial {
    Connects,
    /// Connects by a stream that keeps everything until it is flushed.
    Buffers,
    Hangs,
    Refuses,
    /// Connects by a stream that never ends to shut down.
    Lingers,
    /// Fails for good.
    Rejects,
    /// Connects, and fails for good when it is read.
    RejectsLater,
}

/// The near end of a pipe, which notes that it was shut down.
struct Near {
    pipe: DuplexStream,
    rejects: bool,
    lingers: bool,
    shut_down: Arc<AtomicBool>,
}

impl AsyncRead for Near {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.rejects {
            return Poll::Ready(Err(Error::tls("the certificate is not trusted").into()));
        }
        Pin::new(&mut self.pipe).poll_read(cx, buf)
    }
}

impl AsyncWrite for Near {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.pipe).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shut_down.store(true, Ordering::Relaxed);
        if self.lingers {
            return Poll::Pending;
        }
        Pin::new(&mut self.pipe).poll_shutdown(cx)
    }
}

/// Hands the far ends of its pipes to the test.
#[derive(Debug)]
struct Pipes {
    dial: Arc<Mutex<Dial>>,
    capacity: Arc<AtomicUsize>,
    shut_down: Arc<AtomicBool>,
    dialled: mpsc::UnboundedSender<(Instant, DuplexStream)>,
}

impl Connector for Pipes {
    fn connect<'a>(&'a self, _: &'a str, _: u16) -> Dialling<'a> {
        Box::pin(async move {
            let (pipe, far) = tokio::io::duplex(self.capacity.load(Ordering::Relaxed));
            let _ = self.dialled.send((clock::now(), far));
            let dial = *self.dial.lock().unwrap();
            let rejects = matches!(dial, Dial::RejectsLater);
            let lingers = matches!(dial, Dial::Lingers);
            let near = Near { pipe, rejects, lingers, shut_down: Arc::clone(&self.shut_down) };
            match dial {
                Dial::Connects | Dial::Lingers | Dial::RejectsLater => Ok(Box::new(near) as Box<dyn Stream>),
                Dial::Buffers => Ok(Box::new(BufWriter::new(near)) as Box<dyn Stream>),
                Dial::Rejects => Err(Error::authentication("the password is wrong").into()),
                Dial::Hangs => std::future::pending().await,
                Dial::Refuses => Err(io::ErrorKind::ConnectionRefused.into()),
            }
        })
    }
}

struct Rig {
    handle: Handle,
    meter: Meter,
    dial: Arc<Mutex<Dial>>,
    capacity: Arc<AtomicUsize>,
    shut_down: Arc<AtomicBool>,
    dialled: mpsc::UnboundedReceiver<(Instant, DuplexStream)>,
}

fn rig(dial: Dial, change: impl FnOnce(&mut Settings)) -> Rig {
    let (sender, dialled) = mpsc::unbounded_channel();
    let dial = Arc::new(Mutex::new(dial));
    let (capacity, shut_down) = (Arc::new(AtomicUsize::new(1 << 16)), Arc::<AtomicBool>::default());
    let pipes = Pipes {
        dial: Arc::clone(&dial),
        capacity: Arc::clone(&capacity),
        shut_down: Arc::clone(&shut_down),
        dialled: sender,
    };
    let mut settings = Settings {
        client_id: "test".into(),
        connector: Box::new(pipes),
        sasl: None,
        #[cfg(feature = "tls")]
        secure: None,
        runtime: Runtime::current().expect("tests have a runtime"),
        setup_timeout: 10 * SECOND,
        setup_timeout_max: 30 * SECOND,
        request_timeout: 30 * SECOND,
        reconnect_backoff: Duration::from_millis(50),
        reconnect_backoff_max: SECOND,
        idle_max: Some(540 * SECOND),
        response_bytes_max: 1 << 20,
        in_flight_max: 5,
    };
    change(&mut settings);
    let meter = Meter::default();
    let address = HostPort { host: "h".into(), port: 1 };
    let handle = spawn(Arc::new(settings), address, meter.clone(), Box::new(Nobody));
    Rig { handle, meter, dial, capacity, shut_down, dialled }
}

type Pending = oneshot::Receiver<Result<Response, Error>>;

impl Rig {
    /// Sends a request: ApiVersions, the simplest.
    fn ask(&self, patience: Duration) -> Pending {
        let (sender, receiver) = oneshot::channel();
        let deadline = clock::now() + patience;
        self.handle.submit(Outgoing {
            request: Request::ApiVersions(ApiVersionsRequest),
            deadline,
            connect_by: None,
            reply: Reply::Oneshot(sender),
        });
        receiver
    }

    async fn peer(&mut self) -> Peer {
        Peer(self.dialled.recv().await.expect("a dial").1)
    }
}

/// The broker's end of a connection.
struct Peer(DuplexStream);

impl Peer {
    /// Reads a request and returns its correlation id; `None` when the connection was closed.
    async fn request(&mut self) -> Option<i32> {
        let length = self.0.read_i32().await.ok()?;
        let mut frame = vec![0; usize::try_from(length).expect("a length")];
        self.0.read_exact(&mut frame).await.expect("a frame");
        Some(i32::from_be_bytes(frame[4..8].try_into().expect("four bytes")))
    }

    /// Responds that ApiVersions is supported in versions 0 to 3, with this throttle time.
    async fn respond(&mut self, id: i32, throttle_ms: i32) {
        let api = [&[0, 0, 2][..], &[0, 18, 0, 0, 0, 3, 0], &throttle_ms.to_be_bytes(), &[0]].concat();
        let frame = [&id.to_be_bytes()[..], &api].concat();
        self.0.write_i32(i32::try_from(frame.len()).expect("short")).await.expect("written");
        self.0.write_all(&frame).await.expect("written");
    }

    async fn serve(&mut self) {
        let id = self.request().await.expect("a request");
        self.respond(id, 0).await;
    }
}

async fn failure(response: Pending) -> Error {
    response.await.expect("a response").expect_err("a failure")
}

#[tokio::test(start_paused = true)]
async fn request_expires_by_its_deadline_while_dialling() {
    let rig = rig(Dial::Hangs, |_| ());
    let begun = clock::now();
    let (late, later) = (rig.ask(2 * SECOND), rig.ask(3 * SECOND));
    let error = failure(late).await;
    assert_eq!((error.kind(), error.is_written()), (Kind::Timeout, Some(Written::No)));
    assert_eq!(clock::now() - begun, 2 * SECOND);
    failure(later).await;
    assert_eq!(clock::now() - begun, 3 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn request_expires_by_its_deadline_while_backing_off() {
    let rig = rig(Dial::Refuses, |settings| settings.reconnect_backoff = 60 * SECOND);
    assert_eq!(failure(rig.ask(SECOND)).await.kind(), Kind::Connect);
    let begun = clock::now();
    assert_eq!(failure(rig.ask(SECOND)).await.kind(), Kind::Timeout);
    assert_eq!(clock::now() - begun, SECOND);
}

#[tokio::test(start_paused = true)]
async fn dropped_handle_ends_a_dial_and_fails_waiting_requests() {
    let mut rig = rig(Dial::Hangs, |_| ());
    let response = rig.ask(20 * SECOND);
    let begun = clock::now();
    let Peer(mut far) = rig.peer().await;
    drop(rig.handle);
    assert_eq!(failure(response).await.is_written(), Some(Written::No));
    assert_eq!(clock::now(), begun);
    assert_eq!(far.read(&mut [0]).await.expect("closed"), 0, "the dial was given up");
}

#[tokio::test(start_paused = true)]
async fn pauses_between_dials_double_up_to_the_longest() {
    let mut rig = rig(Dial::Refuses, |_| ());
    let mut dialled = Vec::new();
    for _ in 0..8 {
        failure(rig.ask(10 * SECOND)).await;
        dialled.push(rig.dialled.recv().await.expect("a dial").0);
    }
    let pauses: Vec<u128> = dialled.windows(2).map(|pair| (pair[1] - pair[0]).as_millis()).collect();
    for (pause, expected) in pauses.iter().zip([50, 100, 200, 400, 800, 1_000, 1_000]) {
        assert!((expected * 8 / 10..=expected * 12 / 10 + 1).contains(pause), "{pauses:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn setup_timeout_doubles_up_to_the_longest() {
    let rig = rig(Dial::Hangs, |_| ());
    for expected in [10, 20, 30, 30] {
        let begun = clock::now();
        let error = failure(rig.ask(100 * SECOND)).await;
        let taken = (clock::now() - begun).as_secs_f64();
        assert!(error.to_string().contains("no Kafka broker responded within"), "{error}");
        // A back-off of a second at most comes first.
        assert!((f64::from(expected) * 0.8..=f64::from(expected) * 1.2 + 1.2).contains(&taken), "{taken}");
    }
}

#[tokio::test(start_paused = true)]
async fn setup_response_with_another_id_is_refused() {
    let mut rig = rig(Dial::Connects, |_| ());
    let response = rig.ask(20 * SECOND);
    let mut peer = rig.peer().await;
    let id = peer.request().await.expect("ApiVersions");
    peer.respond(id + 1, 0).await;
    let error = failure(response).await;
    assert_eq!(error.kind(), Kind::Protocol);
    assert!(error.to_string().contains("h:1"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn bytes_after_the_setup_response_are_refused() {
    let mut rig = rig(Dial::Connects, |_| ());
    let response = rig.ask(20 * SECOND);
    let mut peer = rig.peer().await;
    let id = peer.request().await.expect("ApiVersions");
    let api = [&[0, 0, 2][..], &[0, 18, 0, 0, 0, 3, 0], &[0; 5]].concat();
    let frame = [&19_i32.to_be_bytes()[..], &id.to_be_bytes(), &api].concat();
    let length = i32::try_from(frame.len() - 4).expect("short").to_be_bytes();
    let twice = [&length[..], &frame[4..], &length, &frame[4..]].concat();
    peer.0.write_all(&twice).await.expect("written");
    assert_eq!(failure(response).await.kind(), Kind::Protocol);
}

#[tokio::test(start_paused = true)]
async fn response_that_arrives_byte_by_byte_is_assembled() {
    let mut rig = rig(Dial::Connects, |_| ());
    let response = rig.ask(20 * SECOND);
    let mut peer = rig.peer().await;
    peer.serve().await;
    let id = peer.request().await.expect("the request");
    let frame = [&id.to_be_bytes()[..], &[0, 0, 1, 0, 0, 0, 0, 0]].concat();
    for byte in [&12_i32.to_be_bytes()[..], &frame].concat() {
        peer.0.write_u8(byte).await.expect("written");
        tokio::task::yield_now().await;
    }
    assert!(matches!(response.await, Ok(Ok(Response::ApiVersions(_)))));
}

#[tokio::test(start_paused = true)]
async fn mute_time_is_added_to_deadlines() {
    let mut rig = rig(Dial::Connects, |_| ());
    let first = rig.ask(SECOND);
    let mut peer = rig.peer().await;
    peer.serve().await;
    let id = peer.request().await.expect("the first");
    peer.respond(id, 5_000).await;
    assert!(first.await.expect("a response").is_ok());
    let begun = clock::now();
    let second = rig.ask(SECOND);
    let id = peer.request().await.expect("the second");
    assert_eq!((clock::now() - begun).as_secs(), 5, "nothing was sent before");
    peer.respond(id, 0).await;
    assert!(second.await.expect("a response").is_ok());
}

#[tokio::test(start_paused = true)]
async fn throttle_in_the_setup_response_mutes_too() {
    let mut rig = rig(Dial::Connects, |_| ());
    let response = rig.ask(SECOND);
    let mut peer = rig.peer().await;
    let id = peer.request().await.expect("ApiVersions");
    let begun = clock::now();
    peer.respond(id, 3_000).await;
    let id = peer.request().await.expect("the request");
    assert_eq!((clock::now() - begun).as_secs(), 3);
    peer.respond(id, 0).await;
    assert!(response.await.expect("a response").is_ok());
}

#[tokio::test(start_paused = true)]
async fn late_response_is_dropped_and_the_connection_serves_others() {
    let mut rig = rig(Dial::Connects, |_| ());
    let (hasty, patient) = (rig.ask(2 * SECOND), rig.ask(20 * SECOND));
    let mut peer = rig.peer().await;
    peer.serve().await;
    let begun = clock::now();
    let error = failure(hasty).await;
    assert_eq!((error.kind(), error.is_written()), (Kind::Timeout, Some(Written::Maybe)));
    assert_eq!((clock::now() - begun).as_secs(), 2);
    assert!(!rig.handle.is_healthy(), "a response is overdue");
    for _ in 0..2 {
        peer.serve().await;
    }
    assert!(patient.await.expect("a response").is_ok());
    assert!(rig.handle.is_healthy(), "it caught up");
}

#[tokio::test(start_paused = true)]
async fn silent_broker_ends_the_connection_and_leaves_requests_in_doubt() {
    let mut rig = rig(Dial::Connects, |settings| settings.request_timeout = 7 * SECOND);
    let response = rig.ask(7 * SECOND);
    let mut peer = rig.peer().await;
    peer.serve().await;
    let error = failure(response).await;
    assert_eq!((error.kind(), error.is_written()), (Kind::Timeout, Some(Written::Maybe)));
    peer.request().await.expect("it was sent");
    assert!(peer.request().await.is_none(), "the connection was closed");
    let again = rig.ask(SECOND);
    let mut peer = rig.peer().await;
    peer.serve().await;
    peer.serve().await;
    assert!(again.await.expect("a response").is_ok(), "and dialled again");
}

#[tokio::test(start_paused = true)]
async fn idle_connection_is_closed_and_dialled_again_when_needed() {
    let mut rig = rig(Dial::Connects, |settings| settings.idle_max = Some(60 * SECOND));
    let response = rig.ask(SECOND);
    let mut peer = rig.peer().await;
    peer.serve().await;
    peer.serve().await;
    assert!(response.await.expect("a response").is_ok());
    let begun = clock::now();
    assert!(peer.request().await.is_none());
    assert_eq!((clock::now() - begun).as_secs(), 60);
    let response = rig.ask(SECOND);
    let mut peer = rig.peer().await;
    assert_eq!((clock::now() - begun).as_secs(), 60, "without a pause: nothing had failed");
    peer.serve().await;
    peer.serve().await;
    assert!(response.await.expect("a response").is_ok());
}

#[tokio::test(start_paused = true)]
async fn connection_without_idle_limit_stays_open() {
    let mut rig = rig(Dial::Connects, |settings| settings.idle_max = None);
    let response = rig.ask(SECOND);
    let mut peer = rig.peer().await;
    peer.serve().await;
    peer.serve().await;
    assert!(response.await.expect("a response").is_ok());
    assert!(tokio::time::timeout(SECOND * 1_000_000, peer.request()).await.is_err(), "neither asked nor closed");
}

#[tokio::test(start_paused = true)]
async fn sent_request_is_answered_after_the_handle_is_dropped() {
    let mut rig = rig(Dial::Connects, |_| ());
    let response = rig.ask(30 * SECOND);
    let mut peer = rig.peer().await;
    peer.serve().await;
    let id = peer.request().await.expect("the request");
    drop(rig.handle);
    tokio::time::sleep(10 * SECOND).await;
    peer.respond(id, 0).await;
    assert!(response.await.expect("a response").is_ok());
    assert!(peer.request().await.is_none(), "then it ends");
}

#[tokio::test(start_paused = true)]
async fn connection_without_handle_and_callers_ends() {
    let mut rig = rig(Dial::Connects, |_| ());
    let response = rig.ask(30 * SECOND);
    let mut peer = rig.peer().await;
    peer.serve().await;
    peer.request().await.expect("the request");
    let begun = clock::now();
    drop((rig.handle, response));
    assert!(peer.request().await.is_none());
    assert!(clock::now() - begun <= 2 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn refused_connection_names_the_remedy() {
    let rig = rig(Dial::Refuses, |_| ());
    let error = failure(rig.ask(SECOND)).await.to_string();
    assert!(error.contains("nothing listens there") && error.contains("h:1"), "{error}");
    *rig.dial.lock().unwrap() = Dial::Connects;
}

#[tokio::test(start_paused = true)]
async fn buffered_stream_is_flushed_after_each_request() {
    let mut rig = rig(Dial::Buffers, |_| ());
    let mut peer = None;
    for _ in 0..3 {
        let response = rig.ask(SECOND);
        let peer = match &mut peer {
            Some(peer) => peer,
            empty => {
                let peer = empty.insert(rig.peer().await);
                peer.serve().await;
                peer
            }
        };
        peer.serve().await;
        assert!(response.await.expect("a response").is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn stream_is_shut_down_when_idle_and_when_unused_but_not_when_lost() {
    let mut rig = rig(Dial::Connects, |settings| settings.idle_max = Some(60 * SECOND));
    for idle in [true, false] {
        let response = rig.ask(SECOND);
        let mut peer = rig.peer().await;
        peer.serve().await;
        peer.serve().await;
        assert!(response.await.expect("a response").is_ok());
        if idle {
            assert!(peer.request().await.is_none());
            assert!(rig.shut_down.swap(false, Ordering::Relaxed), "idle");
        } else {
            drop(rig.handle);
            assert!(peer.request().await.is_none());
            assert!(rig.shut_down.load(Ordering::Relaxed), "unused");
            break;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn request_during_a_long_shut_down_is_sent_over_the_next_connection() {
    let mut rig = rig(Dial::Lingers, |settings| settings.idle_max = Some(60 * SECOND));
    for _ in 0..3 {
        let response = rig.ask(SECOND);
        let mut peer = rig.peer().await;
        peer.serve().await;
        peer.serve().await;
        assert!(response.await.expect("a response").is_ok());
        tokio::time::sleep(60 * SECOND + Duration::from_millis(100)).await;
        assert!(rig.shut_down.swap(false, Ordering::Relaxed));
    }
}

#[tokio::test(start_paused = true)]
async fn rejection_fails_waiting_and_later_requests_without_dialling_again() {
    for (dial, kind) in [(Dial::Rejects, Kind::Authentication), (Dial::RejectsLater, Kind::Tls)] {
        let mut rig = rig(dial, |_| ());
        let begun = clock::now();
        for error in [failure(rig.ask(9 * SECOND)).await, failure(rig.ask(9 * SECOND)).await] {
            assert_eq!((error.kind(), error.is_written()), (kind, Some(Written::No)));
            assert!(!error.is_retriable());
            assert!(error.to_string().contains("h:1"), "{error}");
        }
        assert_eq!(clock::now(), begun, "at once");
        assert!(!rig.handle.is_healthy());
        tokio::time::sleep(SECOND).await;
        *rig.dial.lock().unwrap() = Dial::Connects;
        let response = rig.ask(9 * SECOND);
        rig.peer().await;
        let mut peer = rig.peer().await;
        assert!(rig.dialled.is_empty(), "dialled once before, and once after the pause");
        peer.serve().await;
        peer.serve().await;
        assert!(response.await.expect("a response").is_ok(), "the credentials were corrected");
    }
}

#[tokio::test(start_paused = true)]
async fn idle_connection_closed_by_the_peer_is_replaced_without_a_pause() {
    let mut rig = rig(Dial::Connects, |_| ());
    let response = rig.ask(SECOND);
    let mut peer = rig.peer().await;
    peer.serve().await;
    peer.serve().await;
    assert!(response.await.expect("a response").is_ok());
    drop(peer);
    let begun = clock::now();
    // Submitted in the same turn in which the connection learns that it was closed.
    let response = rig.ask(SECOND);
    let mut peer = rig.peer().await;
    peer.serve().await;
    peer.serve().await;
    assert!(response.await.expect("a response").is_ok());
    assert_eq!(clock::now(), begun);
    assert!(rig.handle.is_healthy());
    assert_eq!(rig.meter.read().disconnects, 0);
}

#[tokio::test(start_paused = true)]
async fn peer_that_closes_without_a_response_is_dialled_after_a_pause() {
    let mut rig = rig(Dial::Connects, |_| ());
    let response = rig.ask(SECOND);
    let mut peer = rig.peer().await;
    peer.serve().await;
    peer.request().await.expect("a request");
    drop(peer);
    assert_eq!(failure(response).await.is_written(), Some(Written::Maybe));
    let begun = clock::now();
    let _response = rig.ask(SECOND);
    rig.peer().await;
    assert!(clock::now() > begun, "the back-off");
    assert_eq!(rig.meter.read().disconnects, 1);
}

#[tokio::test(start_paused = true)]
async fn unused_connection_that_never_served_is_dialled_after_a_pause() {
    let mut rig = rig(Dial::Connects, |_| ());
    // The caller goes before the connection is up, so that its request is not sent.
    let response = rig.ask(SECOND);
    let mut peer = rig.peer().await;
    drop(response);
    peer.serve().await;
    drop(peer);
    tokio::time::sleep(Duration::from_millis(1)).await;
    let begun = clock::now();
    let _response = rig.ask(SECOND);
    rig.peer().await;
    assert!(clock::now() > begun, "the back-off");
}

#[tokio::test(start_paused = true)]
async fn request_of_which_no_byte_was_sent_is_not_written() {
    let mut rig = rig(Dial::Connects, |_| ());
    // One request fits, and a part of the second.
    rig.capacity.store(40, Ordering::Relaxed);
    let responses = [rig.ask(9 * SECOND), rig.ask(9 * SECOND), rig.ask(9 * SECOND)];
    let mut peer = rig.peer().await;
    peer.serve().await;
    tokio::time::sleep(SECOND).await;
    drop(peer);
    let mut written = Vec::new();
    for response in responses {
        written.extend(failure(response).await.is_written());
    }
    assert_eq!(written, [Written::Maybe, Written::Maybe, Written::No]);
}

#[tokio::test(start_paused = true)]
async fn connection_counts_requests_bytes_and_latency() {
    let mut rig = rig(Dial::Connects, |_| ());
    let (first, second) = (rig.ask(SECOND), rig.ask(3 * SECOND));
    let mut peer = rig.peer().await;
    peer.serve().await;
    tokio::time::sleep(2 * SECOND).await;
    assert!(failure(first).await.is_timeout());
    peer.serve().await;
    assert_eq!(rig.meter.read().in_flight, 2, "the abandoned one and the second");
    peer.serve().await;
    assert!(second.await.expect("a response").is_ok());
    let counters = rig.meter.read();
    assert_eq!((counters.connects, counters.requests, counters.responses, counters.timeouts), (1, 3, 3, 1));
    assert_eq!(counters.in_flight, 0);
    assert_eq!((counters.latency.count, counters.latency.max_us), (2, 2_000_000));
    // A response is 19 bytes and its length.
    assert_eq!(counters.received_bytes, 3 * 23);
    assert!(counters.sent_bytes > 3 * 20, "{counters:?}");
}
