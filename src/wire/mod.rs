//! The only door to `kafka-protocol`: frames, versions, and what is asked and answered.
//!
//! Responses are decoded by hand, all of them: `kafka-protocol` reserves room for whatever a count declares, and what it decodes
//! takes up to 32 times the frame. Here a frame costs at most [`buf::COST_MAX`] times its size, whatever it claims. Requests of
//! the control plane are encoded by the crate, those that carry records or offsets by hand, without a copy of record bytes.
//! A batch of records is only bytes here.

mod api_versions;
pub mod buf;
mod call;
mod control;
mod coordinator;
mod fetch;
pub mod frame;
pub mod message;
mod metadata;
mod offset_commit;
mod offset_fetch;
mod offsets;
mod produce;
pub mod request;
mod topics;
pub mod version;

pub use self::buf::DecodeError;
pub use self::call::Call;
pub use self::frame::FrameReader;
pub use self::request::Request;
pub use self::request::Response;
pub use self::version::Api;
pub use self::version::Versions;
