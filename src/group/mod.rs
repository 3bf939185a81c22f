//! Consumer groups: who reads which partitions.

pub mod assignor;
