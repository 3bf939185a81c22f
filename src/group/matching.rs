//! Follows the topics that match a pattern: all topics of the cluster are listed from time to time.
//!
//! A topic that a listing lacks is given up once the metadata says that it does not exist: a broker that is behind, or starting, lists
//! too few. Where the metadata says so first, the topics are listed at once.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;
use std::time::Instant;

use fastrand::Rng;

use super::pattern::TopicPattern;
use crate::conn::backoff::Backoff;
use crate::error::Code;
use crate::error::Error;
use crate::metadata::Snapshot;
use crate::types::TopicName;
use crate::types::inserted;

/// The settings of a subscription by a pattern.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Whether Kafka's own topics never match (`exclude.internal.topics`).
    pub excludes_internal: bool,
    /// The time between listings (`metadata.max.age.ms`).
    pub interval: Duration,
    pub request_timeout: Duration,
    pub retry_backoff: Duration,
    pub retry_backoff_max: Duration,
    pub seed: u64,
}

/// A topic of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub name: TopicName,
    pub is_internal: bool,
    pub partitions: usize,
}

/// The request for the next listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    pub tag: u64,
    pub deadline: Instant,
}

/// A change of the topics that match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Matched {
    /// All topics that match.
    pub(crate) topics: BTreeSet<TopicName>,
    /// It is the first listing: its topics were there when the consumer subscribed, with these numbers of partitions.
    pub(crate) at_first: Option<BTreeMap<TopicName, usize>>,
}

/// The topics that match a pattern.
#[derive(Debug)]
pub(crate) struct Matching {
    pattern: TopicPattern,
    settings: Settings,
    /// `None` before the first listing.
    topics: Option<BTreeSet<TopicName>>,
    /// Topics that the last listing lacks.
    missing: BTreeSet<TopicName>,
    /// Topics that do not exist by the metadata.
    gone: BTreeSet<TopicName>,
    due: Instant,
    in_flight: Option<u64>,
    tags: u64,
    backoff: Backoff,
    rng: Rng,
}

impl Matching {
    /// Begins with a listing at once.
    pub(crate) fn new(now: Instant, pattern: TopicPattern, settings: Settings) -> Self {
        Self {
            pattern,
            topics: None,
            missing: BTreeSet::new(),
            gone: BTreeSet::new(),
            due: now,
            in_flight: None,
            tags: 0,
            backoff: Backoff::new(settings.retry_backoff, settings.retry_backoff_max),
            rng: Rng::with_seed(settings.seed),
            settings,
        }
    }

    /// The pattern.
    pub(crate) fn pattern(&self) -> &TopicPattern {
        &self.pattern
    }

    /// Topics that the last listing lacks, and that are subscribed to until the metadata confirms it.
    pub(crate) fn missing(&self) -> &BTreeSet<TopicName> {
        &self.missing
    }

