//! Settings of a member of a group, by either protocol.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::client::Cluster;
use crate::config::Properties;
use crate::consumer::core;
use crate::consumer::listener::RebalanceListener;
use crate::error::Error;
use crate::group::GroupProtocol;
use crate::group::assignor;
use crate::group::assignor::Assignor;
use crate::group::choosing;
use crate::group::choosing::Choosing;
use crate::group::classic;
use crate::group::classic::Classic;
use crate::group::matching;
use crate::group::member::Machine;
use crate::group::member::Member;
use crate::group::member::Selection;
use crate::group::modern;
use crate::group::modern::Modern;
use crate::group::pattern::TopicPattern;
use crate::net::clock;
use crate::types::TopicName;
use crate::types::bounded;

const SESSION_TIMEOUT: Duration = Duration::from_secs(45);
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(3);

/// The settings of a member of a group.
#[derive(Clone, Debug)]
pub(super) struct Membership {
    pub(super) topics: BTreeSet<TopicName>,
    pub(super) pattern: Option<TopicPattern>,
    /// Whether Kafka's own topics match no pattern.
    pub(super) excludes_internal: bool,
    pub(super) protocol: GroupProtocol,
    pub(super) instance: Option<String>,
    /// Only the classic protocol has it, and the two after it. `None` where it was not set.
    pub(super) assignors: Option<Vec<Arc<dyn Assignor>>>,
    pub(super) session_timeout: Option<Duration>,
    pub(super) heartbeat_interval: Option<Duration>,
    /// Only the protocol `consumer` has it.
    pub(super) remote_assignor: Option<String>,
    /// Whether a dynamic member leaves the group when the consumer is closed or dropped.
    pub(super) leaves_on_close: bool,
    pub(super) poll_interval_max: Duration,
    /// `None`: a consumer that subscribes does, and one that assigns does not.
    pub(super) auto_commit: Option<bool>,
    pub(super) auto_commit_interval: Duration,
    pub(super) listener: Option<Arc<dyn RebalanceListener>>,
}

impl Default for Membership {
    fn default() -> Self {
        Self {
            topics: BTreeSet::new(),
            pattern: None,
            excludes_internal: true,
            protocol: GroupProtocol::default(),
            instance: None,
            assignors: None,
            session_timeout: None,
            heartbeat_interval: None,
            remote_assignor: None,
            leaves_on_close: true,
            poll_interval_max: Duration::from_secs(300),
            auto_commit: None,
            auto_commit_interval: Duration::from_secs(5),
            listener: None,
        }
    }
}

impl Membership {
    pub(super) fn apply(&mut self, properties: &Properties) -> Result<(), Error> {
        if let Some(name) = properties.get("group.instance.id") {
            self.instance = Some(name.to_owned());
        }
        if let Some(names) = properties.get("partition.assignment.strategy") {
            let by_name = |name: &str| {
                let unknown = || {
                    Error::config(format!(
                        "partition.assignment.strategy: there is no built-in assignor {name:?}: it is range, roundrobin, \
                         sticky or cooperative-sticky, or Java's class of one; pass your own by assignors()"
                    ))
                };
                assignor::by_name(name.trim()).ok_or_else(unknown)
            };
            self.assignors = Some(names.split(',').map(by_name).collect::<Result<_, _>>()?);
        }
        match properties.get("group.protocol") {
            Some("auto") => self.protocol = GroupProtocol::Auto,
            Some("consumer") => self.protocol = GroupProtocol::Consumer,
            Some(_) => self.protocol = GroupProtocol::Classic,
            None => {}
        }
        if let Some(name) = properties.get("group.remote.assignor") {
            self.remote_assignor = Some(name.to_owned());
        }
        if let Some(leave) = properties.get("internal.leave.group.on.close") {
            self.leaves_on_close = leave == "true";
        }
        if let Some(exclude) = properties.get("exclude.internal.topics") {
            self.excludes_internal = exclude == "true";
        }
        self.session_timeout = properties.millis("session.timeout.ms").or(self.session_timeout);
        self.heartbeat_interval = properties.millis("heartbeat.interval.ms").or(self.heartbeat_interval);
        let millis = |name, slot: &mut Duration| *slot = properties.millis(name).unwrap_or(*slot);
        millis("max.poll.interval.ms", &mut self.poll_interval_max);
        millis("auto.commit.interval.ms", &mut self.auto_commit_interval);
        if let Some(enable) = properties.get("enable.auto.commit") {
            self.auto_commit = Some(enable == "true");
        }
        Ok(())
    }

    /// Refuses settings that the protocol does not have, as Java does, and those that contradict each other.
    pub(super) fn check_protocol(&self) -> Result<(), Error> {
        match self.protocol {
            GroupProtocol::Auto if self.is_classic_only() => self.check_classic(),
            GroupProtocol::Auto => Ok(()),
            GroupProtocol::Classic => self.check_classic(),
            GroupProtocol::Consumer => self.check_consumer(),
        }
    }

    /// Whether a setting is made that only the classic protocol has.
    fn is_classic_only(&self) -> bool {
        self.assignors.is_some() || self.session_timeout.is_some() || self.heartbeat_interval.is_some()
    }

