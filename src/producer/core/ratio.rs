//! How small a topic's records become when they are compressed (KIP-126, `CompressionRatioEstimator`).

/// An estimate that believes bad news at once and good news slowly, so that batches are seldom larger than asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ratio(f64);

/// What is added, at least, when a batch came out larger than expected.
const WORSE_BY: f64 = 0.05;
/// What is taken off, at most, when a batch came out smaller than expected.
const BETTER_BY: f64 = 0.005;
/// Room for the estimate to be wrong.
const SLACK: f64 = 1.05;

impl Ratio {
    pub(super) fn new() -> Self {
        Self(1.0)
    }

    /// Learns what became of a batch.
    pub(super) fn observe(&mut self, raw: usize, compressed: usize) {
        let observed = share(compressed, raw);
        self.0 = if observed > self.0 { observed.max(self.0 + WORSE_BY) } else { observed.max(self.0 - BETTER_BY) };
    }

    /// A broker refused a batch as too large: no more optimism than its own records give reason for.
    pub(super) fn refused(&mut self, raw: usize, compressed: usize) {
        self.0 = share(compressed, raw).max(1.0);
    }

    /// Bytes of records that are expected to come out as `wire` bytes.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    pub(super) fn raw_for(self, wire: usize) -> usize {
        // An estimate: what is lost beyond 2^52 bytes does not matter, and a cast from a float saturates.
        (wire as f64 / (self.0.max(0.001) * SLACK)) as usize
    }

    /// Bytes that records of `raw` bytes are expected to come out as.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    pub(super) fn wire_for(self, raw: usize) -> usize {
        (raw as f64 * self.0 * SLACK) as usize
    }
}

#[expect(clippy::cast_precision_loss)]
fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_news_counts_at_once_and_good_news_slowly() {
        let mut ratio = Ratio::new();
        assert_eq!(ratio.raw_for(1_050), 1_000);
        for _ in 0..100 {
            ratio.observe(1_000, 200);
        }
        assert!((1_990..=2_010).contains(&ratio.raw_for(1_050)), "half after a hundred steps of 0.005");
        ratio.observe(1_000, 900);
        assert!((9_990..=10_010).contains(&ratio.raw_for(9_450)));
        ratio.observe(1_000, 910);
        assert!((9_990..=10_010).contains(&ratio.raw_for(9_975)), "0.95: at least 0.05 more");
        ratio.refused(1_000, 500);
        assert_eq!(ratio.raw_for(1_050), 1_000);
    }

    #[test]
    fn what_is_expected_to_be_sent_is_a_little_more_than_the_estimate() {
        let mut ratio = Ratio::new();
        assert_eq!(ratio.wire_for(1_000), 1_050);
        for _ in 0..100 {
            ratio.observe(1_000, 200);
        }
        assert!((523..=527).contains(&ratio.wire_for(1_000)), "half after a hundred steps of 0.005");
    }
}
