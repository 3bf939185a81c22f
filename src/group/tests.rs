//! The language of the scripts of both machines: partitions of topic `a` are `a0`, `a1`, …; codes are numbers.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::error::Code;
use crate::error::Error;
use crate::error::Kind;
use crate::types::TopicPartition;

pub(super) fn key(text: &str) -> TopicPartition {
    let (topic, partition) = text.split_at(1);
    TopicPartition::new(topic, partition.parse().expect("a partition"))
}

/// Each partition after a space.
pub(super) fn keys(partitions: &BTreeSet<TopicPartition>) -> String {
    partitions.iter().fold(String::new(), |mut text, key| {
        write!(text, " {}{}", key.topic, key.partition).expect("a string");
        text
    })
}

pub(super) fn code_of(text: &str) -> Code {
    Code::from_wire(text.parse().expect("a code")).expect("an error")
}

/// The code of a broker that refuses the connection is no answer of a coordinator, and the broker's words say more.
#[track_caller]
pub(super) fn check_rejection(error: Option<&Error>) {
    let error = error.expect("the member failed");
    assert_eq!(error.kind(), Kind::Authentication);
    assert!(error.to_string().contains("alice is locked"), "{error}");
}

/// The error of a connection that a broker refuses.
pub(super) fn rejection() -> Error {
    Error::authentication("alice is locked").with_code(Code::SaslAuthenticationFailed)
}
