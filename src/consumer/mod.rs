//! The consumer: handle and driver over its core.
internal! { core }

pub use self::core::Isolation;
pub use self::core::Position;
pub use self::core::Reset;
pub use self::core::ResetPolicy;
pub use self::core::Start;
