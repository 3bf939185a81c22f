//! Faults of single frames.

use std::time::Duration;

use tokio::sync::watch;

use super::Direction;

/// The fault of a frame.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The connection is closed instead.
    Cut,
    /// It passes this much later, and so do the frames behind it.
    Delay(Duration),
    /// It does not pass; the connection stays.
    Drop,
    /// It waits, and so do the frames behind it, until it is released: see [`Proxy::hold`](super::Proxy::hold).
    Hold(Gate),
    /// It passes after the one behind it.
    Swap,
    /// Half of it passes, then the connection is closed.
    Truncate,
}

/// The side of a held frame that waits.
#[derive(Clone, Debug)]
pub struct Gate {
    arrived: watch::Sender<bool>,
    released: watch::Receiver<bool>,
}

/// The side of a held frame that releases it. Dropping it releases the frame, too.
#[derive(Debug)]
pub struct Held {
    arrived: watch::Receiver<bool>,
    released: watch::Sender<bool>,
}

pub(super) fn gate() -> (Held, Gate) {
    let (arrived, arrival) = watch::channel(false);
    let (released, release) = watch::channel(false);
    (Held { arrived: arrival, released }, Gate { arrived, released: release })
}

impl Gate {
    pub(super) async fn pass(mut self) {
        self.arrived.send_replace(true);
        // An error means that the other side was dropped, which releases, too.
        let _ = self.released.wait_for(|released| *released).await;
    }
}

impl Held {
    /// Waits for the frame. Returns whether it arrived: [`Proxy::calm`](super::Proxy::calm) may end the fault.
    pub async fn arrived(&mut self) -> bool {
        self.arrived.wait_for(|arrived| *arrived).await.is_ok()
    }

    /// Lets the frame pass.
    pub fn release(self) {
        self.released.send_replace(true);
    }
}

#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    direction: Direction,
    /// `None` is any.
    api_key: Option<i16>,
    fault: Fault,
    left: u32,
}

impl Faults {
    pub(super) fn add(&mut self, direction: Direction, api_key: Option<i16>, fault: Fault, times: u32) {
        if times > 0 {
            self.0.push(Rule { direction, api_key, fault, left: times });
        }
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The fault for this frame, if one waits for it; the oldest first.
    pub(super) fn take(&mut self, direction: Direction, api_key: i16) -> Option<Fault> {
        let hits = |rule: &Rule| rule.direction == direction && rule.api_key.is_none_or(|key| key == api_key);
        let index = self.0.iter().position(hits)?;
        let rule = &mut self.0[index];
        rule.left -= 1;
        let fault = rule.fault.clone();
        if rule.left == 0 {
            self.0.remove(index);
        }
        Some(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_hits_frames_of_its_direction_and_api_as_often_as_asked() {
        let mut faults = Faults::default();
        faults.add(Direction::Response, Some(0), Fault::Drop, 2);
        faults.add(Direction::Response, None, Fault::Cut, 1);
        assert!(faults.take(Direction::Request, 0).is_none());
        assert!(matches!(faults.take(Direction::Response, 0), Some(Fault::Drop)));
        assert!(matches!(faults.take(Direction::Response, 1), Some(Fault::Cut)));
        assert!(matches!(faults.take(Direction::Response, 0), Some(Fault::Drop)));
        assert!(faults.take(Direction::Response, 0).is_none());
    }
}
