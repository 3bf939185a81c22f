//! Decides what is written, when, and what became of it.
