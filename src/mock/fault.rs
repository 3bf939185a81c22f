//! Faults that tests ask for: which requests they hit, how often, and what they do.

use std::time::Duration;

/// What is done to a request instead of, or after, answering it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The connection is closed; the request has had its effect.
    CloseAfter,
    /// The connection is closed; the request has had no effect.
    CloseBefore,
    /// The reply comes this much later. Later requests of the connection wait behind it. A fetch that has to wait for
    /// data anyway waits no longer than it would.
    Delay(Duration),
    /// Every partition, topic or key of the request, or its whole where the reply has only one place, is answered with
    /// this error code; the request has no effect.
    Error(i16),
    /// The reply is lost, the connection stays; the request has had its effect.
    Lost,
    /// The request is lost, the connection stays; it has no effect.
    Swallowed,
}

/// The faults waiting for their requests.
#[derive(Debug, Default)]
pub(super) struct Faults {
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    /// `None` is any broker.
    broker: Option<i32>,
    api_key: i16,
    fault: Fault,
    left: u32,
}

impl Faults {
    pub(super) fn add(&mut self, broker: Option<i32>, api_key: i16, fault: Fault, times: u32) {
        if times > 0 {
            self.rules.push(Rule { broker, api_key, fault, left: times });
        }
    }

    pub(super) fn clear(&mut self) {
        self.rules.clear();
    }

    /// The fault for this request, if one waits for it; the oldest first.
    pub(super) fn take(&mut self, broker: i32, api_key: i16) -> Option<Fault> {
        let hits = |rule: &Rule| rule.api_key == api_key && rule.broker.is_none_or(|only| only == broker);
        let index = self.rules.iter().position(hits)?;
        let rule = &mut self.rules[index];
        rule.left -= 1;
        let fault = rule.fault;
        if rule.left == 0 {
            self.rules.remove(index);
        }
        Some(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_hits_its_requests_as_often_as_asked() {
        let mut faults = Faults::default();
        faults.add(Some(2), 0, Fault::Lost, 2);
        faults.add(None, 0, Fault::CloseBefore, 1);
        assert_eq!(faults.take(1, 3), None);
        assert_eq!(faults.take(1, 0), Some(Fault::CloseBefore));
        assert_eq!(faults.take(2, 0), Some(Fault::Lost));
        assert_eq!(faults.take(2, 0), Some(Fault::Lost));
        assert_eq!(faults.take(2, 0), None);
    }
}
