//! The versions that a broker and this client both support (KIP-35).

use super::message::ApiVersionsResponse;
use super::table::Api;

/// The versions of each API for one connection.
#[derive(Clone, Debug, Default)]
pub struct Versions {
    agreed: [Option<(i16, i16)>; Api::ALL.len()],
}

impl Versions {
    /// Intersects the broker's ranges with ours. Invalid ranges are ignored.
    pub fn agree(response: &ApiVersionsResponse) -> Self {
        let mut agreed = [None; Api::ALL.len()];
        for (slot, api) in agreed.iter_mut().zip(Api::ALL) {
            let theirs = response.apis.iter().find(|(key, _, _)| *key == api.key());
            let (low, high) = api.versions();
            *slot =
                theirs.map(|(_, first, last)| (low.max(*first), high.min(*last))).filter(|(first, last)| first <= last);
        }
        Self { agreed }
    }

    /// The highest version of `api` that both support, no higher than `cap`; `None` where there is none.
    pub fn pick(&self, api: Api, cap: i16) -> Option<i16> {
        let slot = Api::ALL.iter().position(|known| *known == api)?;
        let (first, last) = self.agreed[slot]?;
        let picked = last.min(cap);
        (picked >= first).then_some(picked)
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
