//! The choice of the protocol of a generation.

use kafka_protocol::protocol::StrBytes;

use super::Classic;

impl Classic {
    /// The protocol for which most members vote; `None` without members (`selectProtocol`).
    ///
    /// Each member votes for the first one of its list that all members support. Of several with as many votes Java takes the first
    /// of a `HashMap`.
    pub(super) fn vote(&self) -> Option<StrBytes> {
        let mut votes: Vec<(&StrBytes, usize)> = Vec::new();
        for member in &self.members {
            let by_all = |name: &&StrBytes| self.members.iter().all(|member| member.supports(name));
            let Some(choice) = member.protocols.iter().map(|(name, _)| name).find(by_all) else { continue };
            match votes.iter_mut().find(|(name, _)| *name == choice) {
                Some((_, count)) => *count += 1,
                None => votes.push((choice, 1)),
            }
        }
        votes.sort_by_key(|(name, _)| bucket(name));
        let most = votes.iter().map(|(_, count)| *count).max()?;
        votes.iter().find(|(_, count)| *count == most).map(|(name, _)| (*name).clone())
    }
}

/// The bucket of a string in a `HashMap` of 16, which holds up to twelve protocols.
fn bucket(name: &str) -> u32 {
    let hash = name.encode_utf16().fold(0_u32, |hash, unit| hash.wrapping_mul(31).wrapping_add(u32::from(unit)));
    (hash ^ (hash >> 16)) & 15
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_those_of_java() {
        // "range".hashCode() is 0x0674_393d; the bucket is the last digit of h ^ (h >>> 16).
        assert_eq!(bucket("range"), 9);
        assert_eq!(bucket(""), 0);
    }
}
