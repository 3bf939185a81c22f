//! Harness shared by the suites: the simulator, the rig of real brokers, the golden vectors.
