//! A member of a group, by either protocol, and the topics that its pattern matches.

use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::GroupMetadata;
use super::NO_GENERATION;
use super::arrivals::Arrivals;
use super::choosing;
use super::choosing::Choosing;
use super::choosing::Chosen;
use super::choosing::Wanted;
use super::classic;
use super::classic::Classic;
use super::matching;
use super::matching::Listed;
use super::matching::Matched;
use super::matching::Matching;
use super::modern;
use super::modern::Modern;
use super::pattern::TopicPattern;
use super::standing::Standing;
use super::step::GroupCounters;
use super::step::Step;
use crate::error::Code;
use crate::error::Error;
use crate::error::Kind;
use crate::metadata::Snapshot;
use crate::types::TopicName;
use crate::types::TopicPartition;
use crate::types::inserted;

/// The topics that a member subscribes to.
#[derive(Clone, Debug)]
pub enum Selection {
    Topics(BTreeSet<TopicName>),
    Pattern(TopicPattern),
}

/// How a member ends its membership (KIP-1092).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Departure {
    /// A dynamic member leaves, and a static one stays.
    #[default]
    Default,
    Leave,
    Stay,
}

/// The machine of one protocol.
#[derive(Debug)]
pub enum Machine {
    /// The protocol is not chosen yet. The settings are for either.
    Choosing(Box<Choosing>, Box<(classic::Settings, modern::Settings)>),
    Classic(Box<Classic>),
    Modern(Box<Modern>),
}

/// A member. What both protocols have is here; their requests differ.
#[derive(Debug)]
pub struct Member {
    machine: Machine,
    snapshot: Arc<Snapshot>,
    settings: matching::Settings,
    /// Whether a dynamic member leaves by default.
    leaves: bool,
    matching: Option<Matching>,
    /// The listing only counts topics, which the coordinator matches.
    counts_only: bool,
    arrivals: Arrivals,
    actions: VecDeque<Action>,
}

/// The next thing to do for a member.
#[derive(Debug)]
pub enum Action {
    Choosing(choosing::Action),
    Classic(classic::Action),
    Modern(modern::Action),
    /// List all topics of the cluster.
    List(matching::Request),
    /// Ask for newer metadata of these topics.
    Refresh(BTreeSet<TopicName>),
}

/// Calls the same method of either machine.
macro_rules! either {
    ($member:expr, $machine:ident => $call:expr) => {
        match $member {
            Machine::Choosing($machine, _) => $call,
            Machine::Classic($machine) => $call,
            Machine::Modern($machine) => $call,
        }
    };
}

impl Member {
    /// A member that has subscribed to nothing.
    pub fn new(machine: Machine, settings: matching::Settings, leaves: bool) -> Self {
        Self {
            machine,
            snapshot: Arc::default(),
            settings,
            leaves,
            matching: None,
            counts_only: false,
            arrivals: Arrivals::default(),
            actions: VecDeque::new(),
        }
    }

    fn standing(&self) -> &Standing {
        either!(&self.machine, machine => machine.standing())
    }

    pub fn classic(&mut self) -> Option<&mut Classic> {
        match &mut self.machine {
            Machine::Classic(machine) => Some(machine),
            Machine::Choosing(..) | Machine::Modern(_) => None,
        }
    }

    pub fn modern(&mut self) -> Option<&mut Modern> {
        match &mut self.machine {
            Machine::Choosing(..) | Machine::Classic(_) => None,
            Machine::Modern(machine) => Some(machine),
        }
    }

    /// Subscribes to these topics and no others.
    ///
    /// # Errors
    ///
    /// The protocol has no patterns that the coordinator matches.
    pub fn subscribe(&mut self, now: Instant, selection: Selection) -> Result<(), Error> {
        self.counts_only = false;
        match selection {
            Selection::Topics(topics) => {
                self.matching = None;
                self.subscribe_to(now, topics);
            }
            Selection::Pattern(pattern) => match (pattern.of_server(), &mut self.machine) {
                (None, _) => self.matching = Some(Matching::new(now, pattern, self.settings)),
                (Some(regex), Machine::Choosing(machine, _)) => {
                    machine.want(now, Wanted::Regex(Arc::clone(regex)));
                    self.count_all_topics(now);
                }
                (Some(regex), Machine::Modern(machine)) => {
                    machine.subscribe_regex(now, Arc::clone(regex));
                    self.count_all_topics(now);
                }
                (Some(_), Machine::Classic(_)) => return Err(no_server_patterns()),
            },
        }
        self.plan_listing(now);
        Ok(())
    }

