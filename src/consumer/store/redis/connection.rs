//! A connection to Redis: a task writes the commands of all calls as they come, and gives each call its replies, in order.
//!
//! ```text
//! call ──commands──→ queue ──→ driver ⇄ Redis
//!   ↑                            │
//!   └──────────replies───────────┘
//! ```
//!
//! A call that is dropped takes nothing with it: the replies to commands that were written are read and dropped. The connection ends with the
//! stream, or with the first bytes that are no reply to a command.

use std::collections::VecDeque;
use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;

use bytes::BytesMut;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::link::Answers;
use super::resp::Command;
use super::resp::Decoder;
use super::resp::Malformed;
use super::resp::Value;
use crate::net::Stream;
use crate::net::runtime::Runtime;

/// A connection that commands are sent over.
pub(super) struct Connection {
    calls: mpsc::Sender<Called>,
    driver: Task<()>,
    ended: Arc<OnceLock<Ended>>,
    is_discarded: AtomicBool,
}

/// A task that ends with its owner.
pub(super) struct Task<T>(pub(super) JoinHandle<T>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Why there is not a reply to each command of a call.
#[derive(Debug)]
pub(super) struct Broken {
    /// The replies that came.
    pub(super) answers: Answers,
    pub(super) why: Ended,
    /// Whether any byte of the call may have been written.
    pub(super) is_sent: bool,
}

/// Why a connection ended.
#[derive(Clone, Debug)]
pub(super) enum Ended {
    Closed,
    Failed(Arc<io::Error>),
    Malformed(Malformed),
    /// This came when no command waited for a reply.
    Unasked(Value),
}

/// Calls that wait to be written.
const CALLS_MAX: usize = 64;
/// Commands are taken only while less than this is unwritten, so that a slow peer does not pile up copies.
const UNWRITTEN_MAX: usize = 64 << 10;
/// Capacity for bytes that may arrive.
const READ_AHEAD: usize = 8 << 10;
/// A larger buffer is dropped once it is empty.
const KEPT_MAX: usize = 64 << 10;
/// Reads in one turn before other tasks get theirs.
const TURN: usize = 32;

impl Connection {
    pub(super) fn start(stream: Box<dyn Stream>, runtime: &Runtime) -> Self {
        let (calls, receiver) = mpsc::channel(CALLS_MAX);
        let ended = Arc::new(OnceLock::new());
        let driver = Driver {
            stream,
            calls: receiver,
            waiting: VecDeque::new(),
            decoder: Decoder::default(),
            arrived: BytesMut::new(),
            unwritten: BytesMut::new(),
            is_flushed: true,
        };
        let driver = Task(runtime.spawn(driver.run(Arc::clone(&ended))));
        Self { calls, driver, ended, is_discarded: AtomicBool::new(false) }
    }

    pub(super) fn is_usable(&self) -> bool {
        !self.is_discarded() && self.ended.get().is_none() && !self.driver.0.is_finished()
    }

    /// Later calls take another connection.
    pub(super) fn discard(&self) {
        self.is_discarded.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_discarded(&self) -> bool {
        self.is_discarded.load(Ordering::Relaxed)
    }

    /// Why it ended, if it did.
    pub(super) fn ended(&self) -> Option<&Ended> {
        self.ended.get()
    }

    /// Sends commands together, and returns their replies in order. Dropping the future does not undo commands that were written.
    pub(super) async fn run(&self, commands: &[Command]) -> Result<Answers, Broken> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        let mut bytes = Vec::new();
        for command in commands {
            command.encode(&mut bytes);
        }
        let (caller, answer) = oneshot::channel();
        let waiting = Waiting { missing: commands.len(), answers: Vec::with_capacity(commands.len()), caller };
        if self.calls.send(Called { bytes, waiting }).await.is_err() {
            return Err(self.broken(false));
        }
        answer.await.unwrap_or_else(|_| Err(self.broken(true)))
    }

    /// The end, with its reason if the driver gave one: it gives none if its runtime has ended.
    fn broken(&self, is_sent: bool) -> Broken {
        Broken { answers: Vec::new(), why: self.ended.get().cloned().unwrap_or(Ended::Closed), is_sent }
    }
}

/// A call that is not written yet.
struct Called {
    bytes: Vec<u8>,
    waiting: Waiting,
}

/// A call that waits for replies.
struct Waiting {
    missing: usize,
    answers: Answers,
    caller: oneshot::Sender<Result<Answers, Broken>>,
}

impl Waiting {
    fn fail(self, why: Ended, is_sent: bool) {
        // The caller may have been dropped.
        let _ = self.caller.send(Err(Broken { answers: self.answers, why, is_sent }));
    }
}

/// The task of a connection.
struct Driver {
    stream: Box<dyn Stream>,
    calls: mpsc::Receiver<Called>,
    /// Calls that were written, or are about to be.
    waiting: VecDeque<Waiting>,
    decoder: Decoder,
    arrived: BytesMut,
    unwritten: BytesMut,
    is_flushed: bool,
}

impl Driver {
    async fn run(mut self, ended: Arc<OnceLock<Ended>>) {
        let why = poll_fn(|cx| match self.poll(cx) {
            Ok(()) => Poll::Pending,
            Err(why) => Poll::Ready(why),
        })
        .await;
        // Whoever finds the queue closed looks there.
        let _ = ended.set(why.clone());
        self.calls.close();
        for waiting in self.waiting.drain(..) {
            waiting.fail(why.clone(), true);
        }
        while let Ok(call) = self.calls.try_recv() {
            call.waiting.fail(why.clone(), false);
        }
    }

    /// Does all that can be done without waiting; an error is the end.
    fn poll(&mut self, cx: &mut Context<'_>) -> Result<(), Ended> {
        self.poll_read(cx)?;
        self.poll_write(cx)
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Result<(), Ended> {
        for _ in 0..TURN {
            if self.arrived.is_empty() && self.arrived.capacity() > KEPT_MAX {
                self.arrived = BytesMut::new();
            }
            self.arrived.reserve(READ_AHEAD);
            match pin!(self.stream.read_buf(&mut self.arrived)).poll(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(0)) => return Err(Ended::Closed),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Err(Ended::Failed(Arc::new(error))),
            }
            while let Some(reply) = self.decoder.next(&mut self.arrived).map_err(Ended::Malformed)? {
                self.deliver(reply)?;
            }
        }
        // There may be more to read: come back after other tasks had their turn.
        cx.waker().wake_by_ref();
        Ok(())
    }

    /// Gives a reply to the oldest call that waits.
    fn deliver(&mut self, reply: Value) -> Result<(), Ended> {
        let Some(mut waiting) = self.waiting.pop_front() else { return Err(Ended::Unasked(reply)) };
        waiting.answers.push(reply);
        waiting.missing -= 1;
        if waiting.missing > 0 {
            self.waiting.push_front(waiting);
        } else {
            // The caller may have been dropped.
            let _ = waiting.caller.send(Ok(waiting.answers));
        }
        Ok(())
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Result<(), Ended> {
        let failed = |error| Ended::Failed(Arc::new(error));
        loop {
            self.take_calls(cx);
            if self.unwritten.is_empty() {
                break;
            }
            match pin!(self.stream.write_buf(&mut self.unwritten)).poll(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(0)) => return Err(Ended::Closed),
                Poll::Ready(written) => self.is_flushed = written.map_err(failed)? == 0,
            }
        }
        if self.unwritten.capacity() > KEPT_MAX {
            self.unwritten = BytesMut::new();
        }
        if !self.is_flushed
            && let Poll::Ready(flushed) = pin!(self.stream.flush()).poll(cx)
        {
            flushed.map_err(failed)?;
            self.is_flushed = true;
        }
        Ok(())
    }

    /// Takes calls to be written. Nothing is written for a caller that was dropped.
    fn take_calls(&mut self, cx: &mut Context<'_>) {
        while self.unwritten.len() < UNWRITTEN_MAX
            && let Poll::Ready(Some(Called { bytes, waiting })) = self.calls.poll_recv(cx)
        {
            if !waiting.caller.is_closed() {
                self.unwritten.extend_from_slice(&bytes);
                self.waiting.push_back(waiting);
            }
        }
    }
}

impl Ended {
    /// Whether servers end idle connections so.
    pub(super) fn is_usual(&self) -> bool {
        match self {
            Self::Closed => true,
            // A stream over TLS that ends without `close_notify` has an unexpected end.
            Self::Failed(error) => {
                matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof)
            }
            Self::Malformed(_) | Self::Unasked(_) => false,
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("Redis closed the connection"),
            Self::Failed(error) => write!(f, "the connection failed: {error}"),
            Self::Malformed(malformed) => malformed.fmt(f),
            Self::Unasked(Value::Error(refusal)) => refusal.fmt(f),
            Self::Unasked(_) => f.write_str("a reply came that no command waited for"),
        }
    }
}

