//! Queues on top of [`producer`](crate::producer), [`consumer`](crate::consumer) and [`admin`](crate::admin) (feature `queue`).
//!
//! A queue puts values into a topic and takes them out again, with one deadline for each call. Nothing here sends a request of its
//! own: everything is done through the three clients, and a program can always use these directly on the same
//! [`Client`](crate::Client).
//!
//! | type | is for |
//! |---|---|
//! | [`Target`], [`Targets`], [`Publisher`] | single values that must arrive: each is acknowledged or fails in time |

mod publisher;
mod target;

pub use self::publisher::Publisher;
pub use self::target::Setting;
pub use self::target::Target;
pub use self::target::Targets;
pub use crate::config::BootstrapServers;
