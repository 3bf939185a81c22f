//! Compares each report with the one before: a state that changes is an event, and one that stays is none.

use std::collections::BTreeMap;
use std::fmt;

use super::LagReport;
use super::threshold::Thresholds;
use crate::admin::GroupLag;
use crate::admin::Lag;
use crate::admin::PartitionLag;
use crate::error::Error;
use crate::error::Kind;
use crate::types::TopicName;

/// The subject of a [`LagEvent`]: a group, one of its topics, or one partition of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct LagSubject {
    /// The monitor's name of the cluster.
    pub cluster: String,
    /// The group.
    pub group: String,
    /// The topic; `None` if the event is about the whole group.
    pub topic: Option<TopicName>,
    /// The partition; `None` if the event is about the whole topic or group.
    pub partition: Option<i32>,
}

impl fmt::Display for LagSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: group {}", self.cluster, self.group)?;
        match (&self.topic, self.partition) {
            (Some(topic), Some(partition)) => write!(f, " in {topic}[{partition}]"),
            (Some(topic), None) => write!(f, " in {topic}"),
            (None, _) => Ok(()),
        }
    }
}

/// The state of a [`LagSubject`].
#[derive(Clone, Debug)]
pub enum LagState {
    /// More records are left than the threshold allows, or the commit is outside the log.
    Congested {
        /// How the commit stands to the log; `None` for a topic.
        lag: Option<Lag>,
        /// The records that are left to read, if that is known.
        records: Option<u64>,
    },
    /// It was congested or not known, and is neither any more.
    Recovered {
        /// The records that are left to read, if that is known.
        records: Option<u64>,
    },
    /// It could not be found out, for this reason.
    Unknown(Error),
}

/// A change of the state of a group, topic or partition. Returned by [`LagWatch::next`](super::LagWatch::next) and
/// [`LagReport::events`]. It prints as one line.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LagEvent {
    /// The group, topic or partition.
    pub subject: LagSubject,
    /// Its new state.
    pub state: LagState,
}

impl fmt::Display for LagEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, state } = self;
        match state {
            LagState::Congested { lag: Some(Lag::Ahead), .. } => write!(f, "{subject} has committed past the end"),
            LagState::Congested { lag: Some(Lag::Expired), .. } => {
                write!(f, "{subject} has missed records that were deleted")
            }
            LagState::Congested { records: Some(records), .. } => {
                write!(f, "{subject} is congested: {records} records left")
            }
            LagState::Congested { records: None, .. } => write!(f, "{subject} is congested"),
            LagState::Recovered { .. } => write!(f, "{subject} has recovered"),
            LagState::Unknown(error) => write!(f, "{subject} is not known: {error:#}"),
        }
    }
}

/// A state that needs attention. One that does not is not remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Concern {
    Congested,
    Unknown,
}

/// Remembers what needed attention.
#[derive(Debug, Default)]
pub(super) struct Judge {
    concerns: BTreeMap<LagSubject, Concern>,
}

impl Judge {
    /// Returns what differs from the last report, in the order of the report.
    pub(super) fn handle_report(&mut self, report: &LagReport) -> Vec<LagEvent> {
        let mut events = Vec::new();
        let mut seen = BTreeMap::new();
        for cluster in &report.clusters {
            for (group, lag) in &cluster.groups {
                let subject =
                    LagSubject { cluster: cluster.name.clone(), group: group.clone(), topic: None, partition: None };
                for (subject, state) in states(subject, lag, &report.thresholds) {
                    // A group that is named twice counts once.
                    if seen.contains_key(&subject) {
                        continue;
                    }
                    let concern = match state {
                        LagState::Congested { .. } => Some(Concern::Congested),
                        LagState::Recovered { .. } => None,
                        LagState::Unknown(_) => Some(Concern::Unknown),
                    };
                    if self.concerns.remove(&subject) != concern {
                        events.push(LagEvent { subject: subject.clone(), state });
                    }
                    seen.extend(concern.map(|concern| (subject, concern)));
                }
                if lag.is_err() {
                    // Of a group that is not known, nothing is known to have changed.
                    let of_group = |subject: &LagSubject| subject.cluster == cluster.name && subject.group == *group;
                    seen.extend(
                        self.concerns.iter().filter(|(subject, _)| of_group(subject)).map(|(s, c)| (s.clone(), *c)),
                    );
                    self.concerns.retain(|subject, _| !of_group(subject));
                }
            }
        }
        let gone = |subject| {
            let error = Error::new(Kind::NoOffset, "the group has no offset here any more");
            LagEvent { subject, state: LagState::Unknown(error) }
        };
        events.extend(std::mem::replace(&mut self.concerns, seen).into_keys().map(gone));
        events
    }
}

/// The state of a group, of its partitions, and of the topics that have a threshold. A state without concern is `Recovered`.
fn states(group: LagSubject, lag: &Result<GroupLag, Error>, thresholds: &Thresholds) -> Vec<(LagSubject, LagState)> {
    let lag = match lag {
        Ok(lag) => lag,
        Err(error) => return vec![(group, LagState::Unknown(error.clone()))],
    };
    let mut left: BTreeMap<&TopicName, Option<u64>> = BTreeMap::new();
    let mut states = vec![(group.clone(), LagState::Recovered { records: Some(lag.records()) })];
    for one in &lag.partitions {
        let topic = &one.partition.topic;
        let sum = left.entry(topic).or_insert(Some(0));
        *sum = sum.zip(one.to_read()).map(|(sum, left)| sum.saturating_add(left));
        let subject =
            LagSubject { topic: Some(topic.clone()), partition: Some(one.partition.partition), ..group.clone() };
        states.push((subject, of_partition(one, thresholds)));
    }
    for (topic, most) in &thresholds.topics {
        // The partitions say why a sum is not known.
        let Some(Some(records)) = left.get(topic).copied() else { continue };
        let subject = LagSubject { topic: Some(topic.clone()), ..group.clone() };
        let state = if records > *most {
            LagState::Congested { lag: None, records: Some(records) }
        } else {
            LagState::Recovered { records: Some(records) }
        };
        states.push((subject, state));
    }
    states
}

fn of_partition(one: &PartitionLag, thresholds: &Thresholds) -> LagState {
    match &one.lag {
        Err(error) => LagState::Unknown(error.clone()),
        Ok(lag) if thresholds.is_exceeded_by(one) => LagState::Congested { lag: Some(*lag), records: one.to_read() },
        Ok(_) => LagState::Recovered { records: one.to_read() },
    }
}