impl StdError for Ended {}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::DuplexStream;

    use super::*;

    /// Longer than anything takes here.
    const SOON: Duration = Duration::from_secs(30);

    async fn in_time<O>(future: impl Future<Output = O>) -> O {
        tokio::time::timeout(SOON, future).await.expect("it ends in time")
    }

    fn connected() -> (Arc<Connection>, DuplexStream) {
        let (own, peer) = tokio::io::duplex(1 << 20);
        let runtime = Runtime::current().expect("a runtime");
        (Arc::new(Connection::start(Box::new(own), &runtime)), peer)
    }

    fn get(key: &str) -> Command {
        Command::new("GET").arg(key)
    }

    /// Reads a `GET` of a key of one letter.
    async fn asked(peer: &mut DuplexStream) -> char {
        let mut bytes = [0; 20];
        peer.read_exact(&mut bytes).await.expect("a command");
        assert!(bytes.starts_with(b"*2\r\n$3\r\nGET\r\n$1\r\n"), "{bytes:?}");
        char::from(bytes[17])
    }

    fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    #[tokio::test]
    async fn calls_get_their_own_replies_even_after_a_dropped_one() {
        let (connection, mut peer) = connected();
        let call = |keys: &'static [&str]| {
            let connection = Arc::clone(&connection);
            tokio::spawn(async move { connection.run(&keys.iter().map(|key| get(key)).collect::<Vec<_>>()).await })
        };
        let first = call(&["a", "b"]);
        assert_eq!((asked(&mut peer).await, asked(&mut peer).await), ('a', 'b'));
        let second = call(&["c"]);
        assert_eq!(asked(&mut peer).await, 'c');
        let third = call(&["d"]);
        assert_eq!(asked(&mut peer).await, 'd');
        second.abort();
        assert!(second.await.expect_err("it was dropped").is_cancelled());
        peer.write_all(b"+A\r\n+").await.expect("open");
        peer.write_all(b"B\r\n+C\r\n$1\r\nD\r\n").await.expect("open");
        assert_eq!(first.await.expect("no panic").expect("its replies"), [text("A"), text("B")]);
        assert_eq!(third.await.expect("no panic").expect("its reply"), [text("D")]);
        assert!(connection.is_usable());
    }

    #[tokio::test]
    async fn reply_that_no_command_waits_for_ends_the_connection() {
        for (more, why) in [("+B\r\n", "no command waited"), ("-DENIED no\r\n", "DENIED no"), ("\r\n", "the byte 0x0d")]
        {
            let (connection, mut peer) = connected();
            let call = tokio::spawn({
                let connection = Arc::clone(&connection);
                async move { connection.run(&[get("k")]).await }
            });
            assert_eq!(asked(&mut peer).await, 'k');
            peer.write_all(format!("+A\r\n{more}").as_bytes()).await.expect("open");
            assert_eq!(call.await.expect("no panic").expect("its reply"), [text("A")]);
            assert_eq!(in_time(peer.read(&mut [0])).await.expect("it is closed"), 0);
            assert!(!connection.is_usable());
            let broken = connection.run(&[get("k")]).await.expect_err("it has ended");
            assert!(broken.why.to_string().contains(why) && !broken.is_sent && !broken.why.is_usual(), "{broken:?}");
        }
    }

    #[tokio::test]
    async fn reply_without_an_end_is_refused_by_name() {
        for (begin, more, why) in [
            ("+", "a", "more than 65536 bytes"),
            ("*1\r\n", "*1\r\n", "more than 8 arrays"),
            ("$3\r\n", "a", "with 3 bytes, and goes on"),
        ] {
            let (connection, mut peer) = connected();
            let endless = tokio::spawn(async move {
                asked(&mut peer).await;
                let mut written = peer.write_all(begin.as_bytes()).await;
                while written.is_ok() {
                    written = peer.write_all(more.repeat(1_000).as_bytes()).await;
                }
            });
            let broken = in_time(connection.run(&[get("k")])).await.expect_err("it has no end");
            assert!(broken.is_sent && broken.why.to_string().contains(why), "{broken:?}");
            endless.await.expect("the connection was closed");
        }
    }

    #[tokio::test]
    async fn end_fails_every_call_with_the_replies_that_came() {
        let (connection, mut peer) = connected();
        let calls = ["a", "b"].map(|key| {
            let connection = Arc::clone(&connection);
            tokio::spawn(async move { connection.run(&[get(key), get(key)]).await })
        });
        for _ in 0..4 {
            asked(&mut peer).await;
        }
        peer.write_all(b"-ERR max number of clients reached\r\n$5\r\nhal").await.expect("open");
        drop(peer);
        let [one, other] = calls.map(|call| async { call.await.expect("no panic").expect_err("it has ended") });
        let counts = (one.await.answers.len(), other.await.answers.len());
        assert!(counts == (1, 0) || counts == (0, 1), "{counts:?}");
        assert!(connection.ended().expect("it has ended").is_usual() && !connection.is_usable());
        assert!(!connection.run(&[get("k")]).await.expect_err("it has ended").is_sent);
    }

    #[tokio::test]
    async fn peer_that_does_not_read_holds_up_no_memory() {
        let (own, peer) = tokio::io::duplex(16);
        let connection = Arc::new(Connection::start(Box::new(own), &Runtime::current().expect("a runtime")));
        let calls: Vec<_> = (0..500)
            .map(|_| {
                let connection = Arc::clone(&connection);
                tokio::spawn(async move { connection.run(&[get(&"k".repeat(10_000))]).await.is_err() })
            })
            .collect();
        for _ in 0..2_000 {
            tokio::task::yield_now().await;
        }
        assert_eq!(connection.calls.capacity(), 0, "the queue is full, and callers wait");
        drop(peer);
        for call in calls {
            assert!(call.await.expect("no panic"), "every call ends with the connection");
        }
    }
}
