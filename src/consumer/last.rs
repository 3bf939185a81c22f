//! The last records of all assigned partitions together.

use std::collections::HashMap;

use super::Consumer;
use super::Start;
use crate::error::Error;
use crate::types::TopicPartition;

impl Consumer {
    /// Moves all assigned partitions so that together they have this many records before their ends: each has an equal share, and where
    /// one has fewer records, others have more. [`Start::FromEnd`] counts for each partition instead.
    ///
    /// Offsets are counted, so that compaction and transaction markers may leave fewer records. Waits for the metadata and for the
    /// leaders, like [`Consumer::end_offsets`].
    ///
    /// # Errors
    ///
    /// As [`Consumer::end_offsets`]. Then no partition is moved.
    ///
    /// ```no_run
    /// # async fn run(client: ottla::Client) -> Result<(), ottla::Error> {
    /// let mut consumer = client.consumer().assign(["events"]).build()?;
    /// // The last hundred records, of all partitions together.
    /// consumer.seek_to_last(100).await?;
    /// # Ok(()) }
    /// ```
    pub async fn seek_to_last(&mut self, records: u64) -> Result<(), Error> {
        let starts: HashMap<TopicPartition, i64> = self.beginning_offsets().await?.into_iter().collect();
        let ends = self.end_offsets().await?;
        let length = |(key, end): &(TopicPartition, i64)| end.saturating_sub(*starts.get(key).unwrap_or(end));
        let lengths: Vec<u64> = ends.iter().map(|end| u64::try_from(length(end)).unwrap_or(0)).collect();
        for ((key, end), share) in ends.iter().zip(shares(&lengths, records)) {
            let back = i64::try_from(share).unwrap_or(i64::MAX);
            // A partition may have been revoked meanwhile.
            let _ = self.seek(key, Start::Offset(end.saturating_sub(back).max(0)));
        }
        Ok(())
    }
}

/// Shares a number among partitions of these lengths, as evenly as they allow. The first ones have one more where it does not divide.
pub(crate) fn shares(lengths: &[u64], mut records: u64) -> Vec<u64> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|at| (lengths[*at], std::cmp::Reverse(*at)));
    let mut shares = vec![0; lengths.len()];
    for (taken, at) in order.iter().enumerate() {
        let open = u64::try_from(lengths.len() - taken).unwrap_or(1);
        // The shortest one first: the others share what it does not have.
        shares[*at] = lengths[*at].min(records / open);
        records -= shares[*at];
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_even_and_short_partitions_leave_theirs_to_others() {
        let rows: [(&[u64], u64, &[u64]); 8] = [
            (&[10, 10], 4, &[2, 2]),
            (&[10, 10], 5, &[3, 2]),
            (&[1, 10, 10], 9, &[1, 4, 4]),
            (&[0, 3, 100], 50, &[0, 3, 47]),
            (&[2, 2], 100, &[2, 2]),
            (&[5, 5, 5], 1, &[1, 0, 0]),
            (&[5, 5], 0, &[0, 0]),
            (&[], 7, &[]),
        ];
        for (lengths, records, expected) in rows {
            assert_eq!(shares(lengths, records), expected, "{records} of {lengths:?}");
        }
        assert_eq!(shares(&[u64::MAX, u64::MAX], u64::MAX).iter().sum::<u64>(), u64::MAX);
    }
}
