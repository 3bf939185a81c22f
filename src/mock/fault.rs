//! Scripts of faults: the requests that they select, how many of those pass, and the faults for the others.

use std::collections::VecDeque;
use std::time::Duration;

use kafka_protocol::error::ResponseError;

use crate::error::Code;
use crate::mock::seen::SeenRequest;
use crate::types::TopicName;

/// A fault that a [`Script`] applies to a request, instead of its response or besides it.
///
/// # Examples
///
/// ```
/// use ottla::error::Code;
/// use ottla::mock::{Cluster, Fault, key};
///
/// let mut cluster = Cluster::builder().topic("events", 1).build();
/// cluster.inject(key::FETCH, Fault::Error(Code::NotLeaderOrFollower), 3);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The connection is closed after the request has taken effect.
    CloseAfter,
    /// The connection is closed before the request takes effect.
    CloseBefore,
    /// The next records that the fetch returns have a flipped bit in their first batch, so that its
    /// checksum does not fit, as a disk or a network card may do it. The log itself stays whole.
    CorruptRecords,
    /// At most this many bytes of the response are sent, its size prefix included, and never all of them; then the connection
    /// is closed. The request has taken effect.
    CutReply(usize),
    /// The response comes this much later; the request takes effect at once. Later requests of the connection wait behind it.
    Delay(Duration),
    /// The response comes in pieces of this many bytes, one after each pause. Later requests of the connection wait behind it.
    Drip {
        /// The size of a piece in bytes; at least 1.
        bytes: usize,
        /// The time before each piece but the first.
        pause: Duration,
    },
    /// The scope of the script is answered with this error code and has no effect. The scope is the partition or topic that
    /// the script names, otherwise every partition, topic or key of the request, or the whole response where it has one code.
    /// [`Code::Unknown`] has the number of a code that this library does not know.
    Error(Code),
    /// The request takes effect, and the response reports this error code for the scope of the script, as in
    /// [`Fault::Error`]. A request that the cluster refuses anyway keeps its own error code.
    ///
    /// Kafka answers these codes to a Produce request whose batch is in the leader's log: `REQUEST_TIMED_OUT` (7),
    /// `NOT_ENOUGH_REPLICAS_AFTER_APPEND` (20), `NOT_LEADER_OR_FOLLOWER` (6), `UNKNOWN_TOPIC_OR_PARTITION` (3) and
    /// `KAFKA_STORAGE_ERROR` (56) from
    /// `DelayedProduce`, `UNKNOWN_SERVER_ERROR` (−1) and `NETWORK_EXCEPTION` (13) from whatever fails behind the append. An
    /// OffsetCommit that is in the log is answered with `COORDINATOR_NOT_AVAILABLE` (15) or `NOT_COORDINATOR` (16)
    /// (`GroupMetadataManager.storeOffsets`), a CreateTopics or DeleteTopics with `REQUEST_TIMED_OUT`.
    ///
    /// # Examples
    ///
    /// ```
    /// use ottla::error::Code;
    /// use ottla::mock::{Cluster, Fault, On, key};
    ///
    /// let mut cluster = Cluster::builder().topic("events", 1).build();
    /// // The leader appends the next batch, and then the followers do not respond in time.
    /// let late = Fault::ErrorAfter(Code::RequestTimedOut);
    /// cluster.play(On::api(key::PRODUCE).partition("events", 0).then(late));
    /// ```
    ErrorAfter(Code),
    /// The request is read only after this time, and is applied to the cluster as it is then. Later requests of the
    /// connection wait behind it.
    Hold(Duration),
    /// The response is lost and the connection stays; the request has taken effect.
    Lost,
    /// The request is lost and the connection stays; it has no effect.
    Swallowed,
    /// The response asks the client to be silent for this many milliseconds. The broker itself delays nothing: since Kafka 2.0
    /// it responds first, and the client has to wait (KIP-219).
    Throttle(i32),
    /// The response has this correlation id instead of the request's.
    WrongCorrelationId(i32),
}

/// Selects the requests that match every condition of it.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use ottla::error::Code;
/// use ottla::mock::{Cluster, Fault, On, key};
///
/// let mut cluster = Cluster::builder().brokers(3).topic("events", 6).build();
/// // Of the requests that append to events[2], the first passes, the next two are refused, the fourth is applied and then
/// // its connection is closed.
/// let refused = Fault::Error(Code::NotLeaderOrFollower);
/// let script = On::api(key::PRODUCE).partition("events", 2).pass(1).then(refused).times(2).then(Fault::CloseAfter);
/// let script = cluster.play(script);
/// // Every response of broker 2 is late, forever.
/// cluster.play(On::any().broker(2).then(Fault::Delay(Duration::from_millis(30))).forever());
///
/// assert_eq!(cluster.strikes(script), 0);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct On {
    api_key: Option<i16>,
    broker: Option<i32>,
    client_id: Option<String>,
    name: Option<String>,
    topic: Option<TopicName>,
    partition: Option<i32>,
}

