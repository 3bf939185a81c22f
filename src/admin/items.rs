//! Calls with several items: checks before anything is sent, outcomes by the order of the items, errors of brokers.

use std::collections::BTreeMap;
use std::time::Instant;

use tokio::task::JoinSet;

use super::Admin;
use super::TARGET;
use super::refused;
use crate::client::Target;
use crate::error::Code;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Written;
use crate::wire::Call;

/// The outcomes of items, in the order of the items.
pub(super) type InOrder<T> = Vec<Result<T, Error>>;

impl Admin {
    /// As [`Self::at_controller`], for items whose outcomes are in the order of the request.
    ///
    /// `request` gets the items that are open and the time that is left, in milliseconds. `outcomes` gets the same items, and returns
    /// an outcome for each.
    pub(super) async fn each_at_controller<K, T: Clone, C: Call>(
        &self,
        items: &[K],
        request: impl Fn(&[&K], i32) -> C,
        outcomes: impl Fn(&[&K], C::Response) -> InOrder<T>,
    ) -> InOrder<T> {
        let of = |open: &[usize]| -> Vec<&K> { open.iter().map(|at| &items[*at]).collect() };
        let request = |open: &[usize], timeout_ms| request(&of(open), timeout_ms);
        let outcomes = |open: &[usize], response| open.iter().copied().zip(outcomes(&of(open), response)).collect();
        let decided = self.at_controller((0..items.len()).collect(), self.deadline(), request, outcomes).await;
        decided.into_iter().map(|(_, outcome)| outcome).collect()
    }

    /// Sends a request that is not about items to the controller, until it responds or the call's deadline has passed.
    pub(super) async fn whole_at_controller<T: Clone, C: Call>(
        &self,
        request: impl Fn(i32) -> C,
        judge: impl Fn(C::Response) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let request = |_: &[()], timeout_ms| request(timeout_ms);
        let outcomes = |_: &[()], response| vec![((), judge(response))];
        let mut decided = self.at_controller(vec![()], self.deadline(), request, outcomes).await;
        decided.pop().map_or_else(|| Err(Error::protocol("the response lacks an outcome")), |((), outcome)| outcome)
    }

    /// Sends its request to each broker, all at the same time, until each has an outcome or `deadline` has passed. An error that
    /// `judge` finds in a response is retried too, where that may help. A broker that does not exist has its error at once.
    pub(super) async fn judged_at_brokers<C, T>(
        &self,
        requests: BTreeMap<i32, C>,
        deadline: Instant,
        judge: impl Fn(C::Response) -> Result<T, Error> + Copy + Send + 'static,
    ) -> BTreeMap<i32, Result<T, Error>>
    where
        C: Call<Response: Send> + Clone + Send + Sync + 'static,
        T: Send + 'static,
    {
        let known = self.those_that_exist(requests.keys().copied().collect(), deadline).await;
        let mut outcomes: BTreeMap<i32, Result<T, Error>> = BTreeMap::new();
        let mut running = JoinSet::new();
        for (broker, request) in requests {
            if !known.contains(&broker) {
                outcomes.insert(broker, Err(no_broker(broker)));
                continue;
            }
            outcomes.insert(broker, Err(Error::new(Kind::Closed, "the runtime is shutting down")));
            let admin = self.clone();
            let outcome = async move { (broker, admin.judged_at_broker(broker, request, deadline, judge).await) };
            running.spawn_on(outcome, self.cluster.runtime().handle());
        }
        while let Some(finished) = running.join_next().await {
            outcomes.extend(finished.ok());
        }
        outcomes
    }

    async fn judged_at_broker<C: Call + Clone, T>(
        &self,
        broker: i32,
        request: C,
        deadline: Instant,
        judge: impl Fn(C::Response) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut retry = self.cluster.retry(deadline);
        loop {
            let until = self.cluster.request_deadline(deadline);
            let response = self.cluster.call(Target::Broker(broker), request.clone(), until).await;
            let error = match response.and_then(&judge) {
                Ok(outcome) => return Ok(outcome),
                Err(error) => error.at_broker(broker.to_string()),
            };
            let may_have_changed = error.code().is_none() && error.is_written() != Some(Written::No);
            if !C::READ_ONLY && may_have_changed {
                return Err(error);
            }
            tracing::debug!(target: TARGET, api = C::API.name(), broker, error = %error.chain(), "request to a broker retried");
            retry.pause(error).await?;
        }
    }

    /// Those of these brokers that exist: by the metadata, or by a description of the cluster if it lacks one. All of them if nobody
    /// can say.
    async fn those_that_exist(&self, brokers: Vec<i32>, deadline: Instant) -> Vec<i32> {
        let snapshot = self.cluster.snapshot();
        if brokers.iter().all(|broker| snapshot.broker(*broker).is_some()) {
            return brokers;
        }
        self.cluster.refresh(&[]);
        self.broker_ids(deadline).await.unwrap_or(brokers)
    }
}

