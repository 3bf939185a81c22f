//! Administration beyond topics, groups and configurations. Each API is a row of [`APIS`], and implements [`Ask`] in the file of its
//! theme.

mod acls;
mod features;
mod leaders;
mod log_dirs;
mod pages;
mod quorum;
mod quotas;
mod reassigning;
mod records;
mod scram;
mod transactions;

use std::fmt;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::AlterClientQuotasRequest;
use kafka_protocol::messages::AlterPartitionReassignmentsRequest;
use kafka_protocol::messages::AlterReplicaLogDirsRequest;
use kafka_protocol::messages::AlterUserScramCredentialsRequest;
use kafka_protocol::messages::ApiKey;
use kafka_protocol::messages::CreateAclsRequest;
use kafka_protocol::messages::DeleteAclsRequest;
use kafka_protocol::messages::DeleteRecordsRequest;
use kafka_protocol::messages::DescribeAclsRequest;
use kafka_protocol::messages::DescribeClientQuotasRequest;
use kafka_protocol::messages::DescribeLogDirsRequest;
use kafka_protocol::messages::DescribeProducersRequest;
use kafka_protocol::messages::DescribeQuorumRequest;
use kafka_protocol::messages::DescribeTopicPartitionsRequest;
use kafka_protocol::messages::DescribeTransactionsRequest;
use kafka_protocol::messages::DescribeUserScramCredentialsRequest;
use kafka_protocol::messages::ElectLeadersRequest;
use kafka_protocol::messages::ListPartitionReassignmentsRequest;
use kafka_protocol::messages::ListTransactionsRequest;
use kafka_protocol::messages::UpdateFeaturesRequest;
use kafka_protocol::messages::WriteTxnMarkersRequest;
use kafka_protocol::protocol::Request;
use kafka_protocol::protocol::StrBytes;

use crate::mock::api::Answer;
use crate::mock::api::Call;
use crate::mock::api::write;
use crate::mock::seen::SeenPartition;
use crate::mock::seen::SeenRequest;
use crate::mock::seen::SeenWhat;
use crate::mock::state::State;
use crate::mock::state::Topic;
use crate::mock::state::text;
use crate::types::TopicId;

/// A request of administration.
trait Ask: Request + fmt::Debug + Send + 'static {
    /// Whether it changes the cluster, so that an error may follow the change.
    const HAS_EFFECT: bool;

    fn answer(self, state: &mut State, call: &Call) -> Self::Response;

    /// Whether a broker closes the connection on it.
    fn is_malformed(&self) -> bool {
        false
    }

    /// The users, transactional ids and other names in it.
    fn names(&self) -> Vec<String> {
        Vec::new()
    }

    /// The partitions in it, or whole topics.
    fn partitions(&self) -> Vec<(&str, Option<i32>)> {
        Vec::new()
    }
}

/// A decoded request, whatever its API.
#[derive(Debug)]
pub(in crate::mock) struct Operating(Box<dyn Asked>);

/// The versions of each API, by its key.
pub(super) fn versions() -> impl Iterator<Item = (i16, (i16, i16))> {
    APIS.iter().map(|(api, min, max, _)| (*api as i16, (*min, *max)))
}

impl Operating {
    /// Decodes a body; `None` where it is malformed, or of another API.
    pub(super) fn read(api: ApiKey, version: i16, body: Bytes) -> Option<Self> {
        let (.., read) = APIS.iter().find(|(known, ..)| *known == api)?;
        read(version, body).map(Self)
    }

    pub(super) fn has_effect(&self) -> bool {
        self.0.has_effect()
    }

    pub(super) fn describe(&self, state: &State, seen: &mut SeenRequest) {
        self.0.describe(state, seen);
    }

    pub(super) fn dispatch(self, state: &mut State, call: &Call) -> Answer {
        self.0.dispatch(state, call)
    }
}

/// [`Ask`] without its types.
trait Asked: fmt::Debug + Send {
    fn has_effect(&self) -> bool;
    fn describe(&self, state: &State, seen: &mut SeenRequest);
    fn dispatch(self: Box<Self>, state: &mut State, call: &Call) -> Answer;
}

impl<R: Ask> Asked for R {
    fn has_effect(&self) -> bool {
        R::HAS_EFFECT
    }

