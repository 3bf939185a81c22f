//! The versions that a broker and this client both support (KIP-35).

use super::message::ApiVersionsResponse;
use super::table::Api;

/// The versions of each API for one connection.
#[derive(Clone, Debug)]
pub struct Versions {
    /// The broker's ranges. Invalid ones are `None`.
    theirs: [Option<(i16, i16)>; Api::ALL.len()],
}

/// No API: the standard library has no default for arrays of more than 32 elements.
impl Default for Versions {
    fn default() -> Self {
        Self { theirs: [None; Api::ALL.len()] }
    }
}

impl Versions {
    /// Takes the broker's ranges. Invalid ranges are ignored.
    pub fn agree(response: &ApiVersionsResponse) -> Self {
        Self {
            theirs: Api::ALL.map(|api| {
                let found = response.apis.iter().find(|(key, _, _)| *key == api.key());
                found.map(|(_, first, last)| (*first, *last)).filter(|(first, last)| first <= last)
            }),
        }
    }

    /// The range that the broker supports of `api`, whether or not this client does; `None` if it does not serve it.
    pub fn theirs(&self, api: Api) -> Option<(i16, i16)> {
        let slot = Api::ALL.iter().position(|known| *known == api)?;
        self.theirs[slot]
    }

    /// The highest version of `api` that both support, no higher than `cap`; `None` where there is none.
    pub fn pick(&self, api: Api, cap: i16) -> Option<i16> {
        let (first, last) = self.theirs(api)?;
        let (low, high) = api.versions();
        let picked = last.min(high).min(cap);
        (picked >= first.max(low)).then_some(picked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn highest_common_version_is_picked_up_to_the_cap() {
        let response = ApiVersionsResponse { apis: vec![(0, 0, 99), (1, 0, 11), (3, 5, 1)], ..Default::default() };
        let versions = Versions::agree(&response);
        assert_eq!(versions.pick(Api::Produce, i16::MAX), Some(13));
        assert_eq!(versions.pick(Api::Produce, 12), Some(12));
        assert_eq!(versions.pick(Api::Fetch, i16::MAX), Some(11));
        assert_eq!(versions.pick(Api::Metadata, i16::MAX), None);
        assert_eq!(versions.pick(Api::ListOffsets, i16::MAX), None);
    }
}