impl On {
    /// Selects every request.
    pub fn any() -> Self {
        Self::default()
    }

    /// Selects the requests of one API; [`key`](crate::mock::key) has the numbers.
    pub fn api(api_key: i16) -> Self {
        Self { api_key: Some(api_key), ..Self::default() }
    }

    /// Only those sent to this broker.
    pub fn broker(mut self, broker: i32) -> Self {
        self.broker = Some(broker);
        self
    }

    /// Only those of clients with this client id.
    pub fn client(mut self, client_id: &str) -> Self {
        self.client_id = Some(client_id.to_owned());
        self
    }

    /// Only those that name this group, transactional id or coordinator key, alone or among others.
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// Only those that name this topic or a partition of it, or fetch one in a session.
    pub fn topic(mut self, topic: &str) -> Self {
        self.topic = Some(topic.into());
        self.partition = None;
        self
    }

    /// Only those that name this partition or its whole topic, or fetch it in a session.
    pub fn partition(mut self, topic: &str, partition: i32) -> Self {
        self.topic = Some(topic.into());
        self.partition = Some(partition);
        self
    }

    /// Begins a script that lets the first `requests` pass.
    pub fn pass(self, requests: u32) -> Script {
        Script::new(self).pass(requests)
    }

    /// Begins a script with one fault.
    pub fn then(self, fault: Fault) -> Script {
        Script::new(self).then(fault)
    }

    /// Whether a request is selected. `fetched` has the partitions that its session adds to those that it names.
    pub(super) fn selects(&self, seen: &SeenRequest, fetched: &[(TopicName, i32)]) -> bool {
        let topic = |topic: &TopicName| {
            let named = seen.partitions.iter().any(|seen| seen.is(topic, self.partition));
            let within = |(other, partition): &(TopicName, i32)| {
                other == topic && self.partition.is_none_or(|only| only == *partition)
            };
            seen.all_topics || named || fetched.iter().any(within)
        };
        self.api_key.is_none_or(|only| only == seen.api_key)
            && self.broker.is_none_or(|only| only == seen.broker)
            && self.client_id.as_ref().is_none_or(|only| *only == seen.client_id)
            && self.name.as_ref().is_none_or(|only| *only == seen.name || seen.name.split(' ').any(|name| name == only))
            && self.topic.as_ref().is_none_or(topic)
    }

    /// The topic or partition that an error is limited to.
    fn scope(&self) -> (Option<&TopicName>, Option<i32>) {
        (self.topic.as_ref(), self.partition)
    }
}

/// The steps that are applied to the requests that an [`On`] selects, one after the other. The script ends with its last step.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use ottla::error::Code;
/// use ottla::mock::{Fault, On, Script, key};
///
/// // The first commit of group g passes; the next two are refused, and late.
/// let late = Fault::Delay(Duration::from_millis(20));
/// let refused = Fault::Error(Code::NotCoordinator);
/// let script: Script = On::api(key::OFFSET_COMMIT).name("g").pass(1).then(refused).and(late).times(2);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a script does nothing until the cluster plays it"]
pub struct Script {
    on: On,
    steps: VecDeque<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Step {
    /// Empty where the request passes.
    faults: Vec<Fault>,
    /// The number of requests that it is for; `None` for all of them.
    left: Option<u32>,
}

impl Script {
    fn new(on: On) -> Self {
        Self { on, steps: VecDeque::new() }
    }

    /// Lets the next `requests` pass.
    pub fn pass(mut self, requests: u32) -> Self {
        self.steps.push_back(Step { faults: Vec::new(), left: Some(requests) });
        self
    }

    /// Applies a fault to the next request.
    pub fn then(mut self, fault: Fault) -> Self {
        self.steps.push_back(Step { faults: vec![fault], left: Some(1) });
        self
    }

    /// Adds a fault to the last step, for example a delay to an error. Of several faults that end a request, the first one
    /// counts.
    pub fn and(mut self, fault: Fault) -> Self {
        if let Some(step) = self.steps.back_mut() {
            step.faults.push(fault);
        }
        self
    }

    /// Applies the last step to this many requests.
    pub fn times(mut self, requests: u32) -> Self {
        if let Some(step) = self.steps.back_mut() {
            step.left = Some(requests);
        }
        self
    }

    /// Applies the last step to all requests from then on.
    pub fn forever(mut self) -> Self {
        if let Some(step) = self.steps.back_mut() {
            step.left = None;
        }
        self
    }

