//! Harness shared by the suites.

pub mod rig;
pub mod sim;