    /// Finds out which topics there are, so that those that the coordinator matches later are known to be new.
    fn count_all_topics(&mut self, now: Instant) {
        self.arrivals.subscribe(&BTreeSet::new());
        self.counts_only = true;
        let settings = matching::Settings { excludes_internal: false, ..self.settings };
        self.matching = Some(Matching::new(now, TopicPattern::filter(|_| true), settings));
    }

    fn subscribe_to(&mut self, now: Instant, topics: BTreeSet<TopicName>) {
        self.arrivals.subscribe(&topics);
        self.arrivals.handle_metadata(&self.snapshot);
        match &mut self.machine {
            Machine::Choosing(machine, _) => machine.want(now, Wanted::Topics(topics)),
            Machine::Classic(machine) => machine.subscribe(now, topics),
            Machine::Modern(machine) => machine.subscribe(now, topics),
        }
    }

    /// The member whose protocol is not chosen yet.
    pub fn choosing(&mut self) -> Option<&mut Choosing> {
        match &mut self.machine {
            Machine::Choosing(machine, _) => Some(machine),
            Machine::Classic(_) | Machine::Modern(_) => None,
        }
    }

    /// Becomes a member by the chosen protocol, once it is chosen.
    pub fn take_choice(&mut self, now: Instant) {
        let Machine::Choosing(machine, settings) = &mut self.machine else { return };
        let Some((chosen, wanted)) = machine.poll_chosen() else { return };
        let (classic, modern) = (**settings).clone();
        let snapshot = Arc::clone(&self.snapshot);
        self.machine = match (chosen, wanted) {
            (Chosen::Classic, Wanted::Topics(topics)) => {
                let mut machine = Classic::new(classic);
                machine.handle_metadata(now, snapshot);
                machine.subscribe(now, topics);
                Machine::Classic(Box::new(machine))
            }
            (Chosen::Classic, Wanted::Regex(_)) => {
                let mut machine = Classic::new(classic);
                machine.standing_mut().failure = Some(no_server_patterns());
                Machine::Classic(Box::new(machine))
            }
            (Chosen::Consumer, wanted) => {
                let mut machine = Modern::new(modern);
                machine.handle_metadata(now, snapshot);
                match wanted {
                    Wanted::Topics(topics) => machine.subscribe(now, topics),
                    Wanted::Regex(regex) => machine.subscribe_regex(now, regex),
                }
                Machine::Modern(Box::new(machine))
            }
        };
    }

    /// Takes a listing of all topics, or the error of the attempt.
    pub fn handle_listing(&mut self, now: Instant, tag: u64, listing: Result<Vec<Listed>, Error>) {
        let Some(matching) = &mut self.matching else { return };
        let matched = matching.handle_listing(now, tag, &listing);
        let confirmed = matching.handle_metadata(now, &self.snapshot);
        if let Err(error) = listing {
            tracing::debug!(target: "ottla::group", error = %error.chain(), "topics could not be listed");
            if !error.is_retriable() {
                either!(&mut self.machine, machine => machine.standing_mut()).report(error);
            }
        } else if !matching.missing().is_empty() {
            self.actions.push_back(Action::Refresh(matching.missing().clone()));
        }
        self.take_matched(now, matched);
        self.take_matched(now, confirmed);
    }

    fn take_matched(&mut self, now: Instant, matched: Option<Matched>) {
        let Some(Matched { topics, at_first }) = matched else { return };
        if self.counts_only {
            self.matching = None;
            return self.arrivals.note_all(at_first.unwrap_or_default());
        }
        let pattern = self.matching.as_ref().map(Matching::pattern);
        let group = &self.standing().identity().group;
        let (count, pattern) = (topics.len(), pattern.map(tracing::field::display));
        tracing::info!(target: "ottla::group", group, pattern, count, "topics matched");
        let new = topics.difference(self.standing().subscription()).map(|topic| (topic.clone(), 0));
        let counts = at_first.unwrap_or_else(|| inserted(new));
        for (topic, partitions) in counts {
            self.arrivals.note(topic, partitions);
        }
        self.subscribe_to(now, topics);
    }

    pub fn handle_metadata(&mut self, now: Instant, snapshot: Arc<Snapshot>) {
        self.snapshot = Arc::clone(&snapshot);
        self.arrivals.handle_metadata(&snapshot);
        let matched = self.matching.as_mut().and_then(|matching| matching.handle_metadata(now, &snapshot));
        match &mut self.machine {
            Machine::Choosing(..) => {}
            Machine::Classic(machine) => machine.handle_metadata(now, snapshot),
            Machine::Modern(machine) => machine.handle_metadata(now, snapshot),
        }
        self.take_matched(now, matched);
        self.plan_listing(now);
    }

    /// The application polls.
    pub fn handle_poll(&mut self, now: Instant) {
        either!(&mut self.machine, machine => machine.handle_poll(now));
    }

