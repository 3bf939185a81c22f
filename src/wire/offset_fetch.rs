//! OffsetFetch: the offsets that groups have committed.

use super::buf::DecodeError;
use super::declare::api;
use super::declare::messages;
use super::field::OneOrSeveral;
use super::field::Partitioned;
use super::field::Topics;
use crate::error::Code;
use crate::types::LeaderEpoch;
use crate::types::TopicId;
use crate::types::TopicName;

/// The first version with several groups in one request (KIP-709).
const SEVERAL: i16 = 8;

api! {
    OffsetFetch = 9, versions 1..=10, flexible 6.., reads [by name ..=9];
    OffsetFetchRequest => OffsetFetchResponse
}

messages! {
    OffsetFetchRequest:

    /// `OffsetFetchRequest.json`.
    request OffsetFetchRequest {
        groups: Vec<OffsetFetchGroup> as OneOrSeveral<SEVERAL, SoleGroup, OffsetFetchGroup>,
        require_stable: bool [7..],
    }

    /// `topics: None` requests every offset of the group. Versions below 8 carry exactly one group.
    struct OffsetFetchGroup {
        group: String,
        member: Option<String> [9..],
        member_epoch: i32 [9..] = -1,
        topics: Option<Vec<OffsetFetchTopic>>,
    }

    part SoleGroup for OffsetFetchGroup {
        group: String,
        member_epoch: i32 [9..] = -1,
        topics: Option<Vec<OffsetFetchTopic>>,
    }

    struct OffsetFetchTopic {
        name: TopicName [0..=9],
        id: TopicId [10..],
        partitions: Vec<i32>,
    }

    /// `OffsetFetchResponse.json`.
    response OffsetFetchResponse {
        throttle_time_ms: i32 [3..],
        groups: Vec<FetchedGroup> as OneOrSeveral<SEVERAL, SoleFetched, FetchedGroup>,
    }

    struct FetchedGroup {
        /// Empty below version 8, whose response is about the group of the request.
        group: Box<str>,
        topics: Box<[FetchedOffsets]> as Topics<FetchedOffsets, Box<[FetchedOffsets]>>,
        error: Option<Code>,
    }

    part SoleFetched for FetchedGroup {
        topics: Box<[FetchedOffsets]> as Topics<FetchedOffsets, Box<[FetchedOffsets]>>,
        error: Option<Code> [2..],
    }

    struct FetchedOffsets {
        name: TopicName [0..=9],
        id: TopicId [10..],
        partitions: Vec<FetchedOffset>,
    }

    /// `offset` is −1 where nothing was committed.
    struct FetchedOffset {
        index: i32,
        offset: i64,
        leader_epoch: Option<LeaderEpoch> [5..],
        metadata: Option<String>,
        error: Option<Code>,
    }
}

impl Partitioned for FetchedOffsets {
    type Partition = FetchedOffset;

    fn has_partitions(topic: &Self) -> bool {
        !topic.partitions.is_empty()
    }
}

impl OffsetFetchRequest {
    /// Every offset of a group is requested by name too: its response may have topics that no metadata has.
    fn lacks_id(&self) -> bool {
        let lacks = |group: &OffsetFetchGroup| match &group.topics {
            Some(topics) => topics.iter().any(|topic| topic.id.is_zero()),
            None => true,
        };
        self.groups.iter().any(lacks)
    }

    /// Refuses several groups where the version carries one: the others would be lost silently.
    fn check(&self, version: i16) -> Result<(), DecodeError> {
        if version < SEVERAL && self.groups.len() != 1 {
            let text = format!("version {version} carries one group, not {}", self.groups.len());
            return Err(DecodeError::TooOld(text));
        }
        Ok(())
    }
}

impl OffsetFetchResponse {
    /// The result for this group. Below version 8 results do not name the group: there is only one.
    pub fn group(&self, group: &str) -> Option<&FetchedGroup> {
        self.groups.iter().find(|fetched| fetched.group.is_empty() || *fetched.group == *group)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Call;
    use crate::wire::buf::Chunks;

    #[test]
    fn several_groups_are_refused_where_the_version_carries_one() {
        let group = |name: &str| OffsetFetchGroup { group: name.into(), ..OffsetFetchGroup::default() };
        let several = OffsetFetchRequest { groups: vec![group("a"), group("b")], require_stable: false };
        let one = OffsetFetchRequest { groups: vec![group("a")], require_stable: false };
        let put = |request: &OffsetFetchRequest, version| Call::put(request, version, &mut Chunks::default());
        assert!(put(&several, 7).is_err() && put(&several, 8).is_ok());
        assert!(put(&one, 7).is_ok());
    }
}
