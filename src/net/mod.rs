//! The only input and output: the clock, dialling, and a task for each connection.
//!
//! Each file uses only files to its right:
//!
//! ```text
//! connection ──→ link ──→ outbox, observer
//!     │           │  └──→ renewal ──→ outgoing, authenticate
//!     │           ↓
//!     └──→ establish ──→ settings ──→ secure ──→ dial ──→ clock
//!            │    └──→ meter   └──→ runtime
//!            └──→ authenticate
//! ```

mod authenticate;
pub mod clock;
pub mod connection;
pub mod dial;
mod establish;
mod link;
pub mod meter;
pub mod observer;
mod outbox;
mod outgoing;
mod renewal;
pub mod runtime;
#[cfg(feature = "tls")]
pub mod secure;
mod settings;
pub(crate) mod side_by_side;

pub use self::dial::Connector;
pub use self::dial::Dialling;
pub use self::dial::Stream;
pub use self::dial::Tcp;
