//! Topics: create, delete, list, describe.
