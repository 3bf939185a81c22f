//! Regular expressions to which members subscribe. Kafka resolves them between two heartbeats, by RE2/J; here it is the crate
//! `regex-lite`, whose syntax is a subset of that.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use kafka_protocol::error::ResponseError;
use kafka_protocol::protocol::StrBytes;
use regex_lite::Regex;

use super::Member;
use super::Modern;
use super::beat::BeatAsked;
use super::beat::Refusal;
use crate::mock::state::Topic;
use crate::types::TopicName;

impl Member {
    /// The regular expression, if it subscribes to one.
    pub(super) fn pattern(&self) -> Option<&StrBytes> {
        self.regex.as_ref().filter(|regex| !regex.is_empty())
    }
}

impl Modern {
    /// Refuses a regular expression that no member has, and that does not compile.
    pub(super) fn check_regex(&self, asked: &BeatAsked) -> Result<(), Refusal> {
        let Some(regex) = asked.regex.as_ref().filter(|regex| !regex.is_empty()) else { return Ok(()) };
        let is_known = self.members.iter().any(|member| member.regex.as_ref() == Some(regex));
        if is_known || whole(regex).is_some() {
            return Ok(());
        }
        Err(Refusal::new(
            ResponseError::InvalidRegularExpression,
            "SubscribedTopicRegex is not a valid regular expression.",
        ))
    }

    /// The topics to which a member subscribes, by name and by a regular expression that has been resolved.
    pub(super) fn subscription<'m>(&'m self, member: &'m Member) -> impl Iterator<Item = &'m TopicName> {
        let matched = member.pattern().and_then(|regex| self.matched.get(regex));
        member.topics.iter().chain(matched.into_iter().flatten().filter(|name| !member.topics.contains(*name)))
    }

    /// Whether every topic is subscribed to by every member by its name.
    pub(super) fn is_even(&self) -> bool {
        let names = self.members.iter().flat_map(|member| self.subscription(member));
        names.into_iter().all(|name| self.members.iter().all(|member| member.topics.contains(name)))
    }

    /// Matches all topics. The next heartbeat finds another group epoch if that changes anything.
    pub(super) fn resolve(&mut self, topics: &BTreeMap<TopicName, Topic>) {
        let patterns = self.members.iter().filter_map(Member::pattern).cloned();
        let matched: BTreeMap<StrBytes, BTreeSet<TopicName>> = patterns
            .map(|pattern| {
                let regex = whole(&pattern);
                let names = topics.keys().filter(|name| regex.as_ref().is_some_and(|regex| regex.is_match(name)));
                let names = names.cloned().collect();
                (pattern, names)
            })
            .collect();
        let has_changed = matched
            .iter()
            .any(|(pattern, names)| self.matched.get(pattern).map_or(!names.is_empty(), |old| old != names));
        self.matched = matched;
        if has_changed {
            self.epoch += 1;
            self.topics = self.describe_topics(topics);
        }
    }
}

/// Matches whole names only.
fn whole(pattern: &str) -> Option<Regex> {
    Regex::new(&format!("^(?:{pattern})$")).ok()
}
