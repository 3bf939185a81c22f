//! The harness that the suites share.

pub mod history;
#[cfg(feature = "suites")]
pub mod pki;
pub mod proxy;
pub mod rig;
pub mod sim;
