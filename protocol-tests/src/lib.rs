//! Harness shared by the suites.

pub mod history;
pub mod proxy;
pub mod rig;
pub mod sim;
