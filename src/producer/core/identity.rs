//! The producer's identity: when it is requested, when again after a failure, and how it moves to another epoch or id.
//!
//! ```text
//!  missing --current--> requested --acquired--> known --bump--> known, one epoch later
//!     ^                     |  ^                  |
//!     +---- back-off ----failed+--- epochs have run out
//! ```
//!
//! Each partition sends under the identity that it adopted (`Partition::stamping`), so that a new epoch restamps nothing that
//! another partition has in flight.

use std::time::Duration;
use std::time::Instant;

use crate::error::Error;
use crate::types::ProducerIdentity;
use crate::types::Sequence;

#[derive(Debug)]
pub(super) struct Identity {
    state: State,
    /// Requests in a row that failed, and why the last of them did.
    failures: u32,
    failure: Option<Error>,
    /// The first sequence under a new producer id.
    first_sequence: Sequence,
}

#[derive(Debug)]
enum State {
    Missing,
    Requested,
    Known(ProducerIdentity),
    /// The request failed; it is repeated at this time.
    Failed(Instant),
}

/// The identity to send under, if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Current {
    Known(ProducerIdentity),
    /// It has to be requested. The caller does so, and gets `Wait` until the response.
    Request,
    /// A request is on its way, or waits out its back-off.
    Wait,
}

impl Identity {
    pub(super) fn new() -> Self {
        Self { state: State::Missing, failures: 0, failure: None, first_sequence: Sequence::ZERO }
    }

    /// Lets new producer ids begin with another sequence than zero.
    #[cfg(feature = "unstable-internals")]
    pub(super) fn begin_with(&mut self, first: Sequence) {
        self.first_sequence = first;
    }

    /// The identity to send under.
    pub(super) fn current(&mut self) -> Current {
        match self.state {
            State::Known(identity) => Current::Known(identity),
            State::Missing => {
                self.state = State::Requested;
                Current::Request
            }
            State::Requested | State::Failed(_) => Current::Wait,
        }
    }

    /// Moves on to the next epoch or, where epochs have run out, to a new id (KIP-360).
    pub(super) fn bump(&mut self) -> Current {
        if let State::Known(identity) = self.state {
            self.state = identity.next_epoch().map_or(State::Missing, State::Known);
        }
        self.current()
    }

    /// The sequence that a partition begins with under an identity. Brokers that know the id require zero of its later epochs
    /// (`ProducerAppendInfo.checkSequence`).
    pub(super) fn first_sequence(&self, identity: ProducerIdentity) -> Sequence {
        if identity.epoch == 0 { self.first_sequence } else { Sequence::ZERO }
    }

    /// Takes the identity that a broker gave.
    pub(super) fn acquired(&mut self, identity: ProducerIdentity) {
        self.state = State::Known(identity);
        self.failures = 0;
        self.failure = None;
    }

    /// Why there is no identity, if a request failed.
    pub(super) fn failure(&self) -> Option<&Error> {
        self.failure.as_ref()
    }

    /// The request failed, and may be repeated after `back_off`, by the number of failures in a row.
    pub(super) fn failed(&mut self, now: Instant, error: Error, back_off: impl FnOnce(u32) -> Duration) {
        self.failures += 1;
        self.failure = Some(error);
        self.state = State::Failed(now + back_off(self.failures));
    }

    /// When the request is repeated, if nothing else happens first.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Failed(at) => Some(at),
            State::Missing | State::Requested | State::Known(_) => None,
        }
    }

    /// Returns whether the request may be repeated now.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> bool {
        let is_due = self.poll_timeout().is_some_and(|at| at <= now);
        if is_due {
            self.state = State::Missing;
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_is_requested_once_and_again_after_the_back_off() {
        #[allow(clippy::disallowed_methods)]
        let now = Instant::now();
        let mut identity = Identity::new();
        assert_eq!((identity.current(), identity.current()), (Current::Request, Current::Wait));
        let pause = Duration::from_millis(100);
        for failures in 1..3 {
            identity.failed(now, Error::protocol("garbled"), |failed| {
                assert_eq!(failed, failures);
                pause
            });
            assert_eq!((identity.current(), identity.poll_timeout()), (Current::Wait, Some(now + pause)));
            assert!(!identity.handle_timeout(now) && identity.handle_timeout(now + pause));
            assert_eq!((identity.current(), identity.poll_timeout()), (Current::Request, None));
        }
        identity.acquired(ProducerIdentity { id: 7, epoch: 0 });
        assert_eq!(identity.current(), Current::Known(ProducerIdentity { id: 7, epoch: 0 }));
    }

    #[test]
    fn epochs_that_have_run_out_lead_to_a_new_id() {
        let mut identity = Identity::new();
        identity.acquired(ProducerIdentity { id: 7, epoch: i16::MAX - 2 });
        assert_eq!(identity.bump(), Current::Known(ProducerIdentity { id: 7, epoch: i16::MAX - 1 }));
        assert_eq!((identity.bump(), identity.bump()), (Current::Request, Current::Wait));
    }
}