    /// Takes the faults of the next step, and counts it down.
    fn step(&mut self) -> Vec<Fault> {
        let Some(step) = self.steps.front_mut() else { return Vec::new() };
        let Some(left) = &mut step.left else { return step.faults.clone() };
        *left = left.saturating_sub(1);
        let spent = *left == 0;
        if spent { self.steps.pop_front().map(|step| step.faults).unwrap_or_default() } else { step.faults.clone() }
    }
}

/// Identifies a script that a cluster plays; see [`Cluster::play`](crate::mock::Cluster::play).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ScriptId(usize);

/// The scripts being played.
#[derive(Debug, Default)]
pub(super) struct Scripts {
    playing: Vec<(ScriptId, Script)>,
    /// The number of requests that each script has hit, by its id.
    strikes: Vec<u64>,
}

impl Scripts {
    pub(super) fn play(&mut self, mut script: Script) -> ScriptId {
        let id = ScriptId(self.strikes.len());
        self.strikes.push(0);
        script.steps.retain(|step| step.left != Some(0));
        if !script.steps.is_empty() {
            self.playing.push((id, script));
        }
        id
    }

    pub(super) fn stop(&mut self, id: ScriptId) {
        self.playing.retain(|(playing, _)| *playing != id);
    }

    pub(super) fn clear(&mut self) {
        self.playing.clear();
    }

    pub(super) fn strikes(&self, id: ScriptId) -> u64 {
        self.strikes.get(id.0).copied().unwrap_or(0)
    }

    pub(super) fn is_playing(&self, id: ScriptId) -> bool {
        self.playing.iter().any(|(playing, _)| *playing == id)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.playing.is_empty()
    }

    /// Takes the faults for a request: of the oldest script that selects it as a whole, and of the oldest for each topic or
    /// partition of it.
    pub(super) fn strike(&mut self, seen: &SeenRequest, fetched: &[(TopicName, i32)]) -> Strike {
        let mut strike = Strike::default();
        let mut taken: Vec<(Option<TopicName>, Option<i32>)> = Vec::new();
        for (id, script) in &mut self.playing {
            let (topic, partition) = script.on.scope();
            let scope = (topic.cloned(), partition);
            if taken.contains(&scope) || !script.on.selects(seen, fetched) {
                continue;
            }
            let faults = script.step();
            self.strikes[id.0] += u64::from(!faults.is_empty());
            for fault in faults {
                strike.add(fault, &scope);
            }
            taken.push(scope);
        }
        self.playing.retain(|(_, script)| !script.steps.is_empty());
        strike
    }
}

/// The faults of all scripts for one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Strike {
    pub(super) errors: Errors,
    /// Errors that are reported once the request has taken effect.
    pub(super) late_errors: Errors,
    pub(super) hold: Duration,
    pub(super) delay: Duration,
    pub(super) throttle_ms: Option<i32>,
    pub(super) corrupt: bool,
    pub(super) end: Option<End>,
    pub(super) drip: Option<(usize, Duration)>,
    pub(super) correlation_id: Option<i32>,
}

/// How a request ends other than with a whole response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    CloseAfter,
    CloseBefore,
    CutReply(usize),
    Lost,
    Swallowed,
}

impl Strike {
    fn add(&mut self, fault: Fault, (topic, partition): &(Option<TopicName>, Option<i32>)) {
        let end = match fault {
            Fault::CloseAfter => End::CloseAfter,
            Fault::CloseBefore => End::CloseBefore,
            Fault::CutReply(bytes) => End::CutReply(bytes),
            Fault::Lost => End::Lost,
            Fault::Swallowed => End::Swallowed,
            Fault::Delay(delay) => return self.delay = self.delay.max(delay),
            Fault::Hold(hold) => return self.hold = self.hold.max(hold),
            Fault::Drip { bytes, pause } => return self.drip = Some((bytes.max(1), pause)),
            Fault::Throttle(throttle_ms) => return self.throttle_ms = Some(throttle_ms),
            Fault::WrongCorrelationId(id) => return self.correlation_id = Some(id),
            Fault::CorruptRecords => return self.corrupt = true,
            Fault::Error(code) => return self.errors.add(topic.as_ref(), *partition, code),
            Fault::ErrorAfter(code) => return self.late_errors.add(topic.as_ref(), *partition, code),
        };
        self.end.get_or_insert(end);
    }
}

/// The injected errors of one request, each with the topic and the partition it is limited to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Errors(Vec<(Option<TopicName>, Option<i32>, ResponseError)>);

impl Errors {
    fn add(&mut self, topic: Option<&TopicName>, partition: Option<i32>, code: Code) {
        if let Some(error) = ResponseError::try_from_code(code.to_wire()) {
            self.0.push((topic.cloned(), partition, error));
        }
    }

