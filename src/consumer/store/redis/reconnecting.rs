//! A connection to Redis that is dialled again when it was lost.
//!
//! ```text
//! none ──call──→ dialling ──→ live ──lost, or silent──→ none
//!                 │    ↑
//!                 └────┘ after a pause that grows
//! ```
//!
//! Dialling is a task of its own: all calls wait for the same one, and a call whose time is over does not undo it. Calls wait until they are
//! connected or their time is over, unless the reason is one that lasts, such as a wrong certificate: that is returned at once, and to
//! every call of the next second without another attempt.

use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use fastrand::Rng;

use super::address::Address;
use super::address::Place;
use super::connection::Connection;
use super::connection::Ended;
use super::connection::Task;
use super::link::Answers;
use super::link::Call;
use super::link::Cause;
use super::link::Failure;
use super::link::Link;
use super::link::Running;
use super::login::Login;
use super::login::Step;
use super::login::no_redis;
use super::login::refused_connection;
use super::refusal::Code;
use super::resp::Command;
use super::resp::Value;
use crate::conn::backoff::Backoff;
use crate::error::Error;
use crate::net::Connector;
use crate::net::Stream;
use crate::net::Tcp;
use crate::net::clock;
use crate::net::runtime::Runtime;
#[cfg(feature = "tls")]
use crate::net::secure::Secure;

const TARGET: &str = "ottla::consumer";

/// The longest time of one attempt to connect.
const SETUP_MAX: Duration = Duration::from_secs(10);
const PAUSE_FIRST: Duration = Duration::from_millis(50);
/// The longest pause between attempts, and for how long a reason that lasts is returned without an attempt.
const PAUSE_MAX: Duration = Duration::from_secs(1);

pub(super) struct Reconnecting {
    dialler: Arc<Dialler>,
    state: tokio::sync::Mutex<State>,
}

/// The connection, or the way to it.
#[derive(Default)]
struct State {
    live: Option<Arc<Connection>>,
    dialling: Option<Task<Result<Connection, Failure>>>,
    /// A reason that lasts, and until when it is returned without an attempt.
    refused: Option<(Failure, Instant)>,
}

impl Reconnecting {
    pub(super) fn new(address: Address, #[cfg(feature = "tls")] secure: Option<Secure>) -> Result<Self, Error> {
        let progress = Progress {
            stage: Stage::Dial,
            backoff: Backoff::new(PAUSE_FIRST, PAUSE_MAX),
            rng: Rng::with_seed(clock::seed()),
            not_before: clock::now(),
            last: None,
        };
        let dialler = Dialler {
            place: address.place,
            login: address.login,
            #[cfg(feature = "tls")]
            secure,
            runtime: Runtime::current()?,
            progress: Mutex::new(progress),
        };
        Ok(Self { dialler: Arc::new(dialler), state: tokio::sync::Mutex::default() })
    }

    async fn attempts(&self, commands: &[Command], call: Call) -> Result<Answers, Failure> {
        let Dialler { runtime, .. } = &*self.dialler;
        loop {
            let live = runtime.timeout_at(call.until, self.live()).await;
            let live = live.unwrap_or_else(|_| Err(self.dialler.progress().unready(call.timeout)))?;
            let (failure, may_repeat) = match runtime.timeout_at(call.until, live.run(commands)).await {
                Ok(Ok(answers)) if is_loading(&answers) => {
                    // No command was run, so that changes may be repeated, too.
                    (Failure::passing("it still loads its data", "wait, or look at the log of Redis"), true)
                }
                Ok(Ok(answers)) => {
                    self.dialler.progress().succeeded();
                    return Ok(answers);
                }
                Ok(Err(broken)) => {
                    live.discard();
                    self.report(&broken.why);
                    (Failure::unanswered(&broken.why), call.reads_only || !broken.is_sent)
                }
                Err(_) => {
                    live.discard();
                    return Err(Failure::silent(call.timeout));
                }
            };
            let again = self.dialler.progress().failed(&failure);
            if !may_repeat || again >= call.until {
                return Err(failure);
            }
            runtime.sleep_until(again).await;
        }
    }

    fn report(&self, why: &Ended) {
        tracing::info!(target: TARGET, address = %self.dialler.place, error = %why, "connection to Redis lost");
    }

