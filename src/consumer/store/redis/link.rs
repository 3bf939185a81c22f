//! The connection that a store sends its commands over: its own, or one that the program made.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use super::resp::Command;
use super::resp::Value;
use crate::net::clock;

/// The replies to commands that were sent together, in their order. An error is the reply to its command alone.
pub(super) type Answers = Vec<Value>;

pub(super) type Running<'a> = Pin<Box<dyn Future<Output = Result<Answers, Failure>> + Send + 'a>>;

/// Runs commands. It is object safe, so that a store has no type parameter.
pub(super) trait Link: Send + Sync {
    fn run<'a>(&'a self, commands: &'a [Command], call: Call) -> Running<'a>;
}

/// The conditions of a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) timeout: Duration,
    pub(super) until: Instant,
    /// The commands change nothing, so they may be sent again after a connection was lost.
    pub(super) reads_only: bool,
}

impl Call {
    pub(super) fn new(timeout: Duration, reads_only: bool) -> Self {
        Self { timeout, until: clock::now() + timeout, reads_only }
    }
}

/// Why there are no answers.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) what: String,
    pub(super) remedy: &'static str,
    pub(super) cause: Option<Arc<dyn StdError + Send + Sync>>,
    /// Another attempt would fail for the same reason.
    pub(super) is_final: bool,
}

impl Failure {
    /// That may pass.
    pub(super) fn passing(what: impl Into<String>, remedy: &'static str) -> Self {
        Self { what: what.into(), remedy, cause: None, is_final: false }
    }

    /// That stays until somebody changes something.
    pub(super) fn lasting(what: impl Into<String>, remedy: &'static str) -> Self {
        Self { is_final: true, ..Self::passing(what, remedy) }
    }

    pub(super) fn caused_by(self, cause: impl StdError + Send + Sync + 'static) -> Self {
        Self { cause: Some(Arc::new(cause)), ..self }
    }

    /// The command was sent, and no answer came.
    pub(super) fn silent(timeout: Duration) -> Self {
        Self::passing(format!("no answer within {timeout:?}"), "check that Redis can be reached and is not overloaded")
    }

    /// The command has no answer because of this.
    pub(super) fn unanswered(error: &dyn StdError) -> Self {
        let remedy = "check that Redis runs there, that the network is right, and the user's name and password";
        Self::passing("the command failed", remedy).caused_by(Cause(error.to_string()))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.remedy)
    }
}

impl StdError for Failure {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.as_ref().map(|cause| &**cause as &(dyn StdError + 'static))
    }
}

/// The text of an error of Redis.
#[derive(Debug)]
pub(super) struct Cause(pub(super) String);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for Cause {}
