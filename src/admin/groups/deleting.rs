//! Deletes groups.

use std::collections::HashMap;

use super::super::Admin;
use super::super::TARGET;
use super::Attempt;
use super::Outcomes;
use super::each;
use super::failed;
use super::in_order;
use super::left_out;
use super::refused;
use crate::client::Target;
use crate::error::Error;
use crate::wire::message as m;

impl Admin {
    /// Deletes groups without members, with their offsets. Each has an outcome of its own, in the order of the call.
    ///
    /// A group with members has the error [`NON_EMPTY_GROUP`](crate::error::Code::NonEmptyGroup), one that does not exist
    /// [`GROUP_ID_NOT_FOUND`](crate::error::Code::GroupIdNotFound). A request whose response was lost is repeated, so that a group that
    /// the first request deleted may be reported as not found.
    ///
    /// ```no_run
    /// # async fn run(admin: ottla::admin::Admin) -> Result<(), ottla::Error> {
    /// for (group, deleted) in admin.delete_groups(["billing-test"]).await {
    ///     deleted?;
    ///     println!("deleted {group}");
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn delete_groups<G: Into<String>>(
        &self,
        groups: impl IntoIterator<Item = G>,
    ) -> Vec<(String, Result<(), Error>)> {
        let groups: Vec<String> = groups.into_iter().map(Into::into).collect();
        let deleted = self.at_coordinators(groups.clone(), self.deadline(), delete).await;
        let changed = deleted.values().filter(|outcome| outcome.is_ok()).count();
        tracing::info!(target: TARGET, changed, refused = deleted.len() - changed, "groups deleted");
        in_order(groups, &deleted)
    }
}

async fn delete((admin, broker, groups, until): Attempt) -> Outcomes<()> {
    let request = m::DeleteGroupsRequest { groups: groups.clone() };
    let response = match admin.cluster.call(Target::Broker(broker), request, until).await {
        Ok(response) => response,
        Err(error) => return failed(groups, &error),
    };
    let mut found: HashMap<Box<str>, m::DeletedGroup> =
        response.results.into_iter().map(|result| (result.group.clone(), result)).collect();
    each(groups, |group| match found.remove(group) {
        Some(m::DeletedGroup { error: Some(code), error_message, .. }) => {
            Err(refused(code, "delete", group, error_message.as_deref().map(|text| &**text)))
        }
        Some(_) => Ok(()),
        None => Err(left_out(group)),
    })
}
