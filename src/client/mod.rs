//! The client handle: cluster knowledge and connections shared by producers and consumers.