fn no_broker(broker: i32) -> Error {
    Error::config(format!("there is no broker {broker}: see which there are by describing the cluster"))
}

/// `Ok` without an error, or else the error of a broker.
pub(super) fn accepted(code: Option<Code>, failed: &str, message: Option<&str>) -> Result<(), Error> {
    code.map_or(Ok(()), |code| Err(refused(code, failed, message)))
}

/// The error for an item that a response leaves out.
pub(super) fn left_out(failed: &str) -> Error {
    Error::protocol(format!("{failed}: the response does not mention it"))
}

/// Refuses a text that a request would cut.
pub(super) fn check_text(name: &str, text: &str) -> Result<(), Error> {
    let limit = usize::from(i16::MAX.unsigned_abs());
    if text.len() <= limit {
        return Ok(());
    }
    let start: String = text.chars().take(40).collect();
    Err(Error::config(format!("the {name} {start:?}… has more than {limit} bytes")))
}

/// Carries out `call` for the items that `check` accepts. The others have their errors. Outcomes are in the order of the items.
pub(super) async fn of_valid<K: Clone, T, F: Future<Output = InOrder<T>>>(
    items: Vec<K>,
    check: impl FnMut(&K) -> Result<(), Error>,
    call: impl FnOnce(Vec<K>) -> F,
) -> Vec<(K, Result<T, Error>)> {
    let checked: Vec<Result<(), Error>> = items.iter().map(check).collect();
    let valid = items.iter().zip(&checked).filter(|(_, checked)| checked.is_ok()).map(|(item, _)| item.clone());
    let mut outcomes = call(valid.collect()).await.into_iter();
    let missing = || Err(Error::protocol("the response lacks an outcome"));
    let outcome = |(item, checked): (K, Result<(), Error>)| match checked {
        Ok(()) => (item, outcomes.next().unwrap_or_else(missing)),
        Err(error) => (item, Err(error)),
    };
    items.into_iter().zip(checked).map(outcome).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::*;
    use crate::types::TopicPartition;

    fn sendable<T: Send>(_: T) {}

    /// Compiled, not run: a call can be awaited in a task of its own.
    #[allow(dead_code)]
    fn futures_are_send(admin: &Admin) {
        sendable(admin.describe_acls(AclFilter::all()));
        sendable(admin.create_acls([Acl::allow("User:a", AclOperation::Read)]));
        sendable(admin.delete_acls([AclFilter::all()]));
        sendable(admin.describe_quotas(QuotaFilter::all()));
        sendable(admin.alter_quotas([QuotaChange::of(QuotaEntity::new())]));
        sendable(admin.list_scram_users());
        sendable(admin.describe_scram_users(["a"]));
        sendable(admin.alter_scram_users(Vec::new()));
        sendable(admin.describe_producers([TopicPartition::new("t", 0)]));
        sendable(admin.list_transactions(TransactionFilter::all()));
        sendable(admin.describe_transactions(["a"]));
        sendable(admin.abort_transactions(Vec::new()));
        sendable(admin.describe_quorum());
        sendable(admin.describe_features());
        sendable(admin.update_features(Vec::new()));
        sendable(admin.list_log_dirs());
        sendable(admin.alter_replica_log_dirs(Vec::new()));
        sendable(admin.elect_leaders(Election::Preferred, [TopicPartition::new("t", 0)]));
        sendable(admin.elect_all_leaders(Election::Preferred));
        sendable(admin.alter_reassignments(Vec::new()));
        sendable(admin.list_reassignments());
        sendable(admin.remove_members("g", Vec::new()));
        sendable(admin.remove_all_members("g", ""));
    }

    #[test]
    fn long_text_is_refused_by_its_beginning() {
        assert!(check_text("user", &"u".repeat(32_767)).is_ok());
        let error = check_text("user", &"u".repeat(32_768)).expect_err("too long").to_string();
        assert!(error.contains("the user \"uuuu") && error.len() < 200, "{error}");
    }

    #[tokio::test]
    async fn invalid_items_get_errors_in_their_places() {
        let check = |number: &i32| if *number < 0 { Err(Error::config("negative")) } else { Ok(()) };
        let call =
            async |numbers: Vec<i32>| numbers.into_iter().map(|number| Ok(number * 10)).collect::<InOrder<i32>>();
        let outcomes = of_valid(vec![1, -2, 3, -4], check, call).await;
        let shown: Vec<(i32, Option<i32>)> = outcomes.into_iter().map(|(item, outcome)| (item, outcome.ok())).collect();
        assert_eq!(shown, [(1, Some(10)), (-2, None), (3, Some(30)), (-4, None)]);
    }
}
