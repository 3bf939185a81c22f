//! The public part of membership in a group: subscribing, following the assignment, leaving.

use std::collections::BTreeSet;
use std::time::Duration;
use std::time::Instant;

use super::CLOSE_TIMEOUT;
use super::Consumer;
use super::config;
use super::handle::ConsumerHandle;
use super::rebalance;
use crate::error::Error;
use crate::error::Kind;
use crate::group::GroupMetadata;
use crate::group::member::Departure;
use crate::group::member::Member;
use crate::group::member::Selection;
use crate::group::pattern::TopicPattern;
use crate::net::clock;
use crate::types::TopicName;
use crate::types::TopicPartition;

impl Consumer {
    /// A handle to this consumer for other tasks.
    pub fn handle(&self) -> ConsumerHandle {
        self.handle.clone()
    }

    /// Subscribes to these topics and no others: the group is joined again with them. Partitions of topics that stay are kept
    /// or moved as the assignor decides. To leave the group, [unsubscribe](Self::unsubscribe).
    ///
    /// # Errors
    ///
    /// [`Kind::Config`]: the consumer was built with partitions of its own ([`assign`](super::ConsumerBuilder::assign)), or a name is
    /// not one that a topic can have.
    ///
    /// ```no_run
    /// # async fn run(client: ottla::Client) -> Result<(), ottla::Error> {
    /// let mut consumer = client.consumer().group("audit").subscribe(["events"]).build()?;
    /// consumer.subscribe(["events", "orders"])?;
    /// # Ok(()) }
    /// ```
    pub fn subscribe<T: Into<TopicName>>(&mut self, topics: impl IntoIterator<Item = T>) -> Result<(), Error> {
        let topics: BTreeSet<TopicName> = topics.into_iter().map(Into::into).collect();
        config::check_subscription(&topics)?;
        self.subscribe_to(Selection::Topics(topics))
    }

    /// Subscribes to the topics that match a pattern and to no others, as
    /// [`ConsumerBuilder::subscribe_pattern`](super::ConsumerBuilder::subscribe_pattern) does. Topics that were subscribed to stay until
    /// all topics have been listed.
    ///
    /// # Errors
    ///
    /// [`Kind::Config`]: the consumer was built with partitions of its own ([`assign`](super::ConsumerBuilder::assign)), or the pattern is
    /// [matched by the coordinator](TopicPattern::server) and the consumer is a member by the classic protocol.
    ///
    /// ```no_run
    /// # async fn run(client: ottla::Client) -> Result<(), ottla::Error> {
    /// use ottla::consumer::TopicPattern;
    ///
    /// let mut consumer = client.consumer().group("audit").subscribe(["events"]).build()?;
    /// consumer.subscribe_pattern(TopicPattern::regex("logs-.*")?)?;
    /// # Ok(()) }
    /// ```
    pub fn subscribe_pattern(&mut self, pattern: TopicPattern) -> Result<(), Error> {
        self.subscribe_to(Selection::Pattern(pattern))
    }

    fn subscribe_to(&mut self, selection: Selection) -> Result<(), Error> {
        let mut state = self.shared.lock();
        let Some(member) = &mut state.member else {
            return Err(Error::config("the consumer was built with partitions of its own: build one that subscribes"));
        };
        member.subscribe(clock::now(), selection)?;
        drop(state);
        self.shared.work.notify_one();
        Ok(())
    }

    /// Gives up all partitions and leaves the group, as closing does. Polls wait until the next [`Consumer::subscribe`].
    ///
    /// # Errors
    ///
    /// The error of the last commit, or of the listener. The group is left all the same.
    pub async fn unsubscribe(&mut self) -> Result<(), Error> {
        let deadline = clock::now() + self.limits.timeout;
        self.leave(deadline, Departure::Default).await
    }

    /// The topics that are subscribed to. Of a pattern, those that match it as far as is known; none of one that the coordinator matches.
    pub fn subscription(&self) -> Vec<TopicName> {
        let state = self.shared.lock();
        state.member.iter().flat_map(|member| member.subscription().iter().cloned()).collect()
    }

    /// The membership in the group: generation, member id, instance id. `None` for a consumer that did not subscribe.
    pub fn group_metadata(&self) -> Option<GroupMetadata> {
        self.handle.group_metadata()
    }

    /// Waits until the group has assigned partitions, and returns them. They may be none, where other members have all of them.
    ///
    /// Takes part in rebalances as [`Consumer::poll`] does, without returning records.
    ///
    /// # Errors
    ///
    /// [`Kind::Timeout`]: nothing was assigned within `timeout`. Otherwise as [`Consumer::poll`].
    ///
    /// Cancel safety: dropping the future before it is ready loses nothing.
    pub async fn wait_for_assignment(&mut self, timeout: Duration) -> Result<Vec<TopicPartition>, Error> {
        let deadline = clock::now() + crate::types::bounded(timeout);
        loop {
            self.take_part().await?;
            let is_stable = self.shared.lock().member.as_ref().is_none_or(Member::is_stable);
            if is_stable {
                return Ok(self.assignment());
            }
            self.wait_for_news(Some(deadline)).await;
            if clock::now() >= deadline {
                let text = format!("the group assigned no partitions within {timeout:?}");
                return Err(Error::new(Kind::Timeout, text));
            }
        }
    }