    /// The connection, as soon as there is one. It may be dropped at any point.
    async fn live(&self) -> Result<Arc<Connection>, Failure> {
        let mut state = self.state.lock().await;
        loop {
            match state.live.take() {
                Some(live) if live.is_usable() => return Ok(Arc::clone(state.live.insert(live))),
                Some(live) => {
                    if let Some(why) = live.ended().filter(|why| !live.is_discarded() && !why.is_usual()) {
                        self.report(why);
                    }
                }
                None => {}
            }
            if let Some((refusal, until)) = &state.refused
                && clock::now() < *until
            {
                return Err(refusal.clone());
            }
            let dialling = state.dialling.get_or_insert_with(|| Dialler::start(&self.dialler));
            let outcome = (&mut dialling.0).await.unwrap_or_else(|_| Err(ended()));
            state.dialling = None;
            match outcome {
                Ok(live) => {
                    tracing::debug!(target: TARGET, address = %self.dialler.place, "connected to Redis");
                    state.refused = None;
                    state.live = Some(Arc::new(live));
                }
                Err(failure) => {
                    let error = Error::storage(failure.what.as_str()).caused_by(failure.clone());
                    tracing::debug!(target: TARGET, address = %self.dialler.place, error = %error.chain(), "could not connect to Redis");
                    self.dialler.progress().failed(&failure);
                    if failure.is_final {
                        state.refused = Some((failure.clone(), clock::now() + PAUSE_MAX));
                        return Err(failure);
                    }
                }
            }
        }
    }
}

impl Link for Reconnecting {
    fn run<'a>(&'a self, commands: &'a [Command], call: Call) -> Running<'a> {
        Box::pin(self.attempts(commands, call))
    }
}

/// Makes connections.
struct Dialler {
    place: Place,
    login: Login,
    #[cfg(feature = "tls")]
    secure: Option<Secure>,
    runtime: Runtime,
    progress: Mutex<Progress>,
}

impl Dialler {
    /// One attempt, after the pause that is due.
    fn start(this: &Arc<Self>) -> Task<Result<Connection, Failure>> {
        let this = Arc::clone(this);
        let runtime = this.runtime.clone();
        let attempt = async move {
            let not_before = this.progress().not_before;
            this.runtime.sleep_until(not_before).await;
            let until = clock::now() + SETUP_MAX;
            let made = this.runtime.timeout_at(until, this.dial()).await;
            made.unwrap_or_else(|_| Err(this.progress().stage.overdue(SETUP_MAX)))
        };
        Task(runtime.handle().spawn(attempt))
    }

    async fn dial(&self) -> Result<Connection, Failure> {
        self.progress().stage = Stage::Dial;
        let stream = match &self.place {
            Place::Tcp(address) => Tcp.connect(&address.host, address.port).await,
            Place::File(path) => open(path).await,
        };
        let stream = stream.map_err(|error| unreachable(error, &self.place))?;
        let stream = self.encrypt(stream).await?;
        self.progress().stage = Stage::Login;
        let connection = Connection::start(stream, &self.runtime);
        for with_user in [true, false] {
            let (answers, why) = match connection.run(&self.login.commands(with_user)).await {
                Ok(answers) => (answers, None),
                Err(broken) => (broken.answers, Some(broken.why)),
            };
            match (self.login.step(with_user, &answers)?, why) {
                (_, Some(why)) => return Err(self.broken(&why)),
                (Step::Done, None) => break,
                (Step::WithoutUser, None) => {}
            }
        }
        Ok(connection)
    }

    #[cfg(feature = "tls")]
    async fn encrypt(&self, stream: Box<dyn Stream>) -> Result<Box<dyn Stream>, Failure> {
        let (Some(secure), Place::Tcp(address)) = (&self.secure, &self.place) else { return Ok(stream) };
        self.progress().stage = Stage::Handshake;
        secure.handshake(address, stream).await.map_err(untrusted)
    }

    #[cfg(not(feature = "tls"))]
    #[allow(clippy::unused_async, reason = "TLS has something to await")]
    async fn encrypt(&self, stream: Box<dyn Stream>) -> Result<Box<dyn Stream>, Failure> {
        Ok(stream)
    }

    /// Why the connection ended during the login. TLS 1.3 finds out only there that the client's certificate was refused.
    fn broken(&self, why: &Ended) -> Failure {
        let failure = match why {
            #[cfg(feature = "tls")]
            Ended::Failed(error) if let Some(refusal) = self.explain(error) => return untrusted(refusal),
            Ended::Closed | Ended::Failed(_) => {
                let remedy = "check that a Redis listens there, and whether its port needs TLS: write rediss:// then";
                Failure::passing("the connection ended during the login", remedy)
            }
            // Redis refuses a client before it has sent anything.
            Ended::Unasked(Value::Error(refusal)) if let Some(failure) = refused_connection(refusal) => return failure,
            Ended::Malformed(_) | Ended::Unasked(_) => no_redis(),
        };
        failure.caused_by(Cause(why.to_string()))
    }

