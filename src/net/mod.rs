//! The only input and output: clock, dialling, connection tasks.
