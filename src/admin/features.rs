//! The cluster's features, as `metadata.version` and `transaction.version`: describe, change (KIP-584).

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::Admin;
use super::items::accepted;
use super::items::check_text;
use super::items::left_out;
use super::items::of_valid;
use super::refused;
use crate::error::Error;
use crate::wire::message as m;

/// The features of a cluster, as one broker knows them. Returned by [`Admin::describe_features`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Features {
    /// The lowest and the highest level of each feature that the broker supports.
    pub supported: BTreeMap<String, (i16, i16)>,
    /// The level of each feature that the cluster uses. A feature at level 0 is off, and is left out.
    pub finalized: BTreeMap<String, i16>,
    /// Grows with each change; `None` if the broker does not know it.
    pub epoch: Option<i64>,
}

/// A change of a feature's level.
///
/// ```
/// use ottla::admin::FeatureUpdate;
///
/// let up = FeatureUpdate::upgrade("transaction.version", 2);
/// let off = FeatureUpdate::downgrade("group.version", 0);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureUpdate {
    feature: String,
    level: i16,
    kind: i8,
}

/// The numbers of `FeatureUpdate.UpgradeType`.
const UPGRADE: i8 = 1;
const DOWNGRADE: i8 = 2;
const UNSAFE_DOWNGRADE: i8 = 3;

impl FeatureUpdate {
    /// Raises a feature to this level.
    pub fn upgrade(feature: impl Into<String>, level: i16) -> Self {
        Self { feature: feature.into(), level, kind: UPGRADE }
    }

    /// Lowers a feature to this level, unless metadata would be lost. Level 0 turns it off.
    pub fn downgrade(feature: impl Into<String>, level: i16) -> Self {
        Self { feature: feature.into(), level, kind: DOWNGRADE }
    }

    /// Lowers a feature to this level, even if metadata is lost. Brokers before 3.3 do not tell it from [`Self::downgrade`].
    pub fn unsafe_downgrade(feature: impl Into<String>, level: i16) -> Self {
        Self { feature: feature.into(), level, kind: UNSAFE_DOWNGRADE }
    }

    /// The feature.
    pub fn feature(&self) -> &str {
        &self.feature
    }

    fn to_wire(&self) -> m::FeatureUpdate {
        m::FeatureUpdate {
            feature: self.feature.clone(),
            level: self.level,
            allow_downgrade: self.kind != UPGRADE,
            upgrade_kind: self.kind,
        }
    }
}

impl Admin {
    /// The features that a broker supports, and the levels that the cluster uses (API ApiVersions). Empty before Kafka 2.7.
    ///
    /// ```no_run
    /// # async fn run(admin: ottla::admin::Admin) -> Result<(), ottla::Error> {
    /// let features = admin.describe_features().await?;
    /// println!("transactions: {:?}", features.finalized.get("transaction.version"));
    /// # Ok(()) }
    /// ```
    pub async fn describe_features(&self) -> Result<Features, Error> {
        let response = self.cluster.call_any(m::ApiVersionsRequest, self.deadline()).await?;
        accepted(response.error, "could not describe features", None)?;
        let supported = |one: m::SupportedFeature| (one.name, (one.level_min, one.level_max));
        Ok(Features {
            supported: response.supported_features.into_iter().map(supported).collect(),
            finalized: response.finalized_features.into_iter().map(|one| (one.name, one.level)).collect(),
            epoch: Some(response.features_epoch).filter(|epoch| *epoch >= 0),
        })
    }

    /// Changes the levels of features. Each update has an outcome of its own, in the order of the call. A feature may be there once.
    ///
    /// Requests go to the controller (API UpdateFeatures, Kafka 2.7). Since Kafka 4.0 all updates succeed or fail together. If the
    /// response was lost, the errors say that the outcome is unknown (`is_written`).
    ///
    /// ```no_run
    /// # async fn run(admin: ottla::admin::Admin) -> Result<(), ottla::Error> {
    /// use ottla::admin::FeatureUpdate;
    ///
    /// for (update, outcome) in admin.update_features([FeatureUpdate::upgrade("transaction.version", 2)]).await {
    ///     outcome?;
    ///     println!("raised {}", update.feature());
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn update_features(
        &self,
        updates: impl IntoIterator<Item = FeatureUpdate>,
    ) -> Vec<(FeatureUpdate, Result<(), Error>)> {
        let mut seen = BTreeSet::new();
        let check = |update: &FeatureUpdate| {
            if !seen.insert(update.feature.clone()) {
                return Err(Error::config(format!("feature {} is there twice", update.feature)));
            }
            check_text("feature", &update.feature)
        };
        let request = |updates: &[&FeatureUpdate], timeout_ms| m::UpdateFeaturesRequest {
            timeout_ms,
            updates: updates.iter().map(|update| update.to_wire()).collect(),
            validate_only: false,
        };
        let update = async |updates: Vec<FeatureUpdate>| self.each_at_controller(&updates, request, updated).await;
        of_valid(updates.into_iter().collect(), check, update).await
    }
}

/// The outcome of each update: that of the whole response, unless the feature has one of its own.
fn updated(updates: &[&FeatureUpdate], response: m::UpdateFeaturesResponse) -> Vec<Result<(), Error>> {
    let results = &response.results;
    let outcome = |update: &&FeatureUpdate| {
        let failed = format!("could not change feature {}", update.feature);
        match (response.error, results.iter().find(|result| *result.feature == *update.feature)) {
            (Some(code), _) => Err(refused(code, &failed, response.error_message.as_deref())),
            (None, Some(result)) => accepted(result.error, &failed, result.error_message.as_deref()),
            (None, None) if results.is_empty() => Ok(()),
            (None, None) => Err(left_out(&failed)),
        }
    };
    updates.iter().map(outcome).collect()
}