    /// A request as this member was refused with this code.
    pub fn handle_refusal(&mut self, now: Instant, code: Code, identity: &GroupMetadata) {
        either!(&mut self.machine, machine => machine.handle_refusal(now, code, identity));
    }

    /// The application has done the present step.
    pub fn handle_step_done(&mut self, now: Instant) {
        either!(&mut self.machine, machine => machine.handle_step_done(now));
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        self.plan_listing(now);
        either!(&mut self.machine, machine => machine.handle_timeout(now));
    }

    fn plan_listing(&mut self, now: Instant) {
        let request = self.matching.as_mut().and_then(|matching| matching.poll_request(now));
        self.actions.extend(request.map(Action::List));
    }

    /// Ends the membership.
    pub fn leave(&mut self, now: Instant, departure: Departure, reason: &str) {
        self.matching = None;
        self.arrivals.subscribe(&BTreeSet::new());
        let departure = if departure == Departure::Default && !self.leaves { Departure::Stay } else { departure };
        match (departure, &mut self.machine) {
            (_, Machine::Choosing(machine, _)) => machine.leave(),
            (Departure::Stay, Machine::Classic(machine)) => machine.stay(),
            (Departure::Stay, Machine::Modern(machine)) => machine.stay(now),
            (Departure::Default | Departure::Leave, Machine::Classic(machine)) => {
                machine.leave(now, departure == Departure::Leave, reason);
            }
            (Departure::Default | Departure::Leave, Machine::Modern(machine)) => {
                machine.leave(now, departure == Departure::Leave, reason);
            }
        }
    }

    /// Whether the coordinator has not confirmed yet that the member has left.
    pub fn is_leaving(&self) -> bool {
        either!(&self.machine, machine => machine.is_leaving())
    }

    /// Takes the step that the application has to do next.
    pub fn step(&mut self) -> Option<Step> {
        either!(&mut self.machine, machine => machine.step())
    }

    pub fn has_step(&self) -> bool {
        either!(&self.machine, machine => machine.has_step())
    }

    pub fn has_actions(&self) -> bool {
        !self.actions.is_empty() || either!(&self.machine, machine => machine.has_actions())
    }

    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front().or_else(|| match &mut self.machine {
            Machine::Choosing(machine, _) => machine.poll_action().map(Action::Choosing),
            Machine::Classic(machine) => machine.poll_action().map(Action::Classic),
            Machine::Modern(machine) => machine.poll_action().map(Action::Modern),
        })
    }

    /// Takes the next error that the application is to know.
    pub fn poll_error(&mut self) -> Option<Error> {
        either!(&mut self.machine, machine => machine.standing_mut()).poll_error()
    }

    pub fn has_error(&self) -> bool {
        self.standing().has_error()
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        let listing = self.matching.as_ref().and_then(Matching::poll_timeout);
        let machine = either!(&self.machine, machine => machine.poll_timeout());
        [listing, machine].into_iter().flatten().min()
    }

    /// Grows whenever [`Self::identity`] or [`Self::owned`] may have changed.
    pub fn version(&self) -> u64 {
        self.standing().version()
    }

    /// Under which identity offsets are committed.
    pub fn identity(&self) -> &GroupMetadata {
        self.standing().identity()
    }

    /// Under which identity committed offsets are read. The classic protocol has none for that.
    pub fn reads_as(&self) -> Option<&GroupMetadata> {
        match &self.machine {
            Machine::Choosing(..) | Machine::Classic(_) => None,
            Machine::Modern(machine) => {
                Some(machine.standing().identity()).filter(|identity| identity.generation != NO_GENERATION)
            }
        }
    }

    /// The partitions that the application has taken and not given up.
    pub fn owned(&self) -> &BTreeSet<TopicPartition> {
        self.standing().owned()
    }

    /// The topics that are subscribed to. Where a pattern is, those that match it.
    pub fn subscription(&self) -> &BTreeSet<TopicName> {
        self.standing().subscription()
    }

    /// Whether a partition was created after its topic was subscribed to.
    pub fn is_late(&self, key: &TopicPartition) -> bool {
        self.arrivals.is_late(key)
    }

    pub fn counters(&self) -> GroupCounters {
        self.standing().counters()
    }

    /// Whether the member has an assignment, and no rebalance is known to be on.
    pub fn is_stable(&self) -> bool {
        either!(&self.machine, machine => machine.is_stable())
    }
}

fn no_server_patterns() -> Error {
    Error::new(
        Kind::Config,
        "only the protocol `consumer` has patterns that the coordinator matches: set `group_protocol` / `group.protocol` to consumer, or \
         take a pattern that the client matches (`TopicPattern::regex`)",
    )
}
