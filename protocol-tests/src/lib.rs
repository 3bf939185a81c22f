//! The harness that the suites share.

pub mod history;
#[cfg(feature = "suites")]
pub mod pki;
pub mod proxy;
#[cfg(feature = "suites")]
pub mod rig;
pub mod sim;
