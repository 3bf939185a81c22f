//! The ranges of offsets in which the newest records of each partition are looked for, from the end backwards.

use std::collections::BTreeMap;

use crate::types::TopicPartition;

/// Offsets of a partition to read: from `start` up to `stop`, which is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) start: i64,
    pub(super) stop: i64,
    /// The first offset of the log.
    log_start: i64,
    is_finished: bool,
}

/// One window for each partition that needs to be read.
#[derive(Debug)]
pub(super) struct Windows {
    /// The records that are wanted of each partition.
    count: usize,
    /// The offsets of the next windows.
    width: i64,
    open: BTreeMap<TopicPartition, Window>,
}

impl Windows {
    pub(super) fn new(count: usize) -> Self {
        let width = i64::try_from(count).unwrap_or(i64::MAX);
        Self { count, width, open: BTreeMap::new() }
    }

    /// Adds the last window of a log, unless nothing is wanted of it.
    pub(super) fn add(&mut self, key: TopicPartition, log_start: i64, end: i64) {
        if let Some(window) = before(log_start, end, self.width) {
            self.open.insert(key, window);
        }
    }

    /// Replaces each finished window by one before it that is twice as wide, where fewer records were found than are wanted, and the log
    /// has older ones.
    pub(super) fn widen(&mut self, found: impl Fn(&TopicPartition) -> usize) {
        self.width = self.width.saturating_mul(2);
        let (count, width) = (self.count, self.width);
        self.open.retain(|key, window| {
            let next = before(window.log_start, window.start, width).filter(|_| found(key) < count);
            *window = next.unwrap_or(*window);
            next.is_some()
        });
    }

    /// The records that are wanted of a partition of which some were found.
    pub(super) fn missing(&self, found: usize) -> usize {
        self.count.saturating_sub(found)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    pub(super) fn is_reading(&self) -> bool {
        self.open.values().any(|window| !window.is_finished)
    }

    pub(super) fn open(&self) -> impl Iterator<Item = (&TopicPartition, &Window)> {
        self.open.iter()
    }

    pub(super) fn get(&self, key: &TopicPartition) -> Option<Window> {
        self.open.get(key).copied()
    }

    pub(super) fn finish(&mut self, key: &TopicPartition) {
        if let Some(window) = self.open.get_mut(key) {
            window.is_finished = true;
        }
    }

    pub(super) fn finish_all(&mut self) {
        self.open.values_mut().for_each(|window| window.is_finished = true);
    }

    /// Gives a partition up.
    pub(super) fn fail(&mut self, key: &TopicPartition) {
        self.open.remove(key);
    }

    /// Gives up partitions that are not read to their stops, and returns them.
    pub(super) fn fail_unfinished(&mut self) -> Vec<TopicPartition> {
        let unfinished = self.open.iter().filter(|(_, window)| !window.is_finished);
        let unfinished: Vec<TopicPartition> = unfinished.map(|(key, _)| key.clone()).collect();
        for key in &unfinished {
            self.fail(key);
        }
        unfinished
    }
}

/// The window of so many offsets before `stop`; `None` if there are none.
fn before(log_start: i64, stop: i64, width: i64) -> Option<Window> {
    let start = log_start.max(stop.saturating_sub(width));
    (start < stop).then_some(Window { start, stop, log_start, is_finished: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(partition: i32) -> TopicPartition {
        TopicPartition::new("t", partition)
    }

    fn ranges(windows: &Windows) -> Vec<(i64, i64)> {
        windows.open().map(|(_, window)| (window.start, window.stop)).collect()
    }

    #[test]
    fn windows_never_leave_the_log() {
        let mut windows = Windows::new(5);
        for (partition, (start, end)) in (0..).zip([(0, 0), (0, 3), (97, 100), (0, 100), (i64::MAX, i64::MAX)]) {
            windows.add(at(partition), start, end);
        }
        assert_eq!(ranges(&windows), [(0, 3), (97, 100), (95, 100)]);
        let mut all = Windows::new(usize::MAX);
        all.add(at(0), 2, i64::MAX);
        assert_eq!(ranges(&all), [(2, i64::MAX)]);
        let mut none = Windows::new(0);
        none.add(at(0), 0, 10);
        assert!(none.is_empty());
    }

    #[test]
    fn windows_double_backwards_until_enough_is_found() {
        let mut windows = Windows::new(10);
        (0..3).for_each(|partition| windows.add(at(partition), if partition == 2 { 90 } else { 0 }, 100));
        windows.widen(|key| if key.partition == 1 { 10 } else { 9 });
        assert_eq!(ranges(&windows), [(70, 90)], "the second has enough, the third no older ones");
        windows.widen(|_| 9);
        assert_eq!(ranges(&windows), [(30, 70)]);
        windows.widen(|_| 9);
        assert_eq!(ranges(&windows), [(0, 30)]);
        windows.widen(|_| 9);
        assert!(windows.is_empty());
    }
}
