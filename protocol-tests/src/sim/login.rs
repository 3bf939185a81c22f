//! Authentication: a client's part of it, which stands for `net::authenticate`, and the users that the brokers know.
//!
//! `conn::login` decides what a response means and when a session is renewed, the pipeline what is written: both are the client's own.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::time::Duration;
use std::time::Instant;

use ottla::error::Error;
use ottla::internals::conn::login;
use ottla::internals::conn::login::Session;
use ottla::internals::wire::Request;
use ottla::internals::wire::Response;
use ottla::internals::wire::message as m;
use ottla::mock::SaslAnswer;
use ottla::mock::SaslUsers;
use ottla::sasl::Sasl;

use super::Context;
use super::setting::Setting;

/// The name that brokers and clients have for the mechanism. Its messages are the simulator's own.
const MECHANISM: &str = "PLAIN";
/// How long a connection may take to be set up, in microseconds (`socket.connection.setup.timeout.ms`).
pub(super) const SET_UP_US: u64 = 400_000;

/// The authentication of one connection that goes on.
#[derive(Debug)]
pub(super) struct Login {
    is_renewal: bool,
    /// Messages of the client that were sent.
    sent: usize,
    accepted: Instant,
    sent_at: Instant,
}

/// The step that follows a response.
pub(super) enum Next {
    Ask(Request),
    /// The client is authenticated.
    Done(Option<Session>),
}

impl Login {
    /// Begins an authentication, and gives its first request.
    pub(super) fn begin(ctx: &mut Context, is_renewal: bool) -> (Self, Request) {
        let now = ctx.instant();
        ctx.trace.count(if is_renewal { "renewal begun" } else { "authentication begun" });
        let request = m::SaslHandshakeRequest { mechanism: MECHANISM.to_owned() };
        (Self { is_renewal, sent: 0, accepted: now, sent_at: now }, Request::SaslHandshake(request))
    }

    /// Takes the response to its last request.
    pub(super) fn take(&mut self, ctx: &mut Context, link: u64, response: &Response) -> Result<Next, Error> {
        match response {
            Response::SaslHandshake(response) => {
                login::accepted(&ctx.door.sasl, response)?;
                self.accepted = ctx.instant();
            }
            Response::SaslAuthenticate(response) => {
                let session = login::answered(&ctx.door.sasl, response, [self.accepted, self.sent_at], None)?;
                if self.sent == ctx.setting.logins {
                    self.done(ctx, link, response.session_lifetime_ms);
                    return Ok(Next::Done(session));
                }
            }
            other => {
                ctx.ghost.fail(|| format!("unexpected response type: {other:?}"));
            }
        }
        self.sent += 1;
        self.sent_at = ctx.instant();
        let message = m::SecretBytes(vec![u8::from(self.is_renewal)].into());
        Ok(Next::Ask(Request::SaslAuthenticate(m::SaslAuthenticateRequest { message })))
    }

    fn done(&self, ctx: &mut Context, link: u64, lifetime_ms: i64) {
        ctx.trace.count(if self.is_renewal { "session renewed" } else { "authenticated" });
        let sent = ctx.micros(self.sent_at);
        let lifetime = u64::try_from(lifetime_ms).ok().filter(|millis| *millis > 0);
        ctx.gate.let_in(link, lifetime.map(|millis| (sent, millis * 1_000)));
    }
}

/// The state of the users at the brokers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Users {
    /// The password is another than the clients have.
    pub(super) is_changed: bool,
    /// How many renewals are refused.
    pub(super) refusals: u32,
    /// The next renewals find that the user is another.
    pub(super) impostors: u32,
}

/// The credentials of all clients, and the brokers' users.
#[derive(Debug)]
pub(super) struct Door {
    sasl: Sasl,
    users: Arc<Mutex<Users>>,
}

impl Default for Door {
    fn default() -> Self {
        Self { sasl: Sasl::plain("sim", "secret"), users: Arc::default() }
    }
}

impl Door {
    pub(super) fn users(&self) -> MutexGuard<'_, Users> {
        self.users.lock().expect("no thread panics with it")
    }

    /// The users that the brokers know, by a mechanism of several messages, and the lifetime of their sessions.
    pub(super) fn of_brokers(&self, setting: &Setting) -> SaslUsers {
        let (rounds, users) = (setting.logins, Arc::clone(&self.users));
        let known = SaslUsers::new().renewals_apart(setting.renewals_apart());
        let known = if setting.session_ms == 0 {
            known
        } else {
            known.session_lifetime(Duration::from_millis(setting.session_ms))
        };
        known.mechanism(MECHANISM, move |round, message| {
            let mut users = users.lock().expect("no thread panics with it");
            answer(&mut users, round + 1 == rounds, message == [1])
        })
    }
}

fn answer(users: &mut Users, is_last: bool, is_renewal: bool) -> SaslAnswer {
    if users.is_changed {
        return SaslAnswer::Refuse("the password is wrong".to_owned());
    }
    if is_renewal && users.refusals > 0 {
        users.refusals -= 1;
        return SaslAnswer::Refuse("the user is locked".to_owned());
    }
    if !is_last {
        return SaslAnswer::Challenge(vec![7]);
    }
    let is_other = is_renewal && users.impostors > 0;
    users.impostors -= u32::from(is_other);
    SaslAnswer::Accept { user: if is_other { "other" } else { "sim" }.to_owned(), message: Vec::new() }
}
