//! The state of one partition: a base, and windows of offsets after it.

use std::fmt;

/// The most windows of a partition. Each takes about 40 bytes in the store.
pub(crate) const WINDOWS_MAX: usize = 64;

/// A range of offsets, from the first one up to the one after the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) from: i64,
    pub(crate) to: i64,
}

impl Span {
    pub(crate) fn is_empty(self) -> bool {
        self.from >= self.to
    }
}

/// Names a lease: no two leases have the same name, whoever takes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LeaseId {
    /// Random, of one worker.
    pub(crate) worker: u64,
    /// Counted by the worker.
    pub(crate) number: u64,
}

/// A lease, as the store has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) id: LeaseId,
    /// Grows each time the holder renews it.
    pub(crate) beat: u32,
    /// For how long a lease that does not change is respected, in milliseconds.
    pub(crate) lasts_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Done,
    Free,
    Leased(Lease),
}

/// A window ends at `to`; it begins where the one before it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) to: i64,
    pub(crate) state: State,
}

/// A lease is not there any more: it expired and was taken over, or the cursor was reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lost {
    /// Its offsets are processed all the same, by whomever.
    pub(crate) is_done: bool,
}

/// The state of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// Everything before it is processed, or was skipped on purpose.
    pub(crate) base: i64,
    pub(crate) windows: Vec<Window>,
    /// How often it was reset.
    pub(crate) resets: u64,
}

impl Cursor {
    pub(crate) fn at(offset: i64) -> Self {
        Self { base: offset, windows: Vec::new(), resets: 0 }
    }

    /// The first offset that was never leased.
    pub(crate) fn next(&self) -> i64 {
        self.windows.last().map_or(self.base, |window| window.to)
    }

    /// The windows with the offsets where they begin.
    pub(crate) fn spans(&self) -> impl Iterator<Item = (Span, State)> {
        let mut from = self.base;
        self.windows.iter().map(move |window| {
            let span = Span { from, to: window.to };
            from = window.to;
            (span, window.state)
        })
    }

    pub(crate) fn leases(&self) -> impl Iterator<Item = (Span, Lease)> {
        self.spans().filter_map(|(span, state)| match state {
            State::Leased(lease) => Some((span, lease)),
            State::Done | State::Free => None,
        })
    }

    /// Leases up to `count` offsets: the first ones that are free or whose lease has expired, otherwise those after all windows, up to
    /// `end`. Returns them, and the lease that they were taken over from.
    pub(crate) fn lease(
        &mut self,
        lease: Lease,
        count: u64,
        end: i64,
        has_expired: impl Fn(&Lease) -> bool,
    ) -> Option<(Span, Option<Lease>)> {
        let is_free = |state: &State| match state {
            State::Done => false,
            State::Free => true,
            State::Leased(other) => has_expired(other),
        };
        let count = i64::try_from(count).unwrap_or(i64::MAX).max(1);
        let free = self.spans().find(|(_, state)| is_free(state));
        if let Some((span, state)) = free {
            let taken = Span { from: span.from, to: span.to.min(span.from.saturating_add(count)) };
            self.replace(span, &[(taken.to, State::Leased(lease)), (span.to, State::Free)]);
            let before = match state {
                State::Leased(before) => Some(before),
                State::Done | State::Free => None,
            };
            return Some((taken, before));
        }
        let from = self.next();
        let span = Span { from, to: end.min(from.saturating_add(count)) };
        if span.is_empty() || self.windows.len() >= WINDOWS_MAX {
            return None;
        }
        self.windows.push(Window { to: span.to, state: State::Leased(lease) });
        Some((span, None))
    }

    /// Ends a lease: everything before `done_to` is processed, and the rest is free again.
    pub(crate) fn finish(&mut self, id: LeaseId, leased: Span, done_to: i64) -> Result<(), Lost> {
        let span = self.find(id, leased)?;
        let done_to = done_to.clamp(span.from, span.to);
        self.replace(span, &[(done_to, State::Done), (span.to, State::Free)]);
        Ok(())
    }

