//! Queues on top of [`producer`](crate::producer), [`consumer`](crate::consumer) and [`admin`](crate::admin) (feature `queue`).
//!
//! A queue puts values into a topic and takes them out again, with one deadline for each call. Nothing here sends a request of its
//! own: everything is done through the three clients, and a program can always use these directly on the same
//! [`Client`](crate::Client).
