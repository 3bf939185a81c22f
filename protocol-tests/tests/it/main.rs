//! The suites that are not in the files they test.

mod assignors;
mod chaos;
mod conformance;
mod declarations;
mod dump;
mod fuzz_corpus;
mod golden;
mod groups;
mod history;
mod hostile;
mod limits;
mod logs;
mod metrics;
mod package;
mod pages;
mod paused;
mod programs;
mod proxy;
mod reading;
mod real;
mod shapes;
mod shell;
mod sim;
mod tidy;
mod tool;
mod words;
