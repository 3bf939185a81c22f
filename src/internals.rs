//! The modules behind the public API, for the tests, benches and fuzzers of this repository.
//!
//! Nothing here follows semantic versioning. The feature `unstable-internals` opens it.

pub mod conn {
    pub use crate::conn::*;
}

pub mod consumer {
    pub use crate::consumer::core::*;
}

pub mod group {
    pub use crate::group::classic::*;
    pub use crate::group::step::*;

    pub mod member {
        pub use crate::group::matching::Settings as MatchingSettings;
        pub use crate::group::member::*;
    }

    /// The protocol `consumer`.
    pub mod modern {
        pub use crate::group::modern::*;
    }
}

pub mod metadata {
    pub use crate::metadata::*;
}

pub mod net {
    pub use crate::net::*;
}

pub mod producer {
    pub use crate::producer::core::*;
}

pub mod reading {
    pub use crate::reading::*;
}

pub mod record {
    pub use crate::record::*;
}

#[cfg(feature = "redis")]
pub mod redis {
    pub use crate::consumer::store::redis::refusal::*;
    pub use crate::consumer::store::redis::resp::*;
}

pub mod sasl {
    #[cfg(feature = "sasl-oauth")]
    pub use crate::sasl::oauth::sources::grant::Answer;
    #[cfg(feature = "sasl-oauth")]
    pub use crate::sasl::oauth::sources::grant::Form;
    pub use crate::sasl::oauth::token::reason;
}

#[cfg(feature = "scram")]
pub mod scram {
    pub use crate::sasl::scram::client::*;
}

pub mod wire {
    pub use crate::wire::*;
}
