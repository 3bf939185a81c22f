//! The suites that are not in the files they test.

mod golden;
mod hostile;
mod sim;
mod tidy;
