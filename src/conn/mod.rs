//! Decisions about one connection: correlation, in-flight cap, deadlines, throttling, backoff.
