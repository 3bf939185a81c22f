//! The assignors return what Java's return.
//!
//! `docker/assignors.sh` runs Java's on random groups and writes `golden/assignors-*.tsv`; nothing of Java is needed here.

mod hashes;
mod shape;
mod whole;
