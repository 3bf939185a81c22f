//! Acknowledgements: tokens for workers that finish out of order, and the consumer that hands them out.

mod consumer;
mod shared;
mod token;

pub use self::consumer::AckConsumer;
pub use self::consumer::UnackedRecords;
pub(super) use self::shared::Acks;
pub(super) use self::shared::Settings;
pub use self::token::AckRefused;
pub use self::token::AckToken;
pub use self::token::Unacked;
