//! The features of the cluster, as `metadata.version` (KIP-584): the levels that are supported, and those in use.

use std::collections::BTreeMap;

use kafka_protocol::error::ResponseError;

use crate::mock::release::Release;

/// The features of a cluster.
#[derive(Clone, Debug)]
pub(super) struct Features {
    /// The lowest and the highest level of each feature.
    pub(super) supported: BTreeMap<&'static str, (i16, i16)>,
    /// The level of each feature that is in use. One at level 0 is off, and is left out.
    pub(super) finalized: BTreeMap<&'static str, i16>,
    /// Grows with each change.
    pub(super) epoch: i64,
}

/// A change of a feature's level.
#[derive(Clone, Debug)]
pub(super) struct Update<'a> {
    pub(super) feature: &'a str,
    pub(super) level: i16,
    /// `FeatureUpdate.UpgradeType`.
    pub(super) kind: i8,
}

impl Features {
    /// Those of a new cluster of a release.
    pub(super) fn of(release: Release) -> Self {
        let levels: &[(&str, (i16, i16), i16)] = match release {
            Release::V2_1 | Release::V2_8 => &[],
            Release::V3_9 => &[(METADATA, (1, 21), 21)],
            Release::V4_1 => &[
                (METADATA, (7, 27), 27),
                ("eligible.leader.replicas.version", (0, 1), 1),
                ("group.version", (0, 1), 1),
                ("kraft.version", (0, 1), 0),
                ("share.version", (0, 1), 0),
                ("streams.version", (0, 1), 0),
                ("transaction.version", (0, 2), 2),
            ],
            Release::V4_3 => &[
                (METADATA, (7, 30), 30),
                ("eligible.leader.replicas.version", (0, 1), 1),
                ("group.version", (0, 1), 1),
                ("kraft.version", (0, 1), 0),
                ("share.version", (0, 1), 1),
                ("streams.version", (0, 1), 1),
                ("transaction.version", (0, 2), 2),
            ],
        };
        Self {
            supported: levels.iter().map(|(name, range, _)| (*name, *range)).collect(),
            finalized: levels.iter().filter(|(.., level)| *level > 0).map(|(name, _, level)| (*name, *level)).collect(),
            epoch: i64::from(!levels.is_empty()),
        }
    }

    /// Applies all updates, or none (`FeatureControlManager.updateFeatures`).
    pub(super) fn update(
        &mut self,
        updates: &[Update<'_>],
        validate_only: bool,
    ) -> Result<(), (ResponseError, &'static str)> {
        let mut finalized = self.finalized.clone();
        for update in updates {
            let (name, level) = self.checked(update).map_err(|reason| (ResponseError::InvalidUpdateVersion, reason))?;
            if level == 0 {
                finalized.remove(name);
            } else {
                finalized.insert(name, level);
            }
        }
        if !validate_only && finalized != self.finalized {
            self.finalized = finalized;
            self.epoch += 1;
        }
        Ok(())
    }

    fn checked(&self, update: &Update<'_>) -> Result<(&'static str, i16), &'static str> {
        if !(UPGRADE..=UNSAFE_DOWNGRADE).contains(&update.kind) {
            return Err("there is no such kind of update");
        }
        let known = self.supported.get_key_value(update.feature).ok_or("there is no such feature")?;
        let (name, (low, high)) = (*known.0, *known.1);
        if !(low..=high).contains(&update.level) || update.level < 0 {
            return Err("the brokers do not support this level");
        }
        let current = self.finalized.get(name).copied().unwrap_or_default();
        if update.level < current && update.kind == UPGRADE {
            return Err("the level can be lowered only by a downgrade");
        }
        if update.level > current && update.kind != UPGRADE {
            return Err("a downgrade cannot raise the level");
        }
        if name == METADATA && update.level < current {
            return Err("metadata would be lost");
        }
        Ok((name, update.level))
    }
}

const METADATA: &str = "metadata.version";

const UPGRADE: i8 = 1;
const UNSAFE_DOWNGRADE: i8 = 3;
