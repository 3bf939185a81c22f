//! The record batch, hand-built: version 2 written and read, versions 0 and 1 read.
