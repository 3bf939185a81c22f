//! Consumer groups on real brokers of three releases, alone and with members written in other languages.

mod chain;
mod membership;
mod mixed;
