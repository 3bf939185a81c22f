//! Chooses the protocol of a member (`GroupProtocol::Auto`): that of KIP-848 where the brokers have it, unless the group has members of
//! the classic one.
//!
//! ```text
//! Idle ──subscribe──> asks ConsumerGroupDescribe ──no such group──> asks DescribeGroups ──no members──> consumer
//!                        │           │                                       │
//!                        │           └── it exists ──> consumer              └── members ──> classic
//!                        └── not supported ──> classic
//! ```
//!
//! Nothing is joined before: a heartbeat of the new protocol would convert a classic group.

use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use fastrand::Rng;

use super::GroupMetadata;
use super::standing::Standing;
use super::step::Step;
use crate::conn::backoff::Backoff;
use crate::error::Code;
use crate::error::Error;
use crate::error::Kind;
use crate::error::membership::MembershipRecovery;
use crate::types::TopicName;
use crate::wire::message::ConsumerGroupDescribeRequest;
use crate::wire::message::ConsumerGroupDescribeResponse;
use crate::wire::message::DescribeGroupsRequest;
use crate::wire::message::DescribeGroupsResponse;

/// The settings of the choice.
#[derive(Clone, Debug)]
pub struct Settings {
    pub group: String,
    pub instance: Option<String>,
    pub request_timeout: Duration,
    pub retry_backoff: Duration,
    pub retry_backoff_max: Duration,
    pub seed: u64,
}

/// The next request, to the coordinator of the group. Each is sent once.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    DescribeConsumers { tag: u64, deadline: Instant, request: ConsumerGroupDescribeRequest },
    DescribeGroup { tag: u64, deadline: Instant, request: DescribeGroupsRequest },
    ForgetCoordinator,
}

/// The protocol that was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chosen {
    Classic,
    Consumer,
}

/// The subscription of the member that is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    Topics(BTreeSet<TopicName>),
    Regex(Arc<str>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    Consumers,
    Group,
}

/// A member that has no protocol yet.
#[derive(Debug)]
pub struct Choosing {
    settings: Settings,
    standing: Standing,
    wanted: Option<Wanted>,
    question: Question,
    in_flight: Option<u64>,
    paused_until: Option<Instant>,
    chosen: Option<Chosen>,
    tags: u64,
    backoff: Backoff,
    rng: Rng,
    actions: VecDeque<Action>,
}

impl Choosing {
    /// A member that has subscribed to nothing.
    pub fn new(settings: Settings) -> Self {
        Self {
            standing: Standing::new(&settings.group, settings.instance.as_deref()),
            wanted: None,
            question: Question::Consumers,
            in_flight: None,
            paused_until: None,
            chosen: None,
            tags: 0,
            backoff: Backoff::new(settings.retry_backoff, settings.retry_backoff_max),
            rng: Rng::with_seed(settings.seed),
            actions: VecDeque::new(),
            settings,
        }
    }

    /// Subscribes, and asks the coordinator about the group.
    pub fn want(&mut self, now: Instant, wanted: Wanted) {
        self.wanted = Some(wanted);
        self.standing.failure = None;
        self.plan(now);
    }

    /// Forgets the subscription.
    pub fn leave(&mut self) {
        (self.wanted, self.in_flight, self.paused_until) = (None, None, None);
        self.question = Question::Consumers;
        self.standing.failure = None;
    }

    /// Takes the response about a group of KIP-848, or the error of the attempt.
    pub fn handle_consumers(&mut self, now: Instant, tag: u64, response: Result<ConsumerGroupDescribeResponse, Error>) {
        if self.in_flight.take_if(|awaited| *awaited == tag).is_none() {
            return;
        }
        match response.map(|response| response.groups.into_iter().next().map(|group| group.error)) {
            Err(error) if error.kind() == Kind::Unsupported => self.choose(Chosen::Classic, NOT_SUPPORTED),
            Err(error) => self.failed(now, error),
            Ok(None) => self.failed(now, self.standing.error(Kind::Protocol, "the coordinator described no group")),
            Ok(Some(None)) => self.choose(Chosen::Consumer, "the group uses it already"),
            Ok(Some(Some(Code::UnsupportedVersion))) => self.choose(Chosen::Classic, NOT_SUPPORTED),
            Ok(Some(Some(Code::GroupIdNotFound))) => self.question = Question::Group,
            Ok(Some(Some(code))) => self.refused(now, code),
        }
        self.plan(now);
    }

