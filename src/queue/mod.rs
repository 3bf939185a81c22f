//! Queues on top of [`producer`](crate::producer), [`consumer`](crate::consumer) and [`admin`](crate::admin) (feature `queue`).
//!
//! A queue puts values into a topic and takes them out again, with one deadline for each call. Nothing here sends a request of its
//! own: everything is done through the three clients, and a program can always use these directly on the same
//! [`Client`](crate::Client).
//!
//! | type | is for |
//! |---|---|
//! | [`Target`], [`Targets`], [`Publisher`] | single values that must arrive: each is acknowledged or fails in time |
//! | [`LagMonitor`] | groups that fall behind, in any number of clusters |
//! | [`Tail`] | the newest records of a topic |

mod all;
mod lag;
mod publisher;
mod tail;
mod target;

pub use self::lag::ClusterLag;
pub use self::lag::LagEvent;
pub use self::lag::LagMonitor;
pub use self::lag::LagReport;
pub use self::lag::LagState;
pub use self::lag::LagSubject;
pub use self::lag::LagWatch;
pub use self::publisher::Publisher;
pub use self::tail::Latest;
pub use self::tail::Tail;
pub use self::target::Setting;
pub use self::target::Target;
pub use self::target::Targets;
pub use crate::config::BootstrapServers;
