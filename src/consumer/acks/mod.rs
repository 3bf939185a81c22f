//! Acknowledgements: tokens for workers that finish out of order, and the consumer that hands them out.

mod consumer;
#[cfg_attr(not(feature = "queue"), expect(dead_code, reason = "only queues take records by their number"))]
mod rest;
mod shared;
#[cfg(feature = "queue")]
mod taking;
mod token;

pub use self::consumer::AckConsumer;
pub use self::consumer::UnackedRecords;
#[cfg(feature = "queue")]
pub(crate) use self::rest::Portion;
pub(super) use self::shared::Acks;
pub(super) use self::shared::Settings;
#[cfg(feature = "queue")]
pub(crate) use self::taking::Wanted;
pub use self::token::AckRefused;
pub use self::token::AckToken;
pub use self::token::Unacked;