    /// Keeps a lease on what comes before `to`, and frees the rest.
    pub(crate) fn shorten(&mut self, id: LeaseId, leased: Span, to: i64) -> Result<(), Lost> {
        let span = self.find(id, leased)?;
        let lease = self.lease_of(id).ok_or(Lost { is_done: false })?;
        let to = to.clamp(span.from, span.to);
        self.replace(span, &[(to, State::Leased(lease)), (span.to, State::Free)]);
        Ok(())
    }

    /// Shows others that the holder of a lease is alive.
    pub(crate) fn renew(&mut self, id: LeaseId, leased: Span) -> Result<(), Lost> {
        self.find(id, leased)?;
        for window in &mut self.windows {
            if let State::Leased(lease) = &mut window.state
                && lease.id == id
            {
                lease.beat = lease.beat.wrapping_add(1);
            }
        }
        Ok(())
    }

    /// Goes on at an offset, whatever was leased or processed: all leases end.
    pub(crate) fn reset(&mut self, offset: i64) {
        *self = Self { base: offset, windows: Vec::new(), resets: self.resets.wrapping_add(1) };
    }

    /// Gives up the free offsets before `start`: the log does not have them any more. Returns the first and the last of them.
    pub(crate) fn skip_before(&mut self, start: i64, has_expired: impl Fn(&Lease) -> bool) -> Option<Span> {
        let mut skipped: Option<Span> = None;
        let mut note = |span: Span| {
            let from = skipped.map_or(span.from, |before| before.from);
            skipped = Some(Span { from, to: span.to });
        };
        let spans: Vec<(Span, State)> = self.spans().take_while(|(span, _)| span.from < start).collect();
        for (span, state) in spans {
            let is_free = match &state {
                State::Done => false,
                State::Free => true,
                State::Leased(lease) => has_expired(lease),
            };
            if is_free {
                let to = span.to.min(start);
                note(Span { from: span.from, to });
                self.replace(span, &[(to, State::Done), (span.to, State::Free)]);
            }
        }
        let next = self.next();
        if next < start {
            note(Span { from: next, to: start });
            self.windows.push(Window { to: start, state: State::Done });
            self.tidy();
        }
        skipped
    }

    /// Where the windows of a lease are. It has one window, because only its holder cuts it.
    fn find(&self, id: LeaseId, leased: Span) -> Result<Span, Lost> {
        let found = self.leases().find(|(_, lease)| lease.id == id).map(|(span, _)| span);
        found.ok_or_else(|| Lost { is_done: self.is_done(leased) })
    }

    fn lease_of(&self, id: LeaseId) -> Option<Lease> {
        self.leases().map(|(_, lease)| lease).find(|lease| lease.id == id)
    }

    fn is_done(&self, span: Span) -> bool {
        let open =
            |(other, state): &(Span, State)| *state != State::Done && other.from < span.to && span.from < other.to;
        span.to <= self.next() && !self.spans().any(|window| open(&window))
    }

    /// Replaces the window at `span` by others, which end at these offsets. Those that are empty are left out.
    fn replace(&mut self, span: Span, by: &[(i64, State)]) {
        let Some(at) = self.windows.iter().position(|window| window.to == span.to) else { return };
        let mut from = span.from;
        let mut windows = Vec::new();
        for (to, state) in by {
            if *to > from {
                windows.push(Window { to: *to, state: *state });
                from = *to;
            }
        }
        self.windows.splice(at..=at, windows);
        self.tidy();
    }

    /// Joins neighbours that are both done, or both free, and moves the base over what is done.
    fn tidy(&mut self) {
        let mut windows: Vec<Window> = Vec::with_capacity(self.windows.len());
        for window in std::mem::take(&mut self.windows) {
            match windows.last_mut() {
                Some(last) if last.state == window.state && !matches!(window.state, State::Leased(_)) => {
                    last.to = window.to;
                }
                None if window.state == State::Done => self.base = window.to,
                _ => windows.push(window),
            }
        }
        // A free window at the end was never leased.
        if windows.last().is_some_and(|last| last.state == State::Free) {
            windows.pop();
        }
        self.windows = windows;
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.from, self.to.saturating_sub(1))
    }
}
