//! The only door to `kafka-protocol`: frames, versions, and what is asked and answered.
//!
//! Produce, Fetch, OffsetCommit and OffsetFetch are coded by hand, without a copy of record bytes. The other messages go
//! through `kafka-protocol`, each response only after [`shape`] has seen that its counts fit the frame: that crate
//! reserves whatever a count declares. A batch of records is only bytes here.

pub mod buf;
mod control;
mod fetch;
pub mod frame;
pub mod message;
mod offset_commit;
mod offset_fetch;
mod produce;
pub mod request;
pub mod shape;
pub mod version;

pub use self::buf::DecodeError;
pub use self::frame::FrameReader;
pub use self::request::Request;
pub use self::request::Response;
pub use self::version::Api;
pub use self::version::Versions;
