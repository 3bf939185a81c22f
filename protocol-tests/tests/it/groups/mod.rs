//! Consumer groups: on real brokers of three releases, alone and with members written in other languages, and on the mock.

mod acks;
mod acks_real;
mod auto;
mod chain;
mod membership;
mod mixed;
mod mock;
mod mock_modern;
mod modern;
mod patterns;
mod streams;
mod subscribing;
mod unmoved;
