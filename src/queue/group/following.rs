//! Follows the assignment of a member: which partitions it has, how often that has changed, and where the next ones begin.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use crate::consumer::ConsumerHandle;
use crate::consumer::HookFuture;
use crate::consumer::RebalanceListener;
use crate::consumer::Start;
use crate::types::TopicPartition;

#[derive(Debug, Default)]
struct State {
    assignment: BTreeSet<TopicPartition>,
    /// Grows with each change of the assignment.
    generation: u64,
    /// Where the partitions begin that are assigned next.
    start: Option<Start>,
}

/// The assignment of a member, shared by its queue and its hooks.
#[derive(Debug, Default)]
pub(super) struct Following(Mutex<State>);

impl Following {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is complete before the lock is released, so a panic elsewhere leaves it consistent.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn assignment(&self) -> Vec<TopicPartition> {
        self.lock().assignment.iter().cloned().collect()
    }

    pub(super) fn generation(&self) -> u64 {
        self.lock().generation
    }

    /// Where the partitions begin that are assigned next. `None`: where the group has committed.
    pub(super) fn set_start(&self, start: Option<Start>) {
        self.lock().start = start;
    }

    /// Returns where these partitions begin, unless it is where the group has committed.
    fn add(&self, partitions: &[TopicPartition]) -> Option<Start> {
        let mut state = self.lock();
        state.assignment.extend(partitions.iter().cloned());
        state.generation += 1;
        state.start.take()
    }

    fn remove(&self, partitions: &[TopicPartition]) {
        let mut state = self.lock();
        state.assignment.retain(|partition| !partitions.contains(partition));
        state.generation += 1;
    }
}

/// Follows the assignment, and calls the hooks of the user.
#[derive(Debug)]
pub(super) struct Hooks {
    pub(super) following: Arc<Following>,
    pub(super) inner: Option<Arc<dyn RebalanceListener>>,
}

impl RebalanceListener for Hooks {
    fn assigned(&self, consumer: ConsumerHandle, partitions: Vec<TopicPartition>) -> HookFuture<'_> {
        Box::pin(async move {
            if let Some(start) = self.following.add(&partitions) {
                partitions.iter().try_for_each(|partition| consumer.seek(partition, start.clone()))?;
            }
            match &self.inner {
                Some(inner) => inner.assigned(consumer, partitions).await,
                None => Ok(()),
            }
        })
    }

    fn revoked(&self, consumer: ConsumerHandle, partitions: Vec<TopicPartition>) -> HookFuture<'_> {
        Box::pin(async move {
            self.following.remove(&partitions);
            match &self.inner {
                Some(inner) => inner.revoked(consumer, partitions).await,
                None => Ok(()),
            }
        })
    }

    fn lost(&self, consumer: ConsumerHandle, partitions: Vec<TopicPartition>) -> HookFuture<'_> {
        Box::pin(async move {
            self.following.remove(&partitions);
            match &self.inner {
                Some(inner) => inner.lost(consumer, partitions).await,
                None => Ok(()),
            }
        })
    }
}
