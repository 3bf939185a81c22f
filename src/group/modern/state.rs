//! The states of a member and the events that move it from one to another (`MemberState`).

/// The state of a membership. Kafka's PREPARE_LEAVING is not among them: the consumer commits and calls the listener before it asks
/// the member to leave, and the member goes on as it was until then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It has subscribed to nothing, or has left.
    Unsubscribed,
    /// A heartbeat with epoch 0 is in flight, or is sent when the pause is over.
    Joining,
    /// It has a target assignment that the application has not taken completely.
    Reconciling,
    /// The application has taken an assignment. The next heartbeat says so, and is sent at once.
    Acknowledging,
    /// It has what the coordinator wants it to have.
    Stable,
    /// The coordinator does not know it any more. The application gives up what was lost, and the group is joined again.
    Fenced,
    /// The heartbeat that leaves the group is in flight.
    Leaving,
    /// The application has not polled for longer than allowed. The group was left, and is joined again at the next poll.
    Stale,
    /// An error that joining again does not help.
    Fatal,
}

/// Whatever changes the state of a membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The application subscribes.
    Subscribed,
    /// The coordinator wants it to have something else.
    Assigned,
    /// The application has taken an assignment.
    Applied,
    /// A heartbeat acknowledges the target assignment.
    Acknowledged,
    /// A heartbeat acknowledges an assignment, and there is more to take.
    PartAcknowledged,
    /// The coordinator does not know the member, or its epoch.
    Fenced,
    /// The application has given up what was lost.
    Released,
    /// The application did not poll in time.
    PollExpired,
    /// The application polls.
    Polled,
    /// The application wants to leave.
    LeaveWanted,
    /// The coordinator has answered the heartbeat that leaves the group, or never will.
    Left,
    /// A heartbeat failed for good.
    Failed,
}

impl State {
    /// The state after an event. `None` where the event cannot happen.
    #[rustfmt::skip]
    #[expect(clippy::match_same_arms, reason = "the arms are in the order of the states")]
    pub fn after(self, event: Event) -> Option<Self> {
        use Event as E;
        let next = match (self, event) {
            (Self::Unsubscribed, E::Subscribed) => Self::Joining,
            (Self::Unsubscribed, E::LeaveWanted | E::Polled) => Self::Unsubscribed,
            (Self::Fenced, E::Released) => Self::Joining,
            (Self::Fenced, E::Polled | E::Subscribed) => Self::Fenced,
            (Self::Leaving, E::Left) => Self::Unsubscribed,
            (Self::Leaving, E::LeaveWanted | E::Polled | E::Subscribed) => Self::Leaving,
            (Self::Stale, E::Polled) => Self::Fenced,
            (Self::Stale, E::Subscribed) => Self::Stale,
            (Self::Fatal, E::Subscribed) => Self::Fenced,
            (Self::Fatal, E::Polled) => Self::Fatal,
            (Self::Fatal | Self::Fenced | Self::Stale, E::LeaveWanted) => Self::Unsubscribed,
            (Self::Unsubscribed | Self::Fenced | Self::Stale | Self::Fatal, E::Left)
            | (Self::Unsubscribed | Self::Leaving | Self::Stale | Self::Fatal, E::Released)
            | (Self::Unsubscribed | Self::Fenced | Self::Leaving | Self::Stale | Self::Fatal,
                E::Acknowledged | E::Applied | E::Assigned | E::Failed | E::Fenced | E::PartAcknowledged | E::PollExpired)
                => return None,
            (Self::Joining | Self::Reconciling | Self::Acknowledging | Self::Stable, event) => return self.after_in_group(event),
        };
        Some(next)
    }

    /// As [`Self::after`], for the states of a member.
    fn after_in_group(self, event: Event) -> Option<Self> {
        use Event as E;
        match event {
            E::Subscribed | E::Polled => Some(self),
            E::Assigned => Some(Self::Reconciling),
            E::Fenced => Some(Self::Fenced),
            E::PollExpired => Some(Self::Stale),
            E::LeaveWanted => Some(Self::Leaving),
            E::Failed => Some(Self::Fatal),
            E::Applied => (self == Self::Reconciling).then_some(Self::Acknowledging),
            E::Acknowledged => (self == Self::Acknowledging).then_some(Self::Stable),
            E::PartAcknowledged => (self == Self::Acknowledging).then_some(Self::Reconciling),
            E::Left | E::Released => None,
        }
    }

    /// Whether the coordinator expects heartbeats.
    pub fn is_in_group(self) -> bool {
        match self {
            Self::Joining | Self::Reconciling | Self::Acknowledging | Self::Stable => true,
            Self::Unsubscribed | Self::Fenced | Self::Leaving | Self::Stale | Self::Fatal => false,
        }
    }

    /// Whether the next heartbeat does not wait for the interval.
    pub fn is_urgent(self) -> bool {
        matches!(self, Self::Joining | Self::Acknowledging)
    }
}
