//! ElectLeaders: makes preferred or unclean replicas leaders (KIP-183, KIP-460).

use super::buf::DecodeError;
use super::declare::api;
use super::declare::messages;
use super::message::TopicIndexes;
use super::thin::ThinList;
use crate::error::Code;

/// The first version with a type of election (KIP-460).
const KINDS: i16 = 1;

api! {
    ElectLeaders = 43, versions 0..=2, flexible 2.., writes;
    ElectLeadersRequest => ElectLeadersResponse
}

messages! {
    ElectLeadersRequest:

    /// `ElectLeadersRequest.json`. `kind`: 0 preferred, 1 unclean. `topics: None` requests all partitions.
    request ElectLeadersRequest {
        kind: i8 [1..],
        topics: Option<Vec<TopicIndexes>>,
        timeout_ms: i32,
    }

    /// `ElectLeadersResponse.json`.
    response ElectLeadersResponse {
        throttle_time_ms: i32,
        error: Option<Code> [1..],
        topics: Vec<ElectedTopic>,
    }

    struct ElectedTopic {
        name: Box<str>,
        partitions: ThinList<ElectedPartition>,
    }

    struct ElectedPartition {
        index: i32,
        error: Option<Code>,
        error_message: Option<Box<str>>,
    }
}

impl ElectLeadersRequest {
    /// Refuses an unclean election where the version knows only preferred ones.
    fn check(&self, version: i16) -> Result<(), DecodeError> {
        if version < KINDS && self.kind != 0 {
            return Err(DecodeError::TooOld(format!("version {version} elects only preferred leaders")));
        }
        Ok(())
    }
}
