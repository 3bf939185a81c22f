//! Decides the reaction to a failure: request metadata, retry later, or report it.

use std::time::Instant;

use super::ConsumerCore;
use super::Pending;
use super::position::Lookup;
use crate::error::Code;
use crate::error::Error;
use crate::error::Kind;

/// Errors kept for a caller who does not poll.
const ERRORS_MAX: usize = 16;

impl ConsumerCore {
    /// A broker responded with an error code for one partition.
    pub(super) fn partition_failed(&mut self, now: Instant, slot: usize, code: Code, what: &str) {
        if code.is_stale_metadata() {
            self.want_metadata(slot);
        }
        let patience = self.config.patience;
        let Some(partition) = self.slots.get_mut(slot) else { return };
        let lasts = partition.retry.failed(now, &mut self.rng, patience);
        let passes = code.is_stale_metadata()
            || code.is_retriable() && code != Code::CorruptMessage
            || code == Code::UnknownServerError;
        let key = partition.key();
        tracing::debug!(target: "ottla::consumer", topic = %key.topic, partition = key.partition, %code, what, "partition failed");
        if lasts || !passes {
            let error = partition.place(Error::broker(code, what)).at_offset(partition.fetch().offset);
            partition.report(error);
        }
    }

    /// A request about partitions got no response.
    pub(super) fn request_failed(&mut self, now: Instant, pending: Pending, error: &Error) {
        let (lookups, of_bounds): (Vec<Lookup>, bool) = match pending {
            Pending::Bounds(lookups) => (lookups, true),
            Pending::EpochEnd(lookups) | Pending::Stored(lookups) => (lookups, false),
            Pending::Offsets(lookups) => (lookups.into_iter().map(|(lookup, _)| lookup).collect(), false),
            Pending::Fetch { .. } => return,
        };
        let patience = self.config.patience;
        let mut lasts = false;
        for lookup in lookups {
            let Some(partition) = self.slots.get_mut(lookup.slot) else { continue };
            let counts = if of_bounds { partition.end_bound_lookup(&lookup) } else { partition.end_lookup(&lookup) };
            if counts {
                lasts |= partition.retry.failed(now, &mut self.rng, patience);
                self.want_metadata(lookup.slot);
            }
        }
        self.report_request(lasts, error);
    }

    /// Reports an error that is not about one partition, if it lasts or cannot pass.
    pub(super) fn report_request(&mut self, lasts: bool, error: &Error) {
        tracing::debug!(target: "ottla::consumer", %error, "request failed");
        // The member is notified of these, and renews its epoch.
        let of_member = matches!(error.code(), Some(Code::StaleMemberEpoch | Code::UnknownMemberId));
        let passes = error.is_retriable() || of_member;
        if (lasts || !passes) && error.kind() != Kind::Closed {
            self.report(error.clone());
        }
    }

    pub(super) fn report(&mut self, error: Error) {
        if self.errors.len() < ERRORS_MAX {
            self.errors.push_back(error);
        }
    }
}