    /// Takes the errors of `others` as well.
    pub(super) fn extend(&mut self, others: &Self) {
        self.0.extend_from_slice(&others.0);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The error for the request as a whole, or for a key of it.
    pub(super) fn whole(&self) -> Option<ResponseError> {
        self.find(|topic, _| topic.is_none())
    }

    /// The error for a topic as a whole.
    pub(super) fn topic(&self, name: &str) -> Option<ResponseError> {
        self.find(|topic, partition| topic.is_none_or(|only| **only == *name) && partition.is_none())
    }

    /// The error for a partition.
    pub(super) fn partition(&self, name: &str, index: i32) -> Option<ResponseError> {
        self.find(|topic, partition| {
            topic.is_none_or(|only| **only == *name) && partition.is_none_or(|only| only == index)
        })
    }

    fn find(&self, fits: impl Fn(Option<&TopicName>, Option<i32>) -> bool) -> Option<ResponseError> {
        self.0.iter().find(|(topic, partition, _)| fits(topic.as_ref(), *partition)).map(|(_, _, error)| *error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mock::seen::tests::seen;

    fn end(scripts: &mut Scripts, seen: &SeenRequest) -> Option<End> {
        scripts.strike(seen, &[]).end
    }

    #[test]
    fn script_applies_its_steps_to_selected_requests() {
        let mut scripts = Scripts::default();
        let on = On::api(0).broker(2);
        let id = scripts.play(on.pass(1).then(Fault::Lost).times(2).then(Fault::CloseAfter));
        assert_eq!(end(&mut scripts, &seen(1, 0, &[])), None, "another broker");
        assert_eq!(end(&mut scripts, &seen(2, 3, &[])), None, "another API");
        let ends: Vec<_> = (0..5).map(|_| end(&mut scripts, &seen(2, 0, &[]))).collect();
        assert_eq!(ends, [None, Some(End::Lost), Some(End::Lost), Some(End::CloseAfter), None]);
        assert_eq!((scripts.strikes(id), scripts.is_playing(id), scripts.is_empty()), (3, false, true));
    }

    #[test]
    fn scripts_for_the_same_requests_play_one_after_the_other() {
        let mut scripts = Scripts::default();
        scripts.play(On::api(0).then(Fault::Lost));
        scripts.play(On::any().then(Fault::Swallowed).forever());
        let ends: Vec<_> = (0..3).map(|_| end(&mut scripts, &seen(1, 0, &[]))).collect();
        assert_eq!(ends, [Some(End::Lost), Some(End::Swallowed), Some(End::Swallowed)]);
    }

    #[test]
    fn scripts_for_different_partitions_apply_together() {
        let mut scripts = Scripts::default();
        scripts
            .play(On::api(0).partition("t", 1).then(Fault::Error(Code::NotLeaderOrFollower)).and(Fault::Throttle(5)));
        scripts.play(On::api(0).partition("t", 2).then(Fault::Error(Code::UnknownTopicOrPartition)));
        scripts.play(On::api(0).topic("u").then(Fault::Error(Code::Unknown(999))));
        let strike = scripts.strike(&seen(1, 0, &[("t", 0), ("t", 1), ("u", 4)]), &[("t".into(), 2)]);
        assert_eq!(strike.throttle_ms, Some(5));
        let code = |error: Option<ResponseError>| error.map(|error| error.code());
        let errors = &strike.errors;
        assert_eq!(
            [("t", 0), ("t", 1), ("t", 2), ("u", 4), ("v", 0)].map(|(t, p)| code(errors.partition(t, p))),
            [None, Some(6), Some(3), Some(999), None]
        );
        assert_eq!((code(errors.topic("t")), code(errors.topic("u")), errors.whole()), (None, Some(999), None));
    }

    #[test]
    fn first_end_and_longest_delay_win() {
        let mut scripts = Scripts::default();
        let (short, long) = (Duration::from_millis(1), Duration::from_millis(9));
        let script = On::any().then(Fault::CloseBefore).and(Fault::Lost).and(Fault::Delay(long));
        scripts.play(script.and(Fault::Delay(short)));
        let strike = scripts.strike(&seen(1, 0, &[]), &[]);
        assert_eq!((strike.end, strike.delay), (Some(End::CloseBefore), long));
    }

    #[test]
    fn step_for_zero_requests_is_skipped() {
        let mut scripts = Scripts::default();
        let id = scripts.play(On::any().pass(0).then(Fault::Lost).times(0));
        assert!(!scripts.is_playing(id));
        scripts.play(On::any().pass(0).then(Fault::Lost));
        assert_eq!(end(&mut scripts, &seen(1, 0, &[])), Some(End::Lost));
    }
}