    /// Takes part in the group, as every poll does: commits if it is time, and does the steps of a rebalance that are due.
    pub(super) async fn take_part(&mut self) -> Result<(), Error> {
        let Some(rebalancing) = &mut self.rebalancing else { return Ok(()) };
        let now = clock::now();
        {
            let mut state = self.shared.lock();
            if let Some(member) = &mut state.member {
                member.handle_poll(now);
                if member.has_actions() {
                    self.shared.work.notify_one();
                }
            }
        }
        rebalancing.commit_if_due(&self.handle, now);
        rebalancing.run(&self.handle).await?;
        // Last, because one that ended the membership is returned by every poll, and partitions are lost before.
        let error = self.shared.lock().member.as_mut().and_then(Member::poll_error);
        error.map_or(Ok(()), Err)
    }

    /// Waits for an event, until `deadline` at most, and no longer than a member may: a turn after it counts as a poll, so that an
    /// application that waits is not late, and commits what is due.
    pub(super) async fn wait_for_news(&self, deadline: Option<Instant>) {
        let until = self.rebalancing.as_ref().map(|rebalancing| rebalancing.next_turn(clock::now()));
        let news = self.shared.news.notified();
        match until.into_iter().chain(deadline).min() {
            None => news.await,
            Some(until) => drop(self.handle.runtime.timeout_at(until, news).await),
        }
    }

    pub(super) fn check_assignable(&self) -> Result<(), Error> {
        if self.shared.lock().member.is_none() {
            return Ok(());
        }
        Err(Error::config(
            "the group assigns partitions to a consumer that subscribes: build one that assigns them itself",
        ))
    }

    /// Stops reading and ends the fetch sessions. Afterwards [`Consumer::poll`] returns `None`. Takes up to 5 s:
    /// see [`Consumer::close_with`].
    pub async fn close(&mut self) -> Result<(), Error> {
        self.close_with(CloseOptions::new()).await
    }

    /// As [`Consumer::close`], within `timeout`.
    pub async fn close_within(&mut self, timeout: Duration) -> Result<(), Error> {
        self.close_with(CloseOptions::new().timeout(timeout)).await
    }

    /// Stops reading, and ends the fetch sessions, by the options' deadline.
    ///
    /// A consumer that has subscribed commits first what polls have returned, if it commits by itself
    /// ([`auto_commit`](super::ConsumerBuilder::auto_commit)), calls the [listener](super::ConsumerBuilder::listener) and leaves the
    /// group, so that others get its partitions at once. A static member does not leave: others get them when its session ends.
    /// [`CloseOptions::leave`] and [`CloseOptions::stay`] change that.
    ///
    /// # Errors
    ///
    /// The error of the last commit, or of the listener. The consumer is closed all the same.
    ///
    /// ```no_run
    /// # async fn run(mut consumer: ottla::consumer::Consumer) -> Result<(), ottla::Error> {
    /// use std::time::Duration;
    ///
    /// use ottla::consumer::CloseOptions;
    ///
    /// // The process is restarted at once: its partitions wait for it, and no rebalance takes place.
    /// consumer.close_with(CloseOptions::new().timeout(Duration::from_secs(10)).stay()).await
    /// # }
    /// ```
    pub async fn close_with(&mut self, options: CloseOptions) -> Result<(), Error> {
        let deadline = clock::now() + crate::types::bounded(options.timeout);
        let left = self.leave(deadline, options.departure).await;
        self.shared.stop();
        if let Some(driver) = self.driver.take() {
            // If the driver takes longer, it ends in the background.
            let _ = self.handle.runtime.timeout_at(deadline, driver).await;
        }
        left
    }

    async fn leave(&mut self, deadline: Instant, departure: Departure) -> Result<(), Error> {
        let Some(rebalancing) = &mut self.rebalancing else {
            rebalance::drain_all(&self.handle, deadline, CLOSE_TIMEOUT).await;
            return Ok(());
        };
        let result = rebalancing.give_all_up(&self.handle, deadline).await;
        {
            let mut state = self.shared.lock();
            if let Some(member) = &mut state.member {
                member.leave(clock::now(), departure, "the consumer was closed");
            }
        }
        self.shared.work.notify_one();
        while self.shared.lock().member.as_ref().is_some_and(Member::is_leaving) {
            if self.handle.runtime.timeout_at(deadline, self.shared.news.notified()).await.is_err() {
                break;
            }
        }
        result
    }
}

/// How a consumer closes (KIP-1092): by when, and whether it leaves its group. Taken by [`Consumer::close_with`].
///
/// ```
/// use std::time::Duration;
///
/// use ottla::consumer::CloseOptions;
///
/// let options = CloseOptions::new().timeout(Duration::from_secs(30)).leave();
/// ```
#[derive(Clone, Copy, Debug)]
pub struct CloseOptions {
    timeout: Duration,
    departure: Departure,
}

impl CloseOptions {
    /// Closes within 5 s. A member of a group leaves it, and a static member stays until its session ends
    /// (`GroupMembershipOperation.DEFAULT`).
    pub fn new() -> Self {
        Self { timeout: CLOSE_TIMEOUT, departure: Departure::Default }
    }

    /// The longest time that closing takes. The default is 5 s (Java has 30 s); ten years are the longest.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Leaves the group even if the member is static, so that others get its partitions at once (`LEAVE_GROUP`).
    pub fn leave(mut self) -> Self {
        self.departure = Departure::Leave;
        self
    }

    /// Stays in the group although the consumer ends: others get its partitions when its session ends (`REMAIN_IN_GROUP`). The last
    /// offsets are committed, and the listener is called, all the same.
    pub fn stay(mut self) -> Self {
        self.departure = Departure::Stay;
        self
    }
}

impl Default for CloseOptions {
    fn default() -> Self {
        Self::new()
    }
}
