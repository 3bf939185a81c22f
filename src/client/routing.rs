//! Routing: the broker that a request goes to, and the address of that broker.

use super::cluster::Cluster;
use super::connections;
use super::connections::Endpoint;
use crate::config::HostPort;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Written;

/// The recipient of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Any broker.
    Any,
    /// The broker at this one of the bootstrap addresses.
    Bootstrap(usize),
    /// This broker.
    Broker(i32),
}

impl Cluster {
    /// The endpoint and the address of a target.
    pub(super) fn route(&self, target: Target) -> Result<(Endpoint, HostPort), Error> {
        match target {
            Target::Bootstrap(index) => {
                Ok((Endpoint::Bootstrap(index), self.settings().bootstrap.as_slice()[index].clone()))
            }
            Target::Broker(id) => {
                let address = self.snapshot().broker(id).and_then(connections::address).ok_or_else(|| {
                    self.refresh(&[]);
                    let error = Error::new(Kind::Connect, "the broker is not in the metadata any more");
                    error.at_broker(id.to_string()).written(Written::No)
                });
                Ok((Endpoint::Broker(id), address?))
            }
            Target::Any => {
                let target = self.known_brokers().into_iter().chain(self.bootstrap_addresses()).next();
                self.route(target.expect("there is at least one bootstrap address"))
            }
        }
    }

    /// The brokers that are known. Those whose connection works come first, then those that were never tried, then those that
    /// failed last; within each, the first is another one each time.
    pub(super) fn known_brokers(&self) -> Vec<Target> {
        let mut brokers: Vec<i32> = self.snapshot().brokers().map(|broker| broker.id).collect();
        self.rotate(&mut brokers);
        brokers.sort_by_cached_key(|id| self.connections().health(*id));
        brokers.into_iter().map(Target::Broker).collect()
    }

    /// The bootstrap addresses, beginning with another one each time.
    pub(super) fn bootstrap_addresses(&self) -> Vec<Target> {
        let mut addresses: Vec<Target> =
            (0..self.settings().bootstrap.as_slice().len()).map(Target::Bootstrap).collect();
        self.rotate(&mut addresses);
        addresses
    }

    fn rotate<T>(&self, items: &mut [T]) {
        let first = self.next_turn() % items.len().max(1);
        items.rotate_left(first);
    }
}
