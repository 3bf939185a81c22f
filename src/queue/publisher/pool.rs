//! The producers of a publisher: one for each set of properties, closed when it was not used for a while.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::Weak;
use std::time::Duration;
use std::time::Instant;

use tokio::sync::watch;

use crate::client::Client;
use crate::client::ClientBuilder;
use crate::config::Properties;
use crate::error::Error;
use crate::net::clock;
use crate::net::runtime::Runtime;
use crate::producer::Producer;
use crate::types::bounded;

type Adapt = Box<dyn Fn(ClientBuilder) -> ClientBuilder + Send + Sync>;

/// The producers that are open. Dropping it closes them all.
pub(super) struct Pool {
    adapt: Option<Adapt>,
    state: Mutex<State>,
    /// Ends the tasks that wait for producers to be idle when the pool is dropped.
    open: watch::Sender<()>,
}

struct State {
    entries: HashMap<Arc<Properties>, Entry>,
    idle_max: Duration,
    /// Grows with each entry, which tells an entry from the one that replaces it.
    turn: u64,
}

struct Entry {
    producer: Producer,
    users: usize,
    idle_since: Instant,
    turn: u64,
}

const IDLE_MAX: Duration = Duration::from_secs(60);

/// The shortest time after which an entry is looked at again, also if producers may not be idle at all.
const LOOK_AGAIN_MIN: Duration = Duration::from_millis(100);

impl Default for Pool {
    fn default() -> Self {
        Self::new(None)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("producers", &self.len()).finish_non_exhaustive()
    }
}

impl Pool {
    pub(super) fn new(adapt: Option<Adapt>) -> Self {
        let state = State { entries: HashMap::new(), idle_max: IDLE_MAX, turn: 0 };
        Self { adapt, state: Mutex::new(state), open: watch::Sender::new(()) }
    }

    pub(super) fn set_idle_max(&self, idle: Duration) {
        self.lock().idle_max = bounded(idle);
    }

    pub(super) fn len(&self) -> usize {
        self.lock().entries.len()
    }

    /// The producer of these properties, which is not closed while the lease lives.
    pub(super) fn lease(self: &Arc<Self>, properties: &Arc<Properties>) -> Result<Lease, Error> {
        let is_open = self.lock().entries.contains_key(properties);
        // A client's connector and runtime are the caller's code: no lock is held.
        let started = if is_open { None } else { Some(self.start(properties)?) };
        let mut state = self.lock();
        if let Some((producer, runtime)) = started
            && !state.entries.contains_key(properties)
        {
            state.turn += 1;
            let turn = state.turn;
            let entry = Entry { producer, users: 0, idle_since: clock::now(), turn };
            state.entries.insert(Arc::clone(properties), entry);
            let key = (Arc::clone(properties), turn);
            let idle = idle(Arc::downgrade(self), runtime.clone(), key, self.open.subscribe());
            drop(runtime.spawn(idle));
        }
        let entry = state.entries.get_mut(properties).expect("it was found or made");
        entry.users += 1;
        let (producer, turn) = (entry.producer.clone(), entry.turn);
        Ok(Lease { pool: Arc::clone(self), properties: Arc::clone(properties), turn, producer })
    }

    fn start(&self, properties: &Properties) -> Result<(Producer, Runtime), Error> {
        let builder = Client::builder(properties.get("bootstrap.servers"))?.properties(properties);
        let builder = match &self.adapt {
            Some(adapt) => adapt(builder),
            None => builder,
        };
        let client = builder.connect_lazy()?;
        let producer = client.producer().properties(properties)?.build()?;
        Ok((producer, client.cluster().runtime().clone()))
    }

    /// Takes out a producer that was idle long enough. Otherwise returns when to look again; `None` if it is gone.
    fn expire(&self, (properties, turn): &(Arc<Properties>, u64)) -> Result<Producer, Option<Instant>> {
        let mut state = self.lock();
        let idle_max = state.idle_max;
        let entry = state.entries.get(properties).filter(|entry| entry.turn == *turn).ok_or(None)?;
        let now = clock::now();
        // Records whose futures were dropped are decided by their delivery timeout.
        let idle_max = idle_max.max(properties.millis("delivery.timeout.ms").unwrap_or_default());
        let until = if entry.users > 0 { now + idle_max } else { entry.idle_since + idle_max };
        if until > now || entry.users > 0 {
            return Err(Some(until.max(now + LOOK_AGAIN_MIN)));
        }
        Ok(state.entries.remove(properties).expect("it was found").producer)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is whole after every statement, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes a producer that was not used for a while.
async fn idle(pool: Weak<Pool>, runtime: Runtime, key: (Arc<Properties>, u64), mut closed: watch::Receiver<()>) {
    loop {
        let expired = match pool.upgrade() {
            Some(pool) => pool.expire(&key),
            None => return,
        };
        match expired {
            // Dropped, it stops.
            Ok(_) | Err(None) => return,
            Err(Some(at)) => {
                if runtime.timeout_at(at, closed.changed()).await.is_ok() {
                    return;
                }
            }
        }
    }
}

/// A producer that is in use.
pub(super) struct Lease {
    pool: Arc<Pool>,
    properties: Arc<Properties>,
    turn: u64,
    producer: Producer,
}

impl Lease {
    pub(super) fn producer(&self) -> &Producer {
        &self.producer
    }

    /// Lets the next value start a new producer.
    pub(super) fn discard(self) {
        let mut state = self.pool.lock();
        if state.entries.get(&self.properties).is_some_and(|entry| entry.turn == self.turn) {
            state.entries.remove(&self.properties);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut state = self.pool.lock();
        if let Some(entry) = state.entries.get_mut(&self.properties).filter(|entry| entry.turn == self.turn) {
            entry.users -= 1;
            entry.idle_since = clock::now();
        }
    }
}
