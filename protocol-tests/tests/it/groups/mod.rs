//! Consumer groups on real brokers of three releases, alone and with members written in other languages.

mod membership;
mod mixed;
mod modern;
