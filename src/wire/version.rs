//! Which APIs and versions are spoken, and what is agreed on with a broker (KIP-35).

use kafka_protocol::messages as kp;
use kafka_protocol::protocol::Message;

use super::message::ApiVersionsResponse;

/// An API that this client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::enum_variant_names, reason = "`ApiVersions` is its name")]
pub enum Api {
    Produce,
    Fetch,
    ListOffsets,
    Metadata,
    OffsetCommit,
    OffsetFetch,
    FindCoordinator,
    ApiVersions,
    CreateTopics,
    DeleteTopics,
    InitProducerId,
    OffsetForLeaderEpoch,
    DescribeCluster,
}

impl Api {
    /// All of them, by their keys.
    pub const ALL: [Self; 13] = [
        Self::Produce,
        Self::Fetch,
        Self::ListOffsets,
        Self::Metadata,
        Self::OffsetCommit,
        Self::OffsetFetch,
        Self::FindCoordinator,
        Self::ApiVersions,
        Self::CreateTopics,
        Self::DeleteTopics,
        Self::InitProducerId,
        Self::OffsetForLeaderEpoch,
        Self::DescribeCluster,
    ];

    /// Its number on the wire.
    pub fn key(self) -> i16 {
        match self {
            Self::Produce => 0,
            Self::Fetch => 1,
            Self::ListOffsets => 2,
            Self::Metadata => 3,
            Self::OffsetCommit => 8,
            Self::OffsetFetch => 9,
            Self::FindCoordinator => 10,
            Self::ApiVersions => 18,
            Self::CreateTopics => 19,
            Self::DeleteTopics => 20,
            Self::InitProducerId => 22,
            Self::OffsetForLeaderEpoch => 23,
            Self::DescribeCluster => 60,
        }
    }

    /// Kafka's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Produce => "Produce",
            Self::Fetch => "Fetch",
            Self::ListOffsets => "ListOffsets",
            Self::Metadata => "Metadata",
            Self::OffsetCommit => "OffsetCommit",
            Self::OffsetFetch => "OffsetFetch",
            Self::FindCoordinator => "FindCoordinator",
            Self::ApiVersions => "ApiVersions",
            Self::CreateTopics => "CreateTopics",
            Self::DeleteTopics => "DeleteTopics",
            Self::InitProducerId => "InitProducerId",
            Self::OffsetForLeaderEpoch => "OffsetForLeaderEpoch",
            Self::DescribeCluster => "DescribeCluster",
        }
    }

    /// The versions spoken, first and last.
    ///
    /// Hand-written codecs have ranges of their own. The others go by the message's range, never by the crate's
    /// `ApiKey::valid_versions`, which counts unstable versions that its encoders then refuse.
    pub fn versions(self) -> (i16, i16) {
        let of = |range: kafka_protocol::protocol::VersionRange| (range.min, range.max);
        match self {
            Self::Produce => (3, 13),
            Self::Fetch => (4, 18),
            Self::OffsetCommit => (2, 10),
            Self::OffsetFetch => (1, 10),
            Self::ListOffsets => of(kp::ListOffsetsRequest::VERSIONS),
            Self::Metadata => of(kp::MetadataRequest::VERSIONS),
            Self::FindCoordinator => of(kp::FindCoordinatorRequest::VERSIONS),
            Self::ApiVersions => of(kp::ApiVersionsRequest::VERSIONS),
            Self::CreateTopics => of(kp::CreateTopicsRequest::VERSIONS),
            Self::DeleteTopics => of(kp::DeleteTopicsRequest::VERSIONS),
            Self::InitProducerId => of(kp::InitProducerIdRequest::VERSIONS),
            Self::OffsetForLeaderEpoch => of(kp::OffsetForLeaderEpochRequest::VERSIONS),
            Self::DescribeCluster => of(kp::DescribeClusterRequest::VERSIONS),
        }
    }

    /// The first version with compact lengths and tagged fields (KIP-482).
    pub fn flexible_from(self) -> i16 {
        match self {
            Self::Produce | Self::Metadata => 9,
            Self::Fetch => 12,
            Self::ListOffsets | Self::OffsetFetch => 6,
            Self::OffsetCommit => 8,
            Self::FindCoordinator | Self::ApiVersions => 3,
            Self::CreateTopics => 5,
            Self::DeleteTopics | Self::OffsetForLeaderEpoch => 4,
            Self::InitProducerId => 2,
            Self::DescribeCluster => 0,
        }
    }

    /// Whether this version's request header has tagged fields.
    pub fn flexible_request(self, version: i16) -> bool {
        version >= self.flexible_from()
    }

    /// Whether this version's response header has tagged fields. Those of ApiVersions never do, so that a client can read
    /// the answer before anything is agreed on (KIP-511).
    pub fn flexible_response(self, version: i16) -> bool {
        self != Self::ApiVersions && version >= self.flexible_from()
    }
}

/// What one broker, on one connection, and this client both speak.
#[derive(Clone, Debug, Default)]
pub struct Versions {
    agreed: [Option<(i16, i16)>; Api::ALL.len()],
}

impl Versions {
    /// Intersects what a broker said with what is spoken here. Ranges that make no sense are passed over.
    pub fn agree(response: &ApiVersionsResponse) -> Self {
        let mut agreed = [None; Api::ALL.len()];
        for (slot, api) in agreed.iter_mut().zip(Api::ALL) {
            let theirs = response.apis.iter().find(|(key, _, _)| *key == api.key());
            let (low, high) = api.versions();
            *slot =
                theirs.map(|(_, first, last)| (low.max(*first), high.min(*last))).filter(|(first, last)| first <= last);
        }
        Self { agreed }
    }

    /// The highest version of `api` that both speak, no higher than `cap`; `None` where there is none.
    pub fn pick(&self, api: Api, cap: i16) -> Option<i16> {
        let slot = Api::ALL.iter().position(|known| *known == api)?;
        let (first, last) = self.agreed[slot]?;
        let picked = last.min(cap);
        (picked >= first).then_some(picked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_common_version_is_picked_and_capped() {
        let response = ApiVersionsResponse { apis: vec![(0, 0, 99), (1, 0, 11), (3, 5, 1)], ..Default::default() };
        let versions = Versions::agree(&response);
        assert_eq!(versions.pick(Api::Produce, i16::MAX), Some(13));
        assert_eq!(versions.pick(Api::Produce, 12), Some(12));
        assert_eq!(versions.pick(Api::Fetch, i16::MAX), Some(11));
        assert_eq!(versions.pick(Api::Metadata, i16::MAX), None);
        assert_eq!(versions.pick(Api::ListOffsets, i16::MAX), None);
    }
}