    /// Takes the response about a classic group, or the error of the attempt.
    pub fn handle_group(&mut self, now: Instant, tag: u64, response: Result<DescribeGroupsResponse, Error>) {
        if self.in_flight.take_if(|awaited| *awaited == tag).is_none() {
            return;
        }
        match response.map(|response| response.groups.into_iter().next()) {
            Err(error) => self.failed(now, error),
            Ok(None) => self.failed(now, self.standing.error(Kind::Protocol, "the coordinator described no group")),
            Ok(Some(group)) => match group.error {
                None if group.members.is_empty() && matches!(&*group.state, "Dead" | "Empty") => {
                    self.choose(Chosen::Consumer, NO_MEMBERS);
                }
                None => self.choose(Chosen::Classic, "the group has members of the classic protocol"),
                Some(Code::GroupIdNotFound) => self.choose(Chosen::Consumer, NO_MEMBERS),
                Some(code) => self.refused(now, code),
            },
        }
        self.plan(now);
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.paused_until = self.paused_until.filter(|until| *until > now);
        self.plan(now);
    }

    /// When the next request is due, if nothing else happens first.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.paused_until.filter(|_| self.wanted.is_some())
    }

    /// Takes the next thing to do.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Whether there is something to do.
    pub fn has_actions(&self) -> bool {
        !self.actions.is_empty()
    }

    /// Takes the choice and the subscription, once the choice is made.
    pub fn poll_chosen(&mut self) -> Option<(Chosen, Wanted)> {
        let chosen = self.chosen.take()?;
        Some((chosen, self.wanted.take()?))
    }

    /// Its identity, and what its application is to know.
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Its standing, to take an error from.
    pub fn standing_mut(&mut self) -> &mut Standing {
        &mut self.standing
    }

    fn plan(&mut self, now: Instant) {
        let is_asking = self.in_flight.is_some() || self.chosen.is_some() || self.paused_until.is_some();
        if is_asking || self.wanted.is_none() || self.standing.failure.is_some() {
            return;
        }
        self.tags += 1;
        self.in_flight = Some(self.tags);
        let (tag, deadline) = (self.tags, now + self.settings.request_timeout);
        let groups = vec![self.settings.group.clone()];
        self.actions.push_back(match self.question {
            Question::Consumers => {
                let request = ConsumerGroupDescribeRequest { groups, include_authorized_operations: false };
                Action::DescribeConsumers { tag, deadline, request }
            }
            Question::Group => {
                let request = DescribeGroupsRequest { groups, include_authorized_operations: false };
                Action::DescribeGroup { tag, deadline, request }
            }
        });
    }

    fn choose(&mut self, chosen: Chosen, reason: &str) {
        let (group, protocol) = (&self.settings.group, if chosen == Chosen::Classic { "classic" } else { "consumer" });
        tracing::info!(target: "ottla::group", group, protocol, reason, "group protocol chosen");
        self.chosen = Some(chosen);
    }

    fn refused(&mut self, now: Instant, code: Code) {
        match code.membership_recovery() {
            MembershipRecovery::FindCoordinator => {
                self.actions.push_back(Action::ForgetCoordinator);
                self.pause(now);
            }
            MembershipRecovery::Retry => self.pause(now),
            _ => {
                let text = format!("group {}: it could not be described to choose its protocol", self.settings.group);
                self.standing.failure = Some(Error::broker(code, text));
            }
        }
    }

    fn failed(&mut self, now: Instant, error: Error) {
        match error.code() {
            // A broker that refuses the connection has a code, too, and words of its own.
            Some(code) if !error.is_rejection() => self.refused(now, code),
            _ if error.is_retriable() || error.kind() == Kind::Protocol => self.pause(now),
            _ => self.standing.failure = Some(error),
        }
    }

    /// Asks again from the beginning, after a pause.
    fn pause(&mut self, now: Instant) {
        self.question = Question::Consumers;
        self.paused_until = Some(now + self.backoff.next(&mut self.rng));
    }
}

/// Calls that mean nothing to a member without a protocol.
#[allow(clippy::unused_self, clippy::unnecessary_wraps, reason = "they are called as those of the machines are")]
impl Choosing {
    /// A poll, a refused commit and a step are of no account without a membership.
    pub fn handle_poll(&mut self, _: Instant) {}

