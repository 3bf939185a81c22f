//! The suites that are not in the files they test.

mod chaos;
mod golden;
mod hostile;
mod real;
mod shapes;
mod sim;
mod tidy;
