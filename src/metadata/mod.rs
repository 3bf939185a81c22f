//! What is known about the cluster, and when to ask again.