    pub fn handle_refusal(&mut self, _: Instant, _: Code, _: &GroupMetadata) {}

    pub fn handle_step_done(&mut self, _: Instant) {}

    /// Nothing is assigned before the group is joined.
    pub fn step(&mut self) -> Option<Step> {
        None
    }

    pub fn has_step(&self) -> bool {
        false
    }

    pub fn is_stable(&self) -> bool {
        false
    }

    pub fn is_leaving(&self) -> bool {
        false
    }
}

const NOT_SUPPORTED: &str = "the brokers do not have the protocol `consumer`";
const NO_MEMBERS: &str = "the brokers have it, and the group has no members of the classic protocol";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::message as m;

    fn choosing(now: Instant) -> Choosing {
        let mut choosing = Choosing::new(Settings {
            group: "g".into(),
            instance: None,
            request_timeout: Duration::from_secs(30),
            retry_backoff: Duration::from_millis(100),
            retry_backoff_max: Duration::from_secs(1),
            seed: 1,
        });
        choosing.want(now, Wanted::Topics(BTreeSet::from(["a".into()])));
        choosing
    }

    /// Answers the next request by a code about the group of KIP-848, or by the state of the classic one.
    fn answer(choosing: &mut Choosing, now: Instant, answer: Result<Option<Code>, Kind>, state: &str) -> &'static str {
        let failed = |kind| Error::new(kind, "no response");
        match choosing.poll_action() {
            None => "nothing",
            Some(Action::ForgetCoordinator) => "forget",
            Some(Action::DescribeConsumers { tag, .. }) => {
                let group = |error| m::DescribedConsumerGroup { error, ..m::DescribedConsumerGroup::default() };
                let response = answer.map(|error| ConsumerGroupDescribeResponse {
                    groups: vec![group(error)],
                    ..ConsumerGroupDescribeResponse::default()
                });
                choosing.handle_consumers(now, tag, response.map_err(failed));
                "consumers"
            }
            Some(Action::DescribeGroup { tag, .. }) => {
                let members = if state == "Dead" || state == "Empty" { 0 } else { 2 };
                let group = |error| m::DescribedGroup {
                    error,
                    state: state.into(),
                    members: vec![m::DescribedMember::default(); members].into(),
                    ..m::DescribedGroup::default()
                };
                let response = answer.map(|error| DescribeGroupsResponse {
                    groups: vec![group(error)],
                    ..DescribeGroupsResponse::default()
                });
                choosing.handle_group(now, tag, response.map_err(failed));
                "group"
            }
        }
    }

    #[test]
    fn group_is_converted_only_if_nobody_is_in_it() {
        let not_found = || Ok(Some(Code::GroupIdNotFound));
        let rows = [
            (vec![(Ok(None), "")], Chosen::Consumer),
            (vec![(Err(Kind::Unsupported), "")], Chosen::Classic),
            (vec![(Ok(Some(Code::UnsupportedVersion)), "")], Chosen::Classic),
            (vec![(not_found(), ""), (not_found(), "")], Chosen::Consumer),
            (vec![(not_found(), ""), (Ok(None), "Dead")], Chosen::Consumer),
            (vec![(not_found(), ""), (Ok(None), "Empty")], Chosen::Consumer),
            (vec![(not_found(), ""), (Ok(None), "Stable")], Chosen::Classic),
            (vec![(not_found(), ""), (Ok(None), "PreparingRebalance")], Chosen::Classic),
        ];
        for (answers, expected) in rows {
            let now = crate::net::clock::now();
            let mut choosing = choosing(now);
            let mut chosen = None;
            for (response, state) in answers.clone() {
                assert_eq!(chosen, None, "{answers:?}");
                answer(&mut choosing, now, response, state);
                chosen = choosing.poll_chosen();
            }
            assert_eq!(chosen.map(|(chosen, _)| chosen), Some(expected), "{answers:?}");
            assert_eq!(choosing.poll_action(), None, "it asks no more");
        }
    }

    #[test]
    fn choice_waits_for_the_coordinator_and_reports_a_lasting_refusal() {
        let now = crate::net::clock::now();
        let mut choosing = choosing(now);
        assert_eq!(answer(&mut choosing, now, Err(Kind::Connect), ""), "consumers");
        assert_eq!((choosing.poll_chosen(), choosing.poll_action()), (None, None));
        let due = choosing.poll_timeout().expect("a retry");
        choosing.handle_timeout(due);
        assert_eq!(answer(&mut choosing, due, Ok(Some(Code::NotCoordinator)), ""), "consumers");
        assert_eq!(answer(&mut choosing, due, Ok(None), ""), "forget");
        let due = choosing.poll_timeout().expect("a retry");
        choosing.handle_timeout(due);
        assert_eq!(answer(&mut choosing, due, Ok(Some(Code::GroupAuthorizationFailed)), ""), "consumers");
        let error = choosing.standing_mut().poll_error().expect("it is reported");
        assert_eq!(error.code(), Some(Code::GroupAuthorizationFailed));
        assert_eq!((choosing.poll_timeout(), choosing.poll_action()), (None, None));
    }

    #[test]
    fn retries_come_after_a_pause_and_requests_have_a_deadline() {
        let now = crate::net::clock::now();
        let mut choosing = choosing(now);
        let failures = [Err(Kind::Connect), Err(Kind::Protocol), Ok(Some(Code::CoordinatorLoadInProgress))];
        let mut at = now;
        for failure in failures {
            assert_eq!(answer(&mut choosing, at, failure, ""), "consumers", "{failure:?}");
            let due = choosing.poll_timeout().expect("a retry");
            assert!(due > at, "{failure:?}: it pauses");
            let before = due.checked_sub(Duration::from_nanos(1)).expect("it is later");
            choosing.handle_timeout(before);
            assert_eq!(choosing.poll_action(), None, "{failure:?}: it is not due");
            choosing.handle_timeout(due);
            at = due;
        }
        let Some(Action::DescribeConsumers { deadline, .. }) = choosing.poll_action() else { panic!("a retry") };
        assert_eq!(deadline, at + Duration::from_secs(30));
    }

    #[test]
    fn error_that_does_not_pass_ends_the_choice() {
        let now = crate::net::clock::now();
        let mut choosing = choosing(now);
        answer(&mut choosing, now, Err(Kind::Authentication), "");
        assert_eq!(choosing.standing_mut().poll_error().map(|error| error.kind()), Some(Kind::Authentication));
        assert_eq!((choosing.poll_timeout(), choosing.poll_action()), (None, None));
    }

    #[test]
    fn group_that_is_being_emptied_is_still_classic() {
        let now = crate::net::clock::now();
        let mut choosing = choosing(now);
        answer(&mut choosing, now, Ok(Some(Code::GroupIdNotFound)), "");
        let Some(Action::DescribeGroup { tag, .. }) = choosing.poll_action() else { panic!("it asks about the group") };
        let group = m::DescribedGroup { state: "CompletingRebalance".into(), ..m::DescribedGroup::default() };
        let response = DescribeGroupsResponse { groups: vec![group], ..DescribeGroupsResponse::default() };
        choosing.handle_group(now, tag, Ok(response));
        assert_eq!(choosing.poll_chosen().map(|(chosen, _)| chosen), Some(Chosen::Classic));
    }

    #[test]
    fn response_to_a_subscription_that_was_left_chooses_nothing() {
        let now = crate::net::clock::now();
        let mut choosing = choosing(now);
        assert!(choosing.has_actions() && !choosing.has_step());
        let Some(Action::DescribeConsumers { tag, .. }) = choosing.poll_action() else { panic!("it asks") };
        assert!(!choosing.has_actions() && !choosing.is_stable() && !choosing.is_leaving());
        choosing.leave();
        choosing.handle_consumers(now, tag, Err(Error::new(Kind::Unsupported, "an old broker")));
        assert_eq!((choosing.poll_chosen(), choosing.poll_action()), (None, None));
        choosing.want(now, Wanted::Topics(BTreeSet::from(["b".into()])));
        choosing.handle_consumers(now, tag, Err(Error::new(Kind::Unsupported, "an old broker")));
        assert_eq!(choosing.poll_chosen(), None, "the response is of the subscription before");
        assert_eq!(answer(&mut choosing, now, Ok(None), ""), "consumers");
        let wanted = Wanted::Topics(BTreeSet::from(["b".into()]));
        assert_eq!(choosing.poll_chosen(), Some((Chosen::Consumer, wanted)));
    }
}
