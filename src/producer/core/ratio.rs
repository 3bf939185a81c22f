//! An estimate of a topic's compression ratio (KIP-126, `CompressionRatioEstimator`).

/// An estimate that follows a worse ratio at once and a better one slowly, so that batches are seldom larger than configured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ratio(f64);

/// The least that is added when a batch was larger than expected.
const WORSE_BY: f64 = 0.05;
/// The most that is subtracted when a batch was smaller than expected.
const BETTER_BY: f64 = 0.005;
/// The margin for a wrong estimate.
const SLACK: f64 = 1.05;

impl Ratio {
    pub(super) fn new() -> Self {
        Self(1.0)
    }

    /// Takes a batch's size before and after compression.
    pub(super) fn observe(&mut self, raw: usize, compressed: usize) {
        let observed = share(compressed, raw);
        self.0 = if observed > self.0 { observed.max(self.0 + WORSE_BY) } else { observed.max(self.0 - BETTER_BY) };
    }

    /// Takes the sizes of a batch that a broker refused as too large: the estimate falls back to no compression, or to its ratio.
    pub(super) fn refused(&mut self, raw: usize, compressed: usize) {
        self.0 = share(compressed, raw).max(1.0);
    }

    /// The bytes of records that are expected to be compressed to `wire` bytes.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    pub(super) fn raw_for(self, wire: usize) -> usize {
        // An estimate: lost precision beyond 2^52 bytes does not matter, and a cast from a float saturates.
        (wire as f64 / (self.0.max(0.001) * SLACK)) as usize
    }

    /// The bytes that records of `raw` bytes are expected to be compressed to.
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
    fn worse_ratio_counts_at_once_and_a_better_one_slowly() {
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
    fn expected_wire_size_is_a_little_above_the_estimate() {
        let mut ratio = Ratio::new();
        assert_eq!(ratio.wire_for(1_000), 1_050);
        for _ in 0..100 {
            ratio.observe(1_000, 200);
        }
        assert!((523..=527).contains(&ratio.wire_for(1_000)), "half after a hundred steps of 0.005");
    }
}