    fn check_classic(&self) -> Result<(), Error> {
        let wrong = |text: &str| Err(Error::config(text));
        if self.remote_assignor.is_some() && self.protocol == GroupProtocol::Auto {
            return wrong(
                "`group_remote_assignor` / `group.remote.assignor` is for the protocol `consumer`, and the assignors, the session timeout \
                 and the heartbeat interval of a member are for the classic one: set one or the other",
            );
        }
        if self.remote_assignor.is_some() {
            return wrong(
                "`group_remote_assignor` / `group.remote.assignor` is for the protocol `consumer`, and this is the classic one: set \
                 `group_protocol` / `group.protocol` to consumer, or `assignors` / `partition.assignment.strategy` instead",
            );
        }
        if self.assignors.as_ref().is_some_and(Vec::is_empty) {
            return wrong("there is no assignor: name one by `assignors` / `partition.assignment.strategy`");
        }
        let interval = self.heartbeat_interval.unwrap_or(HEARTBEAT_INTERVAL);
        if interval.is_zero() || interval >= self.session_timeout.unwrap_or(SESSION_TIMEOUT) {
            return wrong(
                "`heartbeat_interval` / `heartbeat.interval.ms` is zero or no shorter than `session_timeout` / \
                 `session.timeout.ms`: choose a third of it or so",
            );
        }
        Ok(())
    }

    fn check_consumer(&self) -> Result<(), Error> {
        let foreign = [
            (
                self.assignors.is_some(),
                "`assignors` / `partition.assignment.strategy`",
                "the coordinator assigns: name its assignor by `group_remote_assignor` / `group.remote.assignor`",
            ),
            (
                self.session_timeout.is_some(),
                "`session_timeout` / `session.timeout.ms`",
                "the brokers have it: `group.consumer.session.timeout.ms`, and `consumer.session.timeout.ms` of the group",
            ),
            (
                self.heartbeat_interval.is_some(),
                "`heartbeat_interval` / `heartbeat.interval.ms`",
                "the brokers have it: `group.consumer.heartbeat.interval.ms`, and `consumer.heartbeat.interval.ms` of the group",
            ),
        ];
        match foreign.into_iter().find(|(is_set, ..)| *is_set) {
            None => Ok(()),
            Some((_, name, instead)) => Err(Error::config(format!(
                "{name} cannot be set with `group_protocol` / `group.protocol` consumer: leave it out; {instead}"
            ))),
        }
    }

    /// The member that joins the group, for a consumer that subscribes.
    pub(super) fn member(self, core: &core::Config, cluster: &Cluster) -> Result<Option<Member>, Error> {
        if !self.subscribes() {
            return Ok(None);
        }
        let selection = match &self.pattern {
            Some(pattern) => Selection::Pattern(pattern.clone()),
            None => Selection::Topics(self.topics.clone()),
        };
        let now = clock::now();
        let (matching, leaves) = (self.matching(cluster), self.leaves_on_close);
        let machine = match self.protocol {
            GroupProtocol::Auto if !self.is_classic_only() => {
                let (classic, modern) = (self.clone().classic(core, cluster), self.modern(core, cluster));
                let choosing = Choosing::new(choosing::Settings {
                    group: classic.group.clone(),
                    instance: classic.instance.clone(),
                    request_timeout: classic.request_timeout,
                    retry_backoff: classic.retry_backoff,
                    retry_backoff_max: classic.retry_backoff_max,
                    seed: clock::seed(),
                });
                Machine::Choosing(Box::new(choosing), Box::new((classic, modern)))
            }
            GroupProtocol::Auto => {
                let (group, reason) = (core.group.as_deref(), "a setting is made that only the classic protocol has");
                tracing::info!(target: "ottla::group", group, protocol = "classic", reason, "group protocol chosen");
                Machine::Classic(Box::new(Classic::new(self.classic(core, cluster))))
            }
            GroupProtocol::Classic => Machine::Classic(Box::new(Classic::new(self.classic(core, cluster)))),
            GroupProtocol::Consumer => Machine::Modern(Box::new(Modern::new(self.modern(core, cluster)))),
        };
        let mut member = Member::new(machine, matching, leaves);
        member.handle_metadata(now, cluster.snapshot());
        member.subscribe(now, selection)?;
        Ok(Some(member))
    }

    /// Whether the group assigns the partitions.
    pub(super) fn subscribes(&self) -> bool {
        !self.topics.is_empty() || self.pattern.is_some()
    }

    fn matching(&self, cluster: &Cluster) -> matching::Settings {
        let settings = cluster.settings();
        matching::Settings {
            excludes_internal: self.excludes_internal,
            interval: settings.metadata_age_max,
            request_timeout: settings.request_timeout,
            retry_backoff: settings.retry_backoff,
            retry_backoff_max: settings.retry_backoff_max,
            seed: clock::seed(),
        }
    }

    fn classic(self, core: &core::Config, cluster: &Cluster) -> classic::Settings {
        let settings = cluster.settings();
        let defaults: fn() -> Vec<Arc<dyn Assignor>> =
            || vec![Arc::new(assignor::Range), Arc::new(assignor::CooperativeSticky)];
        classic::Settings {
            group: core.group.clone().unwrap_or_default(),
            instance: self.instance,
            rack: core.rack.clone(),
            assignors: self.assignors.unwrap_or_else(defaults),
            session_timeout: bounded(self.session_timeout.unwrap_or(SESSION_TIMEOUT)),
            heartbeat_interval: bounded(self.heartbeat_interval.unwrap_or(HEARTBEAT_INTERVAL)),
            poll_interval_max: bounded(self.poll_interval_max),
            request_timeout: settings.request_timeout,
            retry_backoff: settings.retry_backoff,
            retry_backoff_max: settings.retry_backoff_max,
            seed: clock::seed(),
        }
    }

    fn modern(self, core: &core::Config, cluster: &Cluster) -> modern::Settings {
        let settings = cluster.settings();
        modern::Settings {
            group: core.group.clone().unwrap_or_default(),
            instance: self.instance,
            rack: core.rack.clone(),
            assignor: self.remote_assignor,
            poll_interval_max: bounded(self.poll_interval_max),
            request_timeout: settings.request_timeout,
            retry_backoff: settings.retry_backoff,
            retry_backoff_max: settings.retry_backoff_max,
            seed: clock::seed(),
        }
    }
}