    /// When the next listing is due, unless one is in flight.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.in_flight.is_none().then_some(self.due)
    }

    /// Begins a listing if it is due.
    pub(crate) fn poll_request(&mut self, now: Instant) -> Option<Request> {
        if self.in_flight.is_some() || self.due > now {
            return None;
        }
        self.tags += 1;
        self.in_flight = Some(self.tags);
        Some(Request { tag: self.tags, deadline: now + self.settings.request_timeout })
    }

    /// Takes a listing, or the error of the attempt. Returns what has changed, if anything has.
    pub(crate) fn handle_listing(
        &mut self,
        now: Instant,
        tag: u64,
        listing: &Result<Vec<Listed>, Error>,
    ) -> Option<Matched> {
        self.in_flight.take_if(|awaited| *awaited == tag)?;
        let Ok(listing) = listing else {
            self.due = now + self.backoff.next(&mut self.rng);
            return None;
        };
        self.backoff.reset();
        self.due = now + self.settings.interval;
        let matches = |topic: &&Listed| {
            !(topic.is_internal && self.settings.excludes_internal) && self.pattern.matches(&topic.name)
        };
        let found: BTreeMap<TopicName, usize> =
            inserted(listing.iter().filter(matches).map(|topic| (topic.name.clone(), topic.partitions)));
        let mut topics: BTreeSet<TopicName> = inserted(found.keys().cloned());
        let Some(before) = &self.topics else {
            self.topics = Some(topics.clone());
            return Some(Matched { topics, at_first: Some(found) });
        };
        self.missing = inserted(before.difference(&topics).cloned());
        topics.extend(self.missing.iter().cloned());
        self.replace(topics)
    }

    /// Takes the state of the cluster. Returns what has changed, if anything has.
    pub(crate) fn handle_metadata(&mut self, now: Instant, snapshot: &Snapshot) -> Option<Matched> {
        let is_gone = |name: &&TopicName| {
            let error = snapshot.topic(name).and_then(|topic| topic.error);
            matches!(error, Some(Code::UnknownTopicOrPartition | Code::UnknownTopicId))
        };
        let topics = self.topics.as_ref()?;
        let gone: BTreeSet<TopicName> = inserted(topics.iter().filter(is_gone).cloned());
        if gone.iter().any(|name| !self.gone.contains(name) && !self.missing.contains(name)) {
            self.due = self.due.min(now);
        }
        let topics = topics.iter().filter(|name| !(gone.contains(*name) && self.missing.contains(*name)));
        let topics = inserted(topics.cloned());
        self.missing.retain(|name| !gone.contains(name));
        self.gone = gone;
        self.replace(topics)
    }

    fn replace(&mut self, topics: BTreeSet<TopicName>) -> Option<Matched> {
        if self.topics.as_ref() == Some(&topics) {
            return None;
        }
        self.topics = Some(topics.clone());
        Some(Matched { topics, at_first: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::metadata::Cache;
    use crate::wire::message as m;

    const INTERVAL: Duration = Duration::from_secs(300);

    fn matching(now: Instant, pattern: &str, excludes_internal: bool) -> Matching {
        let settings = Settings {
            excludes_internal,
            interval: INTERVAL,
            request_timeout: Duration::from_secs(30),
            retry_backoff: Duration::from_millis(100),
            retry_backoff_max: Duration::from_secs(1),
            seed: 1,
        };
        Matching::new(now, TopicPattern::regex(pattern).expect("it compiles"), settings)
    }

    fn listing(names: &[&str]) -> Vec<Listed> {
        let listed = |name: &&str| Listed { name: (*name).into(), is_internal: name.starts_with("__"), partitions: 3 };
        names.iter().map(listed).collect()
    }

    /// Lists at once, and returns the topics if they have changed.
    fn list(matching: &mut Matching, now: Instant, names: &[&str]) -> Option<String> {
        let request = matching.poll_request(now).expect("a listing is due");
        let matched = matching.handle_listing(now, request.tag, &Ok(listing(names)))?;
        Some(matched.topics.iter().map(|topic| &**topic).collect::<Vec<_>>().join(" "))
    }

    fn metadata(unknown: &str) -> std::sync::Arc<Snapshot> {
        let error = Some(Code::UnknownTopicOrPartition);
        let topic = m::MetadataTopic { name: unknown.into(), error, ..m::MetadataTopic::default() };
        let mut cache = Cache::default();
        cache.handle_response(m::MetadataResponse { topics: vec![topic], ..m::MetadataResponse::default() });
        cache.snapshot()
    }

    #[test]
    fn new_topics_that_match_are_found_at_the_metadata_age() {
        let now = crate::net::clock::now();
        let mut matching = matching(now, "a.*", true);
        assert_eq!(list(&mut matching, now, &["b"]), Some(String::new()), "nothing matches");
        assert_eq!(matching.poll_request(now + INTERVAL / 2), None);
        let later = now + INTERVAL;
        assert_eq!(list(&mut matching, later, &["a1", "b", "ba"]), Some("a1".to_owned()));
        assert_eq!(list(&mut matching, later + INTERVAL, &["a1", "c"]), None, "nothing has changed");
    }

    #[test]
    fn internal_topics_match_only_if_they_are_not_excluded() {
        let now = crate::net::clock::now();
        let names = ["__consumer_offsets", "a"];
        assert_eq!(list(&mut matching(now, ".*", true), now, &names), Some("a".to_owned()));
        assert_eq!(list(&mut matching(now, ".*", false), now, &names), Some("__consumer_offsets a".to_owned()));
    }

    #[test]
    fn topic_missing_in_a_listing_stays_until_metadata_confirms() {
        let now = crate::net::clock::now();
        let mut matching = matching(now, ".*", true);
        list(&mut matching, now, &["a", "b"]);
        assert_eq!(list(&mut matching, now + INTERVAL, &[]), None, "a broker that is starting knows no topic");
        assert_eq!(matching.missing().len(), 2);
        let changed = matching.handle_metadata(now, &metadata("b")).map(|matched| matched.topics);
        assert_eq!(changed, Some(BTreeSet::from(["a".into()])));
        assert_eq!(list(&mut matching, now + 2 * INTERVAL, &["a"]), None);
        assert!(matching.missing().is_empty());
    }

    #[test]
    fn topics_are_listed_at_once_when_one_is_deleted() {
        let now = crate::net::clock::now();
        let mut matching = matching(now, ".*", true);
        list(&mut matching, now, &["a", "b"]);
        assert_eq!(matching.handle_metadata(now, &metadata("c")), None);
        assert_eq!(matching.poll_timeout(), Some(now + INTERVAL), "it is none of ours");
        let snapshot = metadata("b");
        assert_eq!(matching.handle_metadata(now, &snapshot), None, "a broker may not know the topic yet");
        assert_eq!(list(&mut matching, now, &["a", "b"]), None);
        assert_eq!(matching.handle_metadata(now, &snapshot), None);
        assert_eq!(matching.poll_timeout(), Some(now + INTERVAL), "a broker that is behind causes one listing");
        list(&mut matching, now + INTERVAL, &["a"]);
        let changed = matching.handle_metadata(now, &snapshot).map(|matched| matched.topics);
        assert_eq!(changed, Some(BTreeSet::from(["a".into()])));
    }

    #[test]
    fn failed_listing_is_retried_after_a_pause_and_late_ones_are_ignored() {
        let now = crate::net::clock::now();
        let mut matching = matching(now, ".*", true);
        let first = matching.poll_request(now).expect("a listing");
        assert_eq!((matching.poll_timeout(), matching.poll_request(now)), (None, None), "one at a time");
        let lost = Err(Error::new(Kind::Connect, "the connection was lost"));
        assert_eq!(matching.handle_listing(now, first.tag, &lost), None);
        let due = matching.poll_timeout().expect("a retry");
        assert!(due > now && due < now + Duration::from_millis(200));
        let second = matching.poll_request(due).expect("a retry");
        assert_eq!(matching.handle_listing(due, first.tag, &Ok(listing(&["old"]))), None);
        assert!(matching.handle_listing(due, second.tag, &Ok(listing(&["a"]))).is_some());
    }
}
