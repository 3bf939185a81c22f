//! Drives the cluster with requests that `kafka-protocol` encodes.
