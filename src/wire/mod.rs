//! The only door to `kafka-protocol`: frames, versions, requests and responses.
//!
//! Each API is declared once, in a file of its own, in the language of [`declare`]; [`table`] lists them. Responses are decoded by
//! our own code, all of them: `kafka-protocol` reserves memory for whatever a count declares, and the messages it decodes take up
//! to 32 times the frame. Here a frame costs at most [`buf::COST_MAX`] times its size, whatever it claims. Requests of the control
//! plane are encoded by the crate, those that carry records or offsets by our own code, without a copy of record bytes. A batch of
//! records is only bytes here.

mod api_versions;
pub mod buf;
mod call;
mod control;
mod create_topics;
mod declare;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod fetch;
mod field;
mod find_coordinator;
pub mod frame;
mod init_producer_id;
mod list_offsets;
pub mod message;
mod metadata;
mod offset_commit;
mod offset_fetch;
mod offset_for_leader_epoch;
mod produce;
pub mod request;
mod table;
pub mod version;

pub use self::buf::DecodeError;
pub use self::call::Call;
pub use self::frame::FrameReader;
pub use self::table::Api;
pub use self::table::Request;
pub use self::table::Response;
pub use self::version::Versions;