    #[cfg(feature = "tls")]
    fn explain(&self, error: &io::Error) -> Option<Error> {
        let (Some(secure), Place::Tcp(address)) = (&self.secure, &self.place) else { return None };
        secure.explain(error, &address.host)
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(unix)]
async fn open(path: &std::path::Path) -> io::Result<Box<dyn Stream>> {
    Ok(Box::new(tokio::net::UnixStream::connect(path).await?))
}

#[cfg(not(unix))]
#[allow(clippy::unused_async, reason = "Unix has something to await")]
async fn open(_: &std::path::Path) -> io::Result<Box<dyn Stream>> {
    Err(io::ErrorKind::Unsupported.into())
}

fn unreachable(error: io::Error, place: &Place) -> Failure {
    let remedy = match (error.kind(), place) {
        (io::ErrorKind::ConnectionRefused, _) => "nothing listens there: check host and port, or start Redis",
        (io::ErrorKind::NotFound, Place::Tcp(_)) => "the host was not found: check its name",
        (io::ErrorKind::NotFound, Place::File(_)) => "there is no such socket: check its path, or start Redis",
        _ => "check host and port, and the network",
    };
    Failure::passing("could not connect", remedy).caused_by(error)
}

/// The failure of a handshake.
#[cfg(feature = "tls")]
fn untrusted(error: Error) -> Failure {
    let (what, remedy) = ("there is no encrypted connection", "see the cause");
    let failure = if error.is_rejection() { Failure::lasting(what, remedy) } else { Failure::passing(what, remedy) };
    failure.caused_by(error)
}

fn ended() -> Failure {
    Failure::lasting(
        "the tokio runtime that the store was made in has ended",
        "make the store in the runtime that lives longest",
    )
}

/// Redis has started, and reads its files.
fn is_loading(answers: &Answers) -> bool {
    let loads = |answer: &Value| matches!(answer, Value::Error(refusal) if refusal.code() == Code::Loading);
    !answers.is_empty() && answers.iter().all(loads)
}

/// How far an attempt is, and when the next one is due.
struct Progress {
    stage: Stage,
    backoff: Backoff,
    rng: Rng,
    not_before: Instant,
    /// Of the attempts since the last success.
    last: Option<Failure>,
}

impl Progress {
    /// Returns when the next attempt is due.
    fn failed(&mut self, failure: &Failure) -> Instant {
        self.not_before = clock::now() + self.backoff.next(&mut self.rng);
        self.last = Some(failure.clone());
        self.not_before
    }

    fn succeeded(&mut self) {
        self.backoff.reset();
        self.last = None;
    }

    /// There was no connection in the time of a call.
    fn unready(&self, timeout: Duration) -> Failure {
        match &self.last {
            Some(last) => {
                Failure::passing(format!("no connection within {timeout:?}"), "see the cause").caused_by(last.clone())
            }
            None => self.stage.overdue(timeout),
        }
    }
}

/// The step that an attempt is at.
#[derive(Clone, Copy)]
enum Stage {
    Dial,
    #[cfg(feature = "tls")]
    Handshake,
    Login,
}

impl Stage {
    fn overdue(self, timeout: Duration) -> Failure {
        let (what, remedy) = match self {
            Self::Dial => ("no connection", "check host and port, that Redis runs there, and the firewall"),
            #[cfg(feature = "tls")]
            Self::Handshake => (
                "no end of the TLS handshake",
                "check that the port is one with TLS (`tls-port` in redis.conf), or write redis:// for one without",
            ),
            Self::Login => (
                "no answer to the login",
                "check that Redis is not overloaded, and whether the port needs TLS: write rediss:// then",
            ),
        };
        Failure::passing(format!("{what} within {timeout:?}"), remedy)
    }
}

#[cfg(test)]
mod tests {
    use super::super::refusal::Refusal;
    use super::super::resp::Malformed;
    use super::*;

    /// Such a reply may also arrive after the login was sent: see the tests of the login.
    #[tokio::test]
    async fn refusal_before_the_login_counts_as_one_of_it() {
        let address = Address::parse("redis://h").expect("an address");
        let own = Reconnecting::new(
            address,
            #[cfg(feature = "tls")]
            None,
        );
        let dialler = own.expect("a runtime").dialler;
        let unasked = |text: &str| Ended::Unasked(Value::Error(Refusal::new(text)));
        for (why, shown, is_final) in [
            (unasked("DENIED Redis is running in protected mode"), "set a password in redis.conf", true),
            (unasked("ERR max number of clients reached"), "raise maxclients", false),
            (unasked("ERR other"), "not the protocol of Redis", true),
            (Ended::Unasked(Value::Nil), "not the protocol of Redis", true),
            (Ended::Malformed(Malformed::Number), "not the protocol of Redis", true),
            (Ended::Closed, "whether its port needs TLS", false),
        ] {
            let failure = dialler.broken(&why);
            assert!(failure.to_string().contains(shown), "{why:?}: {failure}");
            assert_eq!(failure.is_final, is_final, "{why:?}");
        }
    }
}
