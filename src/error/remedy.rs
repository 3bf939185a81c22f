//! The remedy for an error code, where there is one that its user can apply.

use super::Code;

impl Code {
    /// The remedy, for an error message: a clause without a capital or a full stop. `None` where the client retries by itself, where
    /// the broker's own message says more, or where nothing general can be said.
    ///
    /// ```
    /// use ottla::error::Code;
    ///
    /// let remedy = Code::NotEnoughReplicas.remedy().unwrap();
    /// assert!(remedy.contains("`min.insync.replicas`"));
    /// ```
    #[rustfmt::skip]
    pub fn remedy(self) -> Option<&'static str> {
        Some(match self {
            Self::ClusterAuthorizationFailed => "grant the principal the operation on the cluster (IdempotentWrite for an idempotent producer, \
                Create for topics), or write with `Guarantee::AllAcks` / `enable.idempotence=false`",
            Self::CoordinatorNotAvailable => "check that as many brokers run as `offsets.topic.replication.factor` demands",
            Self::FencedInstanceId => "another member has taken its name: give each member its own `group_instance_id` / \
                `group.instance.id`",
            Self::GroupAuthorizationFailed => "grant the principal Read on the group",
            Self::GroupMaxSizeReached => "let a member leave, or raise `group.max.size` of the brokers (`group.consumer.max.size` for \
                members of the protocol `consumer`)",
            Self::GroupSubscribedToTopic => "stop the members that subscribe to the topic",
            Self::NonEmptyGroup => "the group has members: stop them first, and wait until their sessions end",
            Self::UnknownMemberId => "the group has members, and this consumer is not one of them: use another \
                group (`group` / `group.id`), or stop its members",
            Self::IllegalGeneration => "the group was rebalanced: other members may have the partitions, and read on from the last commit",
            Self::InconsistentGroupProtocol => "the members of the group are no consumers, or support none of these assignors: change \
                `assignors` / `partition.assignment.strategy`, or choose another `group` / `group.id`",
            Self::InvalidGroupId => "name a group that is not empty (`group` / `group.id`)",
            Self::InvalidPartitions => "ask for at least one partition, and for no fewer than the topic has",
            Self::InvalidProducerEpoch | Self::ProducerFenced => "another producer has taken over this identity: close this one",
            Self::InvalidRecord => "a topic with `cleanup.policy=compact` takes only records with a key",
            Self::InvalidReplicationFactor => "ask for at least one replica, and for no more than there are brokers",
            Self::InvalidRequiredAcks => "set `acks` to all, 1 or 0",
            Self::InvalidSessionTimeout => "choose a `session_timeout` / `session.timeout.ms` within `group.min.session.timeout.ms` and \
                `group.max.session.timeout.ms` of the brokers",
            Self::InvalidTimestamp => "set a time closer to the broker's clock, or raise `message.timestamp.before.max.ms` and \
                `message.timestamp.after.max.ms` of the topic (`message.timestamp.difference.max.ms` before Kafka 3.6)",
            Self::InvalidTopic => "a name has at most 249 ASCII letters, digits, '.', '_' and '-', and internal topics cannot be written to",
            Self::KafkaStorageError => "a disk of the broker failed: look at the broker's log",
            Self::LeaderNotAvailable => "start a broker that has an in-sync replica of it",
            Self::MessageTooLarge => "send smaller records, or raise `max.message.bytes` of the topic (`message.max.bytes` of the brokers)",
            Self::MismatchedEndpointType | Self::UnsupportedEndpointType => "connect to brokers, not to controllers",
            Self::NotEnoughReplicas | Self::NotEnoughReplicasAfterAppend => "fewer replicas are in sync than `min.insync.replicas` of the \
                topic demands: start the missing brokers, or lower it",
            Self::OutOfOrderSequenceNumber | Self::UnknownProducerId => "the broker lost records or the state of this producer: check for \
                unclean leader elections and for a retention that is too short",
            Self::PolicyViolation => "the cluster has a policy against it: ask its administrators",
            Self::RecordListTooLarge => "lower `batch_bytes` / `batch.size`, or raise `segment.bytes` of the topic",
            Self::SaslAuthenticationFailed => "check the user name and the password",
            Self::SecurityDisabled => "the brokers have no authorizer: set `authorizer.class.name` to store access control entries",
            Self::TopicAuthorizationFailed => "grant the principal the operation on the topic: Write to produce, Read to consume, Describe \
                for metadata",
            Self::TransactionalIdAuthorizationFailed => "grant the principal Write on the transactional id",
            Self::UnknownTopicOrPartition => "check its name, or create it",
            Self::UnreleasedInstanceId => "another member has its name: stop it, wait until its session ends, or choose another \
                `group_instance_id` / `group.instance.id`",
            Self::UnsupportedCompressionType => "the broker cannot read this codec (zstd needs Kafka 2.1): choose another one by \
                `compression` / `compression.type`",
            Self::UnsupportedForMessageFormat => "the topic keeps a record format from before Kafka 0.11: raise its `message.format.version`",
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remedies_are_clauses_that_fit_into_a_message() {
        let remedies: Vec<&str> = (-1..=150).filter_map(Code::from_wire).filter_map(Code::remedy).collect();
        assert!(remedies.len() > 20);
        for remedy in remedies {
            assert!(remedy.starts_with(char::is_lowercase) && !remedy.ends_with('.'), "{remedy}");
            assert!(!remedy.contains("  ") && remedy.matches('`').count() % 2 == 0, "{remedy}");
        }
    }
}
