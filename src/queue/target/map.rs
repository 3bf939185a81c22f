//! Targets by name, of which one is for everybody: `MESSAGE_QUEUE_DSN` of the monitoring system.

use std::collections::BTreeMap;

use super::Target;
use crate::error::Error;

/// Targets by name. The one of the name `"0"` is for everybody, the others for the business of that id.
///
/// It was the setting `MESSAGE_QUEUE_DSN`. A name whose DSN is wrong keeps its error, so that the other targets are still served;
/// [`Targets::errors`] has them all when the program starts.
///
/// ```
/// use ottla::queue::Target;
/// use ottla::queue::Targets;
///
/// let targets: Targets =
///     [("0", "kafka://a/all"), ("2", "kafka://b/two"), ("3", "redis://c/1/key")].map(|(id, dsn)| (id, Target::parse(dsn))).into_iter().collect();
/// assert_eq!(targets.of("2").map(|(id, _)| id).collect::<Vec<_>>(), ["0", "2"]);
/// assert_eq!(targets.of("9").map(|(id, _)| id).collect::<Vec<_>>(), ["0"]);
/// assert_eq!(targets.errors().map(|(id, _)| id).collect::<Vec<_>>(), ["3"]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Targets(BTreeMap<String, Result<Target, Error>>);

/// The name of the target for everybody.
const EVERYBODY: &str = "0";

impl Targets {
    /// The targets for a business: that of everybody, then its own. Each is there once, also for the business `"0"`; a name without a
    /// target is left out.
    pub fn of<'t>(&'t self, business: &'t str) -> impl Iterator<Item = (&'t str, Result<&'t Target, &'t Error>)> {
        let own = Some(business).filter(|business| *business != EVERYBODY);
        let names = std::iter::once(EVERYBODY).chain(own);
        names.filter_map(|name| self.0.get_key_value(name)).map(|(name, target)| (name.as_str(), target.as_ref()))
    }

    /// The names whose targets could not be made, and why.
    pub fn errors(&self) -> impl Iterator<Item = (&str, &Error)> {
        self.0.iter().filter_map(|(name, target)| Some((name.as_str(), target.as_ref().err()?)))
    }
}

impl From<Target> for Targets {
    /// One target, for everybody.
    fn from(target: Target) -> Self {
        [(EVERYBODY, Ok(target))].into_iter().collect()
    }
}

impl<N: Into<String>> FromIterator<(N, Result<Target, Error>)> for Targets {
    fn from_iter<I: IntoIterator<Item = (N, Result<Target, Error>)>>(targets: I) -> Self {
        Self(targets.into_iter().map(|(name, target)| (name.into(), target)).collect())
    }
}