    fn describe(&self, state: &State, seen: &mut SeenRequest) {
        let partition = |(topic, partition): (&str, Option<i32>)| SeenPartition {
            topic: state.intern(topic),
            topic_id: TopicId::ZERO,
            partition,
            what: SeenWhat::Other,
        };
        seen.name = self.names().join(" ");
        seen.partitions = self.partitions().into_iter().map(partition).collect();
    }

    fn dispatch(self: Box<Self>, state: &mut State, call: &Call) -> Answer {
        let response = self.answer(state, call);
        write::<R>(call, &response)
    }
}

fn read<R: Ask>(version: i16, mut body: Bytes) -> Option<Box<dyn Asked>> {
    let ask = R::decode(&mut body, version).ok().filter(|ask| !ask.is_malformed())?;
    Some(Box::new(ask))
}

/// An error and the text that explains it.
type Refused = (ResponseError, &'static str);

/// The code and the text of an outcome. A success has no text, and an error none that is empty.
fn verdict(outcome: Result<(), Refused>) -> (i16, Option<StrBytes>) {
    let failed = |(error, reason): Refused| (error.code(), Some(text(reason)).filter(|text| !text.is_empty()));
    outcome.err().map_or((0, None), failed)
}

/// As [`verdict`], for responses in which a success has an empty text.
fn verdict_or_blank(outcome: Result<(), Refused>) -> (i16, Option<StrBytes>) {
    let (code, message) = verdict(outcome);
    (code, message.or_else(|| Some(text("")).filter(|_| code == 0)))
}

/// The injected error for the request as a whole.
fn refused(call: &Call) -> Result<(), Refused> {
    call.refused().map_err(|error| (error, "refused"))
}

/// The injected error for a request that has taken effect.
fn failed_late(call: &Call) -> Result<(), Refused> {
    call.failed_late().map_err(|error| (error, "failed after the change"))
}

/// All topics with the indexes of their partitions.
fn every_partition(state: &State) -> Vec<(String, Vec<i32>)> {
    let indexes = |topic: &Topic| (0..).zip(&topic.partitions).map(|(index, _)| index).collect();
    state.topics.iter().map(|(name, topic)| (name.to_string(), indexes(topic))).collect()
}

type Read = fn(i16, Bytes) -> Option<Box<dyn Asked>>;

/// The versions of each API, and how it is read.
const APIS: &[(ApiKey, i16, i16, Read)] = &[
    (ApiKey::DeleteRecords, 0, 2, read::<DeleteRecordsRequest>),
    (ApiKey::WriteTxnMarkers, 1, 1, read::<WriteTxnMarkersRequest>),
    (ApiKey::DescribeAcls, 1, 3, read::<DescribeAclsRequest>),
    (ApiKey::CreateAcls, 1, 3, read::<CreateAclsRequest>),
    (ApiKey::DeleteAcls, 1, 3, read::<DeleteAclsRequest>),
    (ApiKey::AlterReplicaLogDirs, 1, 2, read::<AlterReplicaLogDirsRequest>),
    (ApiKey::DescribeLogDirs, 1, 4, read::<DescribeLogDirsRequest>),
    (ApiKey::ElectLeaders, 0, 2, read::<ElectLeadersRequest>),
    (ApiKey::AlterPartitionReassignments, 0, 1, read::<AlterPartitionReassignmentsRequest>),
    (ApiKey::ListPartitionReassignments, 0, 0, read::<ListPartitionReassignmentsRequest>),
    (ApiKey::DescribeClientQuotas, 0, 1, read::<DescribeClientQuotasRequest>),
    (ApiKey::AlterClientQuotas, 0, 1, read::<AlterClientQuotasRequest>),
    (ApiKey::DescribeUserScramCredentials, 0, 0, read::<DescribeUserScramCredentialsRequest>),
    (ApiKey::AlterUserScramCredentials, 0, 0, read::<AlterUserScramCredentialsRequest>),
    (ApiKey::DescribeQuorum, 0, 2, read::<DescribeQuorumRequest>),
    (ApiKey::UpdateFeatures, 0, 2, read::<UpdateFeaturesRequest>),
    (ApiKey::DescribeProducers, 0, 0, read::<DescribeProducersRequest>),
    (ApiKey::DescribeTransactions, 0, 0, read::<DescribeTransactionsRequest>),
    (ApiKey::ListTransactions, 0, 2, read::<ListTransactionsRequest>),
    (ApiKey::DescribeTopicPartitions, 0, 0, read::<DescribeTopicPartitionsRequest>),
];
