//! The language of the scripts of both machines: partitions of topic `a` are `a0`, `a1`, …; codes are numbers.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::error::Code;
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
